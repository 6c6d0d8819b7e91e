//! The chainer: gives the new rows of each tenant's audit log their place in its chain, a second after they were written.
//!
//! Which tenants have new rows is told by the replica that ingested a result and, for what people do, by Postgres to all;
//! every replica chains, one at a time for each tenant.

use std::time::Duration;

use store::{audit_chain, tenants::TenantRow};
use uuid::Uuid;

use crate::{
    error::chain,
    jobs::{
        marked::{self, Worker},
        marks::Marks,
    },
    state::{App, AppState},
};

/// Rows of one tenant chained in one transaction.
const BATCH: u32 = 5_000;

/// Works until told to end.
pub async fn run(app: App) {
    marked::run::<Chainer>(app).await;
}

struct Chainer;

impl Worker for Chainer {
    type Tenant = Uuid;
    const TASK: &'static str = "audit_chain";
    const WAITING: &'static str = "audit rows that wait";
    const COALESCE: Duration = Duration::from_secs(1);
    const TURN: Duration = Duration::from_secs(5);

    fn marks(app: &AppState) -> &Marks<Uuid> {
        &app.unchained
    }

    fn of(row: TenantRow) -> Option<Uuid> {
        row.state.has_data().then_some(row.tenant.id)
    }

    async fn bring_forward(app: &App, tenant_id: &Uuid) -> store::Result<bool> {
        let mut tx = app.db.platform().await?;
        let chained = audit_chain::chain(&mut tx, *tenant_id, BATCH).await?;
        tx.commit().await?;
        app.metrics.audit_rows_late.inc_by(chained.late);
        Ok(chained.rows < u64::from(BATCH))
    }

    fn failed(tenant_id: &Uuid, error: &store::Error) -> bool {
        tracing::warn!(%tenant_id, error = %chain(error), "audit rows cannot be chained; they are tried again");
        true
    }
}
