//! `lxd_networks`: networks of LXD and what they carried.

use serde_json::Value as Json;

use super::json::{flag, joined, number, text};
use super::lxd::{Lxd, is_name};
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Networks of LXD.
    lxd_networks: live_only {
        name: Text,
        r#type: Text,
        managed: Integer,
        ipv4_address: Text,
        ipv6_address: Text,
        used_by: Text,
        bytes_received: BigInt,
        bytes_sent: BigInt,
        packets_received: BigInt,
        packets_sent: BigInt,
        hwaddr: Text,
        state: Text,
        mtu: Integer,
    }
}

fn rows(scan: &Scan) -> Rows {
    let Some(lxd) = Lxd::of(scan) else { return Box::new(std::iter::empty()) };
    Box::new(lxd.list("networks?recursion=1").into_iter().map(move |network| {
        let name = text(&network, "/name").filter(|name| is_name(name));
        let state = name.and_then(|name| lxd.get(&format!("networks/{name}/state"))).unwrap_or_default();
        describe(&network, &state)
    }))
}

fn describe(network: &Json, state: &Json) -> Row {
    let setting = |name: &str| network.get("config").and_then(|config| config.get(name)?.as_str());
    row! {
        name: text(network, "/name"),
        r#type: text(network, "/type"),
        managed: flag(network, "/managed"),
        ipv4_address: setting("ipv4.address"),
        ipv6_address: setting("ipv6.address"),
        used_by: joined(network, "/used_by", ","),
        bytes_received: number(state, "/counters/bytes_received"),
        bytes_sent: number(state, "/counters/bytes_sent"),
        packets_received: number(state, "/counters/packets_received"),
        packets_sent: number(state, "/counters/packets_sent"),
        hwaddr: text(state, "/hwaddr"),
        state: text(state, "/state"),
        mtu: number(state, "/mtu"),
    }
}
