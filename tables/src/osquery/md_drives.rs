//! `md_drives`: the disks of each software RAID, from sysfs (`Documentation/admin-guide/md.rst`).

use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// Disks of software RAIDs and what state they are in.
    md_drives: live_only {
        md_device_name: Text,
        drive_name: Text,
        slot: Integer,
        state: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let scan = scan.clone();
    Box::new(arrays(&scan).into_iter().flat_map(move |array| {
        let scan = scan.clone();
        drives(&scan, &array).into_iter().map(move |drive| {
            let value = |file: &str| scan.sys(format!("block/{array}/md/dev-{drive}/{file}"));
            row! {
                md_device_name: array.as_str(),
                // A spare has no slot: its file says `none`.
                slot: value("slot").and_then(|slot| slot.parse::<i64>().ok()).unwrap_or(-1),
                state: value("state").map(|state| state.replace(',', " ").replace("in_sync", "active sync")),
                drive_name: format!("/dev/{drive}"),
            }
        })
    }))
}

/// The names of the arrays, such as `md0`.
pub(super) fn arrays(scan: &Scan) -> Vec<String> {
    let blocks = scan.kernel_names(scan.host().sys.join("block"));
    let is_array = |name: &String| scan.host().sys.join("block").join(name).join("md").is_dir();
    blocks.into_iter().filter(|name| name.starts_with("md")).filter(is_array).collect()
}

/// The names of an array's disks, such as `sda1`.
pub(super) fn drives(scan: &Scan, array: &str) -> Vec<String> {
    let files = scan.kernel_names(scan.host().sys.join("block").join(array).join("md"));
    files.into_iter().filter_map(|file| file.strip_prefix("dev-").map(str::to_owned)).collect()
}
