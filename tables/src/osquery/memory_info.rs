//! `memory_info`: the kernel's account of memory (`/proc/meminfo`), in bytes.

use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// Main memory and swap, in bytes.
    memory_info: live_only {
        memory_total: BigInt,
        memory_free: BigInt,
        memory_available: BigInt,
        buffers: BigInt,
        cached: BigInt,
        swap_cached: BigInt,
        active: BigInt,
        inactive: BigInt,
        swap_total: BigInt,
        swap_free: BigInt,
    }
}

fn rows(scan: &Scan) -> Rows {
    let Some(text) = scan.proc("meminfo") else { return Box::new(std::iter::empty()) };
    let bytes = |name| bytes_of(&text, name);
    Box::new(std::iter::once(row! {
        memory_total: bytes("MemTotal"),
        memory_free: bytes("MemFree"),
        memory_available: bytes("MemAvailable"),
        buffers: bytes("Buffers"),
        cached: bytes("Cached"),
        swap_cached: bytes("SwapCached"),
        active: bytes("Active"),
        inactive: bytes("Inactive"),
        swap_total: bytes("SwapTotal"),
        swap_free: bytes("SwapFree"),
    }))
}

/// A line `Name:   123 kB` in bytes.
pub(crate) fn bytes_of(text: &str, name: &str) -> Option<i64> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(found, _)| *found == name)
        .and_then(|(_, value)| value.split_whitespace().next()?.parse::<i64>().ok()?.checked_mul(1_024))
}
