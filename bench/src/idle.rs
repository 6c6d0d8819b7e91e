//! An agent at the real API, from its enrolment on: what its first scan costs, then what it costs to wait for work, in memory,
//! CPU, messages and bytes with TLS. No peer does the same; the goals stand beside.

use std::fs::File;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::ensure;
use tests::harness::{Counted, eventually, program};
use tokio::time::sleep;

use crate::installation::{Installation, QUIET, Transport};
use crate::process::{self, Running};
use crate::report::{Figures, Report};

const TENANT: &str = "acme";
const DAY_SECONDS: f64 = 86_400.0;
/// The API's default.
const POLL_SECONDS: f64 = 300.0;
/// What the runtime keeps for a moment after work is gone by then.
const SETTLE: Duration = Duration::from_secs(15);
const LOOK: Duration = Duration::from_millis(20);
/// More polls than fit into HPACK's table, so that what has to be said again now and then is counted.
const CYCLES: i64 = 30;
const FIRST_SCAN: Duration = Duration::from_mins(30);

pub async fn run(seconds: u64) -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let database_before = platform.database_bytes().await?;
    let begun = Instant::now();
    let agent = platform.agent(&["--token", &platform.installation.enrollment_token(TENANT, 1).await?])?;
    let mut scan_peak = 0.0_f64;
    while !platform.is_scanned().await? {
        ensure!(begun.elapsed() < FIRST_SCAN, "the first scan takes more than {} s", FIRST_SCAN.as_secs());
        scan_peak = scan_peak.max(process::tree_mib(agent.pid()));
        sleep(LOOK).await;
    }
    let scan_wall = begun.elapsed().as_secs_f64();
    let scan_cpu = process::tree_cpu_seconds(agent.pid())?;
    let database = platform.database_bytes().await? - database_before;
    let (scan_requests, scan_bytes) = (platform.requests_in_all().await?, platform.bytes());

    sleep(SETTLE).await;
    let cpu_before = process::cpu_seconds(agent.pid())?;
    let mut peak = 0.0_f64;
    for _ in 0..seconds {
        peak = peak.max(process::tree_mib(agent.pid()));
        sleep(Duration::from_secs(1)).await;
    }
    let cpu = process::cpu_seconds(agent.pid())? - cpu_before;

    // The same agent with polls that are not held: what one costs.
    drop(agent);
    let agent = platform.agent(&["--poll-seconds", "0"])?;
    let settled = platform.requests().await? + 5;
    platform.until_requests(settled).await?;
    let (first, before) = (platform.requests().await?, platform.bytes());
    platform.until_requests(first + CYCLES).await?;
    let cycles = u32::try_from(platform.requests().await? - first)?;
    let bytes_of_poll = (platform.bytes() - before) / f64::from(cycles);
    drop(agent);

    let messages = DAY_SECONDS / POLL_SECONDS;
    let ours = Figures::from([
        ("peak_mib", peak),
        ("cores", cpu / Duration::from_secs(seconds).as_secs_f64()),
        ("messages", messages),
        ("bytes", messages * bytes_of_poll),
        ("poll_bytes", bytes_of_poll),
        ("scan_wall_s", scan_wall),
        ("scan_cpu_s", scan_cpu),
        ("scan_peak_mib", scan_peak),
        ("scan_messages", f64::from(u32::try_from(scan_requests)?)),
        ("scan_bytes", scan_bytes),
        ("asset_bytes", f64::from(u32::try_from(database)?)),
    ]);
    let limit = Figures::from([
        ("peak_mib", 20.0),
        ("cores", 0.001),
        ("messages", 300.0),
        ("bytes", 200_000.0),
        ("scan_peak_mib", 64.0),
    ]);
    Report { bench: "idle", ours: vec![ours], peer: Vec::new(), limit, ratio: "peak_mib" }.print();
    Ok(())
}

/// The API with a tenant; between agent and API every byte is counted.
struct Platform {
    folder: tempfile::TempDir,
    counted: Counted,
    installation: Installation,
}

impl Platform {
    async fn start() -> anyhow::Result<Self> {
        let installation = Installation::start(Transport::Tls, &[QUIET]).await?;
        installation.tenant(TENANT, &[]).await?;
        let counted = Counted::start(installation.api).await?;
        Ok(Self { folder: tempfile::tempdir()?, counted, installation })
    }

    fn agent(&self, arguments: &[&str]) -> anyhow::Result<Running> {
        let log = File::options().create(true).append(true).open(self.folder.path().join("agent.log"))?;
        let child = Command::new(program("tenantra-agent")?)
            .args(["run", "--server", &format!("https://localhost:{}", self.counted.address().port()), "--ca-file"])
            .arg(&self.installation.ca_file)
            .arg("--state-dir")
            .arg(self.folder.path().join("state"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        Ok(Running::new(child))
    }

    /// Whether the first jobs are there and every one is answered.
    async fn is_scanned(&self) -> anyhow::Result<bool> {
        let count = "SELECT count(*), count(*) FILTER (WHERE finished_at IS NULL) FROM shared.jobs";
        let (all, open): (i64, i64) = sqlx::query_as(count).fetch_one(&self.installation.admin).await?;
        Ok(all > 0 && open == 0)
    }

    /// The number of the agent's last request. It begins anywhere; a restart leaves some out.
    async fn requests(&self) -> anyhow::Result<i64> {
        let top = "SELECT window_top FROM shared.agent_credentials WHERE revoked_at IS NULL";
        Ok(sqlx::query_scalar(top).fetch_one(&self.installation.admin).await?)
    }

    /// How many requests the agent has sent, as long as they are fewer than the window remembers.
    async fn requests_in_all(&self) -> anyhow::Result<i64> {
        let used = "SELECT bit_count(window_bits) FROM shared.agent_credentials WHERE revoked_at IS NULL";
        Ok(sqlx::query_scalar(used).fetch_one(&self.installation.admin).await?)
    }

    /// What the tenant's tables and their indexes take.
    async fn database_bytes(&self) -> anyhow::Result<i64> {
        let sum = "SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c
            JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'tenant_acme' AND c.relkind = 'r'";
        Ok(sqlx::query_scalar(sum).fetch_one(&self.installation.admin).await?)
    }

    async fn until_requests(&self, count: i64) -> anyhow::Result<()> {
        eventually(Duration::from_mins(5), "the agent polls", async || {
            Ok((self.requests().await? >= count).then_some(()))
        })
        .await
    }

    #[expect(clippy::cast_precision_loss, reason = "a benchmark transfers less than 2^52 bytes")]
    fn bytes(&self) -> f64 {
        self.counted.bytes() as f64
    }
}
