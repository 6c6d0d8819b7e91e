//! `docker_container_labels`: labels of containers.

use super::docker::Docker;
use super::json::entries;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Labels of containers of Docker.
    docker_container_labels: live_only {
        id: Text [index],
        key: Text [index],
        value: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let Some(docker) = Docker::of(scan) else { return Box::new(std::iter::empty()) };
    let objects = docker.containers();
    Box::new(objects.into_iter().flat_map(|(id, object)| {
        let labels = entries(&object, "/Labels");
        let rows: Vec<Row> = labels.map(|(key, value)| row! { id: id.as_str(), key, value: value.as_str() }).collect();
        rows.into_iter()
    }))
}
