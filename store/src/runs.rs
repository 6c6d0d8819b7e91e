//! Runs: what was executed where and how it ended. A run that changed nothing is one small row.

use catalog::wire::UnchangedRun;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::error::Result;
use crate::page::{Page, Paged};
use crate::tx::{Mode, TenantTx, Write};

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
    pub status: Option<String>,
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

macro_rules! select_run {
    ($rest:literal) => {
        concat!(
            "SELECT r.run_id, r.asset_id, a.name AS asset_name, r.agent_id, r.module, r.module_version, r.status, r.started_at, ",
            "r.duration_ms, r.cpu_ms, r.max_rss_kb, r.passed, r.failed, r.not_applicable, r.error, r.score, r.log, r.received_at ",
            "FROM runs r JOIN assets a USING (asset_id) ",
            $rest
        )
    };
}

/// The tenant's runs, newest first.
pub async fn list<M: Mode>(tx: &mut TenantTx<M>, filter: &RunFilter, page: Page) -> Result<Paged<Run>> {
    let RunFilter { asset_id, module, status } = filter;
    let items = sqlx::query_as(select_run!(
        "WHERE ($1::uuid IS NULL OR r.asset_id = $1) AND ($2::text IS NULL OR r.module = $2)
         AND ($3::text IS NULL OR r.status = $3) ORDER BY r.received_at DESC, r.run_id LIMIT $4 OFFSET $5"
    ))
    .bind(asset_id)
    .bind(module)
    .bind(status)
    .bind(page.limit())
    .bind(page.offset())
    .fetch_all(tx.connection()?)
    .await?;
    let total = sqlx::query_scalar(
        "SELECT count(*) FROM runs r WHERE ($1::uuid IS NULL OR r.asset_id = $1) AND ($2::text IS NULL OR r.module = $2)
         AND ($3::text IS NULL OR r.status = $3)",
    )
    .bind(asset_id)
    .bind(module)
    .bind(status)
    .fetch_one(tx.connection()?)
    .await?;
    Ok(Paged { items, total })
}

/// One run.
pub async fn get<M: Mode>(tx: &mut TenantTx<M>, run_id: Uuid) -> Result<Option<Run>> {
    Ok(sqlx::query_as(select_run!("WHERE r.run_id = $1")).bind(run_id).fetch_optional(tx.connection()?).await?)
}
