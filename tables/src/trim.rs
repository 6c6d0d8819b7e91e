//! Memory that a process that waits does not need.
#![allow(unsafe_code)]

#[cfg(all(target_os = "linux", target_env = "gnu"))]
// SAFETY: as `malloc_trim(3)` declares it; it takes no pointer and may be called at any time, from any thread.
unsafe extern "C" {
    safe fn malloc_trim(pad: usize) -> std::ffi::c_int;
}

/// Gives free memory back to the system. glibc keeps what was freed between pieces in use, for ever if nobody asks; elsewhere
/// nothing happens.
pub fn give_memory_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    malloc_trim(0);
}
