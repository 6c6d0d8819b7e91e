//! `azure_instance_tags`: tags of this machine in Azure.

use super::azure;
use super::json::{list, text};
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Tags of this machine in Azure.
    azure_instance_tags: live_only {
        vm_id: Text,
        key: Text,
        value: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let machine = azure::compute(scan).unwrap_or_default();
    let rows: Vec<Row> = list(&machine, "/tagsList")
        .iter()
        .map(|tag| row! { vm_id: text(&machine, "/vmId"), key: text(tag, "/name"), value: text(tag, "/value") })
        .collect();
    Box::new(rows.into_iter())
}
