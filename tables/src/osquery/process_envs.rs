//! `process_envs`: the environment of processes as they were started. Values may be secrets: a scan redacts what looks like one.

use std::path::Path;

use crate::processes;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Variables of processes as they were started.
    process_envs: live_only {
        pid: Integer [index],
        key: Text,
        value: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let scan = scan.clone();
    Box::new(processes::pids(&scan).into_iter().flat_map(move |pid| {
        let text = scan.proc(Path::new(&pid.to_string()).join("environ")).unwrap_or_default();
        let rows: Vec<Row> = text
            .split('\0')
            .filter_map(|variable| variable.split_once('='))
            .map(|(key, value)| row! { pid, key, value })
            .collect();
        rows.into_iter()
    }))
}
