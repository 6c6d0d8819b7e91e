//! `kernel_keys`: keys in the kernel's keyrings that this process may view (`/proc/keys`).

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Keys in the kernel's keyrings.
    kernel_keys: live_only {
        serial_number: Text,
        flags: Text,
        usage: BigInt,
        timeout: Text,
        permissions: Text,
        uid: BigInt,
        gid: BigInt,
        r#type: Text,
        description: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let text = scan.proc("keys").unwrap_or_default();
    Box::new(text.lines().filter_map(parse).collect::<Vec<Row>>().into_iter())
}

fn parse(line: &str) -> Option<Row> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [serial, flags, usage, timeout, permissions, uid, gid, kind, description @ ..] = &words[..] else {
        return None;
    };
    Some(row! {
        serial_number: *serial,
        flags: *flags,
        usage: usage.parse::<i64>().ok(),
        timeout: *timeout,
        permissions: *permissions,
        uid: uid.parse::<i64>().ok(),
        gid: gid.parse::<i64>().ok(),
        r#type: *kind,
        description: description.join(" "),
    })
}
