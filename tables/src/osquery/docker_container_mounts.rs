//! `docker_container_mounts`: what of the host, and of volumes, containers see.

use super::docker::Docker;
use super::json::{flag, list, text};
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Mounts of containers of Docker.
    docker_container_mounts: live_only {
        id: Text [index],
        r#type: Text,
        name: Text [index],
        source: Text,
        destination: Text,
        driver: Text,
        mode: Text,
        rw: Integer,
        propagation: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let Some(docker) = Docker::of(scan) else { return Box::new(std::iter::empty()) };
    Box::new(docker.containers().into_iter().flat_map(|(id, container)| {
        let rows: Vec<Row> = list(&container, "/Mounts")
            .iter()
            .map(|mount| {
                row! {
                    id: id.as_str(),
                    r#type: text(mount, "/Type"),
                    name: text(mount, "/Name"),
                    source: text(mount, "/Source"),
                    destination: text(mount, "/Destination"),
                    driver: text(mount, "/Driver"),
                    mode: text(mount, "/Mode"),
                    rw: flag(mount, "/RW"),
                    propagation: text(mount, "/Propagation"),
                }
            })
            .collect();
        rows.into_iter()
    }))
}
