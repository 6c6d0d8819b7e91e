//! Limits that the kernel keeps for a worker: CPU time, memory, open files, priority, and an end together with its parent.

use std::fs;
use std::io;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, Signal};

use super::Error;

/// Files a worker may hold open: a walk holds one a level.
const OPEN_FILES: u64 = 1_024;
/// The lowest priority there is. The kernel draws the priority of reads and writes from it: the lowest of the usual class.
const NICE: i32 = 19;
/// From -1000 (never) to 1000 (first). Above what a kubelet gives the pods that it sacrifices last.
const OOM_SCORE: i32 = 500;
const OOM_FILE: &str = "/proc/self/oom_score_adj";

/// What a worker may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// User and system time; the kernel ends the process at it.
    pub cpu: Duration,
    /// Private writable memory in bytes; beyond it an allocation fails, which ends the process.
    pub memory_bytes: u64,
}

/// Applies them to this process. It also ends when the process that started it ends.
pub fn apply(limits: Limits) -> Result<(), Error> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let seconds = limits.cpu.as_secs().saturating_add(u64::from(limits.cpu.subsec_nanos() > 0)).max(1);
    set(Resource::Cpu, seconds)?;
    set(Resource::Data, limits.memory_bytes)?;
    set(Resource::Nofile, OPEN_FILES)?;
    // A core file would hold what the module read.
    set(Resource::Core, 0)
}

/// Lets everything else on the host go first.
pub fn lower_priority() -> Result<(), Error> {
    rustix::process::setpriority_process(None, NICE)?;
    Ok(())
}

/// Lets the kernel end this process, and what it starts from now on, before it ends the host's own work. A worker is the
/// larger one and so goes before the daemon. To be called before the sandbox: it writes a file.
pub fn go_first_when_memory_runs_out() -> io::Result<()> {
    let now: i32 = fs::read_to_string(OOM_FILE)?.trim().parse().unwrap_or_default();
    // To raise it needs no privilege, to lower it does.
    if now < OOM_SCORE { fs::write(OOM_FILE, OOM_SCORE.to_string()) } else { Ok(()) }
}

fn set(resource: Resource, value: u64) -> Result<(), Error> {
    // Never above what this process was given.
    let given = rustix::process::getrlimit(resource).maximum;
    let value = given.map_or(value, |given| given.min(value));
    rustix::process::setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })?;
    Ok(())
}
