//! The parent's side: start a worker for a batch of tasks, hand out each result as it comes, and account for what a worker
//! left undone. A task whose worker was ended or broke is reported as such; the tasks after it get a new worker.
//!
//! The daemon does this on a thread that was started before landlock confines the others, because what a landlocked thread
//! starts is landlocked too and could not see other processes (see `sandbox`). That thread is confined by seccomp instead.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use catalog::envelope::RunStatus;
use catalog::module::Profile;
use chrono::Utc;
use tables::integrity::BaselineFile;
use tokio::sync::mpsc;

use super::conversation::{Hold, Problem, Work, run};
use super::{BaselineUse, Header, Needs, Target, cpu_share};
use crate::run::{FinishedRun, Task};
use crate::sandbox;
use crate::sandbox::cgroup::Entrance;

/// Batches that wait for the thread: the daemon gives one at a time, and a second when it gave up the first.
const QUEUE: usize = 2;
/// Finished runs that wait for the daemon, which puts each on the disk: the worker is at most that far ahead.
const AHEAD: usize = 1;

/// Tasks for one worker, or for as many as they wear out.
#[derive(Debug)]
pub struct Batch {
    /// Which host.
    pub target: Target,
    /// Whether this kernel has it.
    pub with_landlock: bool,
    /// What to run, in this order.
    pub tasks: Arc<[Task]>,
    /// For the first task, which is then the only one.
    pub baseline: Option<BaselineFile>,
}

/// The finished runs of a batch as they come. Dropping it ends the worker.
#[derive(Debug)]
pub struct Runs(mpsc::Receiver<FinishedRun>);

impl Runs {
    /// The next one; none when the batch is over.
    pub async fn next(&mut self) -> Option<FinishedRun> {
        self.0.recv().await
    }
}

/// A thread that runs workers for the daemon.
#[derive(Debug)]
pub struct Supervisor {
    orders: SyncSender<(Batch, mpsc::Sender<FinishedRun>)>,
}

impl Supervisor {
    /// Starts the thread; its workers enter the control group if there is one. To be called before the daemon confines itself.
    pub fn start(entrance: Option<Entrance>) -> Result<Self, sandbox::Error> {
        let (orders, queue) = sync_channel(QUEUE);
        let (confined, is_confined) = sync_channel(1);
        thread::spawn(move || {
            let result = sandbox::confine_reader();
            let is_ok = result.is_ok();
            let _ = confined.send(result);
            if is_ok {
                supervise(&queue, entrance.as_ref());
            }
        });
        match is_confined.recv() {
            Ok(result) => result.map(|()| Supervisor { orders }),
            Err(_) => Err(sandbox::Error::Limit(rustix::io::Errno::AGAIN)),
        }
    }

    /// Starts a batch. Where no worker can be started at all, it is over at once.
    pub fn run(&self, batch: Batch) -> Runs {
        let (sender, runs) = mpsc::channel(AHEAD);
        if let Err(error) = self.orders.try_send((batch, sender)) {
            tracing::error!(error_code = "supervisor", %error, "no worker is started");
        }
        Runs(runs)
    }
}

fn supervise(queue: &Receiver<(Batch, mpsc::Sender<FinishedRun>)>, entrance: Option<&Entrance>) {
    for (batch, runs) in queue {
        let Batch { target, with_landlock, tasks, baseline } = batch;
        let hold = Hold { entrance, cpu_share: dearest(&tasks).map(cpu_share), is_wanted: &|| !runs.is_closed() };
        // Nobody takes them when the daemon is ending; the jobs stay leased.
        run_batch(&target, with_landlock, &tasks, baseline, &hold, |finished| runs.blocking_send(finished).is_ok());
    }
}

fn dearest(tasks: &[Task]) -> Option<Profile> {
    tasks.iter().map(Task::profile).max()
}

/// Runs tasks on this thread's account, in order and as fast as they go, and hands out each result as it comes.
pub fn run_here(target: &Target, with_landlock: bool, tasks: &[Task], mut on_finished: impl FnMut(FinishedRun)) {
    let hold = Hold { entrance: None, cpu_share: None, is_wanted: &|| true };
    run_batch(target, with_landlock, tasks, None, &hold, |finished| {
        on_finished(finished);
        true
    });
}

fn run_batch(
    target: &Target,
    with_landlock: bool,
    tasks: &[Task],
    mut baseline: Option<BaselineFile>,
    hold: &Hold<'_>,
    mut take: impl FnMut(FinishedRun) -> bool,
) {
    let mut done = 0;
    while let Some(profile) = dearest(&tasks[done..]) {
        let left = &tasks[done..];
        let (to_do, file) = match baseline.take() {
            Some(BaselineFile::Make(file)) => (Some(BaselineUse::Make), Some(file)),
            Some(BaselineFile::Remake(file)) => (Some(BaselineUse::Remake), Some(file)),
            Some(BaselineFile::Compare(file)) => (Some(BaselineUse::Compare), Some(file)),
            None => (None, None),
        };
        let header = Header {
            target: target.clone(),
            with_landlock,
            needs: Needs::of_all(left, target),
            profile,
            cpu: left.iter().map(|task| task.profile().budget().cpu).sum(),
            baseline: to_do,
        };
        tracing::info!(modules = left.len(), needs = ?header.needs, "worker");
        let mut last = Instant::now();
        let mut started = Utc::now();
        let work = Work { header: &header, file: file.as_ref(), tasks: left };
        let ended = run(&work, hold, &mut |finished| {
            done += 1;
            last = Instant::now();
            started = Utc::now();
            take(finished)
        });
        if matches!(ended, Err(Problem::Unwanted)) {
            return;
        }
        // What the worker did not do: the first of it is to blame, the rest gets another worker.
        let Some(task) = tasks.get(done) else { return };
        done += 1;
        let problem = ended.err().unwrap_or(Problem::Early);
        let status = if matches!(problem, Problem::TooSlow) { RunStatus::Timeout } else { RunStatus::Failed };
        if !take(task.failed(status, started, last.elapsed(), &problem.to_string())) {
            return;
        }
    }
}

/// The result of a task that no worker could be started for.
pub fn lost(task: &Task) -> FinishedRun {
    task.failed(RunStatus::Failed, Utc::now(), Duration::ZERO, "no worker could be started for the module")
}
