//! `memory_device_mapped_addresses`: which addresses a memory device serves.

use super::smbios::{self, MEMORY_DEVICE_MAPPED_ADDRESS};
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Addresses of memory devices, in KiB or, with twelve digits, in bytes.
    memory_device_mapped_addresses: live_only {
        handle: Text,
        memory_device_handle: Text,
        memory_array_mapped_address_handle: Text,
        starting_address: Text,
        ending_address: Text,
        partition_row_position: Integer,
        interleave_position: Integer,
        interleave_data_depth: Integer,
    }
}

fn rows(scan: &Scan) -> Rows {
    let bytes = smbios::read(scan);
    let rows: Vec<Row> = smbios::structures(&bytes)
        .filter(|structure| structure.kind == MEMORY_DEVICE_MAPPED_ADDRESS)
        .map(|mapping| {
            let (starting_address, ending_address) = smbios::addresses(&mapping, 0x13).unzip();
            // All bits set: not known.
            let position = |at: usize| mapping.byte(at).filter(|position| *position != 0xff);
            row! {
                handle: mapping.shown_handle(),
                memory_device_handle: mapping.word(0x0c).map(smbios::shown),
                memory_array_mapped_address_handle: mapping.word(0x0e).map(smbios::shown),
                starting_address,
                ending_address,
                partition_row_position: position(0x10),
                interleave_position: position(0x11),
                interleave_data_depth: position(0x12),
            }
        })
        .collect();
    Box::new(rows.into_iter())
}
