//! One worker from its start to its end: the header, task after task, and a deadline for each answer.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;

use super::pace::{LOOK, Pace};
use super::{Header, MAX_LINE_BYTES, SUBCOMMAND, lend, patience};
use crate::run::{FinishedRun, Task};
use crate::sandbox::cgroup::Entrance;

/// How long a worker may take to end after its last line, to take a task, or to be gone after it was killed.
const END: Duration = Duration::from_secs(5);
const READ_BYTES: usize = 64 << 10;

/// Why a worker did not do all it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
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
    #[error("the worker ended before it was done")]
    Early,
    #[error("the worker wrote what is not a result: {0}")]
    Output(String),
    #[error("the pipe to the worker broke: {0}")]
    Pipe(io::Error),
    /// Nobody waits for its results any more.
    #[error("the worker was told to end")]
    Unwanted,
}

/// How the parent holds its workers.
pub struct Hold<'a> {
    /// The way into their control group, which then keeps their share of the CPU.
    pub entrance: Option<&'a Entrance>,
    /// Otherwise this share of one core, if they have one.
    pub cpu_share: Option<f64>,
    /// Whether somebody still waits for results.
    pub is_wanted: &'a dyn Fn() -> bool,
}

/// What one worker is for.
pub struct Work<'a> {
    pub header: &'a Header,
    /// Lent to it.
    pub file: Option<&'a File>,
    pub tasks: &'a [Task],
}

/// Runs one worker to its end; `take` says whether the next task is wanted.
pub fn run(work: &Work<'_>, hold: &Hold<'_>, take: &mut impl FnMut(FinishedRun) -> bool) -> Result<(), Problem> {
    let (mut child, orders) = spawn().map_err(Problem::Start)?;
    if let Some(Err(error)) = hold.entrance.map(|entrance| entrance.admit(child.id())) {
        tracing::warn!(error_code = "cgroup", %error, "a worker runs outside of its control group, under its own limits");
    }
    let result = converse(&mut child, orders, work, hold, take);
    if result.is_err() {
        // It may be gone already.
        let _ = child.kill();
    }
    let status = wait(&mut child);
    match (result, status) {
        (Err(Problem::Pipe(error)), Some(status)) if !status.success() => {
            Err(problem_of(status).unwrap_or(Problem::Pipe(error)))
        }
        (Err(Problem::Early), Some(status)) => Err(problem_of(status).unwrap_or(Problem::Early)),
        (Err(problem), _) => Err(problem),
        (Ok(()), Some(status)) => problem_of(status).map_or(Ok(()), Err),
        (Ok(()), None) => Err(Problem::TooSlow),
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
    // A worker that takes nothing must not hold its parent.
    orders.set_write_timeout(Some(END))?;
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

fn converse(
    child: &mut Child,
    mut orders: UnixStream,
    work: &Work<'_>,
    hold: &Hold<'_>,
    take: &mut impl FnMut(FinishedRun) -> bool,
) -> Result<(), Problem> {
    lend::send(&orders, work.file).map_err(Problem::Pipe)?;
    send_line(&mut orders, work.header)?;
    let Some(stdout) = child.stdout.take() else { return Err(Problem::Early) };
    let share = hold.cpu_share.filter(|_| hold.entrance.is_none());
    let pace = share.and_then(|share| Pace::of(child, share));
    let mut answers = Answers { stdout, buffer: Vec::new(), pace, is_wanted: hold.is_wanted };
    for task in work.tasks {
        send_line(&mut orders, task)?;
        let line = answers.next(Instant::now() + patience(task))?;
        let finished: FinishedRun =
            serde_json::from_slice(&line).map_err(|error| Problem::Output(error.to_string()))?;
        if finished.envelope.run_id != task.run_id {
            return Err(Problem::Output("a result of another run".to_owned()));
        }
        if !take(finished) {
            return Err(Problem::Unwanted);
        }
    }
    Ok(())
}

fn send_line(orders: &mut UnixStream, what: &impl Serialize) -> Result<(), Problem> {
    let mut line = serde_json::to_vec(what).map_err(|error| Problem::Output(error.to_string()))?;
    line.push(b'\n');
    orders.write_all(&line).map_err(Problem::Pipe)
}

/// The lines of a worker.
struct Answers<'a> {
    stdout: ChildStdout,
    buffer: Vec<u8>,
    pace: Option<Pace>,
    is_wanted: &'a dyn Fn() -> bool,
}

impl Answers<'_> {
    /// The next line without its end.
    fn next(&mut self, deadline: Instant) -> Result<Vec<u8>, Problem> {
        let mut searched = 0;
        let mut chunk = vec![0; READ_BYTES];
        loop {
            if let Some(end) = self.buffer[searched..].iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(searched + end + 1);
                let mut line = std::mem::replace(&mut self.buffer, rest);
                line.pop();
                return Ok(line);
            }
            searched = self.buffer.len();
            if searched > MAX_LINE_BYTES {
                return Err(Problem::Output("more than a result may hold".to_owned()));
            }
            self.wait_readable(deadline)?;
            match self.stdout.read(&mut chunk).map_err(Problem::Pipe)? {
                0 => return Err(Problem::Early),
                count => self.buffer.extend_from_slice(&chunk[..count]),
            }
        }
    }

    fn wait_readable(&mut self, deadline: Instant) -> Result<(), Problem> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Problem::TooSlow);
            }
            if !(self.is_wanted)() {
                return Err(Problem::Unwanted);
            }
            if let Some(pace) = &mut self.pace {
                pace.look();
            }
            let step = Timespec::try_from(left.min(LOOK)).map_err(|_| Problem::TooSlow)?;
            match poll(&mut [PollFd::new(&self.stdout, PollFlags::IN)], Some(&step)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(Problem::Pipe(error.into())),
            }
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
