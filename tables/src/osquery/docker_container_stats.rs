//! `docker_container_stats`: what a container uses. Docker measures for a second before it answers.

use serde_json::Value as Json;

use super::docker::Docker;
use super::json::{entries, list, number, seconds, text};
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// What a container of Docker uses; interval in nanoseconds.
    docker_container_stats: live_only {
        id: Text [required],
        name: Text [index],
        pids: Integer,
        read: BigInt,
        preread: BigInt,
        interval: BigInt,
        disk_read: BigInt,
        disk_write: BigInt,
        num_procs: Integer,
        cpu_total_usage: BigInt,
        cpu_kernelmode_usage: BigInt,
        cpu_usermode_usage: BigInt,
        system_cpu_usage: BigInt,
        online_cpus: Integer,
        pre_cpu_total_usage: BigInt,
        pre_cpu_kernelmode_usage: BigInt,
        pre_cpu_usermode_usage: BigInt,
        pre_system_cpu_usage: BigInt,
        pre_online_cpus: Integer,
        memory_usage: BigInt,
        memory_cached: BigInt,
        memory_inactive_file: BigInt,
        memory_total_inactive_file: BigInt,
        memory_max_usage: BigInt,
        memory_limit: BigInt,
        network_rx_bytes: BigInt,
        network_tx_bytes: BigInt,
    }
}

fn rows(scan: &Scan) -> Rows {
    let Some(docker) = Docker::of(scan) else { return Box::new(std::iter::empty()) };
    Box::new(docker.given_ids().into_iter().filter_map(move |id| {
        let stats = docker.get(&format!("/containers/{id}/stats?stream=false"))?;
        Some(describe(id, &stats))
    }))
}

fn describe(id: String, stats: &Json) -> Row {
    let disk = |operation: &str| {
        let all = list(stats, "/blkio_stats/io_service_bytes_recursive").iter();
        let own = all.filter(|entry| text(entry, "/op").is_some_and(|op| op.eq_ignore_ascii_case(operation)));
        own.filter_map(|entry| number(entry, "/value")).fold(0_i64, i64::saturating_add)
    };
    let network = |pointer: &str| {
        let all = entries(stats, "/networks").filter_map(|(_, network)| number(network, pointer));
        all.fold(0_i64, i64::saturating_add)
    };
    let time = |pointer: &str| text(stats, pointer).and_then(|text| chrono::DateTime::parse_from_rfc3339(text).ok());
    let interval = time("/read").zip(time("/preread")).and_then(|(read, before)| (read - before).num_nanoseconds());
    row! {
        id,
        name: text(stats, "/name"),
        pids: number(stats, "/pids_stats/current"),
        read: text(stats, "/read").and_then(seconds),
        preread: text(stats, "/preread").and_then(seconds),
        interval,
        disk_read: disk("read"),
        disk_write: disk("write"),
        num_procs: number(stats, "/num_procs"),
        cpu_total_usage: number(stats, "/cpu_stats/cpu_usage/total_usage"),
        cpu_kernelmode_usage: number(stats, "/cpu_stats/cpu_usage/usage_in_kernelmode"),
        cpu_usermode_usage: number(stats, "/cpu_stats/cpu_usage/usage_in_usermode"),
        system_cpu_usage: number(stats, "/cpu_stats/system_cpu_usage"),
        online_cpus: number(stats, "/cpu_stats/online_cpus"),
        pre_cpu_total_usage: number(stats, "/precpu_stats/cpu_usage/total_usage"),
        pre_cpu_kernelmode_usage: number(stats, "/precpu_stats/cpu_usage/usage_in_kernelmode"),
        pre_cpu_usermode_usage: number(stats, "/precpu_stats/cpu_usage/usage_in_usermode"),
        pre_system_cpu_usage: number(stats, "/precpu_stats/system_cpu_usage"),
        pre_online_cpus: number(stats, "/precpu_stats/online_cpus"),
        memory_usage: number(stats, "/memory_stats/usage"),
        memory_cached: number(stats, "/memory_stats/stats/cache"),
        memory_inactive_file: number(stats, "/memory_stats/stats/inactive_file"),
        memory_total_inactive_file: number(stats, "/memory_stats/stats/total_inactive_file"),
        memory_max_usage: number(stats, "/memory_stats/max_usage"),
        memory_limit: number(stats, "/memory_stats/limit"),
        network_rx_bytes: network("/rx_bytes"),
        network_tx_bytes: network("/tx_bytes"),
    }
}
