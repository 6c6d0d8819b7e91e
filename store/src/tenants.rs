//! `shared.tenants`: who a tenant is, and how far its offboarding has come. The UUID here is the truth; the status of the
//! custom resource is a copy.

use std::collections::BTreeMap;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use uuid::Uuid;

use crate::error::{Error, Result, is_duplicate};
use crate::names::{Slug, TenantRef};
use crate::tx::{OwnerTx, SharedTx};

/// Where a tenant is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TenantState {
    /// In use.
    Active,
    /// Sign-ins, keys and agents are refused; data stays.
    Suspended,
    /// The steps of offboarding are under way.
    Offboarding,
    /// Offboarded with the policy Retain: the data is kept until somebody decides.
    Retained,
    /// Offboarded; the purge waits for its time and approvals.
    Offboarded,
    /// Nothing is left but this row.
    Purged,
}

impl TenantState {
    /// The name as it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Offboarding => "offboarding",
            Self::Retained => "retained",
            Self::Offboarded => "offboarded",
            Self::Purged => "purged",
        }
    }

    /// Whether agents, people and keys of the tenant may do anything.
    pub const fn is_served(self) -> bool {
        matches!(self, Self::Active)
    }

    /// Whether the tenant's schema can exist.
    pub const fn has_data(self) -> bool {
        !matches!(self, Self::Purged)
    }
}

impl FromStr for TenantState {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        [Self::Active, Self::Suspended, Self::Offboarding, Self::Retained, Self::Offboarded, Self::Purged]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| Error::Invalid(format!("'{text}' is no state of a tenant")))
    }
}

/// An approval of a purge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who approved.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// A row of `shared.tenants`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TenantRow {
    /// Slug and UUID.
    pub tenant: TenantRef,
    /// Where it is in its life.
    pub state: TenantState,
    /// The step of offboarding that was last finished; empty outside of it.
    pub step: String,
    /// When the purge may run.
    pub purge_after: Option<DateTime<Utc>>,
    /// Approvals of the purge: `ciso`, `compliance` to who and when.
    pub approvals: BTreeMap<String, Approval>,
    /// When the row was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct Stored {
    tenant_id: Uuid,
    slug: String,
    state: String,
    step: String,
    purge_after: Option<DateTime<Utc>>,
    approvals: Json<BTreeMap<String, Approval>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl TryFrom<Stored> for TenantRow {
    type Error = Error;
    fn try_from(row: Stored) -> Result<Self> {
        let Stored { tenant_id, slug, state, step, purge_after, approvals, created_at, updated_at } = row;
        Ok(Self {
            tenant: TenantRef { slug: Slug::parse(&slug)?, id: tenant_id },
            state: state.parse()?,
            step,
            purge_after,
            approvals: approvals.0,
            created_at,
            updated_at,
        })
    }
}

macro_rules! concat_select {
    ($condition:literal) => {
        concat!(
            "SELECT tenant_id, slug, state, step, purge_after, approvals, created_at, updated_at FROM shared.tenants ",
            $condition
        )
    };
}

/// The row of `slug`, made if there is none. The caller decides what a row that is not active means; see
/// [`TenantRow::adoptable`].
pub async fn ensure(tx: &mut impl SharedTx, slug: &Slug) -> Result<TenantRow> {
    if let Some(row) = by_slug(tx, slug).await? {
        return Ok(row);
    }
    sqlx::query(
        "INSERT INTO shared.tenants (tenant_id, slug) VALUES ($1, $2) ON CONFLICT (slug) WHERE state <> 'purged' DO NOTHING",
    )
    .bind(Uuid::now_v7())
    .bind(slug.as_str())
    .execute(tx.session().connection()?)
    .await?;
    by_slug(tx, slug).await?.ok_or_else(|| Error::UnknownTenant(slug.to_string()))
}

impl TenantRow {
    /// Whether its purge has begun, and cannot be called back.
    pub fn is_being_purged(&self) -> bool {
        self.state == TenantState::Offboarded && self.step == PURGING
    }

    /// Whether a manifest may take this row: it is active or suspended, or the manifest names its UUID
    /// (`tenantra.io/adopt`). Else [`Error::SlugRetained`].
    pub fn adoptable(&self, adopt: Option<Uuid>) -> Result<()> {
        if self.is_being_purged() {
            return Err(Error::BeingPurged);
        }
        let is_free = matches!(self.state, TenantState::Active | TenantState::Suspended | TenantState::Offboarding);
        if is_free || adopt == Some(self.tenant.id) {
            return Ok(());
        }
        Err(Error::SlugRetained { slug: self.tenant.slug.to_string() })
    }
}

/// The row of a slug that is not purged.
pub async fn by_slug(tx: &mut impl SharedTx, slug: &Slug) -> Result<Option<TenantRow>> {
    let row: Option<Stored> = sqlx::query_as(concat_select!("WHERE slug = $1 AND state <> 'purged'"))
        .bind(slug.as_str())
        .fetch_optional(tx.session().connection()?)
        .await?;
    row.map(TryInto::try_into).transpose()
}

/// The row of a UUID, purged ones too.
pub async fn by_id(tx: &mut impl SharedTx, tenant_id: Uuid) -> Result<Option<TenantRow>> {
    let row: Option<Stored> = sqlx::query_as(concat_select!("WHERE tenant_id = $1"))
        .bind(tenant_id)
        .fetch_optional(tx.session().connection()?)
        .await?;
    row.map(TryInto::try_into).transpose()
}

/// Every row that is not purged, by slug.
pub async fn list(tx: &mut impl SharedTx) -> Result<Vec<TenantRow>> {
    let rows: Vec<Stored> = sqlx::query_as(concat_select!("WHERE state <> 'purged' ORDER BY slug"))
        .fetch_all(tx.session().connection()?)
        .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Rows whose purge is due. One with a legal hold that is not lifted waits.
pub async fn due_for_purge(tx: &mut OwnerTx) -> Result<Vec<TenantRow>> {
    let rows: Vec<Stored> = sqlx::query_as(concat_select!(
        "WHERE state = 'offboarded' AND purge_after <= now() AND NOT EXISTS (SELECT FROM shared.legal_holds h
             WHERE h.tenant_id = tenants.tenant_id AND h.lifted_at IS NULL)
         ORDER BY purge_after"
    ))
    .fetch_all(tx.connection()?)
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// What a change of a tenant's life sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The new state.
    pub state: TenantState,
    /// The step that was just finished; empty outside of offboarding.
    pub step: String,
    /// When the purge may run.
    pub purge_after: Option<DateTime<Utc>>,
}

/// What a purge that has begun leaves in `step`: from then on nobody continues the tenant.
pub const PURGING: &str = "purging";

/// Records where a tenant is. Writes nothing if it is there already; gives whether it wrote.
///
/// A tenant that is active again has no approvals of a purge: the next one is asked for anew. One whose purge has begun
/// is not changed any more ([`Error::BeingPurged`]).
pub async fn set_progress(tx: &mut impl SharedTx, tenant_id: Uuid, progress: &Progress) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE shared.tenants SET state = $2, step = $3, purge_after = $4, updated_at = now(),
             approvals = CASE WHEN $2 = 'active' THEN '{}' ELSE approvals END
         WHERE tenant_id = $1 AND state <> 'purged' AND NOT (state = 'offboarded' AND step = $5)
             AND ((state, step, purge_after) IS DISTINCT FROM ($2, $3, $4) OR ($2 = 'active' AND approvals <> '{}'))",
    )
    .bind(tenant_id)
    .bind(progress.state.as_str())
    .bind(&progress.step)
    .bind(progress.purge_after)
    .bind(PURGING)
    .execute(tx.session().connection()?)
    .await?;
    if done.rows_affected() == 0 && by_id(tx, tenant_id).await?.is_some_and(|row| row.is_being_purged()) {
        return Err(Error::BeingPurged);
    }
    Ok(done.rows_affected() > 0)
}

/// Records an approval of the purge by `role` (`ciso`, `compliance`); the first one of a role stays. Gives whether it wrote.
pub async fn approve(tx: &mut impl SharedTx, tenant_id: Uuid, role: &str, by: &str) -> Result<bool> {
    let approval = Json(BTreeMap::from([(role, Approval { by: by.to_owned(), at: Utc::now() })]));
    let done = sqlx::query(
        "UPDATE shared.tenants SET approvals = approvals || $3, updated_at = now()
         WHERE tenant_id = $1 AND state <> 'purged' AND NOT approvals ? $2",
    )
    .bind(tenant_id)
    .bind(role)
    .bind(approval)
    .execute(tx.session().connection()?)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Begins the purge of a tenant, if it is still offboarded and due and no legal hold stops it; gives its row as it is then. Once
/// that is committed, no manifest can take the tenant up, so what follows removes nobody's data who came back, and no hold can be
/// placed.
pub async fn begin_purge(tx: &mut OwnerTx, tenant_id: Uuid) -> Result<Option<TenantRow>> {
    // Whoever places a hold takes this lock alone; the statement behind it sees a hold that was placed meanwhile.
    sqlx::query("SELECT pg_advisory_xact_lock_shared(hashtextextended('retention ' || $1::text, 0))")
        .bind(tenant_id)
        .execute(tx.connection()?)
        .await?;
    let row: Option<Stored> = sqlx::query_as(concat_select!(
        "WHERE tenant_id = $1 AND state = 'offboarded' AND purge_after <= now() AND NOT EXISTS (
             SELECT FROM shared.legal_holds h WHERE h.tenant_id = tenants.tenant_id AND h.lifted_at IS NULL)
         FOR UPDATE"
    ))
    .bind(tenant_id)
    .fetch_optional(tx.connection()?)
    .await?;
    if row.is_some() {
        sqlx::query("UPDATE shared.tenants SET step = $2 WHERE tenant_id = $1 AND step <> $2")
            .bind(tenant_id)
            .bind(PURGING)
            .execute(tx.connection()?)
            .await?;
    }
    row.map(TryInto::try_into).transpose()
}

/// Takes a tenant's domain; [`Error::Exists`] if another tenant has it.
pub async fn set_domain(tx: &mut OwnerTx, tenant_id: Uuid, domain: Option<&str>) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE shared.tenants SET domain = $2, updated_at = now() WHERE tenant_id = $1 AND domain IS DISTINCT FROM $2",
    )
    .bind(tenant_id)
    .bind(domain)
    .execute(tx.connection()?)
    .await
    .map_err(|e| {
        if is_duplicate(&e, "tenants_domain_key") { Error::Exists("a tenant with that domain") } else { e.into() }
    })?;
    Ok(done.rows_affected() > 0)
}

/// Removes what `shared` holds of a tenant (memberships, credentials, tokens, rollup) and marks it purged, which frees
/// the slug.
pub async fn purge(tx: &mut OwnerTx, tenant_id: Uuid) -> Result<()> {
    sqlx::query(
        "WITH a AS (DELETE FROM shared.memberships WHERE tenant_id = $1),
              b AS (DELETE FROM shared.agent_credentials WHERE tenant_id = $1),
              c AS (DELETE FROM shared.enrollment_tokens WHERE tenant_id = $1),
              d AS (DELETE FROM shared.tenant_rollups WHERE tenant_id = $1)
         UPDATE shared.tenants SET state = 'purged', step = 'purged', domain = NULL, updated_at = now()
         WHERE tenant_id = $1 AND state <> 'purged'",
    )
    .bind(tenant_id)
    .execute(tx.connection()?)
    .await?;
    Ok(())
}
