//! `docker_image_labels`: labels of images.

use super::docker::Docker;
use super::json::entries;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Labels of images of Docker.
    docker_image_labels: live_only {
        id: Text [index],
        key: Text,
        value: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let Some(docker) = Docker::of(scan) else { return Box::new(std::iter::empty()) };
    let objects = docker.images();
    Box::new(objects.into_iter().flat_map(|(id, object)| {
        let labels = entries(&object, "/Labels");
        let rows: Vec<Row> = labels.map(|(key, value)| row! { id: id.as_str(), key, value: value.as_str() }).collect();
        rows.into_iter()
    }))
}
