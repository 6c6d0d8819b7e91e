//! `system_info`: the machine and its names. For an image only the names are known.

use std::collections::HashSet;

use super::memory_info::bytes_of;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// The machine: names, processors, memory, hardware.
    system_info {
        hostname: Text,
        uuid: Text,
        cpu_type: Text,
        cpu_subtype: Text,
        cpu_brand: Text,
        cpu_physical_cores: Integer,
        cpu_logical_cores: Integer,
        cpu_sockets: Integer,
        cpu_microcode: Text,
        physical_memory: BigInt,
        hardware_vendor: Text,
        hardware_model: Text,
        hardware_version: Text,
        hardware_serial: Text,
        board_vendor: Text,
        board_model: Text,
        board_version: Text,
        board_serial: Text,
        computer_name: Text,
        local_hostname: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let cpu = scan.proc("cpuinfo").unwrap_or_default();
    let firmware = |name: &str| scan.sys(format!("class/dmi/id/{name}"));
    let hostname = hostname(scan);
    let first = |name: &str| values(&cpu, name).next();
    let cores: HashSet<(Option<&str>, Option<&str>)> = cpu
        .split("\n\n")
        .filter(|block| !block.trim().is_empty())
        .map(|block| (values(block, "physical id").next(), values(block, "core id").next()))
        .collect();
    let sockets: HashSet<&str> = values(&cpu, "physical id").collect();
    let logical = values(&cpu, "processor").count();
    Box::new(std::iter::once(row! {
        local_hostname: hostname.as_str(),
        computer_name: hostname.as_str(),
        hostname,
        uuid: firmware("product_uuid").or_else(|| scan.text("/etc/machine-id").map(|id| id.trim().to_owned())),
        cpu_type: scan.proc("sys/kernel/arch").map(|arch| arch.trim().to_owned()),
        cpu_subtype: first("model"),
        cpu_brand: first("model name"),
        cpu_physical_cores: (logical > 0).then_some(cores.len()),
        cpu_logical_cores: (logical > 0).then_some(logical),
        cpu_sockets: (!sockets.is_empty()).then_some(sockets.len()),
        cpu_microcode: first("microcode"),
        physical_memory: scan.proc("meminfo").and_then(|text| bytes_of(&text, "MemTotal")),
        hardware_vendor: firmware("sys_vendor"),
        hardware_model: firmware("product_name"),
        hardware_version: firmware("product_version"),
        hardware_serial: firmware("product_serial"),
        board_vendor: firmware("board_vendor"),
        board_model: firmware("board_name"),
        board_version: firmware("board_version"),
        board_serial: firmware("board_serial"),
    }))
}

/// The name of the host: the kernel's where this program shares it, else the configured one.
fn hostname(scan: &Scan) -> String {
    let kernel = || scan.proc("sys/kernel/hostname");
    let configured = || scan.text("/etc/hostname");
    let is_here = scan.host().root == std::path::Path::new("/");
    let name = if is_here { kernel().or_else(configured) } else { configured().or_else(kernel) };
    name.unwrap_or_default().trim().to_owned()
}

/// The values of `name : value` lines.
pub(super) fn values<'a>(text: &'a str, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    let name = name.to_owned();
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .filter(move |(found, _)| found.trim() == name)
        .map(|(_, value)| value.trim())
}
