//! `smbios_tables`: the structures that the firmware describes the machine with.

use sha2::Digest;

use super::smbios;
use crate::functions::hex;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Structures of the firmware's SMBIOS table.
    smbios_tables: live_only {
        number: Integer,
        r#type: Integer,
        description: Text,
        handle: Integer,
        header_size: Integer,
        size: Integer,
        md5: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let bytes = smbios::read(scan);
    let rows: Vec<Row> = smbios::structures(&bytes)
        .enumerate()
        .map(|(number, structure)| {
            row! {
                number,
                r#type: structure.kind,
                description: description(structure.kind),
                handle: structure.handle,
                header_size: structure.header.len(),
                size: structure.bytes.len(),
                md5: hex(&md5::Md5::digest(structure.bytes)),
            }
        })
        .collect();
    Box::new(rows.into_iter())
}

const fn description(kind: u8) -> &'static str {
    match kind {
        0 => "BIOS Information",
        1 => "System Information",
        2 => "Base Board or Module Information",
        3 => "System Enclosure or Chassis",
        4 => "Processor Information",
        7 => "Cache Information",
        8 => "Port Connector Information",
        9 => "System Slots",
        11 => "OEM Strings",
        16 => "Physical Memory Array",
        17 => "Memory Device",
        18 => "32-bit Memory Error Information",
        19 => "Memory Array Mapped Address",
        20 => "Memory Device Mapped Address",
        32 => "System Boot Information",
        43 => "TPM Device",
        127 => "End-of-Table",
        _ => "",
    }
}
