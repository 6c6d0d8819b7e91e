//! `disk_encryption`: which block devices are the clear side of an encrypted one, by the name that `dm-crypt` gives them.

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Block devices and whether what lies below them is encrypted.
    disk_encryption: live_only {
        name: Text [index],
        uuid: Text,
        encrypted: Integer,
        r#type: Text,
        encryption_status: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let folder = scan.host().sys.join("block");
    let rows: Vec<Row> = scan
        .kernel_names(&folder)
        .into_iter()
        .map(|device| {
            let uuid = scan.sys(folder.join(&device).join("dm/uuid")).unwrap_or_default();
            // `CRYPT-LUKS2-<uuid>-<name>`
            let kind = uuid.strip_prefix("CRYPT-").and_then(|rest| rest.split('-').next());
            row! {
                name: format!("/dev/{device}"),
                encrypted: kind.is_some(),
                encryption_status: if kind.is_some() { "encrypted" } else { "not encrypted" },
                r#type: kind.unwrap_or_default(),
                uuid,
            }
        })
        .collect();
    Box::new(rows.into_iter())
}
