//! `apparmor_profiles`: profiles that the kernel has loaded.

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// AppArmor profiles in the running kernel.
    apparmor_profiles: live_only {
        path: Text [index],
        name: Text,
        attach: Text,
        mode: Text,
        sha1: Text,
        sha256: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let mut rows: Vec<Row> = Vec::new();
    let mut waiting = vec![scan.host().sys.join("kernel/security/apparmor/policy/profiles")];
    while let Some(folder) = waiting.pop() {
        for name in scan.kernel_names(&folder) {
            let profile = folder.join(name);
            let value = |file: &str| scan.sys(profile.join(file));
            if let Some(name) = value("name") {
                rows.push(row! {
                    path: profile.to_string_lossy(),
                    name,
                    attach: value("attach"),
                    mode: value("mode"),
                    sha1: value("sha1"),
                    sha256: value("sha256"),
                });
            }
            waiting.push(profile.join("profiles"));
        }
    }
    Box::new(rows.into_iter())
}
