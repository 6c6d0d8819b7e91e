//! `docker_info`: how Docker is set up, and what it can limit.

use super::docker::Docker;
use super::json::{flag, number, text};
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Setup of Docker.
    docker_info: live_only {
        id: Text,
        containers: Integer,
        containers_running: Integer,
        containers_paused: Integer,
        containers_stopped: Integer,
        images: Integer,
        storage_driver: Text,
        memory_limit: Integer,
        swap_limit: Integer,
        kernel_memory: Integer,
        cpu_cfs_period: Integer,
        cpu_cfs_quota: Integer,
        cpu_shares: Integer,
        cpu_set: Integer,
        ipv4_forwarding: Integer,
        bridge_nf_iptables: Integer,
        bridge_nf_ip6tables: Integer,
        oom_kill_disable: Integer,
        logging_driver: Text,
        cgroup_driver: Text,
        kernel_version: Text,
        os: Text,
        os_type: Text,
        architecture: Text,
        cpus: Integer,
        memory: BigInt,
        http_proxy: Text,
        https_proxy: Text,
        no_proxy: Text,
        name: Text,
        server_version: Text,
        root_dir: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let info = Docker::of(scan).and_then(|docker| docker.get("/info"));
    let row: Option<Row> = info.map(|info| {
        row! {
            id: text(&info, "/ID"),
            containers: number(&info, "/Containers"),
            containers_running: number(&info, "/ContainersRunning"),
            containers_paused: number(&info, "/ContainersPaused"),
            containers_stopped: number(&info, "/ContainersStopped"),
            images: number(&info, "/Images"),
            storage_driver: text(&info, "/Driver"),
            memory_limit: flag(&info, "/MemoryLimit"),
            swap_limit: flag(&info, "/SwapLimit"),
            kernel_memory: flag(&info, "/KernelMemory"),
            cpu_cfs_period: flag(&info, "/CpuCfsPeriod"),
            cpu_cfs_quota: flag(&info, "/CpuCfsQuota"),
            cpu_shares: flag(&info, "/CPUShares"),
            cpu_set: flag(&info, "/CPUSet"),
            ipv4_forwarding: flag(&info, "/IPv4Forwarding"),
            bridge_nf_iptables: flag(&info, "/BridgeNfIptables"),
            bridge_nf_ip6tables: flag(&info, "/BridgeNfIp6tables"),
            oom_kill_disable: flag(&info, "/OomKillDisable"),
            logging_driver: text(&info, "/LoggingDriver"),
            cgroup_driver: text(&info, "/CgroupDriver"),
            kernel_version: text(&info, "/KernelVersion"),
            os: text(&info, "/OperatingSystem"),
            os_type: text(&info, "/OSType"),
            architecture: text(&info, "/Architecture"),
            cpus: number(&info, "/NCPU"),
            memory: number(&info, "/MemTotal"),
            http_proxy: text(&info, "/HttpProxy"),
            https_proxy: text(&info, "/HttpsProxy"),
            no_proxy: text(&info, "/NoProxy"),
            name: text(&info, "/Name"),
            server_version: text(&info, "/ServerVersion"),
            root_dir: text(&info, "/DockerRootDir"),
        }
    });
    Box::new(row.into_iter())
}
