//! `memory_arrays`: groups of sockets for memory, as the firmware describes them.

use super::smbios::{self, MEMORY_ARRAY, Structure};
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Groups of memory devices; max_capacity in GiB.
    memory_arrays: live_only {
        handle: Text,
        location: Text,
        r#use: Text,
        memory_error_correction: Text,
        max_capacity: Integer,
        memory_error_info_handle: Text,
        number_memory_devices: Integer,
    }
}

const LOCATIONS: [&str; 10] = [
    "Other",
    "Unknown",
    "System board or motherboard",
    "ISA add-on card",
    "EISA add-on card",
    "PCI add-on card",
    "MCA add-on card",
    "PCMCIA add-on card",
    "Proprietary add-on card",
    "NuBus",
];
const USES: [&str; 7] =
    ["Other", "Unknown", "System memory", "Video memory", "Flash memory", "Non-volatile RAM", "Cache memory"];
const CORRECTIONS: [&str; 7] = ["Other", "Unknown", "None", "Parity", "Single-bit ECC", "Multi-bit ECC", "CRC"];

/// No error was detected, or none can be told, by the handle of the error.
const NO_ERRORS: u16 = 0xffff;
const NOT_TOLD: u16 = 0xfffe;

fn rows(scan: &Scan) -> Rows {
    let bytes = smbios::read(scan);
    let arrays = smbios::structures(&bytes).filter(|structure| structure.kind == MEMORY_ARRAY);
    let rows: Vec<Row> = arrays.map(|array| describe(&array)).collect();
    Box::new(rows.into_iter())
}

fn describe(array: &Structure<'_>) -> Row {
    // KiB, or, where they do not fit, bytes in the extended field.
    let max_capacity = array.double_word(0x07).and_then(|kib| match kib {
        0x8000_0000.. => array.quad_word(0x0f).map(|bytes| bytes >> 30),
        kib => Some(u64::from(kib >> 20)),
    });
    let error = array.word(0x0b).filter(|handle| *handle != NOT_TOLD);
    row! {
        handle: array.shown_handle(),
        location: array.name(0x04, &LOCATIONS),
        r#use: array.name(0x05, &USES),
        memory_error_correction: array.name(0x06, &CORRECTIONS),
        max_capacity,
        memory_error_info_handle: error.map(|handle| match handle {
            NO_ERRORS => "No Errors".to_owned(),
            handle => smbios::shown(handle),
        }),
        number_memory_devices: array.word(0x0d),
    }
}
