//! API and Postgres, killed with SIGKILL at random moments while simulated agents report without a pause; every write waits for
//! the disk. An agent sends again what was not acknowledged. Afterwards everything that was acknowledged has to be there, once,
//! and every host's facts have to be what the host has. No peer; the goal is nothing of each.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sqlx::AssertSqlSafe;
use store::{Db, PoolOptions, TenantRef};
use tests::aftermath::{Acknowledged, examine};
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};
use uuid::Uuid;

use crate::installation::{Installation, QUIET, Transport};
use crate::report::{Figures, Report};
use crate::simulator::{Agent, Content, Faults, Line, Subject};

const TENANTS: usize = 4;
const AGENTS: u32 = 48;
const ENROLLING_AT_ONCE: usize = 4;
/// One kill of each in that time: Postgres is started again five times in a minute at most.
const CYCLE: Duration = Duration::from_secs(13);
/// A kill falls anywhere into so many milliseconds after the other program is back.
const MOMENTS_MS: u64 = 3_000;
/// Between two reports of an agent, in milliseconds.
const PAUSE_MS: u64 = 150;
/// Tries of one report, a second apart: longer than any restart takes.
const TRIES: u32 = 300;

/// What one agent was told.
struct Told {
    tenant: usize,
    agent: Agent,
    runs: BTreeSet<Uuid>,
    refused: u32,
}

pub async fn run(kills: u32) -> anyhow::Result<()> {
    let installation = Installation::start(Transport::Tls, &[QUIET]).await?;
    let (tenants, agents) = enroll(&installation).await?;
    let is_over = Arc::new(AtomicBool::new(false));
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for (tenant, agent) in agents {
        tasks.spawn(live(tenant, agent, Arc::clone(&is_over)));
    }
    let slowest = kill(&installation, kills).await;
    is_over.store(true, Ordering::Relaxed);
    let slowest = slowest?;
    let mut lives = Vec::new();
    while let Some(life) = tasks.join_next().await {
        lives.push(life??);
    }
    let wall = begun.elapsed().as_secs_f64();

    let mut runs: Vec<BTreeSet<Uuid>> = vec![BTreeSet::new(); tenants.len()];
    let (mut wrong_facts, mut refused) = (0, 0);
    for life in lives {
        let Told { tenant, agent, runs: told, refused: repeated } = life;
        wrong_facts += u32::from(stored_facts(&installation, &tenants[tenant], agent.asset_id).await? != agent.facts());
        refused += repeated;
        runs[tenant].extend(told);
    }
    let reports: usize = runs.iter().map(BTreeSet::len).sum();
    let acknowledged: Vec<Acknowledged> =
        tenants.into_iter().zip(runs).map(|(tenant, runs)| Acknowledged { tenant, runs }).collect();
    let api = Db::connect(&installation.api_url, &PoolOptions::named("bench"))?;
    let found = examine(installation.owner(), &api, &installation.admin, &acknowledged).await?;
    api.close().await;
    for chain in &found.broken_chains {
        eprintln!("a broken chain: {chain}");
    }
    #[expect(clippy::cast_precision_loss, reason = "some million")]
    let number = |count: u64| count as f64;
    let ours = Figures::from([
        ("lost", number(found.lost)),
        ("doubled", number(found.doubled)),
        ("wrong_facts", f64::from(wrong_facts)),
        ("wrong_scores", number(found.wrong_scores)),
        ("undelivered", number(found.undelivered)),
        ("broken_chains", number(found.broken_chains.len() as u64)),
        ("kills", f64::from(2 * kills)),
        ("reports", number(reports as u64)),
        ("errors", f64::from(refused)),
        ("recovery_max_s", slowest),
        ("wall_s", wall),
    ]);
    let limit = ["lost", "doubled", "wrong_facts", "wrong_scores", "undelivered", "broken_chains"];
    let limit: Figures = limit.into_iter().map(|key| (key, 0.0)).collect();
    Report { bench: "chaos", ours: vec![ours], peer: Vec::new(), limit, ratio: "lost" }.print();
    Ok(())
}

/// Tenants, and agents with the baseline of their hosts delivered.
async fn enroll(installation: &Installation) -> anyhow::Result<(Vec<TenantRef>, Vec<(usize, Agent)>)> {
    let content = Arc::new(Content::read()?);
    let modules = Subject::ALL.map(Subject::module);
    let (mut tenants, mut tokens) = (Vec::new(), Vec::new());
    for number in 0..TENANTS {
        let slug = format!("chaos-{number}");
        tenants.push(installation.tenant(&slug, &modules).await?);
        tokens.push(installation.enrollment_token(&slug, AGENTS).await?);
    }
    let agents = stream::iter(0..AGENTS)
        .map(|number| join(installation, &content, &tokens, number))
        .buffer_unordered(ENROLLING_AT_ONCE)
        .try_collect()
        .await?;
    Ok((tenants, agents))
}

async fn join(
    installation: &Installation,
    content: &Arc<Content>,
    tokens: &[String],
    number: u32,
) -> anyhow::Result<(usize, Agent)> {
    let tenant = number as usize % TENANTS;
    let line = Line::new(installation.api, installation.certificate())?;
    let mut agent = Agent::enroll(line, Arc::clone(content), &tokens[tenant], u64::from(number)).await?;
    let jobs = agent.answer_first_jobs().await?;
    ensure!(jobs == Subject::ALL.len(), "{jobs} first jobs instead of {}", Subject::ALL.len());
    Ok((tenant, agent))
}

/// Reports one change after the other, each until it is acknowledged.
async fn live(tenant: usize, mut agent: Agent, is_over: Arc<AtomicBool>) -> anyhow::Result<Told> {
    let mut random = StdRng::seed_from_u64(agent.id.as_u64_pair().1);
    let (mut runs, mut refused) = (BTreeSet::new(), 0);
    while !is_over.load(Ordering::Relaxed) {
        let delivered = agent.report_change_in(TRIES, Faults::USUAL.draw(&mut random)).await?;
        runs.insert(delivered.run_id);
        refused += delivered.refused;
        sleep(Duration::from_millis(random.random_range(0..PAUSE_MS))).await;
    }
    Ok(Told { tenant, agent, runs, refused })
}

/// Kills both as often as asked for, in turn; gives the seconds that the slowest start took.
async fn kill(installation: &Installation, kills: u32) -> anyhow::Result<f64> {
    let mut random = StdRng::seed_from_u64(rand::random());
    let mut slowest = Duration::ZERO;
    for number in 1..=kills {
        let next = tokio::time::Instant::now() + CYCLE;
        let is_postgres_first = random.random_bool(0.5);
        for is_first in [true, false] {
            sleep(Duration::from_millis(random.random_range(0..MOMENTS_MS))).await;
            let begun = Instant::now();
            if is_first == is_postgres_first {
                installation.kill_postgres().await?;
            } else {
                installation.kill_api().await?;
            }
            slowest = slowest.max(begun.elapsed());
        }
        if number % 10 == 0 {
            eprintln!("{number} of {kills} kills of each");
        }
        if number < kills {
            sleep_until(next).await;
        }
    }
    Ok(slowest.as_secs_f64())
}

/// The hashes of what the server has of a host.
async fn stored_facts(
    installation: &Installation,
    tenant: &TenantRef,
    asset_id: Uuid,
) -> anyhow::Result<BTreeSet<String>> {
    let schema = tenant.schema();
    let hashes = format!("SELECT replace(row_hash::text, '-', '') FROM {schema}.facts WHERE asset_id = $1");
    let hashes: Vec<String> =
        sqlx::query_scalar(AssertSqlSafe(hashes)).bind(asset_id).fetch_all(&installation.admin).await?;
    Ok(hashes.into_iter().collect())
}
