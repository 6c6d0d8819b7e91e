//! Which Kubernetes cluster a command asks, for those that can. Without one of these options there is none: a kubeconfig that
//! lies on a host is never looked for.

use std::path::PathBuf;

use clap::Args;
use tables::kubernetes::{Access, AccessError};

/// The way to a cluster.
#[derive(Debug, Args)]
pub struct ClusterArgs {
    /// Ask a Kubernetes cluster: its API server and an account, from this file
    #[arg(long, value_name = "FILE", conflicts_with = "root")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig; its current one if not given
    #[arg(long, value_name = "NAME", requires = "kubeconfig")]
    context: Option<String>,
    /// Ask the Kubernetes cluster that this program runs in, with the pod's own account
    #[arg(long, conflicts_with_all = ["root", "kubeconfig"])]
    in_cluster: bool,
    /// Believe any certificate of the API server: whoever stands in between reads and forges everything
    #[arg(long, requires = "kubeconfig")]
    insecure_skip_tls_verify: bool,
}

impl ClusterArgs {
    /// The cluster that the options name, if any. Reads its files and resolves its name, which is not possible later.
    pub fn access(&self) -> Result<Option<Box<Access>>, AccessError> {
        let access = match &self.kubeconfig {
            Some(file) => {
                Access::from_kubeconfig(file, self.context.as_deref(), self.insecure_skip_tls_verify).map(Some)
            }
            None if self.in_cluster => Access::in_cluster().map(Some),
            None => Ok(None),
        };
        Ok(access?.map(Box::new))
    }
}
