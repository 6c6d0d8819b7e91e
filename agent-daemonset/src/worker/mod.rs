//! Modules run in a process of their own: this program again, confined, niced, and ended by its parent when it takes too long.
//! One worker runs many modules, those whose tables need the same (see [`Needs`]), so that what they read is read once.
//!
//! On standard input (a socket, because an open file can come with it) go a header and then one task at a time; on standard
//! output comes the finished run of each, a line of JSON. A task is sent when the one before is answered: neither side holds
//! more than one, and when a worker breaks it is known over which.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use catalog::module::{Module, Profile};
use serde::{Deserialize, Serialize};
use tables::kubernetes::{Access, Cluster};

use crate::run::Task;
use crate::sandbox::cgroup::Bounds;
use crate::sandbox::{Network, Sight};

mod child;
mod conversation;
mod lend;
mod pace;
mod supervisor;

pub use child::main as child_main;
pub use supervisor::{Batch, Runs, Supervisor, lost, run_here};

/// The hidden subcommand that a worker is started with.
pub const SUBCOMMAND: &str = "worker";
/// Largest line a worker may write.
const MAX_LINE_BYTES: usize = 48 << 20;
/// Memory beside the SQL engine's heap: the program, one answer, one result.
const MEMORY_BESIDE_ENGINE: u64 = 160 << 20;

/// Which host the tables show.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The running host, with its root at this path.
    Running(PathBuf),
    /// A root without a kernel: a mounted disk or an image.
    Image(PathBuf),
    /// A Kubernetes cluster, asked from here.
    Cluster(Box<Access>),
}

impl Target {
    /// The host as the tables know it.
    pub fn host(&self) -> tables::Host {
        match self {
            Target::Running(root) => tables::Host::node(root),
            Target::Image(root) => tables::Host::image(root),
            Target::Cluster(access) => {
                let cluster = Some(Arc::new(Cluster::new((**access).clone())));
                tables::Host { cluster, ..tables::Host::running() }
            }
        }
    }

    /// Whether a module is made for it.
    pub fn is_fit_for(&self, module: &Module) -> bool {
        match self {
            Target::Cluster(_) => module.platforms.kubernetes,
            Target::Running(_) | Target::Image(_) => module.platforms.os.contains(&self.host().os()),
        }
    }
}

/// What modules need of a worker's sandbox: those that need the same share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Needs {
    /// Connections.
    pub network: Network,
    /// Files alone, or processes too.
    pub sight: Sight,
}

impl Needs {
    /// What this module declares.
    pub fn of(module: &Module, target: &Target) -> Self {
        let network = match target {
            Target::Cluster(access) => Network::Port(access.port()),
            _ if module.requires.network.is_empty() => Network::Denied,
            Target::Running(_) | Target::Image(_) => Network::Declared,
        };
        let sight = match target {
            Target::Image(_) | Target::Cluster(_) => Sight::Files,
            Target::Running(_) => Sight::of(module.requires.tables.iter().map(String::as_str)),
        };
        Needs { network, sight }
    }

    fn of_all(tasks: &[Task], target: &Target) -> Self {
        let none = Needs { network: Network::Denied, sight: Sight::Files };
        tasks
            .iter()
            .map(|task| Needs::of(&task.module, target))
            .fold(none, |all, one| Needs { network: all.network.max(one.network), sight: all.sight.max(one.sight) })
    }
}

/// What a worker is told before its first task.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Header {
    target: Target,
    with_landlock: bool,
    needs: Needs,
    /// The dearest of its tasks.
    profile: Profile,
    /// CPU time of all its tasks together.
    cpu: Duration,
    /// What is to be done with the file that came with the header.
    baseline: Option<BaselineUse>,
}

/// A [`BaselineFile`](tables::integrity::BaselineFile) without the file.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum BaselineUse {
    Make,
    Remake,
    Compare,
}

const fn memory_bytes(profile: Profile) -> u64 {
    profile.budget().memory_bytes + MEMORY_BESIDE_ENGINE
}

/// What the daemon's workers may use together; one works at a time. Every profile gives the same share of a core.
pub fn bounds() -> Bounds {
    let profile = Profile::DeepScan;
    Bounds { memory_bytes: memory_bytes(profile), cpu_share: cpu_share(profile) }
}

fn cpu_share(profile: Profile) -> f64 {
    let budget = profile.budget();
    budget.cpu.as_secs_f64() / budget.wall.as_secs_f64()
}

/// When the parent ends a worker: half again what the module may take, for what the module cannot stop itself (a dead mount).
fn patience(task: &Task) -> Duration {
    let wall = task.profile().budget().wall;
    wall + wall / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_has_the_same_share_of_a_core() {
        for profile in [Profile::BaselineFast, Profile::BaselineFull, Profile::DeepScan] {
            assert!((cpu_share(profile) - bounds().cpu_share).abs() < f64::EPSILON, "{profile:?}");
            assert_eq!(memory_bytes(profile), bounds().memory_bytes);
        }
    }
}
