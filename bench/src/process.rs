//! What processes used, as the kernel counts it.

use std::fs;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;

/// How often memory is looked at. Peaks between two looks are missed; a run lasts hundreds of them.
const LOOK: Duration = Duration::from_millis(10);

/// Kernel's clock ticks a second: `USER_HZ` is 100 on every architecture that Linux has today.
const TICKS_PER_SECOND: f64 = 100.0;

/// Fields 14 to 17 of `proc(5)`: user and system time of a process, then of its children that ended, in ticks.
fn ticks(pid: &str) -> anyhow::Result<[u32; 4]> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold spaces; what follows it may not.
    let (_, rest) = stat.rsplit_once(") ").context("/proc/<pid>/stat has a name in parentheses")?;
    let mut fields = rest.split(' ').skip(11).map(str::parse);
    let mut next = || fields.next().context("/proc/<pid>/stat is short")?.context("/proc/<pid>/stat has numbers");
    Ok([next()?, next()?, next()?, next()?])
}

/// CPU seconds of a process that runs.
pub fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let [user, system, ..] = ticks(&pid.to_string())?;
    Ok(f64::from(user + system) / TICKS_PER_SECOND)
}

/// CPU seconds of a process that runs and of its children that have ended.
pub fn tree_cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    Ok(f64::from(ticks(&pid.to_string())?.iter().sum::<u32>()) / TICKS_PER_SECOND)
}

/// CPU seconds of a process that runs and of all its descendants, those that run and those that have ended.
pub fn live_tree_cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    // A child that ends in between is then among the ended ones; the next look has it.
    let children: f64 = children(pid).into_iter().filter_map(|child| live_tree_cpu_seconds(child).ok()).sum();
    Ok(tree_cpu_seconds(pid)? + children)
}

/// What a process and its descendants take of the machine's memory now, in MiB: a page that several share counts once.
pub fn tree_share_mib(pid: u32) -> f64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().trim_end_matches(" kB").parse().ok());
    pss.unwrap_or(0.0) / 1024.0 + children(pid).into_iter().map(tree_share_mib).sum::<f64>()
}

fn children(pid: u32) -> Vec<u32> {
    fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|children| children.split_whitespace().filter_map(|child| child.parse().ok()).collect::<Vec<u32>>())
        .collect()
}

/// CPU seconds of all descendants of this process that have ended.
pub fn children_cpu_seconds() -> anyhow::Result<f64> {
    let [.., user, system] = ticks("self")?;
    Ok(f64::from(user + system) / TICKS_PER_SECOND)
}

fn kib(pid: u32, line: &str) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let value = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':'))?;
    value.trim().trim_end_matches(" kB").parse().ok()
}

/// The most memory that a process ever had resident, in MiB.
pub fn peak_mib(pid: u32) -> anyhow::Result<f64> {
    Ok(kib(pid, "VmHWM").context("/proc/<pid>/status has VmHWM")? / 1024.0)
}

/// What a process has resident now, in MiB: in all, and of it what are pages of files, as the program's own code is.
pub fn resident_mib(pid: u32) -> anyhow::Result<(f64, f64)> {
    let mib = |line| anyhow::Ok(kib(pid, line).with_context(|| format!("/proc/<pid>/status has {line}"))? / 1024.0);
    Ok((mib("VmRSS")?, mib("RssFile")?))
}

/// What a process and its descendants have resident now, in MiB; one that has ended counts nothing.
pub fn tree_mib(pid: u32) -> f64 {
    kib(pid, "VmRSS").unwrap_or(0.0) / 1024.0 + children(pid).into_iter().map(tree_mib).sum::<f64>()
}

/// Empties the kernel's memory of files, so that the next look at them is the first; what was written is on disk before.
pub fn forget_files() -> anyhow::Result<()> {
    let status = Command::new("sync").status()?;
    anyhow::ensure!(status.success(), "sync ended with {status}");
    fs::write("/proc/sys/vm/drop_caches", "3").context("only root can empty the kernel's memory of files")
}

/// What a program cost.
pub struct Cost {
    pub wall_s: f64,
    /// Its own and its children's.
    pub cpu_s: f64,
    /// The most that it and its children had resident at once.
    pub peak_mib: f64,
}

/// Runs a program to its end.
pub fn measure(command: &mut Command) -> anyhow::Result<(Cost, Output)> {
    let cpu_before = children_cpu_seconds()?;
    let start = Instant::now();
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let pid = child.id();
    let has_ended = AtomicBool::new(false);
    let (output, peak_mib) = thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut peak = 0.0_f64;
            while !has_ended.load(Ordering::Relaxed) {
                peak = peak.max(tree_mib(pid));
                thread::sleep(LOOK);
            }
            peak
        });
        let output = child.wait_with_output();
        has_ended.store(true, Ordering::Relaxed);
        (output, watcher.join().unwrap_or(f64::NAN))
    });
    let wall_s = start.elapsed().as_secs_f64();
    Ok((Cost { wall_s, cpu_s: children_cpu_seconds()? - cpu_before, peak_mib }, output?))
}

/// A program that is ended with its guard.
pub struct Running(Child);

impl Running {
    pub const fn new(child: Child) -> Self {
        Self(child)
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Ends it with SIGKILL and starts another.
    pub fn replace(&mut self, start: impl FnOnce() -> anyhow::Result<Child>) -> anyhow::Result<()> {
        self.end();
        self.0 = start()?;
        Ok(())
    }

    fn end(&mut self) {
        // An error says that it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}
