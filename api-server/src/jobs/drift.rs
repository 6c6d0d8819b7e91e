//! Follows drift: a result marks its tenant, the worker takes what its runs changed a moment later, for many of them together.
//! Which runs wait was written by the ingest in its own transaction.

use std::time::Duration;

use store::{TenantRef, Write, drift, tenants::TenantRow};

use crate::{
    error::chain,
    jobs::{
        marked::{self, Worker},
        marks::Marks,
    },
    state::{App, AppState},
};

/// Transactions for one tenant before the others have their turn.
const IN_A_ROW: usize = 8;

/// Works until told to end.
pub async fn run(app: App) {
    marked::run::<Follower>(app).await;
}

struct Follower;

impl Worker for Follower {
    type Tenant = TenantRef;
    const TASK: &'static str = "drift";
    const WAITING: &'static str = "runs whose drift waits";
    /// Runs that are followed together share the reading and writing of their groups' baselines.
    const COALESCE: Duration = Duration::from_secs(5);
    const TURN: Duration = Duration::from_secs(30);

    fn marks(app: &AppState) -> &Marks<TenantRef> {
        &app.unfollowed
    }

    fn of(row: TenantRow) -> Option<TenantRef> {
        row.state.is_served().then_some(row.tenant)
    }

    async fn bring_forward(app: &App, tenant: &TenantRef) -> store::Result<bool> {
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

    /// One that trying again cannot help waits for the next look.
    fn failed(tenant: &TenantRef, error: &store::Error) -> bool {
        tracing::warn!(tenant = %tenant.slug, error = %chain(error), "drift cannot be followed; it is tried again");
        error.is_transient()
    }
}
