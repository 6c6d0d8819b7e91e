//! `docker_containers`: containers, running or not, and the rights they were given.

use serde_json::Value as Json;

use super::docker::{self, Docker};
use super::json::{flag, joined, list, number, text};
use crate::processes;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Containers of Docker; an id may be cut short.
    docker_containers: live_only {
        id: Text [index],
        name: Text [index],
        image: Text,
        image_id: Text,
        command: Text,
        created: BigInt,
        state: Text,
        status: Text,
        pid: BigInt,
        path: Text,
        config_entrypoint: Text,
        started_at: Text,
        finished_at: Text,
        privileged: Integer,
        security_options: Text,
        env_variables: Text,
        readonly_rootfs: Integer,
        cgroup_namespace: Text,
        ipc_namespace: Text,
        mnt_namespace: Text,
        net_namespace: Text,
        pid_namespace: Text,
        user_namespace: Text,
        uts_namespace: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let Some(docker) = Docker::of(scan) else { return Box::new(std::iter::empty()) };
    let scan = scan.clone();
    Box::new(docker.containers().into_iter().map(move |(id, container)| {
        let path = format!("/containers/{}/json", text(&container, "/Id").unwrap_or_default());
        let details = docker.get(&path).unwrap_or_default();
        describe(&scan, id, &container, &details)
    }))
}

fn describe(scan: &Scan, id: String, container: &Json, details: &Json) -> Row {
    let pid = number(details, "/State/Pid");
    let namespace = |name: &str| {
        let target = processes::link(scan, pid.filter(|pid| *pid > 0)?, &format!("ns/{name}"))?;
        processes::inode_of(&target.to_string_lossy(), name).map(str::to_owned)
    };
    row! {
        id,
        name: list(container, "/Names").first().and_then(Json::as_str),
        image: text(container, "/Image"),
        image_id: text(container, "/ImageID").map(docker::id),
        command: text(container, "/Command"),
        created: number(container, "/Created"),
        state: text(container, "/State"),
        status: text(container, "/Status"),
        pid,
        path: text(details, "/Path"),
        config_entrypoint: joined(details, "/Config/Entrypoint", ", "),
        started_at: text(details, "/State/StartedAt"),
        finished_at: text(details, "/State/FinishedAt"),
        privileged: flag(details, "/HostConfig/Privileged"),
        security_options: joined(details, "/HostConfig/SecurityOpt", ", "),
        env_variables: joined(details, "/Config/Env", ", "),
        readonly_rootfs: flag(details, "/HostConfig/ReadonlyRootfs"),
        cgroup_namespace: namespace("cgroup"),
        ipc_namespace: namespace("ipc"),
        mnt_namespace: namespace("mnt"),
        net_namespace: namespace("net"),
        pid_namespace: namespace("pid"),
        user_namespace: namespace("user"),
        uts_namespace: namespace("uts"),
    }
}
