//! Limits that the kernel keeps for a worker: CPU time, memory, open files, priority, and an end together with its parent.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, Signal};

use super::Error;

/// Files a worker may hold open: a walk holds one a level.
const OPEN_FILES: u64 = 1_024;
/// The lowest priority there is.
const NICE: i32 = 19;

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

fn set(resource: Resource, value: u64) -> Result<(), Error> {
    // Never above what this process was given.
    let given = rustix::process::getrlimit(resource).maximum;
    let value = given.map_or(value, |given| given.min(value));
    rustix::process::setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })?;
    Ok(())
}
