//! The parent's side: start a worker, read its lines, end it when it is silent for too long, and account for what it left
//! undone. A task whose worker was ended or broke is reported as such; the tasks after it get a new worker.
//!
//! The daemon does this on a thread that was started before landlock confines the others, because what a landlocked thread
//! starts is landlocked too and could not see other processes (see `sandbox`). That thread is confined by seccomp instead.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use catalog::envelope::RunStatus;
use chrono::Utc;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tables::integrity::BaselineFile;
use tokio::sync::oneshot;

use super::{BaselineUse, MAX_LINE_BYTES, Order, SUBCOMMAND, Target, lend, patience};
use crate::run::{FinishedRun, Task};
use crate::sandbox;

/// How long a worker may take to end after its last line, or to be gone after it was killed.
const END: Duration = Duration::from_secs(5);
const READ_BYTES: usize = 64 << 10;
/// Orders that wait for the thread: the daemon gives one at a time.
const QUEUE: usize = 1;

/// A thread that runs workers for the daemon.
#[derive(Debug)]
pub struct Supervisor {
    orders: mpsc::SyncSender<Job>,
}

struct Job {
    target: Target,
    with_landlock: bool,
    task: Task,
    baseline: Option<BaselineFile>,
    answer: oneshot::Sender<FinishedRun>,
}

impl Supervisor {
    /// Starts the thread. To be called before the daemon confines itself.
    pub fn start() -> Result<Self, sandbox::Error> {
        let (orders, queue) = mpsc::sync_channel::<Job>(QUEUE);
        let (confined, is_confined) = mpsc::sync_channel(1);
        thread::spawn(move || {
            let result = sandbox::confine_reader();
            let is_ok = result.is_ok();
            let _ = confined.send(result);
            if !is_ok {
                return;
            }
            for job in queue {
                let fallback = job.task.clone();
                let mut answer = None;
                run_with(&job.target, job.with_landlock, vec![job.task], job.baseline, |finished| {
                    answer = Some(finished);
                });
                let answer = answer.unwrap_or_else(|| lost(&fallback));
                // Nobody waits when the daemon is ending; the job's lease brings it back.
                let _ = job.answer.send(answer);
            }
        });
        match is_confined.recv() {
            Ok(result) => result.map(|()| Supervisor { orders }),
            Err(_) => Err(sandbox::Error::Limit(rustix::io::Errno::AGAIN)),
        }
    }

    /// Runs one task in a worker of its own, which gets the baseline.
    pub async fn run(
        &self,
        target: Target,
        with_landlock: bool,
        task: Task,
        baseline: Option<BaselineFile>,
    ) -> FinishedRun {
        let (answer, receiver) = oneshot::channel();
        let fallback = task.clone();
        let sent = self.orders.try_send(Job { target, with_landlock, task, baseline, answer });
        match (sent, receiver.await) {
            (Ok(()), Ok(finished)) => finished,
            _ => lost(&fallback),
        }
    }
}

fn lost(task: &Task) -> FinishedRun {
    task.failed(RunStatus::Failed, Utc::now(), Duration::ZERO, "no worker could be started for the module")
}

/// Runs tasks on this thread's account, in order, and hands out each result as it comes.
pub fn run_here(target: &Target, with_landlock: bool, tasks: Vec<Task>, on_finished: impl FnMut(FinishedRun)) {
    run_with(target, with_landlock, tasks, None, on_finished);
}

/// The same with a baseline, for the first worker: it is for one task.
fn run_with(
    target: &Target,
    with_landlock: bool,
    tasks: Vec<Task>,
    mut baseline: Option<BaselineFile>,
    mut on_finished: impl FnMut(FinishedRun),
) {
    let mut waiting: VecDeque<Task> = tasks.into();
    while !waiting.is_empty() {
        let (to_do, file) = match baseline.take() {
            Some(BaselineFile::Make(file)) => (Some(BaselineUse::Make), Some(file)),
            Some(BaselineFile::Compare(file)) => (Some(BaselineUse::Compare), Some(file)),
            None => (None, None),
        };
        let tasks = waiting.iter().cloned().collect();
        let order = Order { target: target.clone(), with_landlock, tasks, baseline: to_do };
        let begun = Instant::now();
        let mut last = begun;
        let mut started = Utc::now();
        let problem = {
            let mut take = |finished: FinishedRun| {
                waiting.pop_front();
                last = Instant::now();
                started = Utc::now();
                on_finished(finished);
            };
            one_worker(&order, file.as_ref(), &mut take)
        };
        // What the worker did not do: the first of it is to blame, the rest gets another worker.
        let Some(problem) = problem else {
            for task in waiting.drain(..) {
                on_finished(task.failed(
                    RunStatus::Failed,
                    started,
                    last.elapsed(),
                    "the worker ended before it was done",
                ));
            }
            return;
        };
        if let Some(task) = waiting.pop_front() {
            let status = if matches!(problem, Problem::TooSlow) { RunStatus::Timeout } else { RunStatus::Failed };
            on_finished(task.failed(status, started, last.elapsed(), &problem.to_string()));
        }
    }
}

/// Why a worker did not do all it was asked to.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("no worker could be started: {0}")]
    Start(io::Error),
    #[error("stopped: the module took half again as long as it may; something on this host does not answer")]
    TooSlow,
    #[error("the worker was ended by the kernel at the module's limit of CPU time")]
    CpuTime,
    #[error("the worker was ended by signal {0}; most likely it ran out of memory")]
    Signal(i32),
    #[error("the worker failed with exit status {0}; its reason is on the agent's standard error")]
    Exit(i32),
    #[error("the worker wrote what is not a result: {0}")]
    Output(String),
    #[error("the pipe to the worker broke: {0}")]
    Pipe(io::Error),
}

/// Runs one worker to its end. None means it did all it was asked to.
fn one_worker(order: &Order, file: Option<&File>, take: &mut impl FnMut(FinishedRun)) -> Option<Problem> {
    let input = match serde_json::to_vec(order) {
        Ok(input) => input,
        Err(error) => return Some(Problem::Output(error.to_string())),
    };
    let (mut child, orders) = match spawn() {
        Ok(started) => started,
        Err(error) => return Some(Problem::Start(error)),
    };
    let result = converse(&mut child, orders, &input, file, order, take);
    if result.is_err() {
        // It may be gone already.
        let _ = child.kill();
    }
    let status = wait(&mut child);
    match (result, status) {
        (Err(Problem::Pipe(error)), Some(status)) if !status.success() => {
            Some(problem_of(status).unwrap_or(Problem::Pipe(error)))
        }
        (Err(problem), _) => Some(problem),
        (Ok(()), Some(status)) => problem_of(status),
        (Ok(()), None) => Some(Problem::TooSlow),
    }
}

fn problem_of(status: ExitStatus) -> Option<Problem> {
    match (status.code(), status.signal()) {
        (Some(0), _) => None,
        (_, Some(libc::SIGXCPU)) => Some(Problem::CpuTime),
        (_, Some(signal)) => Some(Problem::Signal(signal)),
        (code, None) => Some(Problem::Exit(code.unwrap_or_default())),
    }
}

fn spawn() -> io::Result<(Child, UnixStream)> {
    let (orders, stdin) = UnixStream::pair()?;
    // The file this process runs, also when it was replaced on disk meanwhile.
    let child = Command::new("/proc/self/exe")
        .arg(SUBCOMMAND)
        .env_clear()
        .stdin(OwnedFd::from(stdin))
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()?;
    Ok((child, orders))
}

/// Gives the order and reads a line for each task, each within its patience.
fn converse(
    child: &mut Child,
    mut orders: UnixStream,
    input: &[u8],
    file: Option<&File>,
    order: &Order,
    take: &mut impl FnMut(FinishedRun),
) -> Result<(), Problem> {
    // The worker reads all of it before it does anything else.
    lend::send(&orders, file).and_then(|()| orders.write_all(input)).map_err(Problem::Pipe)?;
    drop(orders);
    let Some(mut stdout) = child.stdout.take() else { return Ok(()) };
    let mut buffer = Vec::new();
    for task in &order.tasks {
        let deadline = Instant::now() + patience(task);
        let Some(line) = read_line(&mut stdout, &mut buffer, deadline)? else { return Ok(()) };
        let finished: FinishedRun =
            serde_json::from_slice(&line).map_err(|error| Problem::Output(error.to_string()))?;
        if finished.envelope.run_id != task.run_id {
            return Err(Problem::Output("a result of another run".to_owned()));
        }
        take(finished);
    }
    Ok(())
}

/// The next line without its end; none at the end of the output.
fn read_line(stdout: &mut ChildStdout, buffer: &mut Vec<u8>, deadline: Instant) -> Result<Option<Vec<u8>>, Problem> {
    let mut searched = 0;
    let mut chunk = vec![0; READ_BYTES];
    loop {
        if let Some(end) = buffer[searched..].iter().position(|byte| *byte == b'\n') {
            let rest = buffer.split_off(searched + end + 1);
            let mut line = std::mem::replace(buffer, rest);
            line.pop();
            return Ok(Some(line));
        }
        searched = buffer.len();
        if buffer.len() > MAX_LINE_BYTES {
            return Err(Problem::Output("more than a result may hold".to_owned()));
        }
        wait_readable(stdout, deadline)?;
        match stdout.read(&mut chunk).map_err(Problem::Pipe)? {
            0 => return Ok(None),
            count => buffer.extend_from_slice(&chunk[..count]),
        }
    }
}

fn wait_readable(stdout: &ChildStdout, deadline: Instant) -> Result<(), Problem> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Problem::TooSlow);
        }
        let left = Timespec::try_from(left).map_err(|_| Problem::TooSlow)?;
        match poll(&mut [PollFd::new(stdout, PollFlags::IN)], Some(&left)) {
            Ok(0) => return Err(Problem::TooSlow),
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Problem::Pipe(error.into())),
        }
    }
}

/// Waits for the end, and brings it about if it does not come. None if even that did not help: the process hangs in the
/// kernel, and is collected when it comes back.
fn wait(child: &mut Child) -> Option<ExitStatus> {
    for attempt in 0..2 {
        let deadline = Instant::now() + END;
        while Instant::now() < deadline {
            match child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) => thread::sleep(Duration::from_millis(2)),
                Err(_) => return None,
            }
        }
        if attempt == 0 {
            let _ = child.kill();
        }
    }
    None
}
