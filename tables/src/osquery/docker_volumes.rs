//! `docker_volumes`: volumes of containers.

use super::docker::Docker;
use super::json::text;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// Volumes of Docker.
    docker_volumes: live_only {
        name: Text [index],
        driver: Text,
        mount_point: Text,
        r#type: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let Some(docker) = Docker::of(scan) else { return Box::new(std::iter::empty()) };
    let volumes = docker.asked_for("name", "/Name", docker.list("/volumes", "/Volumes"));
    Box::new(volumes.into_iter().map(|(name, volume)| {
        row! {
            name,
            driver: text(&volume, "/Driver"),
            mount_point: text(&volume, "/Mountpoint"),
            r#type: text(&volume, "/Options/type"),
        }
    }))
}
