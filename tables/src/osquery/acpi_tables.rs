//! `acpi_tables`: the tables of the firmware (`/sys/firmware/acpi/tables`); their digests show when one changes.

use sha2::Digest;

use crate::functions::hex;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// ACPI tables of the firmware.
    acpi_tables: live_only {
        name: Text,
        size: Integer,
        md5: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let folder = scan.host().sys.join("firmware/acpi/tables");
    let names = scan.kernel_names(&folder);
    Box::new(names.into_iter().filter_map(move |name| {
        let path = folder.join(&name);
        let bytes = if path.is_file() { std::fs::read(path).ok() } else { None }?;
        Some(row! { name, size: bytes.len(), md5: hex(&md5::Md5::digest(&bytes)) })
    }))
}
