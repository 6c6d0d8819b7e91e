//! `interface_addresses`: the addresses of the host's interfaces. From the kernel's routing tables, which can be read for the
//! host's network from a container that has another; where the network is this process's own, netlink says the interface.

use std::net::Ipv4Addr;

use super::routes::{Route4, address6, routes4};
use crate::netlink;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Addresses of network interfaces.
    interface_addresses: live_only {
        interface: Text,
        address: Text,
        mask: Text,
        broadcast: Text,
        point_to_point: Text,
        r#type: Text,
    }
}

const IFA_F_PERMANENT: u32 = 0x80;

fn rows(scan: &Scan) -> Rows {
    let routes = routes4(scan);
    let tree = scan.net("fib_trie").unwrap_or_default();
    // Only in one network are the tables the same.
    let is_own = !tree.is_empty() && scan.proc("self/net/fib_trie").is_some_and(|own| own == tree);
    let told = if is_own { netlink::addresses().unwrap_or_default() } else { Vec::new() };
    let mut rows: Vec<Row> = local_addresses(&tree).into_iter().map(|address| row4(address, &routes, &told)).collect();
    let text = scan.net("if_inet6").unwrap_or_default();
    rows.extend(text.lines().filter_map(parse6));
    Box::new(rows.into_iter())
}

/// An address without a network has no route that names its interface; if nobody tells it, it is not known.
fn row4(address: Ipv4Addr, routes: &[Route4], told: &[netlink::Assigned]) -> Row {
    let is_in = |route: &&Route4| u32::from(address) & u32::from(route.mask) == u32::from(route.destination);
    let route =
        routes.iter().filter(|route| !route.has_gateway()).filter(is_in).max_by_key(|route| u32::from(route.mask));
    let told = told.iter().find(|one| one.address == address);
    let (interface, mask) = match (told, route) {
        (Some(told), _) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(told.prefix)).unwrap_or(0);
            (Some(told.interface.as_str()), Ipv4Addr::from(mask))
        }
        (None, Some(route)) => (Some(route.interface.as_str()), route.mask),
        (None, None) if address.is_loopback() => (Some("lo"), Ipv4Addr::new(255, 0, 0, 0)),
        (None, None) => (None, Ipv4Addr::BROADCAST),
    };
    let has_broadcast = !address.is_loopback() && mask != Ipv4Addr::BROADCAST;
    let broadcast = Ipv4Addr::from(u32::from(address) | !u32::from(mask));
    row! {
        interface,
        address: address.to_string(),
        mask: mask.to_string(),
        broadcast: if has_broadcast { broadcast.to_string() } else { String::new() },
        point_to_point: "",
        r#type: "unknown",
    }
}

/// Addresses that `/proc/net/fib_trie` marks as the host's own: a line `|-- address`, then `/32 host LOCAL`.
fn local_addresses(tree: &str) -> Vec<Ipv4Addr> {
    let mut addresses: Vec<Ipv4Addr> = Vec::new();
    let mut last = None;
    for line in tree.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse().ok();
        } else if line == "/32 host LOCAL"
            && let Some(address) = last
            && !addresses.contains(&address)
        {
            addresses.push(address);
        }
    }
    addresses
}

fn parse6(line: &str) -> Option<Row> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [address, _, length, _, flags, interface] = words[..] else { return None };
    let length = u32::from_str_radix(length, 16).ok().filter(|length| *length <= 128)?;
    let mask = if length == 0 { 0 } else { u128::MAX << (128 - length) };
    let flags = u32::from_str_radix(flags, 16).ok()?;
    Some(row! {
        interface,
        address: address6(address)?.to_string(),
        mask: std::net::Ipv6Addr::from(mask).to_string(),
        broadcast: "",
        point_to_point: "",
        r#type: if flags & IFA_F_PERMANENT != 0 { "manual" } else { "auto" },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;
    use proptest::prelude::*;

    #[test]
    fn local_addresses_are_found_once() {
        let tree = "Main:\n  +-- 0.0.0.0/0\n     |-- 10.0.0.0\n        /24 link UNICAST\n     |-- 10.0.0.5\n        /32 host LOCAL\nLocal:\n     |-- 10.0.0.5\n        /32 host LOCAL\n";
        assert_eq!(local_addresses(tree), [Ipv4Addr::new(10, 0, 0, 5)]);
    }

    #[test]
    fn an_address_without_a_network_has_the_interface_that_netlink_tells_or_none() {
        let address = Ipv4Addr::new(10, 89, 0, 1);
        let told = netlink::Assigned { interface: "lo".to_owned(), address, prefix: 32 };
        let cells = |told: &[netlink::Assigned]| row4(address, &[], told).0[..4].to_vec();
        let text = |text: &str| Value::from(text);
        assert_eq!(cells(&[told]), [text("lo"), text("10.89.0.1"), text("255.255.255.255"), text("")]);
        assert_eq!(cells(&[])[0], Value::Null);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "(?s).*") {
            local_addresses(&text);
            parse6(&text);
        }
    }
}
