//! `extended_attributes`: attributes of files beside their permissions; `security.capability` is shown as text, as `getcap`
//! writes it.

use base64::Engine as _;

use crate::places;
use crate::posix::{fgetxattr, flistxattr};
use crate::reader::Scan;
use crate::root::Follow;
use crate::schema::{Rows, row, table};
use crate::value::{Row, Value};

table! {
    /// Extended attributes of files, by path or folder.
    extended_attributes: any_required {
        path: Text [required],
        directory: Text [required],
        key: Text,
        value: Text,
        base64: Integer,
    }
}

const MAX_VALUE_BYTES: usize = 4_096;
const MAX_NAMES_BYTES: usize = 64 << 10;

/// Capabilities by number (`capabilities(7)`).
const CAPABILITIES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

fn rows(scan: &Scan) -> Rows {
    let scan = scan.clone();
    Box::new(places::asked_for(&scan).flat_map(move |place| {
        let attributes = if scan.budget().is_open() { attributes(&scan, &place.path) } else { Vec::new() };
        attributes.into_iter().map(move |(key, bytes)| to_row(&place.shown, &place.directory, &key, &bytes))
    }))
}

fn attributes(scan: &Scan, path: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    // What is not a regular file has none that matter, and may do something when it is opened.
    if !scan.metadata(path, Follow::Links).is_some_and(|found| found.is_file()) {
        return Vec::new();
    }
    let Some((file, _)) = scan.open(path, Follow::Links) else { return Vec::new() };
    let mut names = vec![0; MAX_NAMES_BYTES];
    let Ok(length) = flistxattr(file.descriptor(), &mut names[..]) else { return Vec::new() };
    names[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .filter_map(|name| {
            let mut value = vec![0; MAX_VALUE_BYTES];
            let length = fgetxattr(file.descriptor(), name, &mut value[..]).ok()?;
            value.truncate(length);
            Some((String::from_utf8_lossy(name).into_owned(), value))
        })
        .collect()
}

fn to_row(path: &str, directory: &str, key: &str, bytes: &[u8]) -> Row {
    let text = if key == "security.capability" {
        capabilities(bytes)
    } else {
        std::str::from_utf8(bytes)
            .ok()
            .map(|text| text.trim_end_matches('\0').to_owned())
            .filter(|text| !text.contains(char::is_control))
    };
    let is_encoded = text.is_none();
    let value = text.unwrap_or_else(|| base64::engine::general_purpose::STANDARD.encode(bytes));
    row! { path, directory, key, value, base64: Value::from(is_encoded) }
}

/// `struct vfs_cap_data` (`linux/capability.h`): a magic number with the effective bit, then permitted and inheritable sets
/// in two halves.
pub(crate) fn capabilities(bytes: &[u8]) -> Option<String> {
    let word = |index: usize| Some(u64::from(u32::from_le_bytes(*bytes.get(index * 4..)?.first_chunk::<4>()?)));
    let is_effective = word(0)? & 1 == 1;
    let permitted = word(1)? | word(3).unwrap_or(0) << 32;
    let inheritable = word(2)? | word(4).unwrap_or(0) << 32;
    let named = |set: u64| -> Vec<String> {
        (0..CAPABILITIES.len())
            .filter(|bit| set >> bit & 1 == 1)
            .map(|bit| format!("cap_{}", CAPABILITIES[bit]))
            .collect()
    };
    let flags = match (is_effective, inheritable != 0) {
        (true, true) => "eip",
        (true, false) => "ep",
        (false, true) => "ip",
        (false, false) => "p",
    };
    Some(format!("{}={flags}", named(permitted | inheritable).join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn capabilities_are_named() {
        let bytes = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(capabilities(&bytes).as_deref(), Some("cap_net_raw=ep"));
        assert_eq!(capabilities(&[1, 0]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            capabilities(&bytes);
            to_row("/x", "/", "user.x", &bytes);
        }
    }
}
