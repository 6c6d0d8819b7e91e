//! Memory that the program does not need any more. glibc keeps what was freed between pieces in use, and each thread draws from
//! a heap of its own; after a burst of work most of what a server holds would be free memory that nobody else can have.
#![allow(unsafe_code)]

use std::time::Duration;

use crate::state::App;

/// How long what a burst of work left may stay.
const KEPT: Duration = Duration::from_secs(10);

#[cfg(all(target_os = "linux", target_env = "gnu"))]
// SAFETY: as `malloc_trim(3)` and `mallopt(3)` declare them; they take no pointers and may be called at any time, from any
// thread.
unsafe extern "C" {
    safe fn malloc_trim(pad: usize) -> std::ffi::c_int;
    safe fn mallopt(parameter: std::ffi::c_int, value: std::ffi::c_int) -> std::ffi::c_int;
}

/// Has all threads share as many heaps as there are processors, four at most. To be called before there are threads.
pub fn share() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        /// `M_ARENA_MAX` of malloc.h.
        const ARENA_MAX: std::ffi::c_int = -8;
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        // 1 says that it was done, 0 that glibc goes on as it would.
        mallopt(ARENA_MAX, i32::try_from(processors.min(4)).unwrap_or(1));
    }
}

/// Gives free memory back to the system.
fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    malloc_trim(0);
}

/// Gives back what requests and background work have left, again and again.
pub async fn run(app: App) {
    let work = async {
        loop {
            tokio::time::sleep(KEPT).await;
            give_back();
        }
    };
    let _ = app.shutdown.run_until_cancelled(work).await;
}
