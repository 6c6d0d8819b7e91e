//! Modules of `engine: oscap`: the host's own scanner evaluates a profile of SCAP content, and its report becomes the
//! module's verdicts.
//!
//! The decision to question: who runs a foreign program that reads the whole host as root? Not a worker, which may start
//! nothing; and not the daemon's own process tree as it is. A thread that exists before the daemon confines itself starts
//! two processes for each run, one after the other, both this program again. The first ([`launch`]) confines itself and
//! then becomes `oscap`: landlock lets it write in one private folder and execute that one file, seccomp refuses sockets of
//! networks and changes of the system, limits hold its CPU time, memory and files. The second ([`read`]) is confined like a
//! worker and reads the report, because what a scanner wrote about a hostile host is not to be believed either.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use catalog::envelope::RunStatus;
use chrono::Utc;
use tokio::sync::oneshot;

use crate::run::{FinishedRun, Task};
use crate::sandbox;
use crate::worker::Target;

mod confine;
mod content;
mod error;
pub mod launch;
mod program;
pub mod read;
mod run;
mod wait;

pub use error::Error;

/// Where Debian, Ubuntu and Fedora install the content of the SCAP Security Guide.
pub const CONTENT: &str = "/usr/share/xml/scap/ssg/content";
/// Folders of runs; what is left of them belongs to an agent that was killed.
const PREFIX: &str = "scap-";
/// Orders that wait for the thread: the daemon gives one at a time.
const QUEUE: usize = 1;

/// What runs may use.
#[derive(Debug, Clone)]
pub struct Place {
    /// Each run has a folder of its own in it, as long as it lasts.
    pub folder: PathBuf,
    /// Where the content lies.
    pub content: PathBuf,
    /// Which host is scanned.
    pub target: Target,
}

/// A thread that runs the host's scanner.
#[derive(Debug, Clone)]
pub struct Scanner {
    orders: mpsc::SyncSender<Job>,
}

struct Job {
    task: Task,
    answer: oneshot::Sender<FinishedRun>,
}

impl Scanner {
    /// Starts the thread. To be called before the process confines itself; the thread confines itself to its folder.
    pub fn start(place: Place) -> Self {
        let (orders, queue) = mpsc::sync_channel::<Job>(QUEUE);
        thread::spawn(move || {
            clean(&place.folder);
            let is_confined = confine::writes_below(&place.folder);
            for Job { task, answer } in queue {
                let finished = match &is_confined {
                    Ok(()) => run::run(&place, &task),
                    Err(error) => refused(&task, &error.to_string()),
                };
                // Nobody waits when the daemon is ending; the job's lease brings it back.
                let _ = answer.send(finished);
            }
        });
        Self { orders }
    }

    /// Runs one task.
    pub async fn run(&self, task: Task) -> FinishedRun {
        let fallback = task.clone();
        let (answer, receiver) = oneshot::channel();
        match (self.orders.try_send(Job { task, answer }), receiver.await) {
            (Ok(()), Ok(finished)) => finished,
            _ => refused(&fallback, LOST),
        }
    }

    /// Runs one task and waits for it, outside of a runtime.
    pub fn run_here(&self, task: Task) -> FinishedRun {
        let fallback = task.clone();
        let (answer, receiver) = oneshot::channel();
        match (self.orders.try_send(Job { task, answer }), receiver.blocking_recv()) {
            (Ok(()), Ok(finished)) => finished,
            _ => refused(&fallback, LOST),
        }
    }
}

const LOST: &str = "the thread that runs the host's scanner is gone or busy";

fn refused(task: &Task, reason: &str) -> FinishedRun {
    task.failed(RunStatus::Failed, Utc::now(), Duration::ZERO, reason)
}

/// Removes what runs of an agent that was killed have left.
fn clean(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        // A folder of everybody may hold another agent's.
        if is_ours && folder != std::env::temp_dir() && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether the scanner can be run for a target at all.
fn check_target(target: &Target) -> Result<(), Error> {
    match target {
        Target::Running(root) if root == Path::new("/") => {}
        Target::Running(root) => return Err(Error::Container(root.clone())),
        Target::Image(root) => return Err(Error::Image(root.clone())),
        Target::Cluster(_) => return Err(Error::Image(PathBuf::from("a cluster"))),
    }
    if sandbox::has_landlock() { Ok(()) } else { Err(Error::NoLandlock) }
}
