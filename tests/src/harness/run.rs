//! One run of the development cluster, as a child of the test. It follows its parent: a test that is killed leaves nothing.

use std::collections::BTreeMap;
use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tempfile::TempDir;

/// Longer than a first start on a busy machine of two cores takes.
const START_LIMIT: Duration = Duration::from_mins(2);
/// Longer than the supervisor's own limit for ending its processes.
const END_LIMIT: Duration = Duration::from_secs(40);

/// Whether Postgres waits for the disk.
#[derive(Clone, Copy, Debug)]
pub(super) enum Durability {
    /// No fsync: tests keep nothing.
    Fast,
    /// As in production, for benchmarks.
    Durable,
}

impl Durability {
    const fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Fast => &["--pg-fast"],
            Self::Durable => &[],
        }
    }
}

/// A run; the last one that holds it takes it down.
#[derive(Debug)]
pub(super) struct Run {
    supervisor: Child,
    folder: PathBuf,
    // Behind the supervisor, which still needs it while it ends.
    _home: TempDir,
}

impl Run {
    /// Starts a control plane or none, with `parts` (`postgres`, `openbao`), and waits until all of it is ready.
    pub(super) async fn start(with_cluster: bool, parts: &[&str], durability: Durability) -> anyhow::Result<Arc<Self>> {
        let program = program()?;
        // PostgreSQL runs as a user of its own, who has to pass through.
        let home =
            tempfile::Builder::new().prefix("tenantra-test-").permissions(Permissions::from_mode(0o711)).tempdir()?;
        let folder = home.path().join("run");
        let log = home.path().join("log");
        let output = File::create(&log)?;
        let supervisor = Command::new(&program)
            .arg("up")
            .args(["--profile", if with_cluster { "control-plane" } else { "none" }])
            .args(["--with", &parts.join(",")])
            .args(durability.flags())
            .args(["--follow-parent", "--dir"])
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("{} could not be started", program.display()))?;
        let mut run = Self { supervisor, folder, _home: home };
        run.wait_until_ready(&log).await?;
        Ok(Arc::new(run))
    }

    async fn wait_until_ready(&mut self, log: &Path) -> anyhow::Result<()> {
        let end = Instant::now() + START_LIMIT;
        // `env` is written last, and whole.
        while !self.folder.join("env").exists() {
            let ended = self.supervisor.try_wait()?;
            if ended.is_some() || Instant::now() > end {
                let told = std::fs::read_to_string(log).unwrap_or_default();
                bail!("the development cluster is not ready (ended: {ended:?}); it said:\n{told}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// What the run says of itself now: process ids change when something is started again.
    pub(super) fn value(&self, key: &str) -> anyhow::Result<String> {
        let path = self.folder.join("env.json");
        let text = std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        let mut values: BTreeMap<String, String> = serde_json::from_str(&text)?;
        values.remove(key).with_context(|| format!("the development cluster names no {key}"))
    }

    /// A process id among the values.
    pub(super) fn pid(&self, key: &str) -> anyhow::Result<u32> {
        let text = self.value(key)?;
        text.parse().with_context(|| format!("{key} is '{text}'"))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let asked = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.supervisor),
            rustix::process::Signal::TERM,
        );
        let end = Instant::now() + END_LIMIT;
        while asked.is_ok() && Instant::now() < end {
            if !matches!(self.supervisor.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        // It did not end by itself: what it left is collected by the next start.
        let _ = self.supervisor.kill();
        let _ = self.supervisor.wait();
    }
}

/// The development cluster's program: `TENA_DEVCLUSTER`, else what `hack/setup.sh devcluster` builds and names.
fn program() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("TENA_DEVCLUSTER") {
        return Ok(path.into());
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hack/setup.sh");
    let output = Command::new(&script)
        .arg("devcluster")
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("{} could not be started", script.display()))?;
    if !output.status.success() {
        bail!("hack/setup.sh devcluster failed ({})", output.status);
    }
    let told = String::from_utf8(output.stdout)?;
    let path = told.lines().last().context("hack/setup.sh devcluster named no program")?;
    Ok(path.trim().into())
}
