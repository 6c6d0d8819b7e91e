//! The outbox beside its workers: events that were put aside, how many wait, and what is forgotten.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use super::Event;
use crate::error::{Error, Result};
use crate::names::{Slug, TenantRef};
use crate::notify::Channel;
use crate::page::{Page, Paged};
use crate::tx::PlatformTx;

/// An event that was put aside.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// The event, with the attempts it had.
    pub event: Event,
    /// What was said in the last attempt.
    pub error: String,
    /// When it was put aside.
    pub dead_at: DateTime<Utc>,
}

/// Events that were put aside, the latest first.
pub async fn dead(tx: &mut PlatformTx, page: Page) -> Result<Paged<DeadLetter>> {
    type Letter =
        (Uuid, Uuid, String, String, Uuid, Option<Uuid>, Json<Value>, DateTime<Utc>, i32, String, DateTime<Utc>, i64);
    let rows: Vec<Letter> = sqlx::query_as(
        "SELECT o.event_id, t.tenant_id, t.slug, o.kind, o.aggregate_id, o.subject_id, o.payload, o.created_at, o.attempts,
             coalesce(o.last_error, ''), o.dead_at, count(*) OVER ()
         FROM shared.outbox o JOIN shared.tenants t
             ON t.slug = replace(substr(o.tenant_role::text, 8), '_', '-') AND t.state <> 'purged'
         WHERE o.dead_at IS NOT NULL ORDER BY o.dead_at DESC, o.event_id DESC LIMIT $1 OFFSET $2",
    )
    .bind(page.limit())
    .bind(page.offset())
    .fetch_all(tx.connection()?)
    .await?;
    // A page behind the last one has no row that could tell how many there are.
    let total = match rows.first() {
        Some(row) => row.11,
        None if page.offset() == 0 => 0,
        None => {
            sqlx::query_scalar("SELECT count(*) FROM shared.outbox WHERE dead_at IS NOT NULL")
                .fetch_one(tx.connection()?)
                .await?
        }
    };
    let items = rows
        .into_iter()
        .map(|row| {
            let (event_id, id, slug, kind, aggregate_id, subject_id, payload, created_at, attempts, error, dead_at, _) =
                row;
            let tenant = TenantRef { slug: Slug::parse(&slug)?, id };
            let payload = payload.0;
            let event = Event { event_id, tenant, kind, aggregate_id, subject_id, payload, created_at, attempts };
            Ok(DeadLetter { event, error, dead_at })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Paged { items, total })
}

/// Has an event that was put aside tried again, with all attempts. Gives its tenant; [`Error::NotFound`] if no such event is
/// put aside.
pub async fn revive(tx: &mut PlatformTx, event_id: Uuid) -> Result<TenantRef> {
    let revived: Option<(Uuid, String)> = sqlx::query_as(
        "WITH revived AS (
             UPDATE shared.outbox SET dead_at = NULL, attempts = 0, not_before = now()
             WHERE event_id = $1 AND dead_at IS NOT NULL RETURNING tenant_role
         )
         SELECT t.tenant_id, t.slug FROM revived r JOIN shared.tenants t
             ON t.slug = replace(substr(r.tenant_role::text, 8), '_', '-') AND t.state <> 'purged',
             LATERAL pg_notify($2, '')",
    )
    .bind(event_id)
    .bind(Channel::Outbox.name())
    .fetch_optional(tx.connection()?)
    .await?;
    let (id, slug) = revived.ok_or(Error::NotFound("dead letter"))?;
    Ok(TenantRef { slug: Slug::parse(&slug)?, id })
}

/// Events that wait, by tenant, each counted up to `bound`; only tenants that have any.
pub async fn backlog(tx: &mut PlatformTx, bound: u32) -> Result<Vec<(Uuid, i64)>> {
    Ok(sqlx::query_as(
        "WITH RECURSIVE waiting AS (
             (SELECT o.tenant_role FROM shared.outbox o WHERE o.done_at IS NULL AND o.dead_at IS NULL
              ORDER BY o.tenant_role LIMIT 1)
             UNION ALL
             SELECT (SELECT o.tenant_role FROM shared.outbox o WHERE o.done_at IS NULL AND o.dead_at IS NULL
                     AND o.tenant_role > w.tenant_role ORDER BY o.tenant_role LIMIT 1)
             FROM waiting w WHERE w.tenant_role IS NOT NULL
         )
         SELECT t.tenant_id, (SELECT count(*) FROM (SELECT FROM shared.outbox o WHERE o.tenant_role = w.tenant_role
             AND o.done_at IS NULL AND o.dead_at IS NULL LIMIT $1) counted)
         FROM waiting w JOIN shared.tenants t
             ON t.slug = replace(substr(w.tenant_role::text, 8), '_', '-') AND t.state <> 'purged'",
    )
    .bind(i64::from(bound))
    .fetch_all(tx.connection()?)
    .await?)
}

/// Deletes events that were worked off more than a day ago, 10,000 at most.
pub async fn sweep(tx: &mut PlatformTx) -> Result<u64> {
    let swept = sqlx::query(
        "DELETE FROM shared.outbox WHERE event_id IN (SELECT event_id FROM shared.outbox
         WHERE done_at IS NOT NULL AND done_at < now() - interval '1 day' ORDER BY done_at LIMIT 10000)",
    )
    .execute(tx.connection()?)
    .await?;
    Ok(swept.rows_affected())
}
