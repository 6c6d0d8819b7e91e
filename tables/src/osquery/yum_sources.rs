//! `yum_sources`: where packages come from on distributions with RPM (`dnf.conf(5)`).

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::units::UnitFile;
use crate::value::Row;

table! {
    /// Repositories of yum and dnf.
    yum_sources {
        name: Text,
        source: Text,
        baseurl: Text,
        mirrorlist: Text,
        metalink: Text,
        enabled: Text,
        gpgcheck: Text,
        gpgkey: Text,
        pid_with_namespace: Integer [hidden],
    }
}

fn rows(scan: &Scan) -> Rows {
    let mut rows: Vec<Row> = Vec::new();
    for file in scan.paths("/etc/yum.repos.d", ".repo") {
        let text = scan.text(&file).unwrap_or_default();
        let entries = UnitFile::parse(&text);
        for section in text.lines().filter_map(|line| line.trim().strip_prefix('[')?.strip_suffix(']')) {
            // Each name may come again and again, and each time all settings are looked through.
            if !scan.budget().is_open() {
                break;
            }
            let value = |key| entries.value(section, key);
            rows.push(row! {
                name: value("name").unwrap_or(section),
                source: crate::paths::display(&file),
                baseurl: value("baseurl"),
                mirrorlist: value("mirrorlist"),
                metalink: value("metalink"),
                enabled: value("enabled").unwrap_or("1"),
                gpgcheck: value("gpgcheck"),
                gpgkey: value("gpgkey"),
            });
        }
    }
    Box::new(rows.into_iter())
}
