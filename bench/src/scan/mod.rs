//! All checks of CIS Debian 12, the inventory and one walk of the file system, on a tree of 570,000 inodes that is the same
//! every time, beside OpenSCAP with the same benchmark and Lynis; then the same on this machine, by the agent alone.

mod tree;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::agreement::oscap;
use crate::process::{self, Cost};
use crate::report::{Figures, Report};

/// What the agent runs: by framework and by category.
const MODULES: &str = "cis-debian-12,inventory,linux-filesystem-walk";

pub fn run(runs: u32) -> anyhow::Result<()> {
    let place = |name: &str| std::env::var_os(name).map(PathBuf::from).with_context(|| format!("{name} is not set"));
    let (root, content) = (place("TENA_BENCH_ROOT")?, place("TENA_BENCH_SCAP_CONTENT")?);
    let program = tests::harness::program("tenantra-agent")?;
    let tree = tree::of(&root)?;
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for run in 1..=runs {
        eprintln!("run {run} of {runs}");
        ours.push(agent(&program, &tree)?);
        peer.push(peers(&tree, &content)?);
    }
    let names = names_of_this_machine()?;
    let limit = Figures::from([
        ("wall_s", 5.0),
        ("cpu_s", 6.0),
        ("peak_mib", 64.0),
        ("error", 0.0),
        // What a scan of any machine may take: a start, and so much for a name.
        ("root_wall_s", 2.0 + 5e-6 * names),
        ("root_cpu_s", 2.0 + 8e-6 * names),
        ("root_peak_mib", 64.0),
        ("root_error", 0.0),
    ]);
    Report { bench: "scan", ours, peer, limit, ratio: "wall_s" }.print();
    Ok(())
}

fn agent(program: &Path, tree: &Path) -> anyhow::Result<Figures> {
    let scan = |root: &Path| {
        let mut command = Command::new(program);
        command.args(["scan", "-o", "json", "--modules", MODULES]);
        if root != Path::new("/") {
            command.arg("--root").arg(root);
        }
        let (cost, output) = process::measure(&mut command)?;
        ensure!(output.status.success(), "tenantra-agent scan of {} ended with {}", root.display(), output.status);
        Ok((cost, verdicts(&output.stdout)?))
    };
    process::forget_files()?;
    let (cold, _) = scan(tree)?;
    let (warm, on_tree) = scan(tree)?;
    process::forget_files()?;
    let (here_cold, _) = scan(Path::new("/"))?;
    let (here, on_root) = scan(Path::new("/"))?;
    Ok(Figures::from([
        ("wall_s", warm.wall_s),
        ("cpu_s", warm.cpu_s),
        ("peak_mib", warm.peak_mib.max(cold.peak_mib)),
        ("cold_wall_s", cold.wall_s),
        ("cold_cpu_s", cold.cpu_s),
        ("passed", on_tree.passed),
        ("failed", on_tree.failed),
        ("not_applicable", on_tree.not_applicable),
        ("error", on_tree.error),
        ("root_wall_s", here.wall_s),
        ("root_cpu_s", here.cpu_s),
        ("root_cold_wall_s", here_cold.wall_s),
        ("root_cold_cpu_s", here_cold.cpu_s),
        ("root_peak_mib", here.peak_mib.max(here_cold.peak_mib)),
        ("root_passed", on_root.passed),
        ("root_failed", on_root.failed),
        ("root_not_applicable", on_root.not_applicable),
        ("root_error", on_root.error),
    ]))
}

/// The names on the file system of `/`: what the walk of this machine goes over.
#[expect(clippy::cast_precision_loss, reason = "a few million")]
fn names_of_this_machine() -> anyhow::Result<f64> {
    Ok(tree::count(Path::new("/"))? as f64)
}

#[derive(Default)]
struct Verdicts {
    passed: f64,
    failed: f64,
    not_applicable: f64,
    error: f64,
}

fn verdicts(output: &[u8]) -> anyhow::Result<Verdicts> {
    let mut verdicts = Verdicts::default();
    for line in std::str::from_utf8(output)?.lines() {
        let envelope: Value = serde_json::from_str(line)?;
        for check in envelope["checks"].as_array().into_iter().flatten() {
            *match check["verdict"].as_str() {
                Some("pass") => &mut verdicts.passed,
                Some("fail") => &mut verdicts.failed,
                Some("not_applicable") => &mut verdicts.not_applicable,
                _ => &mut verdicts.error,
            } += 1.0;
        }
    }
    Ok(verdicts)
}

/// OpenSCAP is the peer that is compared; Lynis's figures stand beside it.
fn peers(tree: &Path, content: &Path) -> anyhow::Result<Figures> {
    let (_, scap) = oscap::evaluate(tree, content, Command::new("chroot"))?;
    let lynis = lynis(tree)?;
    Ok(Figures::from([
        ("wall_s", scap.wall_s),
        ("cpu_s", scap.cpu_s),
        ("peak_mib", scap.peak_mib),
        ("lynis_wall_s", lynis.wall_s),
        ("lynis_cpu_s", lynis.cpu_s),
        ("lynis_peak_mib", lynis.peak_mib),
    ]))
}

fn lynis(tree: &Path) -> anyhow::Result<Cost> {
    let mut command = Command::new("chroot");
    command.arg(tree).args(["lynis", "audit", "system", "--quick", "--quiet", "--no-colors", "--no-log"]);
    let (cost, output) = process::measure(&mut command)?;
    // It ends with 64 and more where it has warnings.
    ensure!(matches!(output.status.code(), Some(0 | 64..=127)), "lynis ended with {}", output.status);
    Ok(cost)
}
