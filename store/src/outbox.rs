//! Events that a transaction leaves behind for workers: written with what they tell of, read once it is committed, marked
//! done and never skipped by a cursor.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::error::Result;
use crate::names::{Slug, TenantRef};
use crate::notify::Channel;
use crate::tx::{PlatformTx, TenantTx, Write};

/// An event to leave. It holds identifiers and counts, not customer data.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// What happened, such as `run.ingested`.
    pub kind: String,
    /// What it is about.
    pub subject_id: Option<Uuid>,
    /// More.
    pub payload: Value,
}

/// An event that waits.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its id.
    pub event_id: Uuid,
    /// The tenant that left it.
    pub tenant: TenantRef,
    /// What happened.
    pub kind: String,
    /// What it is about.
    pub subject_id: Option<Uuid>,
    /// More.
    pub payload: Value,
    /// When.
    pub created_at: DateTime<Utc>,
    /// How often it was taken before.
    pub attempts: i32,
}

/// Leaves events, in one statement, and wakes the workers at the commit.
pub async fn append(tx: &mut TenantTx<Write>, events: &[NewEvent]) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = events.iter().map(|_| Uuid::now_v7()).collect();
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    let subjects: Vec<Option<Uuid>> = events.iter().map(|event| event.subject_id).collect();
    let payloads: Vec<Json<&Value>> = events.iter().map(|event| Json(&event.payload)).collect();
    sqlx::query(
        "WITH added AS (INSERT INTO shared.outbox (event_id, kind, subject_id, payload)
             SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::jsonb[]))
         SELECT pg_notify($5, '')",
    )
    .bind(ids)
    .bind(kinds)
    .bind(subjects)
    .bind(payloads)
    .bind(Channel::Outbox.name())
    .execute(tx.connection()?)
    .await?;
    Ok(())
}

/// Takes up to `max` waiting events, oldest first. They stay this transaction's until it ends: mark them with [`done`] or
/// [`retry`] and commit.
pub async fn claim(tx: &mut PlatformTx, max: u32) -> Result<Vec<Event>> {
    type Row = (Uuid, Uuid, String, String, Option<Uuid>, Json<Value>, DateTime<Utc>, i32);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT o.event_id, t.tenant_id, t.slug, o.kind, o.subject_id, o.payload, o.created_at, o.attempts
         FROM shared.outbox o JOIN shared.tenants t
             ON t.slug = replace(substr(o.tenant_role::text, 8), '_', '-') AND t.state <> 'purged'
         WHERE o.done_at IS NULL AND o.not_before <= now() ORDER BY o.created_at, o.event_id LIMIT $1
         FOR UPDATE OF o SKIP LOCKED",
    )
    .bind(i64::from(max))
    .fetch_all(tx.connection()?)
    .await?;
    rows.into_iter()
        .map(|(event_id, tenant_id, slug, kind, subject_id, payload, created_at, attempts)| {
            let tenant = TenantRef { slug: Slug::parse(&slug)?, id: tenant_id };
            Ok(Event { event_id, tenant, kind, subject_id, payload: payload.0, created_at, attempts })
        })
        .collect()
}

/// Marks events as worked off.
pub async fn done(tx: &mut PlatformTx, event_ids: &[Uuid]) -> Result<()> {
    sqlx::query("UPDATE shared.outbox SET done_at = now() WHERE event_id = ANY($1)")
        .bind(event_ids)
        .execute(tx.connection()?)
        .await?;
    Ok(())
}

/// Puts events back, later each time.
pub async fn retry(tx: &mut PlatformTx, event_ids: &[Uuid], error: &str) -> Result<()> {
    sqlx::query(
        "UPDATE shared.outbox SET attempts = attempts + 1, last_error = left($2, 500),
             not_before = now() + interval '1 second' * power(2, LEAST(attempts, 9)) WHERE event_id = ANY($1)",
    )
    .bind(event_ids)
    .bind(error)
    .execute(tx.connection()?)
    .await?;
    Ok(())
}

/// Deletes events that were worked off more than a day ago, 10,000 at most.
pub async fn sweep(tx: &mut PlatformTx) -> Result<u64> {
    let swept = sqlx::query(
        "DELETE FROM shared.outbox WHERE event_id IN (SELECT event_id FROM shared.outbox
         WHERE done_at IS NOT NULL AND created_at < now() - interval '1 day' ORDER BY created_at LIMIT 10000)",
    )
    .execute(tx.connection()?)
    .await?;
    Ok(swept.rows_affected())
}
