//! Memory that the program does not need any more. glibc keeps what was freed between pieces in use, and each thread draws from
//! a heap of its own; after a burst of work most of what a server holds would be free memory that nobody else can have.
#![allow(unsafe_code)]

use std::time::Duration;

use crate::state::App;

/// How long what a burst of work left may stay.
const KEPT: Duration = Duration::from_secs(10);
/// What may stay for good, in KiB: less than that is not worth the walk through all heaps, which holds up whoever allocates.
const SLACK: u64 = 16 * 1024;

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

/// Gives free memory back to the system if much more is held than `kept`, which was left the last time; gives what is left now.
fn give_back(kept: u64) -> u64 {
    let Some(before) = held() else { return kept };
    if before < kept.saturating_add(SLACK) {
        return kept.min(before);
    }
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    malloc_trim(0);
    held().unwrap_or(before)
}

/// What the process holds of memory that is no file's, in KiB; none where the system does not say.
fn held() -> Option<u64> {
    of_status(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn of_status(status: &str) -> Option<u64> {
    let held = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    held.split_whitespace().next()?.parse().ok()
}

/// Gives back what requests and background work have left, again and again where that is much.
pub async fn run(app: App) {
    let work = async {
        let mut kept = 0;
        loop {
            tokio::time::sleep(KEPT).await;
            // On a thread that no request waits for.
            kept = tokio::task::spawn_blocking(move || give_back(kept)).await.unwrap_or(kept);
        }
    };
    let _ = app.shutdown.run_until_cancelled(work).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_read_of_the_status() {
        let status = "Name:\ttenantra-api\nVmRSS:\t   91234 kB\nRssAnon:\t   70112 kB\nRssFile:\t   21122 kB\n";
        assert_eq!(of_status(status), Some(70_112));
        assert_eq!(of_status("Name:\ttenantra-api\n"), None);
        // What is left is never taken for more than is held.
        let left = give_back(u64::MAX);
        assert!(held().is_none() || (1..u64::MAX).contains(&left), "{left}");
    }
}
