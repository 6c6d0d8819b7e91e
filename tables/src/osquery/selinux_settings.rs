//! `selinux_settings`: the state of `SELinux`; no rows where the kernel runs without it.

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Settings of SELinux in the running kernel.
    selinux_settings: live_only {
        scope: Text,
        key: Text,
        value: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let folder = scan.host().sys.join("fs/selinux");
    let mut rows: Vec<Row> = Vec::new();
    for (scope, folder) in [
        ("", folder.clone()),
        ("booleans", folder.join("booleans")),
        ("policy_capabilities", folder.join("policy_capabilities")),
    ] {
        for key in scan.kernel_names(&folder) {
            if scope.is_empty()
                && !["checkreqprot", "deny_unknown", "enforce", "mls", "policyvers", "reject_unknown"]
                    .contains(&key.as_str())
            {
                continue;
            }
            if let Some(value) = scan.sys(folder.join(&key)) {
                rows.push(row! { scope, key, value: if value.starts_with('1') { "1".to_owned() } else { value } });
            }
        }
    }
    Box::new(rows.into_iter())
}
