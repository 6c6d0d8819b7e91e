//! `intel_me_info`: the version of Intel's management engine, as the kernel's driver tells it.

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Version of Intel's management engine.
    intel_me_info: live_only {
        version: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let devices = scan.kernel_names(scan.host().sys.join("class/mei"));
    // `0:12.0.35.1427`: the platform and the version; the first line is of the code that runs.
    let versions = devices.iter().filter_map(|device| scan.sys(format!("class/mei/{device}/fw_ver")));
    let rows: Vec<Row> = versions
        .filter_map(|text| {
            let version = text.lines().next()?.split(':').next_back()?.trim().to_owned();
            (!version.is_empty()).then(|| row! { version })
        })
        .collect();
    Box::new(rows.into_iter())
}
