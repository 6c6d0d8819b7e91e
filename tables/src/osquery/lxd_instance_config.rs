//! `lxd_instance_config`: settings of an instance of LXD.

use super::json::entries;
use super::lxd::{Lxd, is_name};
use crate::constraints::Operator;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Settings of an instance of LXD, those of its profiles included.
    lxd_instance_config: live_only {
        name: Text [required],
        key: Text,
        value: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let Some(lxd) = Lxd::of(scan) else { return Box::new(std::iter::empty()) };
    let names = scan.texts("name", Operator::Equals).into_iter().filter(|name| is_name(name));
    Box::new(names.flat_map(move |name| {
        let instance = lxd.get(&format!("instances/{name}")).unwrap_or_default();
        let settings = entries(&instance, "/expanded_config");
        let rows: Vec<Row> =
            settings.map(|(key, value)| row! { name: name.as_str(), key, value: value.as_str() }).collect();
        rows.into_iter()
    }))
}
