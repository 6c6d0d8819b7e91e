//! Which host the tables show: the running one, one whose root is mounted elsewhere, or an image.

use std::path::PathBuf;
use std::sync::Arc;

use catalog::module::Os;

use crate::integrity::Kept;
use crate::kubernetes::Cluster;
use crate::windows;

/// The host that is scanned.
#[derive(Debug, Clone)]
pub struct Host {
    /// Its root folder, `/` or where it is mounted. Paths in rows are as on the host, without this prefix.
    pub root: PathBuf,
    /// Whether the running kernel belongs to that root: then processes, sockets and kernel settings are shown.
    pub live: bool,
    /// The procfs of that kernel; its process 1 must be the host's.
    pub proc: PathBuf,
    /// The sysfs of that kernel.
    pub sys: PathBuf,
    /// The baseline for `file_integrity`, where an agent keeps one.
    pub baseline: Option<Arc<Kept>>,
    /// The cluster for the `kubernetes_*` tables, where whoever asks has given one. It is never looked for on the host.
    pub cluster: Option<Arc<Cluster>>,
}

impl Host {
    /// The host that this program runs on.
    pub fn running() -> Self {
        Self::node("/")
    }

    /// The host that this program runs on, with its root mounted at `root` (a container). The host's own proc and sys below
    /// that root are preferred: those of the container may show other processes and another network.
    pub fn node(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let or_own = |mark: &str, folder: &str| {
            let below = root.join(folder.trim_start_matches('/'));
            if below.join(mark).exists() { below } else { PathBuf::from(folder) }
        };
        Host {
            live: true,
            proc: or_own("1", "/proc"),
            sys: or_own("class", "/sys"),
            baseline: None,
            cluster: None,
            root,
        }
    }

    /// The system that is on it. Only an image can be another one than this program's own.
    pub fn os(&self) -> Os {
        if !self.live && windows::is_below(&self.root) { Os::Windows } else { Os::Linux }
    }

    /// A root without a kernel: a mounted disk or a container image.
    pub fn image(root: impl Into<PathBuf>) -> Self {
        let (proc, sys) = ("/proc".into(), "/sys".into());
        Host { root: root.into(), live: false, proc, sys, baseline: None, cluster: None }
    }
}
