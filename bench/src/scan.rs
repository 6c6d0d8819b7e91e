//! A full scan of this machine by the agent alone: every module of the catalog, as `tenantra-agent scan` runs it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::Value;

use crate::process;
use crate::report::{Figures, Report};

/// How often memory is looked at. Peaks between two looks are missed; a scan lasts hundreds of them.
const LOOK: Duration = Duration::from_millis(10);

pub fn run(runs: u32) -> anyhow::Result<()> {
    let program = tests::harness::program("tenantra-agent")?;
    let ours = (0..runs).map(|_| once(&program)).collect::<anyhow::Result<_>>()?;
    let limit = Figures::from([("wall_s", 5.0), ("cpu_s", 6.0), ("peak_mib", 64.0), ("error", 0.0)]);
    Report { bench: "scan", ours, peer: Vec::new(), limit, ratio: "wall_s" }.print();
    Ok(())
}

fn once(program: &Path) -> anyhow::Result<Figures> {
    let cpu_before = process::children_cpu_seconds()?;
    let start = Instant::now();
    let child =
        Command::new(program).args(["scan", "-o", "json"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let pid = child.id();
    let has_ended = AtomicBool::new(false);
    let (output, peak) = thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut peak = 0.0_f64;
            while !has_ended.load(Ordering::Relaxed) {
                peak = peak.max(process::tree_mib(pid));
                thread::sleep(LOOK);
            }
            peak
        });
        let output = child.wait_with_output();
        has_ended.store(true, Ordering::Relaxed);
        (output, watcher.join().unwrap_or(f64::NAN))
    });
    let output = output?;
    let wall = start.elapsed();
    ensure!(output.status.success(), "tenantra-agent scan ended with {}", output.status);
    let mut figures = Figures::from([
        ("wall_s", wall.as_secs_f64()),
        ("cpu_s", process::children_cpu_seconds()? - cpu_before),
        ("peak_mib", peak),
        ("passed", 0.0),
        ("failed", 0.0),
        ("not_applicable", 0.0),
        ("error", 0.0),
    ]);
    for line in String::from_utf8(output.stdout)?.lines() {
        let envelope: Value = serde_json::from_str(line)?;
        for check in envelope["checks"].as_array().into_iter().flatten() {
            let verdict = match check["verdict"].as_str() {
                Some("pass") => "passed",
                Some("fail") => "failed",
                Some("not_applicable") => "not_applicable",
                _ => "error",
            };
            *figures.entry(verdict).or_default() += 1.0;
        }
    }
    Ok(figures)
}
