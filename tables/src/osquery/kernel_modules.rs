//! `kernel_modules`: modules that are loaded now (`/proc/modules`).

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Loaded kernel modules.
    kernel_modules: live_only {
        name: Text,
        size: BigInt,
        used_by: Text,
        status: Text,
        address: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let text = scan.proc("modules").unwrap_or_default();
    Box::new(text.lines().filter_map(parse).collect::<Vec<Row>>().into_iter())
}

fn parse(line: &str) -> Option<Row> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [name, size, _, used_by, status, address, ..] = words[..] else { return None };
    Some(row! {
        name,
        size: size.parse::<i64>().ok()?,
        used_by: used_by.trim_end_matches(','),
        status,
        address,
    })
}
