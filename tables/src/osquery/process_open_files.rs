//! `process_open_files`: regular files that processes have open.

use crate::processes;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// Files that processes have open.
    process_open_files: live_only {
        pid: BigInt [index],
        fd: BigInt,
        path: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let scan = scan.clone();
    Box::new(processes::pids(&scan).into_iter().flat_map(move |pid| {
        let files = processes::shown_open_files(&scan, pid).into_iter().filter(|(_, target)| target.starts_with('/'));
        files.map(move |(fd, path)| row! { pid, fd, path })
    }))
}
