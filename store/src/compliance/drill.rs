//! From a framework down to what was found: its controls, the checks of a control, a check on each asset; the finding that says
//! why is in [`crate::findings`]. Controls come from kept sums; the last two steps look at one check's verdicts by their index.

use analysis::compliance::{Standing, Status};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use uuid::Uuid;

use super::sums::{self, PackedOverall};
use crate::error::{Error, Result};
use crate::page::{Listed, Start, Total};
use crate::tx::{Mode, TenantTx};

/// A control over all assets.
#[derive(Debug, Clone, PartialEq)]
pub struct ControlStanding {
    /// Its identifier.
    pub control: String,
    /// Its short name.
    pub title: String,
    /// Its checks, and on how many assets it passes, fails, is waived, is not assessed.
    pub standing: Standing,
    position: i32,
}

/// Where in its framework a control is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlPlace {
    position: i32,
    control: String,
}

/// The name of a status in SQL, from a control's stored sums `k.sums`.
macro_rules! status {
    () => {
        "CASE WHEN (k.sums ->> 9)::bigint > 0 THEN 'fail' WHEN (k.sums ->> 10)::bigint > 0 THEN 'waived'
             WHEN (k.sums ->> 8)::bigint > 0 THEN 'pass' ELSE 'not_assessed' END"
    };
}

macro_rules! controls_of {
    () => {
        " FROM shared.controls c LEFT JOIN standings s ON s.asset_id IS NULL AND s.framework = c.framework
         CROSS JOIN LATERAL (SELECT s.controls -> c.control AS sums) k WHERE c.framework = $1 AND ($2::text IS NULL OR "
    };
}

/// The controls of a framework in its own order, of one status where asked for: two statements. [`Error::NotFound`] if there
/// is no such framework.
pub async fn controls<M: Mode>(
    tx: &mut TenantTx<M>,
    framework: &str,
    status: Option<Status>,
    start: &Start<ControlPlace>,
) -> Result<Listed<ControlStanding, ControlPlace>> {
    type Row = (String, String, i32, Option<Json<PackedOverall>>, i64);
    let status = status.map(|status| match status {
        Status::Fail => "fail",
        Status::Waived => "waived",
        Status::Pass => "pass",
        Status::NotAssessed => "not_assessed",
    });
    let place = start.place();
    let rows: Vec<Row> = sqlx::query_as(concat!(
        "SELECT c.control, c.title, c.position, k.sums, (SELECT count(*) FROM assets)",
        controls_of!(),
        status!(),
        " = $2) AND ($3::integer IS NULL OR (c.position, c.control) > ($3, $4)) ORDER BY c.position, c.control LIMIT $5 OFFSET $6"
    ))
    .bind(framework)
    .bind(status)
    .bind(place.map(|place| place.position))
    .bind(place.map(|place| place.control.as_str()))
    .bind(start.limit())
    .bind(start.offset())
    .fetch_all(tx.connection()?)
    .await?;
    let (count, is_there): (i64, bool) = sqlx::query_as(concat!(
        "SELECT count(*), EXISTS (SELECT FROM shared.frameworks WHERE framework = $1)",
        controls_of!(),
        status!(),
        " = $2)"
    ))
    .bind(framework)
    .bind(status)
    .fetch_one(tx.connection()?)
    .await?;
    if !is_there {
        return Err(Error::NotFound("framework"));
    }
    let items = rows
        .into_iter()
        .map(|(control, title, position, kept, assets)| {
            let kept = kept.map(|kept| sums::of_control(kept.0)).unwrap_or_default();
            ControlStanding { control, title, position, standing: sums::over(assets, kept) }
        })
        .collect();
    let place = |row: &ControlStanding| ControlPlace { position: row.position, control: row.control.clone() };
    Ok(Listed::of(items, start, Total::exact(count), place))
}

/// A check of a control over all assets.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct CheckStanding {
    /// Slug of the module.
    pub module: String,
    /// The check.
    pub check_id: String,
    /// Its title.
    pub title: String,
    /// `critical`, `high`, `medium`, `low`.
    pub severity: String,
    /// Assets on which it passes.
    pub passed: i64,
    /// On which it fails.
    pub failed: i64,
    /// On which it fails under a waiver.
    pub waived: i64,
    /// On which it has no subject.
    pub not_applicable: i64,
    /// On which it could not be decided.
    pub error: i64,
}

/// Where in the list of checks one is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckPlace {
    module: String,
    check_id: String,
}

/// The checks that any version of a module maps to a control: two statements. [`Error::NotFound`] if there is no such control.
pub async fn checks<M: Mode>(
    tx: &mut TenantTx<M>,
    framework: &str,
    control: &str,
    start: &Start<CheckPlace>,
) -> Result<Listed<CheckStanding, CheckPlace>> {
    let place = start.place();
    let items = sqlx::query_as(
        "SELECT k.module, k.check_id, k.title, k.severity, n.passed, n.failed, n.waived, n.not_applicable, n.error FROM (
             SELECT DISTINCT ON (m.module, m.check_id) m.module, m.check_id, c.title, c.severity
             FROM shared.control_mappings m JOIN shared.modules o ON o.slug = m.module
             JOIN shared.checks c ON c.module = m.module AND c.version = m.version AND c.check_id = m.check_id
             WHERE m.framework = $1 AND m.control = $2 AND ($3::text IS NULL OR (m.module, m.check_id) > ($3, $4))
             ORDER BY m.module, m.check_id, (m.version = o.latest_version) DESC, m.version DESC LIMIT $5 OFFSET $6) k
         CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE s.verdict = 'pass') AS passed,
             count(*) FILTER (WHERE s.verdict = 'fail' AND NOT s.is_waived) AS failed, count(*) FILTER (WHERE s.is_waived) AS waived,
             count(*) FILTER (WHERE s.verdict = 'not_applicable') AS not_applicable,
             count(*) FILTER (WHERE s.verdict = 'error') AS error
             FROM check_states s WHERE s.module = k.module AND s.check_id = k.check_id) n
         ORDER BY k.module, k.check_id",
    )
    .bind(framework)
    .bind(control)
    .bind(place.map(|place| place.module.as_str()))
    .bind(place.map(|place| place.check_id.as_str()))
    .bind(start.limit())
    .bind(start.offset())
    .fetch_all(tx.connection()?)
    .await?;
    let (count, is_there): (i64, bool) = sqlx::query_as(
        "SELECT count(DISTINCT (module, check_id)),
             EXISTS (SELECT FROM shared.controls WHERE framework = $1 AND control = $2)
         FROM shared.control_mappings WHERE framework = $1 AND control = $2",
    )
    .bind(framework)
    .bind(control)
    .fetch_one(tx.connection()?)
    .await?;
    if !is_there {
        return Err(Error::NotFound("control"));
    }
    let place = |row: &CheckStanding| CheckPlace { module: row.module.clone(), check_id: row.check_id.clone() };
    Ok(Listed::of(items, start, Total::exact(count), place))
}

/// A check on one asset.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct ResultRow {
    /// The asset.
    pub asset_id: Uuid,
    /// Its name.
    pub asset_name: String,
    /// The version of the module that decided it.
    pub module_version: String,
    /// `critical`, `high`, `medium`, `low`.
    pub severity: String,
    /// `pass`, `fail`, `waived`, `not_applicable`, `error`.
    pub verdict: String,
    /// Why, where the verdict alone does not say it.
    pub message: Option<String>,
    /// Since when.
    pub changed_at: DateTime<Utc>,
}

/// Where in the list of a check's results one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultPlace {
    asset_id: Uuid,
}

/// A check on every asset that reported it, of one verdict where asked for (`waived` is one): two statements.
/// [`Error::NotFound`] if the catalog has no such check.
pub async fn results<M: Mode>(
    tx: &mut TenantTx<M>,
    (module, check): (&str, &str),
    verdict: Option<&str>,
    start: &Start<ResultPlace>,
) -> Result<Listed<ResultRow, ResultPlace>> {
    let items = sqlx::query_as(
        "SELECT s.asset_id, a.name AS asset_name, s.module_version, s.severity,
             CASE WHEN s.is_waived THEN 'waived' ELSE s.verdict END AS verdict, s.message, s.changed_at
         FROM check_states s JOIN assets a ON a.asset_id = s.asset_id
         WHERE s.module = $1 AND s.check_id = $2 AND ($4::uuid IS NULL OR s.asset_id > $4)
             AND ($3::text IS NULL OR CASE WHEN s.is_waived THEN 'waived' ELSE s.verdict END = $3)
         ORDER BY s.asset_id LIMIT $5 OFFSET $6",
    )
    .bind(module)
    .bind(check)
    .bind(verdict)
    .bind(start.place().map(|place| place.asset_id))
    .bind(start.limit())
    .bind(start.offset())
    .fetch_all(tx.connection()?)
    .await?;
    let (count, is_there): (i64, bool) = sqlx::query_as(
        "SELECT count(*), EXISTS (SELECT FROM shared.checks WHERE module = $1 AND check_id = $2)
         FROM (SELECT FROM check_states s WHERE s.module = $1 AND s.check_id = $2
             AND ($3::text IS NULL OR CASE WHEN s.is_waived THEN 'waived' ELSE s.verdict END = $3) LIMIT $4) k",
    )
    .bind(module)
    .bind(check)
    .bind(verdict)
    .bind(Total::BOUND + 1)
    .fetch_one(tx.connection()?)
    .await?;
    if !is_there {
        return Err(Error::NotFound("check"));
    }
    let total = Total::counted(count, Total::BOUND);
    Ok(Listed::of(items, start, total, |row: &ResultRow| ResultPlace { asset_id: row.asset_id }))
}
