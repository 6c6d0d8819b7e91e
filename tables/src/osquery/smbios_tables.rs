//! `smbios_tables`: the structures that the firmware describes the machine with (DMTF DSP0134, 6.1).

use sha2::Digest;

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
    let bytes = std::fs::read(scan.host().sys.join("firmware/dmi/tables/DMI")).unwrap_or_default();
    Box::new(parse(&bytes).into_iter())
}

fn parse(bytes: &[u8]) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut rest = bytes;
    while let [kind, header_size, low, high, ..] = *rest {
        let header = usize::from(header_size);
        // Texts follow the header and end with two zeros.
        let texts = rest.get(header..).and_then(|texts| texts.windows(2).position(|pair| pair == [0, 0]));
        let Some(end) = texts.filter(|_| header >= 4).map(|texts| header + texts + 2) else { break };
        let (structure, after) = rest.split_at(end.min(rest.len()));
        rows.push(row! {
            number: rows.len(),
            r#type: kind,
            description: description(kind),
            handle: u16::from_le_bytes([low, high]),
            header_size,
            size: structure.len(),
            md5: hex(&md5::Md5::digest(structure)),
        });
        rest = after;
    }
    rows
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
        19 => "Memory Array Mapped Address",
        32 => "System Boot Information",
        43 => "TPM Device",
        127 => "End-of-Table",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn structures_end_with_their_texts() {
        let bytes = [1, 5, 0, 1, 9, b'a', 0, b'b', 0, 0, 127, 4, 1, 1, 0, 0];
        assert_eq!(parse(&bytes).len(), 2);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            parse(&bytes);
        }
    }
}
