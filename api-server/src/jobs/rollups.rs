//! Keeps standings and `tenant_rollups` fresh: a result marks its tenant, the worker takes all marked ones every second. A
//! waiver that begins or ends marks it too, by the time that the rollup keeps.
//!
//! The mark is in memory and cheap. What a crash loses is found again in the outbox, which the ingest wrote in its own
//! transaction: every replica looks there at its start, when notified, and every 5 s. Figures are measured and not added up,
//! so an event that comes twice does no harm.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use analysis::score::Weights;
use futures::{StreamExt, stream};
use store::{
    TenantRef, Write, compliance,
    outbox::{self, Claim, Outcome, Terms, Turn},
    risk, rollups,
};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::{
    error::{Result, chain},
    state::App,
    tenants::plan,
};

/// Results that come within this time are rolled up together.
const COALESCE: Duration = Duration::from_secs(1);
/// How long what another replica left behind may lie.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// Tenants rolled up side by side; each takes one connection.
const AT_ONCE: usize = 4;
/// Tenants without any event measured at once.
const BATCH: u32 = 1_000;
/// A tenant where nothing happens is measured again after this: an agent falls silent without any event.
const STALE_AFTER: Duration = Duration::from_mins(1);
/// What one tenant may take: its standings are brought forward part by part, each within a statement's own limit.
const LIMIT: Duration = Duration::from_secs(25);
/// For how long events are this replica's; those of one that was lost wait so long.
const LEASE: Duration = Duration::from_secs(45);
/// All of a pass end so long before their lease does: what comes after it might be another replica's by then.
const MARGIN: Duration = Duration::from_secs(10);
/// Kept risks are held against the tenant's weights and ratings when the weights changed, and as often.
const SETTLE_EVERY: Duration = Duration::from_mins(1);

/// With which weights the risks of each tenant were settled, and when; what is lost of it is settled once more.
#[derive(Debug, Default)]
struct Settled(Mutex<HashMap<Uuid, (Weights, Instant)>>);

impl Settled {
    fn is_due(&self, tenant_id: Uuid, weights: Weights) -> bool {
        let settled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        settled.get(&tenant_id).is_none_or(|(with, at)| *with != weights || at.elapsed() >= SETTLE_EVERY)
    }

    fn done(&self, tenant_id: Uuid, weights: Weights) {
        let mut settled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Tenants that are gone.
        settled.retain(|_, (_, at)| at.elapsed() < 10 * SETTLE_EVERY);
        settled.insert(tenant_id, (weights, Instant::now()));
    }
}

/// Works until told to end.
pub async fn run(app: App) {
    let shutdown = app.shutdown.clone();
    let settled = Settled::default();
    let work = async {
        let mut turn = Turn::default();
        loop {
            let passed = pass(&app, &settled, &mut turn).await;
            app.metrics.pass("rollups", passed.is_ok());
            match passed {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::warn!(error = %chain(&error), "rollups cannot be kept"),
            }
            app.dirty.gather(COALESCE, SWEEP_EVERY).await;
        }
    };
    let _ = shutdown.run_until_cancelled(work).await;
}

/// Whether there is more to do at once.
async fn pass(app: &App, settled: &Settled, turn: &mut Turn) -> Result<bool> {
    let terms = Terms { lease: LEASE, ..Terms::default() };
    let until = Instant::now() + terms.lease.saturating_sub(MARGIN);
    let mut tx = app.db.platform().await?;
    let claim = outbox::claim(&mut tx, turn, &terms).await?;
    let stale = rollups::stale(&mut tx, STALE_AFTER, BATCH).await?;
    tx.commit().await?;
    app.metrics.dead_events.inc_by(claim.buried);
    let mut tenants = app.dirty.take();
    tenants.extend(claim.events.iter().map(|event| event.tenant.clone()));
    tenants.extend(stale);
    app.metrics.dirty_rollups.set(i64::try_from(tenants.len()).unwrap_or(i64::MAX));
    let undone: HashMap<TenantRef, Outcome> = stream::iter(tenants)
        .map(|tenant| async move {
            let outcome = refresh_until(app, settled, &tenant, until).await;
            (outcome != Outcome::Done).then_some((tenant, outcome))
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await;
    // One that failed waits for its event or its time; one that was not come to has only its mark.
    for (tenant, _) in undone.iter().filter(|(_, outcome)| **outcome == Outcome::Untouched) {
        app.dirty.mark(tenant.clone());
    }
    settle(app, &claim, &undone).await?;
    app.metrics.dirty_rollups.set(i64::try_from(undone.len()).unwrap_or(i64::MAX));
    Ok(claim.has_more)
}

async fn settle(app: &App, claim: &Claim, undone: &HashMap<TenantRef, Outcome>) -> Result<()> {
    if claim.events.is_empty() {
        return Ok(());
    }
    let outcomes = claim.outcomes(|event| undone.get(&event.tenant).cloned().unwrap_or(Outcome::Done));
    let mut tx = app.db.platform().await?;
    let settled = outbox::settle(&mut tx, claim, &outcomes).await?;
    tx.commit().await?;
    app.metrics.dead_events.inc_by(settled.dead);
    if settled.dead > 0 {
        tracing::error!(events = settled.dead, "events were tried too often and put aside; see /v1/jobs/dead");
    }
    Ok(())
}

/// Measures a tenant, within its limit; one whose turn does not come before the end is left as it is.
async fn refresh_until(app: &App, settled: &Settled, tenant: &TenantRef, until: Instant) -> Outcome {
    let now = Instant::now();
    if now >= until {
        return Outcome::Untouched;
    }
    let failed = match timeout_at(until.min(now + LIMIT), refresh(app, settled, tenant)).await {
        Ok(Ok(())) => return Outcome::Done,
        Ok(Err(error)) => chain(&error),
        Err(_) => format!("the rollup took longer than {} s", LIMIT.as_secs()),
    };
    tracing::warn!(tenant = %tenant.slug, error = %failed, "a rollup failed; it is tried again");
    Outcome::Failed(failed)
}

async fn refresh(app: &App, settled: &Settled, tenant: &TenantRef) -> Result<()> {
    // Without a resource nobody says how much a severity counts: what is kept stays until somebody does.
    let Some(weights) = app.tenants.get(tenant.slug.as_str()).map(|resource| plan::weights(&resource.spec)) else {
        rollups::refresh(&app.db, tenant).await?;
        let mut tx = app.db.platform().await?;
        compliance::forget_due(&mut tx, tenant.id).await?;
        tx.commit().await?;
        return Ok(());
    };
    // First: what they count is in the figures that are measured, often on the way.
    let kept = compliance::keep(&app.db, tenant, &weights).await?;
    let mut measured = kept.measured.clone();
    if settled.is_due(tenant.id, weights) {
        let mut tx = app.db.tenant::<Write>(tenant).await?;
        risk::settle(&mut tx, &weights).await?;
        tx.commit().await?;
        settled.done(tenant.id, weights);
        // Risks may be others now.
        measured = None;
    }
    let rollup = if let Some(rollup) = measured {
        rollup
    } else {
        let mut tx = app.db.tenant::<Write>(tenant).await?;
        let rollup = rollups::measure(&mut tx).await?;
        tx.commit().await?;
        rollup
    };
    let mut tx = app.db.platform().await?;
    rollups::store(&mut tx, tenant.id, &rollup).await?;
    compliance::publish(&mut tx, tenant.id, &kept).await?;
    tx.commit().await?;
    if !kept.is_whole {
        app.dirty.mark(tenant.clone());
    }
    Ok(())
}
