//! Keeps `tenant_rollups` fresh: a result marks its tenant, the worker takes all marked ones every second.
//!
//! The mark is in memory and cheap. What a crash loses is found again in the outbox, which the ingest wrote in its own
//! transaction: every replica looks there at its start, when notified, and every 5 s.

use std::time::Duration;

use futures::{StreamExt, stream};
use store::{TenantRef, Write, outbox, rollups};
use uuid::Uuid;

use crate::{
    error::{Error, Result, chain},
    state::App,
};

/// Results that come within this time are rolled up together.
const COALESCE: Duration = Duration::from_secs(1);
/// How long what another replica left behind may lie.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// Tenants rolled up side by side; each takes one connection.
const AT_ONCE: usize = 4;
/// Events of the outbox taken at once.
const BATCH: u32 = 1_000;
/// A tenant where nothing happens is measured again after this: an agent falls silent without any event.
const STALE_AFTER: Duration = Duration::from_mins(1);

/// Works until told to end.
pub async fn run(app: App) {
    let shutdown = app.shutdown.clone();
    let work = async {
        loop {
            let passed = pass(&app).await;
            app.metrics.pass("rollups", passed.is_ok());
            if let Err(error) = passed {
                tracing::warn!(error = %chain(&error), "rollups cannot be kept");
            }
            app.dirty.gather(COALESCE, SWEEP_EVERY).await;
        }
    };
    let _ = shutdown.run_until_cancelled(work).await;
}

async fn pass(app: &App) -> Result<()> {
    let mut tenants = app.dirty.take();
    let mut tx = app.db.platform().await?;
    let claimed = outbox::claim(&mut tx, BATCH).await?;
    tenants.extend(claimed.iter().map(|event| event.tenant.clone()));
    tenants.extend(rollups::stale(&mut tx, STALE_AFTER, BATCH).await?);
    app.metrics.dirty_rollups.set(i64::try_from(tenants.len()).unwrap_or(i64::MAX));
    let failed: Vec<(TenantRef, Error)> = stream::iter(tenants)
        .map(|tenant| async move { refresh(app, &tenant).await.err().map(|error| (tenant, error)) })
        .buffer_unordered(AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await;
    let has_failed = |event: &outbox::Event| failed.iter().any(|(tenant, _)| *tenant == event.tenant);
    let (again, done): (Vec<_>, Vec<_>) = claimed.iter().partition(|event| has_failed(event));
    outbox::done(&mut tx, &ids(&done)).await?;
    if !again.is_empty() {
        outbox::retry(&mut tx, &ids(&again), "the rollup failed").await?;
    }
    tx.commit().await?;
    for (tenant, error) in &failed {
        tracing::warn!(tenant = %tenant.slug, error = %chain(error), "a rollup failed; it is tried again");
    }
    app.metrics.dirty_rollups.set(i64::try_from(failed.len()).unwrap_or(i64::MAX));
    Ok(())
}

async fn refresh(app: &App, tenant: &TenantRef) -> Result<()> {
    let mut tx = app.db.tenant::<Write>(tenant).await?;
    let rollup = rollups::measure(&mut tx).await?;
    tx.commit().await?;
    let mut tx = app.db.platform().await?;
    rollups::store(&mut tx, tenant.id, &rollup).await?;
    tx.commit().await?;
    Ok(())
}

fn ids(events: &[&outbox::Event]) -> Vec<Uuid> {
    events.iter().map(|event| event.event_id).collect()
}
