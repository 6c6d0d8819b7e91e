//! Waits for a process of the scanner, ends it in time, and tells what it used.

use std::fs;
use std::process::{Child, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use catalog::envelope::ResourceUse;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::Error;

const STEP: Duration = Duration::from_millis(20);
/// `USER_HZ`, which is the same on every machine that Linux runs on today.
const TICKS_PER_SECOND: u64 = 100;

/// The end of a process.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub status: ExitStatus,
    /// What it used.
    pub resource: ResourceUse,
}

/// Waits until `deadline`, and ends the process then.
pub fn wait(child: &mut Child, deadline: Instant) -> Result<Ended, Error> {
    let mut resource = ResourceUse::default();
    let pid = Pid::from_child(child);
    loop {
        let is_over = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT)
            .map_err(|error| Error::Start(error.into()))?
            .is_some();
        // Of a process that is over and not yet collected the kernel still says its time.
        let pid = child.id();
        resource.cpu_ms = cpu_ms(pid).unwrap_or(resource.cpu_ms);
        resource.max_rss_kb = peak_kb(pid).unwrap_or_default().max(resource.max_rss_kb);
        if is_over {
            let status = child.wait().map_err(Error::Start)?;
            return Ok(Ended { status, resource });
        }
        if Instant::now() >= deadline {
            // It may be over just now.
            let _ = child.kill();
            let _ = child.wait();
            return Err(Error::TooSlow);
        }
        thread::sleep(STEP);
    }
}

fn cpu_ms(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before the last parenthesis may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |place: usize| fields.get(place)?.parse::<u64>().ok();
    Some((ticks(11)? + ticks(12)?) * 1_000 / TICKS_PER_SECOND)
}

fn peak_kb(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_is_ended_at_its_time_and_its_use_is_known() {
        let mut sleeps = Command::new("sleep").arg("60").spawn().unwrap();
        let begun = Instant::now();
        assert!(matches!(wait(&mut sleeps, begun + Duration::from_millis(100)), Err(Error::TooSlow)));
        assert!(begun.elapsed() < Duration::from_secs(10));
        let mut works =
            Command::new("sh").args(["-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"]).spawn().unwrap();
        let ended = wait(&mut works, Instant::now() + Duration::from_mins(1)).unwrap();
        assert!(ended.status.success() && ended.resource.cpu_ms > 0 && ended.resource.max_rss_kb > 100, "{ended:?}");
    }
}
