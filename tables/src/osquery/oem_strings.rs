//! `oem_strings`: free text that the maker of the machine put into its firmware; clouds put their own there.

use super::smbios::{self, OEM_STRINGS};
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Free text of the machine's maker in its firmware.
    oem_strings: live_only {
        handle: Text,
        number: Integer,
        value: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let bytes = smbios::read(scan);
    let mut rows: Vec<Row> = Vec::new();
    for structure in smbios::structures(&bytes).filter(|structure| structure.kind == OEM_STRINGS) {
        for number in 1..=structure.byte(0x04).unwrap_or(0) {
            if let Some(value) = structure.text_of(number) {
                rows.push(row! { handle: structure.shown_handle(), number, value });
            }
        }
    }
    Box::new(rows.into_iter())
}
