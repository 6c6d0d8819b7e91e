//! Runs: what was executed where and how it ended. A run that changed nothing is one small row, and nearly all are that:
//! a list by module looks at a number of runs for each part and says where it stopped.

use catalog::wire::UnchangedRun;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::error::Result;
use crate::export::{Column, Export, Kind};
use crate::newest::{self, Newest};
use crate::page::{Listed, Seen, Start};
use crate::tx::{Mode, Read, TenantTx, Write};

/// A run as people see it.
#[derive(Debug, Clone, PartialEq, Serialize, sqlx::FromRow)]
pub struct Run {
    /// Its id, given with the job.
    pub run_id: Uuid,
    /// Where it ran.
    pub asset_id: Uuid,
    /// The asset's name.
    pub asset_name: String,
    /// Who ran it.
    pub agent_id: Option<Uuid>,
    /// Slug of the module.
    pub module: String,
    /// Its version.
    pub module_version: String,
    /// `succeeded`, `failed`, `timeout`, `partial` or `unchanged`.
    pub status: String,
    /// By the agent's clock, corrected to ours.
    pub started_at: DateTime<Utc>,
    /// Wall time.
    pub duration_ms: i64,
    /// User and system time.
    pub cpu_ms: i64,
    /// Greatest resident set.
    pub max_rss_kb: i64,
    /// Checks by verdict.
    pub passed: i32,
    /// Checks that fail.
    pub failed: i32,
    /// Checks without a subject.
    pub not_applicable: i32,
    /// Checks that could not be decided.
    pub error: i32,
    /// 0–100, unweighted.
    pub score: Option<i16>,
    /// What the run had to say.
    pub log: Value,
    /// When the result came in.
    pub received_at: DateTime<Utc>,
}

/// Which runs. What is not set does not filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// On this asset.
    pub asset_id: Option<Uuid>,
    /// Of this module.
    pub module: Option<String>,
    /// With this status.
    pub status: Option<Status>,
}

/// How a run ended, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// To its end.
    Succeeded,
    /// Not at all.
    Failed,
    /// Cut off.
    Timeout,
    /// In parts.
    Partial,
    /// As the one before it.
    Unchanged,
}

impl Status {
    /// The name as it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::Partial => "partial",
            Self::Unchanged => "unchanged",
        }
    }

    /// Whether `runs_unsuccessful` has them.
    const fn is_indexed(self) -> bool {
        matches!(self, Self::Failed | Self::Timeout | Self::Partial)
    }
}

/// Where in the order of a list a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    received_at: DateTime<Utc>,
    run_id: Uuid,
}

/// Records runs that changed nothing since the snapshot they name, in one statement. Gives those whose snapshot is not
/// the stored one (or whose module never reported): their agent has to send the whole. A repeat is harmless.
pub async fn record_unchanged(
    tx: &mut TenantTx<Write>,
    agent_id: Uuid,
    asset_id: Uuid,
    runs: &[UnchangedRun],
) -> Result<Vec<Uuid>> {
    if runs.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = runs.iter().map(|run| run.run_id).collect();
    let modules: Vec<&str> = runs.iter().map(|run| run.module.as_str()).collect();
    let versions: Vec<&str> = runs.iter().map(|run| run.version.as_str()).collect();
    let bases: Vec<&str> = runs.iter().map(|run| run.base.as_str()).collect();
    let started: Vec<DateTime<Utc>> = runs.iter().map(|run| run.started_at).collect();
    let durations: Vec<i64> = runs.iter().map(|run| i64::try_from(run.duration_ms).unwrap_or(i64::MAX)).collect();
    Ok(sqlx::query_scalar(
        "WITH said AS (
             SELECT * FROM unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::bigint[])
                 AS u(run_id, module, version, base, started_at, duration_ms)
         ), matching AS (
             SELECT s.* FROM said s JOIN asset_modules m ON m.asset_id = $2 AND m.module = s.module
                 AND m.module_version = s.version AND m.snapshot = s.base
         ), written AS (
             INSERT INTO runs (run_id, asset_id, agent_id, module, module_version, status, started_at, duration_ms)
             SELECT run_id, $2, $1, module, version, 'unchanged', started_at, duration_ms FROM matching
             ON CONFLICT (run_id) DO NOTHING
         ), moved AS (
             UPDATE asset_modules m SET last_run_at = now(), last_run_id = l.run_id
             FROM (SELECT DISTINCT ON (module) module, run_id FROM matching ORDER BY module, started_at DESC) l
             WHERE m.asset_id = $2 AND m.module = l.module
         )
         SELECT run_id FROM said EXCEPT SELECT run_id FROM matching EXCEPT SELECT r.run_id FROM runs r WHERE r.run_id = ANY($3)",
    )
    .bind(agent_id)
    .bind(asset_id)
    .bind(ids)
    .bind(modules)
    .bind(versions)
    .bind(bases)
    .bind(started)
    .bind(durations)
    .fetch_all(tx.connection()?)
    .await?)
}

macro_rules! columns {
    () => {
        "r.run_id, r.asset_id, a.name AS asset_name, r.agent_id, r.module, r.module_version, r.status, r.started_at,
         r.duration_ms, r.cpu_ms, r.max_rss_kb, r.passed, r.failed, r.not_applicable, r.error, r.score, r.log, r.received_at"
    };
}

const NEWEST: Newest = Newest {
    table: "runs",
    alias: "r",
    id: "run_id",
    at: "received_at",
    compared: "r.module, r.status",
    columns: columns!(),
    limit: 5,
};

/// What an index finds, as conditions on `r`: $1 asset, $3 time and $4 id of the place.
fn found(filter: &RunFilter, place: Option<&Place>) -> String {
    let mut conditions = vec!["true".to_owned()];
    if filter.asset_id.is_some() {
        conditions.push("r.asset_id = $1".to_owned());
    }
    // Written out, so that the planner sees that the partial index has them.
    if let Some(status) = filter.status.filter(|status| status.is_indexed()) {
        conditions.push(format!("r.status = '{}'", status.as_str()));
    }
    if place.is_some() {
        conditions.push("r.received_at <= $3 AND (r.received_at < $3 OR r.run_id > $4)".to_owned());
    }
    conditions.join(" AND ")
}

/// What is compared row by row.
fn compared(filter: &RunFilter) -> String {
    let mut conditions = Vec::new();
    if filter.module.is_some() {
        conditions.push("r.module = $2".to_owned());
    }
    if let Some(status) = filter.status.filter(|status| !status.is_indexed()) {
        conditions.push(format!("r.status = '{}'", status.as_str()));
    }
    if conditions.is_empty() { newest::EVERY.to_owned() } else { conditions.join(" AND ") }
}

/// The tenant's runs, newest first: two statements.
pub async fn list<M: Mode>(
    tx: &mut TenantTx<M>,
    filter: &RunFilter,
    start: &Start<Place>,
) -> Result<Listed<Run, Place>> {
    let (place, compared) = (start.place(), compared(filter));
    let rows: Vec<Seen<Run>> = sqlx::query_as(AssertSqlSafe(NEWEST.part(&found(filter, place), &compared)))
        .persistent(false)
        .bind(filter.asset_id)
        .bind(&filter.module)
        .bind(place.map(|place| place.received_at))
        .bind(place.map(|place| place.run_id))
        .bind(start.limit())
        .bind(start.offset())
        .fetch_all(tx.connection()?)
        .await?;
    let counted: (i64, i64) = sqlx::query_as(AssertSqlSafe(NEWEST.count(&found(filter, None), &compared)))
        .persistent(false)
        .bind(filter.asset_id)
        .bind(&filter.module)
        .fetch_one(tx.connection()?)
        .await?;
    let place = |run: &Run| Place { received_at: run.received_at, run_id: run.run_id };
    Ok(newest::listed(rows, &compared, start, counted, place))
}

/// One run.
pub async fn get<M: Mode>(tx: &mut TenantTx<M>, run_id: Uuid) -> Result<Option<Run>> {
    let statement = concat!("SELECT ", columns!(), " FROM runs r JOIN assets a USING (asset_id) WHERE r.run_id = $1");
    Ok(sqlx::query_as(statement).bind(run_id).fetch_optional(tx.connection()?).await?)
}

/// What an export of runs has of each.
pub const EXPORTED: &[Column] = &[
    Column::new("id", Kind::Id),
    Column::new("asset_id", Kind::Id),
    Column::new("asset", Kind::Text),
    Column::new("module", Kind::Text),
    Column::new("version", Kind::Text),
    Column::new("status", Kind::Text),
    Column::new("started_at", Kind::Time),
    Column::new("duration_ms", Kind::Number),
    Column::new("passed", Kind::Number),
    Column::new("failed", Kind::Number),
    Column::new("not_applicable", Kind::Number),
    Column::new("error", Kind::Number),
    Column::new("score", Kind::Number),
    Column::new("received_at", Kind::Time),
];

/// All runs that the filter leaves, in one statement and in no order.
pub fn export<'tx>(tx: &'tx mut TenantTx<Read>, filter: &RunFilter) -> Result<Export<'tx>> {
    let statement = format!(
        "SELECT r.run_id, r.asset_id, a.name, r.module, r.module_version, r.status, r.started_at,
             LEAST(r.duration_ms, 2147483647)::integer, r.passed, r.failed, r.not_applicable, r.error, r.score::integer, r.received_at
         FROM runs r JOIN assets a USING (asset_id) WHERE {} AND {}",
        found(filter, None),
        compared(filter)
    );
    let rows = sqlx::query(AssertSqlSafe(statement))
        .persistent(false)
        .bind(filter.asset_id)
        .bind(filter.module.clone())
        .fetch(tx.connection()?);
    Ok(Export::new(EXPORTED, rows))
}
