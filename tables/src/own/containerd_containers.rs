//! `containerd_containers`: running containers of containerd, with the rights that the runtime gave them.

use serde_json::Value as Json;

use super::containerd::{self, Bundle};
use crate::paths;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Running containers of containerd (Kubernetes, Docker), from the configuration that the runtime was given.
    containerd_containers {
        namespace: Text,
        id: Text [index],
        kind: Text,
        name: Text,
        image: Text,
        pod: Text,
        pod_namespace: Text,
        pid: BigInt,
        command: Text,
        cwd: Text,
        uid: BigInt,
        gid: BigInt,
        capabilities: Text,
        no_new_privileges: Integer,
        readonly_rootfs: Integer,
        apparmor_profile: Text,
        seccomp: Integer,
        own_namespaces: Text,
        path: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let scan = scan.clone();
    Box::new(containerd::bundles(&scan, "id").map(move |bundle| {
        let pid = scan.text(bundle.path.join("init.pid")).and_then(|text| text.trim().parse::<i64>().ok());
        describe(&bundle, pid)
    }))
}

fn describe(bundle: &Bundle, pid: Option<i64>) -> Row {
    let config = &bundle.config;
    let field = |pointer: &str| config.pointer(pointer).and_then(Json::as_str);
    let texts = |pointer: &str| -> Vec<&str> {
        config.pointer(pointer).and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).collect()
    };
    let flag = |pointer: &str| config.pointer(pointer).and_then(Json::as_bool).unwrap_or(false);
    let number = |pointer: &str| config.pointer(pointer).and_then(Json::as_i64);
    let annotation = |name: &str| config.get("annotations").and_then(|all| all.get(name)?.as_str());
    // A namespace with a path is another container's, or the host's.
    let namespaces = config.pointer("/linux/namespaces").and_then(Json::as_array).into_iter().flatten();
    let own: Vec<&str> = namespaces
        .filter(|namespace| namespace.get("path").and_then(Json::as_str).is_none_or(str::is_empty))
        .filter_map(|namespace| namespace.get("type")?.as_str())
        .collect();
    row! {
        namespace: bundle.namespace.as_str(),
        id: bundle.id.as_str(),
        kind: annotation("io.kubernetes.cri.container-type").unwrap_or("container"),
        name: annotation("io.kubernetes.cri.container-name"),
        image: annotation("io.kubernetes.cri.image-name"),
        pod: annotation("io.kubernetes.cri.sandbox-name"),
        pod_namespace: annotation("io.kubernetes.cri.sandbox-namespace"),
        pid,
        command: texts("/process/args").join(" "),
        cwd: field("/process/cwd"),
        uid: number("/process/user/uid"),
        gid: number("/process/user/gid"),
        capabilities: texts("/process/capabilities/bounding").join(","),
        no_new_privileges: flag("/process/noNewPrivileges"),
        readonly_rootfs: flag("/root/readonly"),
        apparmor_profile: field("/process/apparmorProfile"),
        seccomp: config.pointer("/linux/seccomp").is_some_and(|profile| !profile.is_null()),
        own_namespaces: own.join(","),
        path: paths::display(&bundle.path),
    }
}
