//! Enrolment tokens: a secret that lets a bounded number of hosts become agents of one tenant.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::types::Json;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::names::{Slug, TenantRef};
use crate::tx::PlatformTx;

/// A token to store.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Whose.
    pub tenant_id: Uuid,
    /// SHA-256 of the token.
    pub token_hash: [u8; 32],
    /// What people read.
    pub name: String,
    /// Every agent that enrols with it gets these.
    pub labels: BTreeMap<String, String>,
    /// How many hosts at most; at least 1.
    pub max_uses: i32,
    /// No use after that.
    pub expires_at: DateTime<Utc>,
    /// Who made it.
    pub created_by: String,
}

/// A token as people see it; the secret is nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Token {
    /// Its id.
    pub token_id: Uuid,
    /// What people read.
    pub name: String,
    /// Every agent that enrols with it gets these.
    #[sqlx(json)]
    pub labels: BTreeMap<String, String>,
    /// How many hosts at most.
    pub max_uses: i32,
    /// How many so far.
    pub uses: i32,
    /// No use after that.
    pub expires_at: DateTime<Utc>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Who made it.
    pub created_by: String,
    /// When it was taken back.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// A token that was just used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumed {
    /// Its id.
    pub token_id: Uuid,
    /// Whose it is.
    pub tenant: TenantRef,
    /// Whether the tenant is served.
    pub is_served: bool,
    /// Labels for the agent.
    pub labels: BTreeMap<String, String>,
}

/// Stores a token.
pub async fn create(tx: &mut PlatformTx, new: &NewToken) -> Result<Token> {
    let NewToken { tenant_id, token_hash, name, labels, max_uses, expires_at, created_by } = new;
    if *max_uses < 1 {
        return Err(Error::Invalid("an enrolment token needs at least one use".to_owned()));
    }
    Ok(sqlx::query_as(
        "INSERT INTO shared.enrollment_tokens (token_id, tenant_id, token_hash, name, labels, max_uses, expires_at, created_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         RETURNING token_id, name, labels, max_uses, uses, expires_at, created_at, created_by, revoked_at",
    )
    .bind(Uuid::now_v7())
    .bind(tenant_id)
    .bind(token_hash.as_slice())
    .bind(name)
    .bind(Json(labels))
    .bind(max_uses)
    .bind(expires_at)
    .bind(created_by)
    .fetch_one(tx.connection()?)
    .await?)
}

/// Uses a token once (by its hash), atomically; none if it is unknown, used up, expired or revoked. It counts when the
/// transaction commits.
pub async fn consume(tx: &mut PlatformTx, token_hash: &[u8; 32]) -> Result<Option<Consumed>> {
    type Row = (Uuid, Uuid, String, String, Json<BTreeMap<String, String>>);
    let row: Option<Row> = sqlx::query_as(
        "UPDATE shared.enrollment_tokens e SET uses = uses + 1 FROM shared.tenants t
         WHERE e.token_hash = $1 AND e.uses < e.max_uses AND e.expires_at > now() AND e.revoked_at IS NULL
             AND t.tenant_id = e.tenant_id AND t.state <> 'purged'
         RETURNING e.token_id, e.tenant_id, t.slug, t.state, e.labels",
    )
    .bind(token_hash.as_slice())
    .fetch_optional(tx.connection()?)
    .await?;
    row.map(|(token_id, tenant_id, slug, state, labels)| {
        let state: crate::tenants::TenantState = state.parse()?;
        let tenant = TenantRef { slug: Slug::parse(&slug)?, id: tenant_id };
        Ok(Consumed { token_id, tenant, is_served: state.is_served(), labels: labels.0 })
    })
    .transpose()
}

/// A tenant's tokens, newest first, and how many there are in all.
pub async fn list(tx: &mut PlatformTx, tenant_id: Uuid, page: crate::Page) -> Result<crate::Paged<Token>> {
    let tokens = sqlx::query_as(
        "SELECT token_id, name, labels, max_uses, uses, expires_at, created_at, created_by, revoked_at
         FROM shared.enrollment_tokens WHERE tenant_id = $1 ORDER BY created_at DESC, token_id DESC LIMIT $2 OFFSET $3",
    )
    .bind(tenant_id)
    .bind(page.limit())
    .bind(page.offset())
    .fetch_all(tx.connection()?)
    .await?;
    let total = sqlx::query_scalar("SELECT count(*) FROM shared.enrollment_tokens WHERE tenant_id = $1")
        .bind(tenant_id)
        .fetch_one(tx.connection()?)
        .await?;
    Ok(crate::Paged { items: tokens, total })
}

/// Takes a tenant's token back; [`Error::NotFound`] if it is not that tenant's.
pub async fn revoke(tx: &mut PlatformTx, tenant_id: Uuid, token_id: Uuid) -> Result<()> {
    let done = sqlx::query(
        "UPDATE shared.enrollment_tokens SET revoked_at = COALESCE(revoked_at, now()) WHERE tenant_id = $1 AND token_id = $2",
    )
    .bind(tenant_id)
    .bind(token_id)
    .execute(tx.connection()?)
    .await?;
    if done.rows_affected() == 0 { Err(Error::NotFound("enrolment token")) } else { Ok(()) }
}

/// Takes back every token of a tenant; gives how many.
pub async fn revoke_tenant(tx: &mut impl crate::tx::SharedTx, tenant_id: Uuid) -> Result<u64> {
    let done = sqlx::query(
        "UPDATE shared.enrollment_tokens SET revoked_at = now() WHERE tenant_id = $1 AND revoked_at IS NULL",
    )
    .bind(tenant_id)
    .execute(tx.session().connection()?)
    .await?;
    Ok(done.rows_affected())
}
