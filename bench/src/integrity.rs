//! A baseline of `/usr` and `/etc` with SHA-256, and a look at the same tree when nothing changed, beside AIDE with the
//! same digest and the same metadata.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::process;
use crate::report::{Figures, Report};

pub fn run(runs: u32) -> anyhow::Result<()> {
    let program = tests::harness::program("tenantra-agent")?;
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    // Once before, so that both find the same part of the tree in memory.
    agent(&program)?;
    for run in 1..=runs {
        eprintln!("run {run} of {runs}");
        ours.push(agent(&program)?);
        peer.push(aide()?);
    }
    let limit = Figures::from([("wall_s", 15.0), ("peak_mib", 40.0), ("rescan_wall_s", 1.0)]);
    Report { bench: "integrity", ours, peer, limit, ratio: "wall_s" }.print();
    Ok(())
}

fn agent(program: &Path) -> anyhow::Result<Figures> {
    let folder = tempfile::tempdir()?;
    let baseline = folder.path().join("baseline");
    let (first, output) =
        process::measure(Command::new(program).args(["integrity", "init"]).arg(&baseline).args(["/usr", "/etc"]))?;
    ensure!(output.status.success(), "integrity init ended with {}", output.status);
    let (again, output) =
        process::measure(Command::new(program).args(["integrity", "check", "-o", "json"]).arg(&baseline))?;
    let text = String::from_utf8(output.stdout)?;
    let figures: Value = serde_json::from_str(text.lines().last().context("it prints figures")?)?;
    ensure!(figures["changed"] == 0 && figures["added"] == 0, "the tree changed meanwhile: {text}");
    let number = |key: &str| figures[key].as_f64().context("a figure");
    Ok(Figures::from([
        ("wall_s", first.wall_s),
        ("cpu_s", first.cpu_s),
        ("peak_mib", first.peak_mib.max(again.peak_mib)),
        ("rescan_wall_s", again.wall_s),
        ("rescan_cpu_s", again.cpu_s),
        ("rescan_files_read", number("files_read")?),
        ("files", number("files")?),
        ("bytes", tree_bytes(&baseline)?),
    ]))
}

/// What the baseline takes on disk.
#[expect(clippy::cast_precision_loss, reason = "a file of some megabytes")]
fn tree_bytes(file: &Path) -> anyhow::Result<f64> {
    Ok(fs::metadata(file)?.len() as f64)
}

fn aide() -> anyhow::Result<Figures> {
    let folder = tempfile::tempdir()?;
    let (config, database) = (folder.path().join("aide.conf"), folder.path().join("aide.db"));
    let new = folder.path().join("aide.db.new");
    let rules = "ftype+p+u+g+s+m+c+i+l+acl+xattrs+caps+sha256";
    let text = format!(
        "database_in=file:{}\ndatabase_out=file:{}\ngzip_dbout=no\nreport_url=stdout\nRules = {rules}\n/usr Rules\n/etc Rules\n",
        database.display(),
        new.display()
    );
    fs::write(&config, text)?;
    let aide = |what: &str| {
        process::measure(Command::new("aide").arg(what).arg("--config").arg(&config))
            .context("AIDE is the peer of this benchmark: the Debian package `aide`")
    };
    let (first, output) = aide("--init")?;
    ensure!(new.exists(), "aide --init wrote no database: {}", String::from_utf8_lossy(&output.stdout));
    fs::rename(&new, &database)?;
    let (again, _) = aide("--check")?;
    Ok(Figures::from([
        ("wall_s", first.wall_s),
        ("cpu_s", first.cpu_s),
        ("peak_mib", first.peak_mib.max(again.peak_mib)),
        ("rescan_wall_s", again.wall_s),
        ("rescan_cpu_s", again.cpu_s),
    ]))
}
