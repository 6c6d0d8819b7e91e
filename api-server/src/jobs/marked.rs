//! The loop of a worker that brings marked tenants forward: what is written marks its tenant, the worker takes the marked ones
//! a moment later, some side by side.
//!
//! A mark is in memory and cheap. What a crash loses, or was not told to this replica, is found by a look at every tenant at
//! the start and every few minutes: what waits was written with what made it wait. Every replica works; one at a time has a
//! tenant.

use std::{hash::Hash, time::Duration};

use futures::{StreamExt, stream};
use store::tenants::{self, TenantRow};
use tokio::time::Instant;

use crate::{
    error::{Result, chain},
    jobs::marks::Marks,
    state::{App, AppState},
};

/// How often every tenant is looked at.
const LOOK_EVERY: Duration = Duration::from_mins(5);
/// Tenants brought forward side by side; each takes one connection.
const AT_ONCE: usize = 2;

/// What one worker does.
pub trait Worker {
    /// How a tenant is marked.
    type Tenant: Eq + Hash + Send + Sync;
    /// The task, in the metrics.
    const TASK: &'static str;
    /// What waits in a tenant, in the log.
    const WAITING: &'static str;
    /// What is marked within this time is worked on together.
    const COALESCE: Duration;
    /// How long without a mark before the next turn.
    const TURN: Duration;

    /// Where its tenants are marked.
    fn marks(app: &AppState) -> &Marks<Self::Tenant>;

    /// The tenant, if something can wait there.
    fn of(row: TenantRow) -> Option<Self::Tenant>;

    /// Brings a tenant forward. Whether nothing of it waits any more; else it is taken up again in the next turn.
    fn bring_forward(app: &App, tenant: &Self::Tenant) -> impl Future<Output = store::Result<bool>> + Send;

    /// Logs that a tenant failed. Whether it is taken up again in the next turn; else it waits for the next look.
    fn failed(tenant: &Self::Tenant, error: &store::Error) -> bool;
}

/// Works until told to end.
pub async fn run<W: Worker>(app: App) {
    let shutdown = app.shutdown.clone();
    let work = async {
        let mut looked: Option<Instant> = None;
        loop {
            if looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
                match look::<W>(&app).await {
                    Ok(()) => looked = Some(Instant::now()),
                    Err(error) => {
                        tracing::warn!(error = %chain(&error), "tenants cannot be looked at for {}", W::WAITING);
                    }
                }
            }
            let is_done = pass::<W>(&app).await;
            app.metrics.pass(W::TASK, is_done);
            W::marks(&app).gather(W::COALESCE, W::TURN).await;
        }
    };
    let _ = shutdown.run_until_cancelled(work).await;
}

async fn look<W: Worker>(app: &App) -> Result<()> {
    let mut tx = app.db.platform().await?;
    let rows = tenants::list(&mut tx).await?;
    tx.rollback().await?;
    for tenant in rows.into_iter().filter_map(W::of) {
        W::marks(app).mark(tenant);
    }
    Ok(())
}

/// Whether no marked tenant failed; those with more to do stay marked.
async fn pass<W: Worker>(app: &App) -> bool {
    let outcomes: Vec<bool> = stream::iter(W::marks(app).take())
        .map(|tenant| async move {
            let done = W::bring_forward(app, &tenant).await;
            let is_again = match &done {
                Ok(is_done) => !is_done,
                Err(error) => W::failed(&tenant, error),
            };
            if is_again {
                W::marks(app).mark(tenant);
            }
            done.is_ok()
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    outcomes.into_iter().all(|is_done| is_done)
}
