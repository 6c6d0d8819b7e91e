//! Reports of thousands of new findings each, sent to the real API by agents that sign and compress, one report after another;
//! beside it a binary COPY, on one connection as well, of every row that they became, into tables that are the same, in as
//! many transactions. Both once more with several at once. Then the same reports again: as new runs, as repeats of the first
//! runs, and as what a poll says of runs that changed nothing.
//!
//! `ratio` is ours divided by the COPY's, one report after another; the goal is that half of it is reached. Each part begins
//! when API and Postgres are quiet, and after ANALYZE and a checkpoint: nothing of what the API does with results after it has
//! answered (roll-ups, drift, the audit chain) is left for the next part. What it does while later reports of the same part are
//! sent is in ours alone, and ours is always measured before its COPY.
//! Ours can come near the COPY, because it sends its new findings the same way while the later ones are still being planned;
//! above it, it would be within the spread, or something is wrong with the COPY: `wal_bytes` and `postgres_cpu_s` of both say
//! whether they did the same work.

mod content;
mod peer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;
use catalog::wire::{ResultAck, ResultsRequest, UnchangedRun};
use chrono::Utc;
use futures::{StreamExt, TryStreamExt, stream};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::installation::{Installation, Transport};
use crate::process;
use crate::report::{Figures, Report};
use crate::simulator::{Agent, Content, Line, Packed, pack};
use content::Reports;
use peer::Peer;

/// Hosts that report in one run one after another, and as many that report together.
const HOSTS: u64 = 4;
/// Of these together, so many at once; as many connections copy.
const AT_ONCE: usize = 4;
const TENANT: &str = "acme";
/// How long the API is watched before anybody talks to it.
const IDLE: Duration = Duration::from_secs(10);
/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// Statements are counted for so many findings.
const COUNTED: f64 = 10_000.0;

pub async fn run(runs: u32) -> anyhow::Result<()> {
    let reports = Reports::of_catalog()?;
    let installation = Installation::start(Transport::Tls, &[]).await?;
    let modules: Vec<&str> = reports.modules().collect();
    installation.tenant(TENANT, &modules).await?;
    let token = installation.enrollment_token(TENANT, u32::try_from(2 * HOSTS)? * runs).await?;
    let peer = Peer::new(&installation, AT_ONCE).await?;
    let idle = installation.idle_statements(IDLE).await?;
    eprintln!(
        "a report: {} envelopes with {} findings and {} facts, {} bytes of JSON; twice {HOSTS} hosts a run; {idle:.1} statements/s of an idle API",
        modules.len(),
        reports.findings(),
        reports.facts(),
        serde_json::to_vec(&reports.request())?.len(),
    );
    let bench = Bench { installation, reports, token, content: Arc::new(Content::read()?), idle };
    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    for run in 1..=runs {
        eprintln!("run {run} of {runs}");
        let (mut alone, mut together) = (bench.senders(2 * run).await?, bench.senders(2 * run + 1).await?);
        let mut figures = bench.new_findings(&mut alone, 1).await?;
        let mut limit = peer.copy(&bench.installation, &assets(&alone), bench.findings_of_run(), 1).await?;
        figures.extend(bench.again(&mut alone).await?);
        let parallel = bench.new_findings(&mut together, AT_ONCE).await?;
        let parallel_limit =
            peer.copy(&bench.installation, &assets(&together), bench.findings_of_run(), AT_ONCE).await?;
        for (figures, parallel) in [(&mut figures, parallel), (&mut limit, parallel_limit)] {
            figures.extend(parallel.get("per_s").map(|per_s| ("parallel_per_s", *per_s)));
        }
        raw.push(limit);
        ours.push(figures);
    }
    let limit = Figures::from([("per_s", 8_000.0), ("ratio", 0.5), ("statements", 30.0), ("repeat_per_s", 20_000.0)]);
    Report { bench: "ingest", ours, peer: raw, limit, ratio: "per_s" }.print();
    Ok(())
}

fn assets(senders: &[Sender]) -> Vec<Uuid> {
    senders.iter().map(|sender| sender.agent.asset_id).collect()
}

struct Bench {
    installation: Installation,
    reports: Reports,
    token: String,
    content: Arc<Content>,
    /// Statements a second that nobody asked for.
    idle: f64,
}

/// A host with its report, packed before the clock starts.
struct Sender {
    agent: Agent,
    first: ResultsRequest,
    packed: Packed,
}

impl Bench {
    /// Hosts that the API has not seen, each with its report.
    async fn senders(&self, group: u32) -> anyhow::Result<Vec<Sender>> {
        let mut senders = Vec::new();
        for host in 0..HOSTS {
            let line = Line::new(self.installation.api, self.installation.certificate())?;
            let seed = u64::from(group) * 1_000 + host;
            let mut agent = Agent::enroll(line, Arc::clone(&self.content), &self.token, seed).await?;
            // As every agent, which asks for work before it has something to report.
            agent.poll(0, Vec::new()).await?;
            let first = self.reports.request();
            let packed = pack(serde_json::to_vec(&first)?)?;
            senders.push(Sender { agent, first, packed });
        }
        Ok(senders)
    }

    #[expect(clippy::cast_precision_loss, reason = "some thousand findings")]
    fn findings_of_run(&self) -> f64 {
        (self.reports.findings() as u64 * HOSTS) as f64
    }

    /// What nobody has seen before, so many reports at once.
    async fn new_findings(&self, senders: &mut [Sender], at_once: usize) -> anyhow::Result<Figures> {
        let bytes: usize = senders.iter().map(|sender| sender.packed.body.len()).sum();
        let bytes = f64::from(u32::try_from(bytes)?);
        self.installation.settle(peer::SOURCE).await?;
        self.installation.forget_statements().await?;
        let wal_before = self.installation.wal_bytes().await?;
        let memory = Memory::watch(self.installation.postgres_pid()?);
        let before = self.installation.usage()?;
        let begun = Instant::now();
        let acks: Vec<Vec<ResultAck>> = stream::iter(senders.iter_mut())
            .map(|Sender { agent, packed, .. }| agent.packed_results(packed))
            .buffer_unordered(at_once)
            .try_collect()
            .await?;
        let wall = begun.elapsed().as_secs_f64();
        let used = self.installation.usage()? - before;
        let wal = self.installation.wal_bytes().await? - wal_before;
        let statements = self.installation.statements().await? - self.idle * wall;
        let postgres_peak = memory.most();
        let is_new = |ack: &ResultAck| ack.accepted && !ack.duplicate;
        ensure!(acks.iter().flatten().all(is_new), "a new result was not taken as one: {acks:?}");
        self.check_stored(senders).await?;
        let findings = self.findings_of_run();
        Ok(Figures::from([
            ("per_s", findings / wall),
            ("wall_s", wall),
            ("cpu_s", used.api_s + used.postgres_s),
            ("api_cpu_s", used.api_s),
            ("postgres_cpu_s", used.postgres_s),
            ("peak_mib", process::peak_mib(self.installation.api_pid())?),
            ("postgres_peak_mib", postgres_peak),
            ("statements", statements * COUNTED / findings),
            ("bytes", bytes * COUNTED / findings),
            ("wal_bytes", wal * COUNTED / findings),
        ]))
    }

    /// Every finding is there, and open.
    async fn check_stored(&self, senders: &[Sender]) -> anyhow::Result<()> {
        let count =
            format!("SELECT count(*) FROM tenant_{TENANT}.findings WHERE status = 'open' AND asset_id = ANY($1)");
        let stored: i64 =
            sqlx::query_scalar(AssertSqlSafe(count)).bind(assets(senders)).fetch_one(&self.installation.admin).await?;
        let sent = i64::try_from(self.reports.findings())? * i64::try_from(HOSTS)?;
        ensure!(stored == sent, "{stored} findings are stored of {sent}");
        Ok(())
    }

    /// The same content as new runs, the same runs, and the same told by a poll.
    async fn again(&self, senders: &mut [Sender]) -> anyhow::Result<Figures> {
        let findings = self.findings_of_run();
        let mut repeats = Vec::new();
        for sender in senders.iter() {
            let mut request = sender.first.clone();
            for result in &mut request.results {
                result.envelope.run_id = Uuid::now_v7();
            }
            repeats.push(pack(serde_json::to_vec(&request)?)?);
        }
        self.installation.settle(peer::SOURCE).await?;
        self.installation.forget_statements().await?;
        let before = self.installation.usage()?;
        let begun = Instant::now();
        for (sender, packed) in senders.iter_mut().zip(&repeats) {
            let acks = sender.agent.packed_results(packed).await?;
            ensure!(acks.iter().all(|ack| ack.accepted && !ack.duplicate), "a repeat was not taken: {acks:?}");
        }
        let repeat = begun.elapsed().as_secs_f64();
        let repeat_used = self.installation.usage()? - before;
        let statements = self.installation.statements().await? - self.idle * repeat;

        self.installation.settle(peer::SOURCE).await?;
        let begun = Instant::now();
        for sender in senders.iter_mut() {
            let acks = sender.agent.packed_results(&sender.packed).await?;
            ensure!(acks.iter().all(|ack| ack.duplicate), "a run was stored twice: {acks:?}");
        }
        let duplicate = begun.elapsed().as_secs_f64();

        self.installation.settle(peer::SOURCE).await?;
        let begun = Instant::now();
        for sender in senders.iter_mut() {
            let told = sender.agent.poll(0, unchanged(&sender.first)).await?;
            ensure!(told.rejected_runs.is_empty(), "the server holds another snapshot");
        }
        let poll = begun.elapsed().as_secs_f64();
        self.check_stored(senders).await?;
        Ok(Figures::from([
            ("repeat_per_s", findings / repeat),
            ("repeat_cpu_s", repeat_used.api_s + repeat_used.postgres_s),
            ("repeat_statements", statements * COUNTED / findings),
            ("duplicate_per_s", findings / duplicate),
            ("unchanged_per_s", findings / poll),
        ]))
    }
}

/// The runs of a report as a poll tells them when nothing changed.
fn unchanged(report: &ResultsRequest) -> Vec<UnchangedRun> {
    let told = |envelope: &catalog::envelope::Envelope| UnchangedRun {
        job_id: None,
        run_id: Uuid::now_v7(),
        module: envelope.module.clone(),
        version: envelope.version.clone(),
        base: envelope.facts.snapshot.clone(),
        started_at: Utc::now(),
        duration_ms: envelope.duration_ms,
    };
    report.results.iter().map(|result| told(&result.envelope)).collect()
}

/// The most memory that a process and its children share out among them, watched from a thread of its own.
struct Memory {
    is_over: Arc<AtomicBool>,
    watcher: thread::JoinHandle<f64>,
}

impl Memory {
    fn watch(pid: u32) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_over);
        let watcher = thread::spawn(move || {
            let mut most = 0.0_f64;
            while !told.load(Ordering::Relaxed) {
                most = most.max(process::tree_share_mib(pid));
                thread::sleep(LOOK);
            }
            most
        });
        Self { is_over, watcher }
    }

    fn most(self) -> f64 {
        self.is_over.store(true, Ordering::Relaxed);
        self.watcher.join().unwrap_or(f64::NAN)
    }
}
