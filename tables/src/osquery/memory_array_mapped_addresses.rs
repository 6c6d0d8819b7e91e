//! `memory_array_mapped_addresses`: which addresses a group of memory devices serves.

use super::smbios::{self, MEMORY_ARRAY_MAPPED_ADDRESS};
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Addresses of groups of memory devices, in KiB or, with twelve digits, in bytes.
    memory_array_mapped_addresses: live_only {
        handle: Text,
        memory_array_handle: Text,
        starting_address: Text,
        ending_address: Text,
        partition_width: Integer,
    }
}

fn rows(scan: &Scan) -> Rows {
    let bytes = smbios::read(scan);
    let rows: Vec<Row> = smbios::structures(&bytes)
        .filter(|structure| structure.kind == MEMORY_ARRAY_MAPPED_ADDRESS)
        .map(|mapping| {
            let (starting_address, ending_address) = smbios::addresses(&mapping, 0x0f).unzip();
            row! {
                handle: mapping.shown_handle(),
                memory_array_handle: mapping.word(0x0c).map(smbios::shown),
                starting_address,
                ending_address,
                partition_width: mapping.byte(0x0e),
            }
        })
        .collect();
    Box::new(rows.into_iter())
}
