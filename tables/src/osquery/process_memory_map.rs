//! `process_memory_map`: what processes have in their memory (`/proc/<pid>/maps`).

use std::path::Path;

use crate::processes;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Regions of the memory of processes.
    process_memory_map: live_only {
        pid: Integer [index],
        start: Text,
        end: Text,
        permissions: Text,
        offset: BigInt,
        device: Text,
        inode: Integer,
        path: Text,
        pseudo: Integer,
    }
}

fn rows(scan: &Scan) -> Rows {
    let scan = scan.clone();
    Box::new(processes::pids(&scan).into_iter().flat_map(move |pid| {
        let text = scan.proc(Path::new(&pid.to_string()).join("maps")).unwrap_or_default();
        text.lines().filter_map(|line| parse(pid, line)).collect::<Vec<Row>>().into_iter()
    }))
}

fn parse(pid: i64, line: &str) -> Option<Row> {
    let mut words = line.splitn(6, ' ');
    let (start, end) = words.next()?.split_once('-')?;
    let permissions = words.next()?;
    let offset = i64::from_str_radix(words.next()?, 16).ok()?;
    let device = words.next()?;
    let inode = words.next()?.parse::<i64>().ok()?;
    let path = words.next().unwrap_or_default().trim();
    Some(row! {
        pid,
        start: format!("0x{start}"),
        end: format!("0x{end}"),
        permissions,
        offset,
        device,
        inode,
        pseudo: inode == 0 && path.starts_with('['),
        path,
    })
}
