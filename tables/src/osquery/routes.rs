//! `routes`: the main routing table (`/proc/net/route`, `/proc/net/ipv6_route`).

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Routes of IPv4 and IPv6; netmask is the length of the prefix.
    routes: live_only {
        destination: Text,
        netmask: Integer,
        gateway: Text,
        source: Text,
        flags: Integer,
        interface: Text,
        mtu: Integer,
        metric: Integer,
        r#type: Text [index],
        hopcount: Integer,
    }
}

const RTF_UP: u32 = 1;
const RTF_GATEWAY: u32 = 2;
const RTF_LOCAL: u32 = 0x8000_0000;

/// A route of `/proc/net/route`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route4 {
    pub interface: String,
    pub destination: Ipv4Addr,
    pub gateway: Ipv4Addr,
    pub mask: Ipv4Addr,
    pub flags: u32,
    pub metric: i64,
    pub mtu: i64,
}

impl Route4 {
    pub fn has_gateway(&self) -> bool {
        self.flags & RTF_GATEWAY != 0
    }
}

fn rows(scan: &Scan) -> Rows {
    let mut rows: Vec<Row> = routes4(scan).iter().map(row4).collect();
    let text = scan.net("ipv6_route").unwrap_or_default();
    rows.extend(text.lines().filter_map(parse6));
    Box::new(rows.into_iter())
}

pub(super) fn routes4(scan: &Scan) -> Vec<Route4> {
    scan.net("route").unwrap_or_default().lines().skip(1).filter_map(parse4).collect()
}

fn row4(route: &Route4) -> Row {
    row! {
        destination: route.destination.to_string(),
        netmask: u32::from(route.mask).count_ones(),
        gateway: if route.has_gateway() { route.gateway.to_string() } else { String::new() },
        source: "",
        flags: route.flags,
        interface: route.interface.as_str(),
        mtu: route.mtu,
        metric: route.metric,
        r#type: if route.has_gateway() { "gateway" } else { "other" },
        hopcount: 0,
    }
}

fn parse4(line: &str) -> Option<Route4> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let address = |index: usize| {
        let digits = words.get(index).filter(|digits| digits.len() == 8)?;
        Some(Ipv4Addr::from(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes()))
    };
    Some(Route4 {
        interface: (*words.first()?).to_owned(),
        destination: address(1)?,
        gateway: address(2)?,
        flags: u32::from_str_radix(words.get(3)?, 16).ok()?,
        metric: words.get(6)?.parse().ok()?,
        mask: address(7)?,
        mtu: words.get(8)?.parse().ok()?,
    })
}

fn parse6(line: &str) -> Option<Row> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [destination, length, _, _, gateway, metric, _, _, flags, interface] = words[..] else { return None };
    let flags = u32::from_str_radix(flags, 16).ok()?;
    if flags & RTF_UP == 0 {
        return None;
    }
    let has_gateway = flags & RTF_GATEWAY != 0;
    Some(row! {
        destination: address6(destination)?.to_string(),
        netmask: i64::from_str_radix(length, 16).ok()?,
        gateway: if has_gateway { address6(gateway)?.to_string() } else { String::new() },
        source: "",
        flags,
        interface,
        mtu: 0,
        metric: i64::from_str_radix(metric, 16).ok()?,
        r#type: if flags & RTF_LOCAL != 0 { "local" } else if has_gateway { "gateway" } else { "other" },
        hopcount: 0,
    })
}

/// An address of 32 hexadecimal digits.
pub(super) fn address6(digits: &str) -> Option<Ipv6Addr> {
    (digits.len() == 32).then(|| u128::from_str_radix(digits, 16).ok())?.map(Ipv6Addr::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn a_route_is_read_from_its_digits() {
        let route = parse4("eth0\t00000000\t0100A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0").unwrap();
        assert_eq!((route.gateway.to_string().as_str(), route.metric, route.has_gateway()), ("192.168.0.1", 100, true));
    }

    proptest! {
        #[test]
        fn any_line_is_read_without_panic(line in ".*", words in proptest::collection::vec("[0-9a-fé]{0,33}", 10)) {
            parse4(&line);
            parse6(&line);
            parse4(&words.join(" "));
            parse6(&words.join(" "));
        }
    }
}
