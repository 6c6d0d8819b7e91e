//! The agent's program as these tests run it: to its end or to the end of their patience, with the memory that it and its
//! workers took.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tests::harness::{children, program};

/// What one process of the agent may take here, and what it and its worker may take together. The goal is half of that, for
/// the program as it is shipped: one for development is larger by 30 MiB a process.
const MAX_MIB: u64 = 128;
const MAX_MIB_TOGETHER: u64 = 160;
const SAMPLE: Duration = Duration::from_millis(5);

/// Tells a thread beside the test to end, also when the test fails.
pub struct Ending<'a>(pub &'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A run that has ended.
pub struct Ran {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: String,
    pub wall: Duration,
    /// User and system time, of the workers too.
    pub cpu: Duration,
    /// The most memory of one process.
    pub process_mib: u64,
    /// The most memory of the agent and of its workers, together.
    pub peak_mib: u64,
}

impl Ran {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", self.text(), self.stderr))
    }

    /// Its memory is within bounds; prints the figures for the table in the documentation.
    pub fn bounded(self, what: &str) -> Self {
        let (wall, cpu) = (self.wall.as_secs_f64(), self.cpu.as_secs_f64());
        println!("{what}: {wall:.1} s, {cpu:.1} s CPU, {} MiB", self.peak_mib);
        assert!(self.process_mib <= MAX_MIB, "{what}: {} MiB\n{}", self.process_mib, self.stderr);
        assert!(self.peak_mib <= MAX_MIB_TOGETHER, "{what}: {} MiB\n{}", self.peak_mib, self.stderr);
        self
    }

    pub fn succeeded(self) -> Self {
        assert!(self.status.success(), "{:?}: {}", self.status, self.stderr);
        self
    }
}

/// Runs the agent. It fails if it is not done within these seconds.
pub fn agent(arguments: &[&str], seconds: u64) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let (out, err) = (folder.path().join("out"), folder.path().join("err"));
    let begun = Instant::now();
    let mut child = Command::new(program("tenantra-agent").unwrap())
        .args(arguments)
        .env_remove("TENA_HOST_ROOT")
        .stdin(Stdio::null())
        .stdout(File::create(&out).unwrap())
        .stderr(File::create(&err).unwrap())
        .spawn()
        .unwrap();
    let mut peaks = Peaks::default();
    let status = loop {
        peaks.sample(&child);
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > Duration::from_secs(seconds) {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{arguments:?} did not end within {seconds} s\n{}", read(&err));
        }
        std::thread::sleep(SAMPLE);
    };
    let mut stdout = Vec::new();
    File::open(&out).unwrap().read_to_end(&mut stdout).unwrap();
    let process_kib = peaks.workers_kib.values().copied().max().unwrap_or_default().max(peaks.own_kib);
    Ran {
        status,
        stdout,
        stderr: read(&err),
        wall: begun.elapsed(),
        cpu: Duration::from_millis(peaks.ticks * 10),
        process_mib: process_kib.div_ceil(1_024),
        peak_mib: peaks.together_kib.div_ceil(1_024),
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()
}

/// High-water marks by process; the kernel keeps them, so that a sample misses only what came after the last one.
#[derive(Default)]
struct Peaks {
    own_kib: u64,
    workers_kib: BTreeMap<u32, u64>,
    together_kib: u64,
    /// CPU time in hundredths of a second; that of a worker counts once it has ended.
    ticks: u64,
}

impl Peaks {
    fn sample(&mut self, child: &Child) {
        self.own_kib = self.own_kib.max(high_water_kib(child.id()));
        // Workers follow each other: what one took is given back when the next begins.
        let mut living = 0;
        for pid in children(child.id()) {
            let peak = self.workers_kib.entry(pid).or_default();
            *peak = high_water_kib(pid).max(*peak);
            living += *peak;
        }
        self.together_kib = self.together_kib.max(self.own_kib + living);
        self.ticks = self.ticks.max(ticks(child.id()));
    }
}

fn high_water_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

/// `utime`, `stime`, `cutime` and `cstime` of `proc_pid_stat(5)`, the 14th field and those after it.
fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(4);
    fields.filter_map(|field| field.parse::<u64>().ok()).sum()
}
