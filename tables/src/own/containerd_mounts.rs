//! `containerd_mounts`: what running containers of containerd see of the host's files.

use serde_json::Value as Json;

use super::containerd;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Mounts of running containers of containerd.
    containerd_mounts {
        namespace: Text,
        container_id: Text [index],
        source: Text,
        destination: Text,
        r#type: Text,
        options: Text,
        readonly: Integer,
    }
}

fn rows(scan: &Scan) -> Rows {
    Box::new(containerd::bundles(scan, "container_id").flat_map(|bundle| {
        let mounts = bundle.config.get("mounts").and_then(Json::as_array).into_iter().flatten();
        let rows: Vec<Row> = mounts
            .map(|mount| {
                let field = |name: &str| mount.get(name).and_then(Json::as_str);
                let options = mount.get("options").and_then(Json::as_array).into_iter().flatten();
                let options: Vec<&str> = options.filter_map(Json::as_str).collect();
                row! {
                    namespace: bundle.namespace.as_str(),
                    container_id: bundle.id.as_str(),
                    source: field("source"),
                    destination: field("destination"),
                    r#type: field("type"),
                    readonly: options.contains(&"ro"),
                    options: options.join(","),
                }
            })
            .collect();
        rows.into_iter()
    }))
}
