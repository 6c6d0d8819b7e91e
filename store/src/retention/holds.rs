//! Legal holds: while a tenant has one that is not lifted, retention deletes nothing of it, and no purge of it begins.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::names::TenantRef;
use crate::page::{Page, Paged};
use crate::tenants::PURGING;
use crate::tx::PlatformTx;

/// Holds of a tenant that are not lifted, at most.
const MOST: i64 = 100;

/// A legal hold.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Hold {
    /// Its id.
    pub hold_id: Uuid,
    /// Why it was placed.
    pub reason: String,
    /// Who placed it.
    pub placed_by: String,
    /// When.
    pub placed_at: DateTime<Utc>,
    /// Who lifted it.
    pub lifted_by: Option<String>,
    /// When; none while it holds.
    pub lifted_at: Option<DateTime<Utc>>,
}

/// Places a hold. Waits for a batch that is being deleted; after the commit, none begins, and no purge. One that has begun is not
/// held any more ([`Error::BeingPurged`]).
pub async fn place(tx: &mut PlatformTx, tenant: &TenantRef, reason: &str, by: &str) -> Result<Hold> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('retention ' || $1::text, 0))")
        .bind(tenant.id)
        .execute(tx.connection()?)
        .await?;
    // A statement of its own: its snapshot is younger than the lock.
    let is_being_purged: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM shared.tenants t
             WHERE t.tenant_id = $1 AND (t.state = 'purged' OR (t.state = 'offboarded' AND t.step = $2)))",
    )
    .bind(tenant.id)
    .bind(PURGING)
    .fetch_one(tx.connection()?)
    .await?;
    if is_being_purged {
        return Err(Error::BeingPurged);
    }
    let placed: Option<Hold> = sqlx::query_as(
        "INSERT INTO shared.legal_holds (hold_id, tenant_id, tenant_role, reason, placed_by)
         SELECT $1, $2, $3::name, $4, $5
         WHERE (SELECT count(*) FROM shared.legal_holds h WHERE h.tenant_id = $2 AND h.lifted_at IS NULL) < $6
         RETURNING hold_id, reason, placed_by, placed_at, lifted_by, lifted_at",
    )
    .bind(Uuid::now_v7())
    .bind(tenant.id)
    .bind(tenant.schema().as_str())
    .bind(reason)
    .bind(by)
    .bind(MOST)
    .fetch_optional(tx.connection()?)
    .await?;
    placed.ok_or_else(|| Error::Invalid(format!("the tenant has {MOST} legal holds; lift one that is not needed")))
}

/// Lifts a hold of the tenant; none if there is none of that id that still holds.
pub async fn lift(tx: &mut PlatformTx, tenant_id: Uuid, hold_id: Uuid, by: &str) -> Result<Option<Hold>> {
    Ok(sqlx::query_as(
        "UPDATE shared.legal_holds SET lifted_by = $3, lifted_at = now()
         WHERE tenant_id = $1 AND hold_id = $2 AND lifted_at IS NULL
         RETURNING hold_id, reason, placed_by, placed_at, lifted_by, lifted_at",
    )
    .bind(tenant_id)
    .bind(hold_id)
    .bind(by)
    .fetch_optional(tx.connection()?)
    .await?)
}

/// Whether a hold stops the tenant's retention and purge.
pub async fn is_held(tx: &mut PlatformTx, tenant_id: Uuid) -> Result<bool> {
    Ok(sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM shared.legal_holds h WHERE h.tenant_id = $1 AND h.lifted_at IS NULL)",
    )
    .bind(tenant_id)
    .fetch_one(tx.connection()?)
    .await?)
}

/// The tenant's holds, those that hold first, then the newest.
pub async fn list(tx: &mut PlatformTx, tenant_id: Uuid, page: Page) -> Result<Paged<Hold>> {
    let total = sqlx::query_scalar("SELECT count(*) FROM shared.legal_holds WHERE tenant_id = $1")
        .bind(tenant_id)
        .fetch_one(tx.connection()?)
        .await?;
    let items = sqlx::query_as(
        "SELECT hold_id, reason, placed_by, placed_at, lifted_by, lifted_at FROM shared.legal_holds
         WHERE tenant_id = $1 ORDER BY lifted_at IS NOT NULL, placed_at DESC, hold_id LIMIT $2 OFFSET $3",
    )
    .bind(tenant_id)
    .bind(page.limit())
    .bind(page.offset())
    .fetch_all(tx.connection()?)
    .await?;
    Ok(Paged { items, total })
}
