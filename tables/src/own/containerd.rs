//! What containerd keeps on disk of each running container: its bundle, with the configuration that the runtime was given
//! (OCI runtime specification, `config.json`). No question goes to its socket, so neither network nor a client is needed,
//! and a node's root that is mounted elsewhere shows the same.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::constraints::Operator;
use crate::reader::Scan;

/// Where bundles lie, by distribution.
const STATES: [&str; 4] = [
    "/run/containerd/io.containerd.runtime.v2.task",
    "/run/k3s/containerd/io.containerd.runtime.v2.task",
    "/run/docker/containerd/daemon/io.containerd.runtime.v2.task",
    "/var/snap/microk8s/common/run/containerd/io.containerd.runtime.v2.task",
];

/// A running container.
pub(super) struct Bundle {
    /// containerd's own name space, such as `k8s.io` or `moby`.
    pub namespace: String,
    pub id: String,
    pub path: PathBuf,
    pub config: Json,
}

/// The running containers, or those that the query names by a column.
pub(super) fn bundles(scan: &Scan, id_column: &str) -> impl Iterator<Item = Bundle> + use<> {
    let wanted = scan.texts(id_column, Operator::Equals);
    let scan = scan.clone();
    let lister = scan.clone();
    let namespaces = STATES.iter().flat_map(move |state| {
        let folders = lister.list(state).into_iter();
        folders.map(move |entry| (entry.name.to_string_lossy().into_owned(), Path::new(state).join(entry.name)))
    });
    let lister = scan.clone();
    let places = namespaces.flat_map(move |(namespace, folder)| {
        lister.list(&folder).into_iter().map(move |entry| (namespace.clone(), folder.join(&entry.name), entry.name))
    });
    places.filter_map(move |(namespace, path, name)| {
        let id = name.to_string_lossy().into_owned();
        if !wanted.is_empty() && !wanted.contains(&id) {
            return None;
        }
        let config = scan.json(&path, &scan.text(path.join("config.json"))?)?;
        Some(Bundle { namespace, id, path, config })
    })
}
