//! `docker_container_ports`: ports of containers, and where the host offers them.

use super::docker::Docker;
use super::json::{list, number, text};
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Ports of containers of Docker.
    docker_container_ports: live_only {
        id: Text [index],
        r#type: Text,
        port: Integer,
        host_ip: Text,
        host_port: Integer,
    }
}

fn rows(scan: &Scan) -> Rows {
    let Some(docker) = Docker::of(scan) else { return Box::new(std::iter::empty()) };
    Box::new(docker.containers().into_iter().flat_map(|(id, container)| {
        let rows: Vec<Row> = list(&container, "/Ports")
            .iter()
            .map(|port| {
                row! {
                    id: id.as_str(),
                    r#type: text(port, "/Type"),
                    port: number(port, "/PrivatePort"),
                    host_ip: text(port, "/IP"),
                    host_port: number(port, "/PublicPort"),
                }
            })
            .collect();
        rows.into_iter()
    }))
}
