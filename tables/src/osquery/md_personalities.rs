//! `md_personalities`: kinds of software RAID that the running kernel knows.

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Kinds of software RAID in the running kernel.
    md_personalities: live_only {
        name: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let text = scan.proc("mdstat").unwrap_or_default();
    let names = text.lines().find_map(|line| line.strip_prefix("Personalities :")).unwrap_or_default();
    let rows: Vec<Row> = names
        .split_whitespace()
        .map(|name| row! { name: name.trim_start_matches('[').trim_end_matches(']') })
        .collect();
    Box::new(rows.into_iter())
}
