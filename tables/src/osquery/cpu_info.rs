//! `cpu_info`: each socket with its processor.

use std::collections::{BTreeMap, HashSet};

use super::system_info::values;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Processors, one row a socket.
    cpu_info: live_only {
        device_id: Text,
        model: Text,
        manufacturer: Text,
        processor_type: Text,
        cpu_status: Integer,
        number_of_cores: Text,
        logical_processors: Integer,
        address_width: Text,
        current_clock_speed: Integer,
        max_clock_speed: Integer,
        socket_designation: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let text = scan.proc("cpuinfo").unwrap_or_default();
    let mut sockets: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for block in text.split("\n\n").filter(|block| values(block, "processor").next().is_some()) {
        sockets.entry(values(block, "physical id").next().unwrap_or("0")).or_default().push(block);
    }
    let rows: Vec<Row> = sockets
        .iter()
        .filter_map(|(socket, blocks)| {
            let first = blocks.first()?;
            let value = |name: &str| values(first, name).next();
            let cores: HashSet<Option<&str>> = blocks.iter().map(|block| values(block, "core id").next()).collect();
            let speed = |name: &str| {
                scan.sys(format!("devices/system/cpu/cpu0/cpufreq/{name}")).and_then(|text| text.parse::<i64>().ok()).map(|khz| khz / 1_000)
            };
            let now = value("cpu MHz").and_then(|text| text.split('.').next()?.parse::<i64>().ok());
            Some(row! {
                device_id: format!("CPU{socket}"),
                model: value("model name"),
                manufacturer: value("vendor_id"),
                processor_type: "3",
                cpu_status: 1,
                number_of_cores: cores.len().to_string(),
                logical_processors: blocks.len(),
                address_width: value("flags").map(|flags| if flags.split_whitespace().any(|flag| flag == "lm") { "64" } else { "32" }),
                current_clock_speed: now,
                max_clock_speed: speed("cpuinfo_max_freq").or(now),
                socket_designation: format!("CPU {socket}"),
            })
        })
        .collect();
    Box::new(rows.into_iter())
}
