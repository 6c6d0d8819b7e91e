//! `tenant_rollups`: one row a tenant for those who look at many. A worker takes the tenants that the outbox names,
//! measures each in its own schema and stores the row; nobody polls a thousand schemas.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{AssertSqlSafe, Row as _};
use std::time::Duration;
use uuid::Uuid;

use crate::error::Result;
use crate::names::{Slug, TenantRef};
use crate::pool::Db;
use crate::tx::{PlatformTx, SharedTx, TenantTx, Write};

/// A tenant in figures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Rollup {
    /// 0–100; none if nothing was assessed.
    pub score: Option<i16>,
    /// Sum of the weights of passed checks.
    pub passed_weight: i64,
    /// Sum of the weights of assessed checks.
    pub assessed_weight: i64,
    /// Checks by verdict, over all assets.
    pub checks_passed: i64,
    /// Checks that fail.
    pub checks_failed: i64,
    /// Checks without a subject.
    pub checks_not_applicable: i64,
    /// Checks that could not be decided.
    pub checks_error: i64,
    /// Open findings.
    pub open_critical: i64,
    /// Open findings.
    pub open_high: i64,
    /// Open findings.
    pub open_medium: i64,
    /// Open findings.
    pub open_low: i64,
    /// Assets known.
    pub assets: i64,
    /// Agents that are not revoked.
    pub agents: i64,
    /// Of these, heard of in the last [`crate::agents::SILENT_AFTER`].
    pub agents_online: i64,
    /// When the last result came in.
    pub last_result_at: Option<DateTime<Utc>>,
    /// 0–100; none if nothing ever looked at an asset.
    pub risk: Option<i16>,
    /// Loads of all assets, in millionths of a half (`analysis::risk::FleetSums`): what risks of several tenants add up by.
    pub risk_load: i64,
    /// Assets that something looked at.
    pub risk_assets: i64,
}

/// A rollup with its tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TenantRollup {
    /// Whose.
    pub tenant: TenantRef,
    /// The figures.
    pub rollup: Rollup,
    /// When they were measured.
    pub refreshed_at: DateTime<Utc>,
}

/// Measures the tenant of the transaction, from its kept scores, and writes today's row of its trend.
pub async fn measure(tx: &mut TenantTx<Write>) -> Result<Rollup> {
    let measured: Rollup = sqlx::query_as(AssertSqlSafe(format!("WITH k AS ({SUMS}) {MEASURED}")))
        .bind(crate::agents::SILENT_AFTER.as_secs_f64())
        .fetch_one(tx.connection()?)
        .await?;
    record(tx, measured).await
}

/// Rates what [`MEASURED`] gave, and writes today's row of the tenant's trend.
pub(crate) async fn record(tx: &mut TenantTx<Write>, mut rollup: Rollup) -> Result<Rollup> {
    let tenant_id = tx.tenant().id;
    rollup.score = analysis::score::of_weights(rollup.passed_weight, rollup.assessed_weight).map(i16::from);
    let sums = analysis::risk::FleetSums { load: rollup.risk_load, assets: rollup.risk_assets };
    rollup.risk = sums.risk().map(i16::from);
    sqlx::query(
        "INSERT INTO score_days AS d (scope, scope_id, day, score, passed_weight, assessed_weight, risk)
         VALUES ('tenant', $1, (now() AT TIME ZONE 'UTC')::date, $2, $3, $4, $5)
         ON CONFLICT (scope, scope_id, day) DO UPDATE SET score = excluded.score, passed_weight = excluded.passed_weight,
             assessed_weight = excluded.assessed_weight, risk = excluded.risk
         WHERE (d.passed_weight, d.assessed_weight, d.risk)
             IS DISTINCT FROM (excluded.passed_weight, excluded.assessed_weight, excluded.risk)",
    )
    .bind(tenant_id)
    .bind(rollup.score)
    .bind(rollup.passed_weight)
    .bind(rollup.assessed_weight)
    .bind(rollup.risk)
    .execute(tx.connection()?)
    .await?;
    Ok(rollup)
}

/// Measures a tenant and stores its figures, in two transactions: one as the tenant, one as the platform.
pub async fn refresh(db: &Db, tenant: &TenantRef) -> Result<Rollup> {
    let mut tx = db.tenant::<Write>(tenant).await?;
    let rollup = measure(&mut tx).await?;
    tx.commit().await?;
    let mut tx = db.platform().await?;
    store(&mut tx, tenant.id, &rollup).await?;
    tx.commit().await?;
    Ok(rollup)
}

/// What the kept scores of all assets come to: one pass over them.
pub(crate) const SUMS: &str = "SELECT COALESCE(sum(passed_weight), 0)::bigint AS passed_weight,
    COALESCE(sum(assessed_weight), 0)::bigint AS assessed_weight, COALESCE(sum(passed), 0)::bigint AS passed,
    COALESCE(sum(failed), 0)::bigint AS failed, COALESCE(sum(not_applicable), 0)::bigint AS not_applicable,
    COALESCE(sum(error), 0)::bigint AS error, COALESCE(sum(waived), 0)::bigint AS waived,
    COALESCE(sum(waived_weight), 0)::bigint AS waived_weight, COALESCE(sum(open_critical), 0)::bigint AS open_critical,
    COALESCE(sum(open_high), 0)::bigint AS open_high, COALESCE(sum(open_medium), 0)::bigint AS open_medium,
    COALESCE(sum(open_low), 0)::bigint AS open_low, COALESCE(sum(load), 0)::bigint AS load, count(*) AS looked_at
    FROM asset_scores";

/// A [`Rollup`] from [`SUMS`] under the name `k`, without score and risk; `$1` is [`crate::agents::SILENT_AFTER`] in seconds.
pub(crate) const MEASURED: &str = "SELECT NULL::smallint AS score, k.passed_weight, k.assessed_weight, k.passed AS checks_passed,
    k.failed AS checks_failed, k.not_applicable AS checks_not_applicable, k.error AS checks_error,
    k.open_critical, k.open_high, k.open_medium, k.open_low, (SELECT count(*) FROM assets) AS assets,
    (SELECT count(*) FROM agents WHERE state = 'active') AS agents,
    (SELECT count(*) FROM agents WHERE state = 'active' AND last_seen_at > now() - make_interval(secs => $1)) AS agents_online,
    (SELECT max(received_at) FROM runs) AS last_result_at,
    NULL::smallint AS risk, k.load AS risk_load, k.looked_at AS risk_assets
    FROM k";

/// Stores a tenant's figures. Writes nothing but the time if they are the same.
pub async fn store(tx: &mut PlatformTx, tenant_id: Uuid, rollup: &Rollup) -> Result<()> {
    sqlx::query(
        "INSERT INTO shared.tenant_rollups (tenant_id, score, passed_weight, assessed_weight, checks_passed, checks_failed,
             checks_not_applicable, checks_error, open_critical, open_high, open_medium, open_low, assets, agents,
             agents_online, last_result_at, risk, risk_load, risk_assets, refreshed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, now())
         ON CONFLICT (tenant_id) DO UPDATE SET score = excluded.score, passed_weight = excluded.passed_weight,
             assessed_weight = excluded.assessed_weight, checks_passed = excluded.checks_passed,
             checks_failed = excluded.checks_failed, checks_not_applicable = excluded.checks_not_applicable,
             checks_error = excluded.checks_error, open_critical = excluded.open_critical, open_high = excluded.open_high,
             open_medium = excluded.open_medium, open_low = excluded.open_low, assets = excluded.assets,
             agents = excluded.agents, agents_online = excluded.agents_online, last_result_at = excluded.last_result_at,
             risk = excluded.risk, risk_load = excluded.risk_load, risk_assets = excluded.risk_assets,
             refreshed_at = excluded.refreshed_at",
    )
    .bind(tenant_id)
    .bind(rollup.score)
    .bind(rollup.passed_weight)
    .bind(rollup.assessed_weight)
    .bind(rollup.checks_passed)
    .bind(rollup.checks_failed)
    .bind(rollup.checks_not_applicable)
    .bind(rollup.checks_error)
    .bind(rollup.open_critical)
    .bind(rollup.open_high)
    .bind(rollup.open_medium)
    .bind(rollup.open_low)
    .bind(rollup.assets)
    .bind(rollup.agents)
    .bind(rollup.agents_online)
    .bind(rollup.last_result_at)
    .bind(rollup.risk)
    .bind(rollup.risk_load)
    .bind(rollup.risk_assets)
    .execute(tx.connection()?)
    .await?;
    Ok(())
}

macro_rules! select_rollup {
    ($condition:literal) => {
        concat!(
            "SELECT t.slug, r.tenant_id, r.refreshed_at, r.score, r.passed_weight, r.assessed_weight, r.checks_passed, ",
            "r.checks_failed, r.checks_not_applicable, r.checks_error, r.open_critical, r.open_high, r.open_medium, ",
            "r.open_low, r.assets, r.agents, r.agents_online, r.last_result_at, r.risk, r.risk_load, r.risk_assets ",
            "FROM shared.tenant_rollups r JOIN shared.tenants t USING (tenant_id) ",
            $condition
        )
    };
}

/// A tenant's figures; none before the first were measured.
pub async fn get(tx: &mut impl SharedTx, tenant_id: Uuid) -> Result<Option<TenantRollup>> {
    let row = sqlx::query(select_rollup!("WHERE r.tenant_id = $1"))
        .bind(tenant_id)
        .fetch_optional(tx.session().connection()?)
        .await?;
    row.as_ref().map(tenant_rollup).transpose()
}

/// Every tenant's figures, by slug; purged tenants are left out.
pub async fn list(tx: &mut impl SharedTx) -> Result<Vec<TenantRollup>> {
    let rows = sqlx::query(select_rollup!("WHERE t.state <> 'purged' ORDER BY t.slug"))
        .fetch_all(tx.session().connection()?)
        .await?;
    rows.iter().map(tenant_rollup).collect()
}

fn tenant_rollup(row: &sqlx::postgres::PgRow) -> Result<TenantRollup> {
    let slug: String = row.try_get("slug")?;
    Ok(TenantRollup {
        tenant: TenantRef { slug: Slug::parse(&slug)?, id: row.try_get("tenant_id")? },
        rollup: sqlx::FromRow::from_row(row)?,
        refreshed_at: row.try_get("refreshed_at")?,
    })
}

/// Served tenants whose figures are older than `age` (an agent falls silent without any event), or where a waiver has begun or
/// ended since, the oldest first.
pub async fn stale(tx: &mut PlatformTx, age: Duration, max: u32) -> Result<Vec<TenantRef>> {
    let rows: Vec<(String, Uuid)> = sqlx::query_as(
        "SELECT t.slug, t.tenant_id FROM shared.tenants t JOIN shared.tenant_rollups r USING (tenant_id)
         WHERE t.state IN ('active', 'suspended') AND (r.refreshed_at < now() - make_interval(secs => $1) OR r.due_at <= now())
         ORDER BY r.refreshed_at LIMIT $2",
    )
    .bind(age.as_secs_f64())
    .bind(i64::from(max))
    .fetch_all(tx.connection()?)
    .await?;
    rows.into_iter().map(|(slug, id)| Ok(TenantRef { slug: Slug::parse(&slug)?, id })).collect()
}
