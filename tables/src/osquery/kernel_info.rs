//! `kernel_info`: the running kernel and how it was started.

use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// The running kernel and its command line.
    kernel_info: live_only {
        version: Text,
        arguments: Text,
        path: Text,
        device: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let version = scan.proc("sys/kernel/osrelease").unwrap_or_default();
    let command_line = scan.proc("cmdline").unwrap_or_default();
    let value =
        |name: &str| command_line.split_whitespace().find_map(|word| word.strip_prefix(name)).unwrap_or_default();
    let arguments: Vec<&str> = command_line
        .split_whitespace()
        .filter(|word| !word.starts_with("BOOT_IMAGE=") && !word.starts_with("root="))
        .collect();
    Box::new(std::iter::once(row! {
        version: version.trim(),
        arguments: arguments.join(" "),
        path: value("BOOT_IMAGE="),
        device: value("root="),
    }))
}
