//! The chainer: gives the new rows of each tenant's audit log their place in its chain, a second after they were written.
//!
//! Which tenants have new rows is told by the replica that ingested a result and, for what people do, by Postgres to all;
//! every replica chains, one at a time for each tenant. What was not told is found by a look at every tenant at the start
//! and every few minutes.

use std::time::Duration;

use futures::{StreamExt, stream};
use store::{audit_chain, tenants};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    error::{Result, chain},
    state::App,
};

/// Rows that are written within this time are chained together.
const COALESCE: Duration = Duration::from_secs(1);
/// How often every tenant is looked at.
const LOOK_EVERY: Duration = Duration::from_mins(5);
/// Rows of one tenant chained in one transaction.
const BATCH: u32 = 5_000;
/// Tenants chained side by side; each takes one connection.
const AT_ONCE: usize = 2;

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
                        tracing::warn!(error = %chain(&error), "tenants cannot be looked at for audit rows that wait");
                    }
                }
            }
            let is_done = pass(&app).await;
            app.metrics.pass("audit_chain", is_done);
            app.unchained.gather(COALESCE, Duration::from_secs(5)).await;
        }
    };
    let _ = shutdown.run_until_cancelled(work).await;
}

async fn look(app: &App) -> Result<()> {
    let mut tx = app.db.platform().await?;
    let rows = tenants::list(&mut tx).await?;
    tx.rollback().await?;
    for row in rows.into_iter().filter(|row| row.state.has_data()) {
        app.unchained.mark(row.tenant.id);
    }
    Ok(())
}

/// Whether every marked tenant was chained; those that were not, or not to the end, stay marked.
async fn pass(app: &App) -> bool {
    let outcomes: Vec<bool> = stream::iter(app.unchained.take())
        .map(|tenant_id| async move {
            let done = one(app, tenant_id).await;
            if !matches!(done, Ok(true)) {
                app.unchained.mark(tenant_id);
            }
            if let Err(error) = &done {
                tracing::warn!(%tenant_id, error = %chain(error), "audit rows cannot be chained; they are tried again");
            }
            done.is_ok()
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    outcomes.into_iter().all(|is_done| is_done)
}

async fn one(app: &App, tenant_id: Uuid) -> Result<bool> {
    let mut tx = app.db.platform().await?;
    let chained = audit_chain::chain(&mut tx, tenant_id, BATCH).await?;
    tx.commit().await?;
    app.metrics.audit_rows_late.inc_by(chained.late);
    Ok(chained.rows < u64::from(BATCH))
}
