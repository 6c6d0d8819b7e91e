//! `docker_volume_labels`: labels of volumes.

use super::docker::Docker;
use super::json::entries;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Labels of volumes of Docker.
    docker_volume_labels: live_only {
        name: Text [index],
        key: Text [index],
        value: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let Some(docker) = Docker::of(scan) else { return Box::new(std::iter::empty()) };
    let objects = docker.asked_for("name", "/Name", docker.list("/volumes", "/Volumes"));
    Box::new(objects.into_iter().flat_map(|(name, object)| {
        let labels = entries(&object, "/Labels");
        let rows: Vec<Row> =
            labels.map(|(key, value)| row! { name: name.as_str(), key, value: value.as_str() }).collect();
        rows.into_iter()
    }))
}
