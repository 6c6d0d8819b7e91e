//! `docker_container_networks`: the addresses of containers in their networks.

use super::docker::Docker;
use super::json::{entries, number, text};
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Networks of containers of Docker.
    docker_container_networks: live_only {
        id: Text [index],
        name: Text [index],
        network_id: Text,
        endpoint_id: Text,
        gateway: Text,
        ip_address: Text,
        ip_prefix_len: Integer,
        ipv6_gateway: Text,
        ipv6_address: Text,
        ipv6_prefix_len: Integer,
        mac_address: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let Some(docker) = Docker::of(scan) else { return Box::new(std::iter::empty()) };
    Box::new(docker.containers().into_iter().flat_map(|(id, container)| {
        let rows: Vec<Row> = entries(&container, "/NetworkSettings/Networks")
            .map(|(name, network)| {
                row! {
                    id: id.as_str(),
                    name,
                    network_id: text(network, "/NetworkID"),
                    endpoint_id: text(network, "/EndpointID"),
                    gateway: text(network, "/Gateway"),
                    ip_address: text(network, "/IPAddress"),
                    ip_prefix_len: number(network, "/IPPrefixLen"),
                    ipv6_gateway: text(network, "/IPv6Gateway"),
                    ipv6_address: text(network, "/GlobalIPv6Address"),
                    ipv6_prefix_len: number(network, "/GlobalIPv6PrefixLen"),
                    mac_address: text(network, "/MacAddress"),
                }
            })
            .collect();
        rows.into_iter()
    }))
}
