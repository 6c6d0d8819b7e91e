//! Runs of retention: which tenant's day is over, one replica at a time for each, and the row that says what was done.

use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::names::{Slug, TenantRef};
use crate::page::{Page, Paged};
use crate::retention::{Extent, Table};
use crate::tx::PlatformTx;

/// A run that was not heard of for so long has ended with its program.
pub const ABANDONED_AFTER: Duration = Duration::from_mins(15);

/// What a run did with one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The table.
    pub table: Table,
    /// What is older goes.
    pub before: DateTime<Utc>,
    /// What was to go when the run began.
    pub planned: Extent,
    /// Rows that were deleted.
    pub deleted_rows: u64,
    /// Objects that were written to the archive for it.
    pub archived_objects: u64,
    /// Why not all of it went.
    pub problem: Option<String>,
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// At work.
    Running,
    /// All that was planned is done; in a dry run, nothing was to be.
    Done,
    /// The time of a run was over before its work was; the next one goes on.
    Partial,
    /// A legal hold stopped it.
    Held,
    /// Something did not go; the next run tries again.
    Failed,
}

impl RunState {
    /// The name as it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Partial => "partial",
            Self::Held => "held",
            Self::Failed => "failed",
        }
    }
}

impl FromStr for RunState {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Self::Running, Self::Done, Self::Partial, Self::Held, Self::Failed]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| Error::Invalid(format!("'{text}' is no state of a retention run")))
    }
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionRun {
    /// Its id.
    pub run_id: Uuid,
    /// Whether it only looked.
    pub is_dry_run: bool,
    /// How it stands.
    pub state: RunState,
    /// By table, in the order of the work.
    pub parts: Vec<Part>,
    /// Rows that were deleted, over all tables.
    pub deleted_rows: i64,
    /// Why it failed.
    pub problem: Option<String>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

#[derive(sqlx::FromRow)]
struct Stored {
    run_id: Uuid,
    is_dry_run: bool,
    state: String,
    parts: Json<Vec<Part>>,
    deleted_rows: i64,
    problem: Option<String>,
    started_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

impl TryFrom<Stored> for RetentionRun {
    type Error = Error;

    fn try_from(row: Stored) -> Result<Self> {
        let Stored { run_id, is_dry_run, state, parts, deleted_rows, problem, started_at, finished_at } = row;
        let (state, parts) = (state.parse()?, parts.0);
        Ok(Self { run_id, is_dry_run, state, parts, deleted_rows, problem, started_at, finished_at })
    }
}

/// A run of the tenant `$1` or `t.tenant_id` that makes another one wait: one at work, one of the last hour, and one of the last
/// day that came to its end.
macro_rules! recent {
    ($tenant:literal, $abandoned:literal) => {
        concat!(
            "SELECT FROM shared.retention_runs r WHERE r.tenant_id = ",
            $tenant,
            " AND ((r.state = 'running' AND r.renewed_at > now() - make_interval(secs => ",
            $abandoned,
            ")) OR (r.state <> 'running' AND r.started_at > now() - interval '1 hour')
              OR (r.state IN ('done', 'held') AND r.started_at > now() - interval '24 hours'))"
        )
    };
}

/// Active tenants whose last run is a day ago, or failed an hour ago; those that waited longest first. One that has no schema
/// yet has nothing to lose.
pub async fn due(tx: &mut PlatformTx, most: u32) -> Result<Vec<TenantRef>> {
    let rows: Vec<(String, Uuid)> = sqlx::query_as(concat!(
        "SELECT t.slug, t.tenant_id FROM shared.tenants t
         LEFT JOIN LATERAL (SELECT max(l.started_at) AS started_at FROM shared.retention_runs l WHERE l.tenant_id = t.tenant_id) newest ON true
         WHERE t.state = 'active' AND to_regnamespace('tenant_' || replace(t.slug, '-', '_')) IS NOT NULL AND NOT EXISTS (",
        recent!("t.tenant_id", "$1"),
        ") ORDER BY newest.started_at NULLS FIRST, t.slug LIMIT $2"
    ))
    .bind(ABANDONED_AFTER.as_secs_f64())
    .bind(i64::from(most))
    .fetch_all(tx.connection()?)
    .await?;
    rows.into_iter().map(|(slug, id)| Ok(TenantRef { slug: Slug::parse(&slug)?, id })).collect()
}

/// Begins a run of a tenant that is due; none if another replica was first. A run that was abandoned becomes a failed one.
/// Rows of runs that deleted nothing go after 90 days, all others after seven years.
pub async fn begin(tx: &mut PlatformTx, tenant_id: Uuid, is_dry_run: bool) -> Result<Option<Uuid>> {
    sqlx::query(
        "UPDATE shared.retention_runs SET state = 'failed', finished_at = now(), problem = 'the program ended while it ran'
         WHERE tenant_id = $1 AND state = 'running' AND renewed_at < now() - make_interval(secs => $2)",
    )
    .bind(tenant_id)
    .bind(ABANDONED_AFTER.as_secs_f64())
    .execute(tx.connection()?)
    .await?;
    sqlx::query(
        "DELETE FROM shared.retention_runs WHERE tenant_id = $1 AND state <> 'running' AND started_at < now() - interval '90 days'
             AND (deleted_rows = 0 OR started_at < now() - interval '2555 days')",
    )
    .bind(tenant_id)
    .execute(tx.connection()?)
    .await?;
    Ok(sqlx::query_scalar(concat!(
        "INSERT INTO shared.retention_runs (run_id, tenant_id, is_dry_run) SELECT $3, $1, $4 WHERE NOT EXISTS (",
        recent!("$1", "$2"),
        ") ON CONFLICT (tenant_id) WHERE state = 'running' DO NOTHING RETURNING run_id"
    ))
    .bind(tenant_id)
    .bind(ABANDONED_AFTER.as_secs_f64())
    .bind(Uuid::now_v7())
    .bind(is_dry_run)
    .fetch_optional(tx.connection()?)
    .await?)
}

/// Writes how far a run has come, and that it lives; false where somebody took it for abandoned, and it has to end.
pub async fn renew(tx: &mut PlatformTx, run_id: Uuid, parts: &[Part]) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE shared.retention_runs SET renewed_at = now(), parts = $2, deleted_rows = $3 WHERE run_id = $1 AND state = 'running'",
    )
    .bind(run_id)
    .bind(Json(parts))
    .bind(deleted(parts))
    .execute(tx.connection()?)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Ends a run.
pub async fn finish(
    tx: &mut PlatformTx,
    run_id: Uuid,
    state: RunState,
    parts: &[Part],
    problem: Option<&str>,
) -> Result<()> {
    sqlx::query(
        "UPDATE shared.retention_runs SET state = $2, parts = $3, deleted_rows = $4, problem = $5, renewed_at = now(), finished_at = now()
         WHERE run_id = $1",
    )
    .bind(run_id)
    .bind(state.as_str())
    .bind(Json(parts))
    .bind(deleted(parts))
    .bind(problem)
    .execute(tx.connection()?)
    .await?;
    Ok(())
}

fn deleted(parts: &[Part]) -> i64 {
    i64::try_from(parts.iter().map(|part| part.deleted_rows).sum::<u64>()).unwrap_or(i64::MAX)
}

/// The tenant's runs, newest first.
pub async fn list(tx: &mut PlatformTx, tenant_id: Uuid, page: Page) -> Result<Paged<RetentionRun>> {
    let total = sqlx::query_scalar("SELECT count(*) FROM shared.retention_runs WHERE tenant_id = $1")
        .bind(tenant_id)
        .fetch_one(tx.connection()?)
        .await?;
    let rows: Vec<Stored> = sqlx::query_as(
        "SELECT run_id, is_dry_run, state, parts, deleted_rows, problem, started_at, finished_at FROM shared.retention_runs
         WHERE tenant_id = $1 ORDER BY started_at DESC, run_id LIMIT $2 OFFSET $3",
    )
    .bind(tenant_id)
    .bind(page.limit())
    .bind(page.offset())
    .fetch_all(tx.connection()?)
    .await?;
    let items = rows.into_iter().map(TryInto::try_into).collect::<Result<_>>()?;
    Ok(Paged { items, total })
}
