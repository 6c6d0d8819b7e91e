//! `interface_details`: interfaces with their counters (`/proc/net/dev`) and what sysfs says of them.

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Network interfaces and what they carried.
    interface_details: live_only {
        interface: Text,
        mac: Text,
        r#type: Integer,
        mtu: Integer,
        metric: Integer,
        flags: Integer,
        ipackets: BigInt,
        opackets: BigInt,
        ibytes: BigInt,
        obytes: BigInt,
        ierrors: BigInt,
        oerrors: BigInt,
        idrops: BigInt,
        odrops: BigInt,
        collisions: BigInt,
        last_change: BigInt,
        link_speed: BigInt,
        pci_slot: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let text = scan.net("dev").unwrap_or_default();
    let rows: Vec<Row> = text.lines().skip(2).filter_map(|line| describe(scan, line)).collect();
    Box::new(rows.into_iter())
}

fn describe(scan: &Scan, line: &str) -> Option<Row> {
    let (name, counters) = line.split_once(':')?;
    let name = name.trim();
    let counters: Vec<i64> = counters.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let count = |index: usize| counters.get(index).copied();
    let value = |file: &str| (!name.contains('/')).then(|| scan.sys(format!("class/net/{name}/{file}"))).flatten();
    let number = |file: &str| value(file).and_then(|text| text.parse::<i64>().ok());
    let flags = value("flags").and_then(|text| i64::from_str_radix(text.trim_start_matches("0x"), 16).ok());
    let device = std::fs::read_link(scan.host().sys.join(format!("class/net/{name}/device"))).ok();
    Some(row! {
        interface: name,
        mac: value("address"),
        r#type: number("type"),
        mtu: number("mtu"),
        metric: 0,
        flags,
        ibytes: count(0),
        ipackets: count(1),
        ierrors: count(2),
        idrops: count(3),
        obytes: count(8),
        opackets: count(9),
        oerrors: count(10),
        odrops: count(11),
        collisions: count(13),
        last_change: -1,
        link_speed: number("speed"),
        pci_slot: device.as_deref().and_then(std::path::Path::file_name).map(|name| name.to_string_lossy()),
    })
}
