//! What is there after programs were killed in the middle of their work: every acknowledged result once, scores that a recompute
//! gives as well, no event that nobody worked off, and audit logs whose chain is whole.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result};
use sqlx::{AssertSqlSafe, PgPool};
use store::{Db, OwnerDb, Read, TenantRef, audit_chain, scores};
use uuid::Uuid;

use crate::harness::until;

/// How long the workers have to catch up with what a kill left behind.
const CATCHES_UP_WITHIN: Duration = Duration::from_secs(90);

/// A tenant, and the runs that its agents were told are stored.
#[derive(Debug)]
pub struct Acknowledged {
    /// The tenant.
    pub tenant: TenantRef,
    /// Ids of runs.
    pub runs: BTreeSet<Uuid>,
}

/// What is wrong; all nothing when all is well.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Aftermath {
    /// Acknowledged runs without their row, their event or their entry in the audit log.
    pub lost: u64,
    /// Runs with more than one event or entry.
    pub doubled: u64,
    /// Assets whose kept score is not what a recompute gives.
    pub wrong_scores: u64,
    /// Events that no worker has worked off.
    pub undelivered: u64,
    /// Tenants whose audit log is broken or has rows without a place, and how.
    pub broken_chains: Vec<String>,
}

/// Looks at all tenants, once the workers had their time.
pub async fn examine(owner: &OwnerDb, api: &Db, database: &PgPool, tenants: &[Acknowledged]) -> Result<Aftermath> {
    let mut found = Aftermath::default();
    // What is still open when the time is up is counted below.
    let _ = until(CATCHES_UP_WITHIN, "every event is worked off", async || Ok(undelivered(database).await? == 0)).await;
    found.undelivered = undelivered(database).await?;
    for Acknowledged { tenant, runs } in tenants {
        let (lost, doubled) = compare(database, tenant, runs).await?;
        found.lost += lost;
        found.doubled += doubled;
        let mut tx = api.tenant::<Read>(tenant).await?;
        found.wrong_scores += scores::differences(&mut tx).await?.len() as u64;
        tx.rollback().await?;
        let _ = until(CATCHES_UP_WITHIN, "every row of the audit log has its place", async || {
            Ok(audit_chain::verify(owner, tenant).await?.waiting == 0)
        })
        .await;
        let verified = audit_chain::verify(owner, tenant).await?;
        if verified.broken.is_some() || verified.waiting > 0 {
            found.broken_chains.push(format!("{}: {verified:?}", tenant.slug));
        }
    }
    Ok(found)
}

async fn undelivered(database: &PgPool) -> Result<u64> {
    let open = "SELECT count(*) FROM shared.outbox WHERE done_at IS NULL";
    let open: i64 = sqlx::query_scalar(open).fetch_one(database).await?;
    Ok(open.unsigned_abs())
}

async fn compare(database: &PgPool, tenant: &TenantRef, runs: &BTreeSet<Uuid>) -> Result<(u64, u64)> {
    let schema = tenant.schema();
    let statement = format!(
        "WITH acknowledged AS (SELECT unnest($1::uuid[]) AS run_id), events AS (
             SELECT subject_id AS run_id, count(*) AS number FROM shared.outbox
             WHERE kind = 'run.ingested' AND tenant_role::text = '{schema}' GROUP BY subject_id
         ), entries AS (
             SELECT substr(subject, 5)::uuid AS run_id, count(*) AS number FROM {schema}.audit_log
             WHERE action = 'run.ingested' GROUP BY 1
         )
         SELECT (SELECT count(*) FROM acknowledged LEFT JOIN {schema}.runs r USING (run_id) LEFT JOIN events e USING (run_id)
                     LEFT JOIN entries l USING (run_id)
                 WHERE r.asset_id IS NULL OR e.number IS NULL OR l.number IS NULL),
             (SELECT count(*) FROM events FULL JOIN entries USING (run_id) WHERE events.number > 1 OR entries.number > 1)"
    );
    let ids: Vec<Uuid> = runs.iter().copied().collect();
    let (lost, doubled): (i64, i64) = sqlx::query_as(AssertSqlSafe(statement))
        .bind(ids)
        .fetch_one(database)
        .await
        .context("runs cannot be compared")?;
    Ok((lost.unsigned_abs(), doubled.unsigned_abs()))
}
