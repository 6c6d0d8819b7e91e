//! Follows drift: a result marks its tenant, the worker takes what its runs changed a moment later, for many of them together.
//!
//! The mark is in memory and cheap. What a crash loses is found by a look at every tenant at the start and every few minutes:
//! the ingest has written which runs wait in its own transaction. Several replicas may look; one at a time follows a tenant.

use std::time::Duration;

use futures::{StreamExt, stream};
use store::{TenantRef, Write, drift, tenants};
use tokio::time::Instant;

use crate::{
    error::{Result, chain},
    state::App,
};

/// Results that come within this time are followed together: they share the reading and writing of their groups' baselines.
const COALESCE: Duration = Duration::from_secs(5);
/// How long without a mark before the next turn.
const TURN: Duration = Duration::from_secs(30);
/// How often every tenant is looked at.
const LOOK_EVERY: Duration = Duration::from_mins(5);
/// Tenants followed side by side; each takes one connection.
const AT_ONCE: usize = 2;
/// Transactions for one tenant before the others have their turn.
const IN_A_ROW: usize = 8;

/// Works until told to end.
pub async fn run(app: App) {
    let shutdown = app.shutdown.clone();
    let work = async {
        let mut looked: Option<Instant> = None;
        loop {
            if looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
                match look(&app).await {
                    Ok(()) => looked = Some(Instant::now()),
                    Err(error) => {
                        tracing::warn!(error = %chain(&error), "tenants cannot be looked at for runs whose drift waits");
                    }
                }
            }
            let is_done = pass(&app).await;
            app.metrics.pass("drift", is_done);
            app.unfollowed.gather(COALESCE, TURN).await;
        }
    };
    let _ = shutdown.run_until_cancelled(work).await;
}

async fn look(app: &App) -> Result<()> {
    let mut tx = app.db.platform().await?;
    let rows = tenants::list(&mut tx).await?;
    tx.rollback().await?;
    for row in rows.into_iter().filter(|row| row.state.is_served()) {
        app.unfollowed.mark(row.tenant);
    }
    Ok(())
}

/// Whether every marked tenant was followed. One that was not stays marked where trying again can help; others wait for the
/// next look.
async fn pass(app: &App) -> bool {
    let outcomes: Vec<bool> = stream::iter(app.unfollowed.take())
        .map(|tenant| async move {
            let done = one(app, &tenant).await;
            let is_again = match &done {
                Ok(is_done) => !is_done,
                Err(error) => {
                    let slug = &tenant.slug;
                    tracing::warn!(tenant = %slug, error = %chain(error), "drift cannot be followed; it is tried again");
                    error.is_transient()
                }
            };
            if is_again {
                app.unfollowed.mark(tenant);
            }
            done.is_ok()
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    outcomes.into_iter().all(|is_done| is_done)
}

/// Whether nothing of the tenant waits any more.
async fn one(app: &App, tenant: &TenantRef) -> store::Result<bool> {
    for _ in 0..IN_A_ROW {
        let mut tx = app.db.tenant::<Write>(tenant).await?;
        let Some(followed) = drift::follow(&mut tx).await? else {
            tx.rollback().await?;
            return Ok(false);
        };
        tx.commit().await?;
        if followed.skipped > 0 {
            let runs = followed.skipped;
            tracing::warn!(tenant = %tenant.slug, runs, "runs changed more than is looked at; nothing is told of them");
        }
        if followed.drifts > 0 {
            let (drifts, silenced) = (followed.drifts, followed.silenced);
            tracing::info!(tenant = %tenant.slug, drifts, silenced, "drift was found");
        }
        if !followed.has_more {
            return Ok(true);
        }
    }
    Ok(false)
}
