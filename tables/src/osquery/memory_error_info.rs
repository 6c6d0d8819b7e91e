//! `memory_error_info`: errors of memory that the firmware has noted.

use super::smbios::{self, MEMORY_ERROR, Structure};
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Errors of memory that the firmware has noted.
    memory_error_info: live_only {
        handle: Text,
        error_type: Text,
        error_granularity: Text,
        error_operation: Text,
        vendor_syndrome: Text,
        memory_array_error_address: Text,
        device_error_address: Text,
        error_resolution: Text,
    }
}

const TYPES: [&str; 14] = [
    "Other",
    "Unknown",
    "OK",
    "Bad read",
    "Parity error",
    "Single-bit error",
    "Double-bit error",
    "Multi-bit error",
    "Nibble error",
    "Checksum error",
    "CRC error",
    "Corrected single-bit error",
    "Corrected error",
    "Uncorrectable error",
];
const GRANULARITIES: [&str; 4] = ["Other", "Unknown", "Device level", "Memory partition level"];
const OPERATIONS: [&str; 5] = ["Other", "Unknown", "Read", "Write", "Partial write"];

/// An address that is not known.
const NOT_KNOWN: u32 = 0x8000_0000;

fn rows(scan: &Scan) -> Rows {
    let bytes = smbios::read(scan);
    let errors = smbios::structures(&bytes).filter(|structure| structure.kind == MEMORY_ERROR);
    let rows: Vec<Row> = errors.map(|error| describe(&error)).collect();
    Box::new(rows.into_iter())
}

fn describe(error: &Structure<'_>) -> Row {
    let shown = |value: u32| format!("0x{value:08X}");
    let address = |at: usize| error.double_word(at).filter(|address| *address != NOT_KNOWN).map(shown);
    row! {
        handle: error.shown_handle(),
        error_type: error.name(0x04, &TYPES),
        error_granularity: error.name(0x05, &GRANULARITIES),
        error_operation: error.name(0x06, &OPERATIONS),
        vendor_syndrome: error.double_word(0x07).filter(|syndrome| *syndrome != 0).map(shown),
        memory_array_error_address: address(0x0b),
        device_error_address: address(0x0f),
        error_resolution: address(0x13),
    }
}
