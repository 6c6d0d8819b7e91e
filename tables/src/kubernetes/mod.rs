//! `kubernetes_*`: the objects of a cluster, with Steampipe's names and columns. Every table is data: where its list lies in
//! the API, and a pointer into an object for each column. The cluster is given to the engine by whoever starts it; nothing
//! here looks for a kubeconfig, so that no host and no module can choose whom the agent talks to, or as whom.

mod access;
mod cluster;
mod kubeconfig;
pub(crate) mod kubernetes_cluster;
mod list;
mod objects;
mod packed;
mod page;
mod quantity;
mod resource;

pub use access::{Access, AccessError};
pub use cluster::Cluster;
pub(crate) use objects::*;

/// Said where a table of a cluster is asked and there is none.
const NO_CLUSTER: &str = "no Kubernetes cluster is given: pass --kubeconfig";

/// Reads a page of pods as a stranger wrote it: for tests.
#[cfg(test)]
pub(crate) fn fuzz_page(bytes: &[u8]) {
    page::read(bytes, &mut |object| resource::row_of(&objects::kubernetes_pod::RESOURCE, "fuzz", object)).ok();
}
