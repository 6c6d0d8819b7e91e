//! `docker_image_layers`: the layers of images, the lowest first.

use serde_json::Value as Json;

use super::docker::{self, Docker};
use super::json::{list, text};
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Layers of images of Docker; the lowest is number 1.
    docker_image_layers: live_only {
        id: Text [index],
        layer_id: Text,
        layer_order: Integer,
    }
}

fn rows(scan: &Scan) -> Rows {
    let Some(docker) = Docker::of(scan) else { return Box::new(std::iter::empty()) };
    Box::new(docker.images().into_iter().flat_map(move |(id, image)| {
        let own = text(&image, "/Id").map(docker::id).unwrap_or_default();
        let details = docker.get(&format!("/images/{own}/json")).unwrap_or_default();
        let layers = list(&details, "/RootFS/Layers").iter().filter_map(Json::as_str);
        let rows: Vec<Row> = (1_i64..)
            .zip(layers)
            .map(|(layer_order, layer)| row! { id: id.as_str(), layer_id: docker::id(layer), layer_order })
            .collect();
        rows.into_iter()
    }))
}
