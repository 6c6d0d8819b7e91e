//! Pauses for a worker that uses more CPU than its share, where no control group sees to it. The parent stops it and lets it
//! go on (`SIGSTOP`, `SIGCONT`), so that nothing inside the worker can miss it, whatever thread or library is at work.

use std::fs;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Between two looks at a worker.
pub const LOOK: Duration = Duration::from_millis(50);
/// What a worker may use at once before its share counts: most modules are done in less.
const BURST: Duration = Duration::from_millis(500);
/// A pause ends when this much may be used again, else there would be a signal at every look.
const RESUME: Duration = Duration::from_millis(40);
/// The kernel's clock ticks: `USER_HZ` is 100 on every architecture that Linux has today.
const TICK: Duration = Duration::from_millis(10);

/// The account of CPU time, in seconds.
#[derive(Debug)]
struct Account {
    share: f64,
    credit: f64,
}

impl Account {
    fn new(share: f64) -> Self {
        Account { share, credit: BURST.as_secs_f64() }
    }

    fn book(&mut self, elapsed: Duration, used: Duration) {
        let credit = self.credit + elapsed.as_secs_f64() * self.share - used.as_secs_f64();
        self.credit = credit.min(BURST.as_secs_f64());
    }

    fn lets_run(&self, is_stopped: bool) -> bool {
        let least = if is_stopped { RESUME.as_secs_f64() } else { 0.0 };
        self.credit >= least
    }
}

/// The pace of one worker. It goes on when this is dropped.
#[derive(Debug)]
pub struct Pace {
    pid: Pid,
    account: Account,
    looked_at: Instant,
    used: Duration,
    is_stopped: bool,
}

impl Pace {
    /// Holds a child to a share of one core. None if it is gone already.
    pub fn of(child: &Child, share: f64) -> Option<Self> {
        let pid = Pid::from_raw(i32::try_from(child.id()).ok()?)?;
        let used = cpu_time(pid)?;
        Some(Pace { pid, account: Account::new(share), looked_at: Instant::now(), used, is_stopped: false })
    }

    /// Books what was used since the last look, and stops the worker or lets it go on.
    pub fn look(&mut self) {
        let elapsed = self.looked_at.elapsed();
        if elapsed < LOOK {
            return;
        }
        self.looked_at = Instant::now();
        // A worker that is gone uses nothing.
        let used = cpu_time(self.pid).unwrap_or(self.used);
        self.account.book(elapsed, used.saturating_sub(self.used));
        self.used = used;
        let is_stopped = !self.account.lets_run(self.is_stopped);
        if is_stopped != self.is_stopped {
            self.signal(if is_stopped { Signal::STOP } else { Signal::CONT });
            self.is_stopped = is_stopped;
        }
    }

    /// To a child that was not waited for yet, so the number is still its own.
    fn signal(&self, signal: Signal) {
        if let Err(error) = kill_process(self.pid, signal) {
            tracing::debug!(%error, "a worker is not paced");
        }
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        if self.is_stopped {
            self.signal(Signal::CONT);
        }
    }
}

/// User and system time of a process (`proc(5)`: fields 14 and 15 of its `stat`, in ticks).
fn cpu_time(pid: Pid) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // The name in parentheses may hold spaces.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11).map(str::parse::<u32>);
    let (user, system) = (fields.next()?.ok()?, fields.next()?.ok()?);
    Some(TICK * user.saturating_add(system))
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::thread;

    use super::*;

    #[test]
    fn a_burst_is_free_and_then_the_share_holds() {
        let mut account = Account::new(0.5);
        account.book(LOOK, LOOK);
        assert!(account.lets_run(false));
        for _ in 0..40 {
            account.book(LOOK, LOOK);
        }
        assert!(!account.lets_run(false));
        let mut pauses = 0;
        while !account.lets_run(true) {
            account.book(LOOK, Duration::ZERO);
            pauses += 1;
        }
        assert!(pauses > 10, "{pauses}");
    }

    #[test]
    fn a_process_that_never_rests_gets_half_a_core() {
        let mut child = Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        let mut pace = Pace::of(&child, 0.5).unwrap();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(4) {
            pace.look();
            thread::sleep(Duration::from_millis(10));
        }
        let used = cpu_time(pace.pid).unwrap();
        drop(pace);
        child.kill().unwrap();
        child.wait().unwrap();
        // The burst, and half of four seconds; a machine that is busy gives less.
        assert!(used < Duration::from_millis(3_200), "{used:?}");
    }
}
