//! Ten thousand simulated agents, each with a connection of its own and a change of its host every five minutes, spread evenly;
//! beside them some whose hosts are quiet. The load is open: a report is due when the clock says so, whatever became of the
//! one before, and how long it took counts from then.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::ensure;
use futures::stream::FuturesUnordered;
use futures::{StreamExt, TryStreamExt, stream};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sqlx::AssertSqlSafe;
use tests::harness::Counted;
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout_at};
use uuid::Uuid;

use crate::installation::{Installation, Transport};
use crate::process;
use crate::report::{Figures, Report};
use crate::simulator::{Agent, Content, Faults, Line, Subject};

const TENANTS: u32 = 10;
/// Agents whose hosts do not change; what they say is counted in bytes.
const QUIET: u32 = 100;
/// Tasks that the agents share.
const TASKS: usize = 8;
const ENROLLING_AT_ONCE: usize = 8;
const CYCLE: Duration = Duration::from_mins(5);
/// A poll ends before the next report is due: an agent does one thing at a time.
const POLL_SECONDS: u32 = 270;
/// A quiet agent's polls are held for as long as the server holds any.
const QUIET_POLL_SECONDS: u32 = 300;
/// Of a quiet agent's polls, one in so many tells of a run that changed nothing: a scan an hour.
const POLLS_FOR_A_SCAN: u32 = 12;
/// As the real agent, which lets its polls drift apart.
const BETWEEN_POLLS: Duration = Duration::from_secs(1);
const SETTLE: Duration = Duration::from_secs(20);
const DAY_SECONDS: f64 = 86_400.0;

pub async fn run(agents: u32, minutes: u32) -> anyhow::Result<()> {
    let fleet = Fleet::enroll(agents).await?;
    let watched = Duration::from_secs(u64::from(minutes) * 60);
    let (figures, told) = fleet.watch(watched).await?;
    for what in told.iter().take(10) {
        eprintln!("{what}");
    }
    let limit =
        Figures::from([("cores", 1.5), ("p99_ms", 50.0), ("lost", 0.0), ("messages", 300.0), ("bytes", 200_000.0)]);
    Report { bench: "fleet", ours: vec![figures], peer: Vec::new(), limit, ratio: "cores" }.print();
    Ok(())
}

struct Fleet {
    installation: Installation,
    busy: Vec<Agent>,
    quiet: Vec<Agent>,
    counted: Counted,
}

/// What all agents together have seen.
#[derive(Default)]
struct Seen {
    /// Milliseconds from when a report was due to its acknowledgement.
    accepts: Vec<f64>,
    /// Runs that the server says it has.
    acknowledged: HashSet<Uuid>,
    requests: u64,
    quiet_requests: u64,
    /// Results that were due and that the server took at no try.
    undelivered: u32,
    /// Requests that were refused or not answered, and were repeated.
    errors: u32,
    /// What the server, or the line, said to them.
    told: Vec<String>,
}

impl Seen {
    fn undelivered(&mut self, why: &str) {
        self.undelivered += 1;
        self.told.push(format!("not delivered: {why}"));
    }

    fn repeated(&mut self, why: &anyhow::Error) {
        self.errors += 1;
        self.told.push(format!("repeated: {why:#}"));
    }
}

type Shared = Arc<Mutex<Seen>>;

fn locked(seen: &Shared) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Fleet {
    /// All agents, enrolled, with the baseline of their hosts delivered.
    async fn enroll(agents: u32) -> anyhow::Result<Self> {
        let installation = Installation::start(Transport::Tls, &[]).await?;
        let content = Arc::new(Content::read()?);
        let counted = Counted::start(installation.api).await?;
        let modules = Subject::ALL.map(Subject::module);
        let mut tokens = Vec::new();
        for tenant in 0..TENANTS {
            let slug = format!("fleet-{tenant}");
            installation.tenant(&slug, &modules).await?;
            tokens.push(installation.enrollment_token(&slug, agents.div_ceil(TENANTS) + QUIET).await?);
        }
        let begun = Instant::now();
        let join = async |number: u32, server: SocketAddr| -> anyhow::Result<Agent> {
            let line = Line::new(server, installation.certificate())?;
            let token = &tokens[(number % TENANTS) as usize];
            let mut agent = Agent::enroll(line, Arc::clone(&content), token, u64::from(number)).await?;
            let jobs = agent.answer_first_jobs().await?;
            ensure!(jobs == modules.len(), "{jobs} first jobs instead of {}", modules.len());
            Ok(agent)
        };
        let busy = stream::iter(0..agents)
            .map(|number| join(number, installation.api))
            .buffer_unordered(ENROLLING_AT_ONCE)
            .try_collect()
            .await?;
        let quiet = stream::iter(agents..agents + QUIET)
            .map(|number| join(number, counted.address()))
            .buffer_unordered(ENROLLING_AT_ONCE)
            .try_collect()
            .await?;
        eprintln!("{} agents enrolled and scanned in {:.0} s", agents + QUIET, begun.elapsed().as_secs_f64());
        Ok(Self { installation, busy, quiet, counted })
    }

    /// Lets them work for so long.
    async fn watch(self, watched: Duration) -> anyhow::Result<(Figures, Vec<String>)> {
        let Self { installation, busy, quiet, counted } = self;
        let seen = Shared::default();
        let (count, quiet_count) = (busy.len(), quiet.len());
        let begin = tokio::time::Instant::now() + SETTLE;
        let end = begin + watched;
        let mut tasks = JoinSet::new();
        for lives in spread(busy, begin, CYCLE) {
            let seen = Arc::clone(&seen);
            tasks.spawn(async move {
                let mut lives: FuturesUnordered<_> =
                    lives.into_iter().map(|(agent, first)| change_often(agent, first, end, &seen)).collect();
                while lives.next().await.is_some() {}
            });
        }
        for lives in spread(quiet, begin, CYCLE) {
            let seen = Arc::clone(&seen);
            tasks.spawn(async move {
                let mut lives: FuturesUnordered<_> =
                    lives.into_iter().map(|(agent, first)| say_little(agent, first, end, &seen)).collect();
                while lives.next().await.is_some() {}
            });
        }
        sleep_until(begin).await;
        let (before, bytes_before) = (installation.usage()?, counted.bytes());
        let watched_from = Instant::now();
        // Every task lasts as long as the time that is watched, or panicked.
        if let Ok(early) = timeout_at(end, tasks.join_next()).await {
            early.transpose()?;
            ensure!(tokio::time::Instant::now() >= end, "an agent's task ended before its time");
        }
        let elapsed = watched_from.elapsed().as_secs_f64();
        let used = installation.usage()? - before;
        #[expect(clippy::cast_precision_loss, reason = "some megabytes")]
        let bytes = (counted.bytes() - bytes_before) as f64;
        while let Some(life) = tasks.join_next().await {
            life?;
        }
        let seen = std::mem::take(&mut *locked(&seen));
        let (lost, doubled) = compare(&installation, &seen.acknowledged).await?;
        let mut accepts = seen.accepts;
        accepts.sort_by(f64::total_cmp);
        #[expect(clippy::cast_precision_loss, reason = "some million")]
        let number = |count: usize| count as f64;
        let of_day = DAY_SECONDS / elapsed;
        #[expect(clippy::cast_precision_loss, reason = "some million")]
        let figures = Figures::from([
            ("cores", (used.api_s + used.postgres_s) / elapsed),
            ("api_cores", used.api_s / elapsed),
            ("postgres_cores", used.postgres_s / elapsed),
            ("p50_ms", at(&accepts, 0.5)),
            ("p95_ms", at(&accepts, 0.95)),
            ("p99_ms", at(&accepts, 0.99)),
            ("per_s", number(accepts.len()) / elapsed),
            ("peak_mib", process::peak_mib(installation.api_pid())?),
            ("postgres_peak_mib", process::tree_share_mib(installation.postgres_pid()?)),
            ("messages", seen.quiet_requests as f64 * of_day / number(quiet_count)),
            ("bytes", bytes * of_day / number(quiet_count)),
            ("busy_messages", seen.requests as f64 * of_day / number(count)),
            ("lost", lost + f64::from(seen.undelivered)),
            ("doubled", doubled),
            ("errors", f64::from(seen.errors)),
        ]);
        Ok((figures, seen.told))
    }
}

/// Deals agents out to the tasks, each with the moment it is due first: evenly over one cycle.
fn spread(agents: Vec<Agent>, begin: tokio::time::Instant, cycle: Duration) -> Vec<Vec<(Agent, tokio::time::Instant)>> {
    let count = u32::try_from(agents.len()).unwrap_or(u32::MAX).max(1);
    let mut tasks: Vec<Vec<_>> = (0..TASKS).map(|_| Vec::new()).collect();
    for (number, agent) in (0_u32..).zip(agents) {
        tasks[number as usize % TASKS].push((agent, begin + cycle * number / count));
    }
    tasks
}

/// Before it is due first, an agent waits for work as it does between two.
async fn wait_until(agent: &mut Agent, first: tokio::time::Instant, seen: &Shared) {
    let left = first.saturating_duration_since(tokio::time::Instant::now()).as_secs();
    let wait = u32::try_from(left).unwrap_or(u32::MAX).min(QUIET_POLL_SECONDS);
    if let Ok(Err(error)) = timeout_at(first, agent.poll(wait, Vec::new())).await {
        locked(seen).repeated(&error);
    }
    sleep_until(first).await;
}

/// Reports a change when it is due, then waits for work until the next is.
async fn change_often(mut agent: Agent, first: tokio::time::Instant, end: tokio::time::Instant, seen: &Shared) {
    let mut random = StdRng::seed_from_u64(agent.id.as_u64_pair().1);
    // All of them asking at one moment would be no load of agents that run for days.
    sleep_until(first.min(end)).await;
    let mut due = first;
    while due < end {
        sleep_until(due).await;
        let delivered = timeout_at(end, agent.report_change(Faults::USUAL.draw(&mut random))).await;
        match delivered {
            // Under way when the time was over.
            Err(_) => return,
            Ok(Err(error)) => locked(seen).undelivered(&format!("{error:#}")),
            Ok(Ok(delivered)) => {
                let mut seen = locked(seen);
                seen.errors += delivered.refused;
                seen.accepts.push(delivered.at.saturating_duration_since(due.into_std()).as_secs_f64() * 1_000.0);
                seen.acknowledged.insert(delivered.run_id);
                seen.requests += u64::from(delivered.requests) + 1;
            }
        }
        due += CYCLE;
        if let Ok(Err(error)) = timeout_at(end.min(due), agent.poll(POLL_SECONDS, Vec::new())).await {
            locked(seen).repeated(&error);
        }
    }
}

/// Polls, and tells now and then of a run that changed nothing.
async fn say_little(mut agent: Agent, first: tokio::time::Instant, end: tokio::time::Instant, seen: &Shared) {
    wait_until(&mut agent, first.min(end), seen).await;
    let mut polls = agent.id.as_fields().0 % POLLS_FOR_A_SCAN;
    while tokio::time::Instant::now() < end {
        let is_scan = polls.is_multiple_of(POLLS_FOR_A_SCAN);
        let unchanged = is_scan.then(|| agent.unchanged(Subject::Software)).flatten().into_iter().collect();
        locked(seen).quiet_requests += 1;
        match timeout_at(end, agent.poll(QUIET_POLL_SECONDS, unchanged)).await {
            Err(_) => return,
            Ok(Err(error)) => locked(seen).repeated(&error),
            Ok(Ok(told)) if !told.rejected_runs.is_empty() => {
                locked(seen).undelivered("an unchanged run was rejected");
            }
            Ok(Ok(_)) => {}
        }
        polls += 1;
        tokio::time::sleep(BETWEEN_POLLS).await;
    }
}

/// Acknowledged runs that are not stored, and runs whose outcome was announced more than once.
async fn compare(installation: &Installation, acknowledged: &HashSet<Uuid>) -> anyhow::Result<(f64, f64)> {
    let mut stored: HashSet<Uuid> = HashSet::new();
    for tenant in 0..TENANTS {
        let runs = format!("SELECT run_id FROM tenant_fleet_{tenant}.runs");
        stored.extend(sqlx::query_scalar::<_, Uuid>(AssertSqlSafe(runs)).fetch_all(&installation.admin).await?);
    }
    let doubled: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM (SELECT subject_id FROM shared.outbox WHERE kind = 'run.ingested' GROUP BY subject_id
         HAVING count(*) > 1) d",
    )
    .fetch_one(&installation.admin)
    .await?;
    let lost = acknowledged.difference(&stored).count();
    Ok((f64::from(u32::try_from(lost)?), f64::from(u32::try_from(doubled)?)))
}

/// The value that such a share of the sorted ones does not exceed.
fn at(sorted: &[f64], share: f64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a position"
    )]
    let position = ((sorted.len() as f64 * share).ceil() as usize).saturating_sub(1);
    sorted.get(position).copied().unwrap_or(f64::NAN)
}
