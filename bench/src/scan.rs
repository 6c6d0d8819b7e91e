//! A full scan of this machine by the agent alone: every module of the catalog, as `tenantra-agent scan` runs it.

use std::path::Path;
use std::process::Command;

use anyhow::ensure;
use serde_json::Value;

use crate::process;
use crate::report::{Figures, Report};

pub fn run(runs: u32) -> anyhow::Result<()> {
    let program = tests::harness::program("tenantra-agent")?;
    let ours = (0..runs).map(|_| once(&program)).collect::<anyhow::Result<_>>()?;
    let limit = Figures::from([("wall_s", 5.0), ("cpu_s", 6.0), ("peak_mib", 64.0), ("error", 0.0)]);
    Report { bench: "scan", ours, peer: Vec::new(), limit, ratio: "wall_s" }.print();
    Ok(())
}

fn once(program: &Path) -> anyhow::Result<Figures> {
    let (cost, output) = process::measure(Command::new(program).args(["scan", "-o", "json"]))?;
    ensure!(output.status.success(), "tenantra-agent scan ended with {}", output.status);
    let mut figures = Figures::from([
        ("wall_s", cost.wall_s),
        ("cpu_s", cost.cpu_s),
        ("peak_mib", cost.peak_mib),
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
