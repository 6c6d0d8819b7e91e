//! `docker_networks`: networks of containers.

use super::docker::Docker;
use super::json::{flag, seconds, text};
use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// Networks of Docker.
    docker_networks: live_only {
        id: Text [index],
        name: Text,
        driver: Text,
        created: BigInt,
        enable_ipv6: Integer,
        subnet: Text,
        gateway: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let Some(docker) = Docker::of(scan) else { return Box::new(std::iter::empty()) };
    let networks = docker.asked_for("id", "/Id", docker.list("/networks", ""));
    Box::new(networks.into_iter().map(|(id, network)| {
        row! {
            id,
            name: text(&network, "/Name"),
            driver: text(&network, "/Driver"),
            created: text(&network, "/Created").and_then(seconds),
            enable_ipv6: flag(&network, "/EnableIPv6"),
            subnet: text(&network, "/IPAM/Config/0/Subnet"),
            gateway: text(&network, "/IPAM/Config/0/Gateway"),
        }
    }))
}
