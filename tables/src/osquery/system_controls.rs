//! `system_controls`: kernel settings as they are now (`/proc/sys`), with what is configured for the next start.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::constraints::Operator;
use crate::own::sysctl_configured::{Setting, configured};
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Kernel settings; config_value is what sysctl.d sets at boot.
    system_controls: live_only {
        name: Text [index],
        oid: Text [index],
        subsystem: Text [index],
        current_value: Text,
        config_value: Text,
        r#type: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let folder = scan.host().proc.join("sys");
    let wanted = scan.texts("name", Operator::Equals);
    let mut waiting: Vec<PathBuf> = wanted
        .iter()
        .map(|name| folder.join(name.replace('.', "\0").replace('/', ".").replace('\0', "/")))
        .filter(|path| !path.components().any(|part| part.as_os_str() == ".."))
        .collect();
    if waiting.is_empty() {
        waiting.extend(
            scan.texts("subsystem", Operator::Equals)
                .iter()
                .filter(|name| !name.contains(['/', '.']))
                .map(|name| folder.join(name)),
        );
    }
    if waiting.is_empty() {
        waiting.push(folder.clone());
    }
    let configured: HashMap<String, Setting> =
        configured(scan).into_iter().map(|setting| (setting.name.clone(), setting)).collect();
    let scan = scan.clone();
    Box::new(std::iter::from_fn(move || {
        while let Some(path) = waiting.pop() {
            if path.is_dir() {
                waiting.extend(scan.kernel_names(&path).into_iter().rev().map(|name| path.join(name)));
            } else if let Some(row) = describe(&scan, &folder, &path, &configured) {
                return Some(row);
            }
        }
        None
    }))
}

fn describe(scan: &Scan, folder: &Path, path: &Path, configured: &HashMap<String, Setting>) -> Option<Row> {
    let below = path.strip_prefix(folder).ok()?;
    // A dot inside a part is written as a slash, as sysctl(8) does.
    let parts: Vec<String> = below.iter().map(|part| part.to_string_lossy().replace('.', "/")).collect();
    let name = parts.join(".");
    let value = scan.proc(Path::new("sys").join(below))?;
    Some(row! {
        subsystem: parts.first().map(String::as_str),
        oid: "",
        current_value: value.trim_end(),
        config_value: configured.get(&name).map(|setting| setting.value.as_str()).unwrap_or_default(),
        r#type: if value.trim().parse::<i64>().is_ok() { "int" } else { "string" },
        name,
    })
}
