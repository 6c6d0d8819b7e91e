//! Modules run in a process of their own: this program again, confined, niced, and ended by its parent when it takes too long.
//! An order goes in on standard input (a socket, because an open file can come with it), finished runs come out on standard output, a line of JSON each.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::run::Task;
use crate::sandbox::{Network, Sight};

mod child;
mod lend;
mod supervisor;

pub use child::main as child_main;
pub use supervisor::{Supervisor, run_here};

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
}

impl Target {
    /// The host as the tables know it.
    pub fn host(&self) -> tables::Host {
        match self {
            Target::Running(root) => tables::Host::node(root),
            Target::Image(root) => tables::Host::image(root),
        }
    }
}

/// What one worker does.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Order {
    target: Target,
    with_landlock: bool,
    tasks: Vec<Task>,
    /// What is to be done with the file that came with the order.
    baseline: Option<BaselineUse>,
}

/// A [`BaselineFile`](tables::integrity::BaselineFile) without the file.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum BaselineUse {
    Make,
    Compare,
}

impl Order {
    fn sight(&self) -> Sight {
        match self.target {
            Target::Image(_) => Sight::Files,
            Target::Running(_) => {
                Sight::of(self.tasks.iter().flat_map(|task| &task.module.requires.tables).map(String::as_str))
            }
        }
    }

    fn network(&self) -> Network {
        if self.tasks.iter().all(|task| task.module.requires.network.is_empty()) {
            Network::Denied
        } else {
            Network::Declared
        }
    }
}

/// When the parent ends a worker: half again what the module may take, for what the module cannot stop itself (a dead mount).
fn patience(task: &Task) -> Duration {
    let wall = task.profile().budget().wall;
    wall + wall / 2
}
