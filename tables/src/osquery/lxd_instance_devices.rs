//! `lxd_instance_devices`: devices of an instance of LXD, such as disks of the host that it sees.

use super::json::{entries, text};
use super::lxd::{Lxd, is_name};
use crate::constraints::Operator;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Devices of an instance of LXD, one row a setting, those of its profiles included.
    lxd_instance_devices: live_only {
        name: Text [required],
        device: Text,
        device_type: Text,
        key: Text,
        value: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let Some(lxd) = Lxd::of(scan) else { return Box::new(std::iter::empty()) };
    let names = scan.texts("name", Operator::Equals).into_iter().filter(|name| is_name(name));
    Box::new(names.flat_map(move |name| {
        let instance = lxd.get(&format!("instances/{name}")).unwrap_or_default();
        let mut rows: Vec<Row> = Vec::new();
        for (device, settings) in entries(&instance, "/expanded_devices") {
            for (key, value) in entries(settings, "") {
                let device_type = text(settings, "/type");
                rows.push(row! { name: name.as_str(), device, device_type, key, value: value.as_str() });
            }
        }
        rows.into_iter()
    }))
}
