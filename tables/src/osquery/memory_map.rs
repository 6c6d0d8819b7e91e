//! `memory_map`: what lies where in physical memory (`/proc/iomem`).

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Regions of physical memory.
    memory_map: live_only {
        name: Text,
        start: Text,
        end: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let text = scan.proc("iomem").unwrap_or_default();
    Box::new(text.lines().filter_map(parse).collect::<Vec<Row>>().into_iter())
}

fn parse(line: &str) -> Option<Row> {
    let (range, name) = line.trim().split_once(" : ")?;
    let (start, end) = range.split_once('-')?;
    Some(row! { name, start: format!("0x{start}"), end: format!("0x{end}") })
}
