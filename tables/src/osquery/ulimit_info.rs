//! `ulimit_info`: limits of resources. osquery shows those of its own process; this program lowers its own for the host's
//! sake, so it shows those of the first process, which others inherit.

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Limits of resources of the first process.
    ulimit_info: live_only {
        r#type: Text,
        soft_limit: Text,
        hard_limit: Text,
    }
}

/// Names of the kernel (`proc_pid_limits(5)`) and of `getrlimit(2)`.
const NAMES: [(&str, &str); 16] = [
    ("Max address space", "as"),
    ("Max core file size", "core"),
    ("Max cpu time", "cpu"),
    ("Max data size", "data"),
    ("Max file locks", "locks"),
    ("Max file size", "fsize"),
    ("Max locked memory", "memlock"),
    ("Max msgqueue size", "msgqueue"),
    ("Max nice priority", "nice"),
    ("Max open files", "nofile"),
    ("Max pending signals", "sigpending"),
    ("Max processes", "nproc"),
    ("Max realtime priority", "rtprio"),
    ("Max realtime timeout", "rttime"),
    ("Max resident set", "rss"),
    ("Max stack size", "stack"),
];

fn rows(scan: &Scan) -> Rows {
    let text = scan.proc("1/limits").unwrap_or_default();
    let rows: Vec<Row> = text.lines().filter_map(parse).collect();
    Box::new(rows.into_iter())
}

fn parse(line: &str) -> Option<Row> {
    let (kind, values) = NAMES.iter().find_map(|(name, kind)| Some((*kind, line.strip_prefix(name)?)))?;
    let mut values = values.split_whitespace();
    Some(row! { r#type: kind, soft_limit: values.next()?, hard_limit: values.next()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_has_two_values() {
        let row = parse("Max open files            1024                 1048576              files     ").unwrap();
        assert_eq!(row.0, ["nofile", "1024", "1048576"].map(crate::Value::from));
        assert!(parse("Limit                     Soft Limit           Hard Limit           Units     ").is_none());
    }
}
