//! Findings: lists, one by one, and all as an export. They are written by [`crate::ingest`] only. A part of a list is two
//! statements, whatever the filters: its rows, and how many there are.

mod query;

use std::collections::BTreeMap;

use catalog::Severity;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

pub use query::Place;
use query::Query;

use crate::error::{Error, Result};
use crate::export::{Column, Export, Kind};
use crate::page::{Listed, Seen, Start, Total};
use crate::tx::{Mode, Read, TenantTx};

/// A finding with what its check says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, sqlx::FromRow)]
pub struct Finding {
    /// Drawn from asset, module, check and resource: the same finding keeps its id for ever.
    pub finding_id: Uuid,
    /// The asset.
    pub asset_id: Uuid,
    /// Its name.
    pub asset_name: String,
    /// Slug of the module.
    pub module: String,
    /// The version that last wrote it.
    pub module_version: String,
    /// The check.
    pub check_id: String,
    /// The check's title.
    pub title: String,
    /// What it is about: a file, a user, a setting.
    pub resource: String,
    /// `critical`, `high`, `medium`, `low`.
    pub severity: String,
    /// `open` or `closed`.
    pub status: String,
    /// The row's other columns.
    pub evidence: Value,
    /// Why it matters.
    pub rationale: String,
    /// What to do.
    pub remediation: String,
    /// Framework to identifiers of controls.
    #[sqlx(json)]
    pub controls: BTreeMap<String, Vec<String>>,
    /// When it was first found.
    pub first_seen_at: DateTime<Utc>,
    /// When it was last found.
    pub last_seen_at: DateTime<Utc>,
    /// When it was last opened.
    pub opened_at: DateTime<Utc>,
    /// When it was closed.
    pub closed_at: Option<DateTime<Utc>>,
    /// How often it came back.
    pub times_reopened: i32,
}

/// Whether a finding still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It does.
    Open,
    /// It does not.
    Closed,
}

impl Status {
    /// The name as it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

/// Which findings. What is not set does not filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FindingFilter {
    /// Any of these severities.
    pub severities: Vec<Severity>,
    /// This status.
    pub status: Option<Status>,
    /// Of this asset.
    pub asset_id: Option<Uuid>,
    /// Of this module.
    pub module: Option<String>,
    /// Of this check.
    pub check: Option<String>,
    /// Contained in resource, check or title, without regard to case. Unless an asset is named as well, a part of the list
    /// holds what is found among the next 5,000 findings.
    pub q: Option<String>,
}

/// How a list is ordered. The time is when a finding was last opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sort {
    /// Worst first, then newest.
    #[default]
    WorstFirst,
    /// Least bad first, then oldest: the reverse of [`Sort::WorstFirst`].
    MildestFirst,
    /// Newest first.
    NewestFirst,
    /// Oldest first: the reverse of [`Sort::NewestFirst`].
    OldestFirst,
}

// An open finding was last seen when its asset's module last ran to its end; the page's rows look that up, no row holds it.
macro_rules! columns {
    () => {
        "f.finding_id, f.asset_id, a.name AS asset_name, f.module, f.module_version, f.check_id,
         COALESCE(c.title, f.check_id) AS title, f.resource, f.severity, f.status, f.evidence, COALESCE(c.rationale, '') AS rationale,
         COALESCE(c.remediation, '') AS remediation, COALESCE(c.controls, jsonb_build_object()) AS controls, f.first_seen_at,
         COALESCE(CASE WHEN f.status = 'open' THEN m.last_run_at ELSE f.closed_at END, f.opened_at) AS last_seen_at,
         f.opened_at, f.closed_at, f.times_reopened"
    };
}

macro_rules! joins {
    () => {
        "JOIN assets a ON a.asset_id = f.asset_id LEFT JOIN asset_modules m ON m.asset_id = f.asset_id AND m.module = f.module
         LEFT JOIN shared.checks c ON c.module = f.module AND c.version = f.module_version AND c.check_id = f.check_id "
    };
}

/// A part of the findings: two statements.
pub async fn list<M: Mode>(
    tx: &mut TenantTx<M>,
    filter: &FindingFilter,
    sort: Sort,
    start: &Start<Place>,
) -> Result<Listed<Finding, Place>> {
    let query = Query::new(filter, sort, start.place());
    let order = sort.order("k");
    let statement = format!(
        concat!(
            "SELECT ",
            columns!(),
            ", k.is_match, k.is_horizon FROM ({keys}) k JOIN findings f ON f.finding_id = k.finding_id ",
            joins!(),
            "ORDER BY {order}"
        ),
        keys = query.keys(),
        order = order
    );
    let (at, id) = start.place().map(Place::time_and_id).unzip();
    // Not kept as prepared: its plan has to be one for these very values, and there are many forms of it.
    let rows: Vec<Seen<Finding>> = sqlx::query_as(AssertSqlSafe(statement))
        .persistent(false)
        .bind(filter.asset_id)
        .bind(&filter.module)
        .bind(&filter.check)
        .bind(&query.pattern)
        .bind(at)
        .bind(id)
        .bind(start.limit())
        .bind(start.offset())
        .fetch_all(tx.connection()?)
        .await?;
    let (statement, total) = query.count().statement();
    let (count, seen): (i64, i64) = sqlx::query_as(AssertSqlSafe(statement))
        .persistent(false)
        .bind(filter.asset_id)
        .bind(&filter.module)
        .bind(&filter.check)
        .bind(&query.pattern)
        .fetch_one(tx.connection()?)
        .await?;
    if query.is_search() {
        Ok(Listed::of_search(rows, start, total(count, seen), Place::of))
    } else {
        let rows = rows.into_iter().map(|row| row.row).collect();
        Ok(Listed::of(rows, start, total(count, seen), Place::of))
    }
}

/// One finding.
pub async fn get<M: Mode>(tx: &mut TenantTx<M>, finding_id: Uuid) -> Result<Option<Finding>> {
    let statement = concat!("SELECT ", columns!(), " FROM findings f ", joins!(), "WHERE f.finding_id = $1");
    Ok(sqlx::query_as(statement).bind(finding_id).fetch_optional(tx.connection()?).await?)
}

/// The worst open findings of the tenant.
pub async fn worst<M: Mode>(tx: &mut TenantTx<M>, max: u32) -> Result<Vec<Finding>> {
    let statement = concat!(
        "SELECT ",
        columns!(),
        " FROM (SELECT * FROM findings WHERE status = 'open' ORDER BY severity_rank DESC, opened_at DESC, finding_id LIMIT $1) f ",
        joins!(),
        "ORDER BY f.severity_rank DESC, f.opened_at DESC, f.finding_id"
    );
    Ok(sqlx::query_as(statement).bind(i64::from(max)).fetch_all(tx.connection()?).await?)
}

/// Where in the list of a control's findings one is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidencePlace {
    module: String,
    check_id: String,
    finding_id: Uuid,
}

/// Open findings of every check that is mapped to a control, check by check: two statements. [`Error::NotFound`] if there is no
/// such control.
pub async fn of_control<M: Mode>(
    tx: &mut TenantTx<M>,
    framework: &str,
    control: &str,
    start: &Start<EvidencePlace>,
) -> Result<Listed<Finding, EvidencePlace>> {
    let place = start.place();
    let items = sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        " FROM (
             SELECT k.module, k.check_id, n.finding_id FROM (
                 SELECT DISTINCT m.module, m.check_id FROM shared.control_mappings m WHERE m.framework = $1 AND m.control = $2
                     AND ($3::text IS NULL OR (m.module, m.check_id) >= ($3, $4))) k
             CROSS JOIN LATERAL (SELECT f.finding_id FROM findings f
                 WHERE f.module = k.module AND f.check_id = k.check_id AND f.status = 'open'
                     AND ($3::text IS NULL OR (k.module, k.check_id) > ($3, $4) OR f.finding_id > $5)
                 ORDER BY f.finding_id LIMIT $6::bigint + $7::bigint) n
             ORDER BY k.module, k.check_id, n.finding_id LIMIT $6 OFFSET $7) o
         JOIN findings f ON f.finding_id = o.finding_id ",
        joins!(),
        "ORDER BY o.module, o.check_id, o.finding_id"
    ))
    .bind(framework)
    .bind(control)
    .bind(place.map(|place| place.module.as_str()))
    .bind(place.map(|place| place.check_id.as_str()))
    .bind(place.map(|place| place.finding_id))
    .bind(start.limit())
    .bind(start.offset())
    .fetch_all(tx.connection()?)
    .await?;
    let (count, is_there): (i64, bool) = sqlx::query_as(
        "SELECT count(*), EXISTS (SELECT FROM shared.controls WHERE framework = $1 AND control = $2)
         FROM (SELECT FROM findings f WHERE f.status = 'open' AND (f.module, f.check_id) IN (
             SELECT m.module, m.check_id FROM shared.control_mappings m WHERE m.framework = $1 AND m.control = $2) LIMIT $3) k",
    )
    .bind(framework)
    .bind(control)
    .bind(Total::BOUND + 1)
    .fetch_one(tx.connection()?)
    .await?;
    if !is_there {
        return Err(Error::NotFound("control"));
    }
    let place = |finding: &Finding| EvidencePlace {
        module: finding.module.clone(),
        check_id: finding.check_id.clone(),
        finding_id: finding.finding_id,
    };
    Ok(Listed::of(items, start, Total::counted(count, Total::BOUND), place))
}

/// What an export of findings has of each. What a check says of itself (rationale, remediation, controls) is the same in
/// thousands of rows and is left to the catalog.
pub const EXPORTED: &[Column] = &[
    Column::new("id", Kind::Id),
    Column::new("severity", Kind::Text),
    Column::new("status", Kind::Text),
    Column::new("title", Kind::Text),
    Column::new("check", Kind::Text),
    Column::new("module", Kind::Text),
    Column::new("module_version", Kind::Text),
    Column::new("resource", Kind::Text),
    Column::new("asset_id", Kind::Id),
    Column::new("asset", Kind::Text),
    Column::new("first_seen_at", Kind::Time),
    Column::new("last_seen_at", Kind::Time),
    Column::new("closed_at", Kind::Time),
    Column::new("times_reopened", Kind::Number),
    Column::new("evidence", Kind::Text),
];

/// All findings that the filter leaves, in one statement; in no order unless one is asked for.
pub fn export<'tx>(tx: &'tx mut TenantTx<Read>, filter: &FindingFilter, sort: Option<Sort>) -> Result<Export<'tx>> {
    let query = Query::new(filter, sort.unwrap_or_default(), None);
    let order = sort.map(|sort| format!(" ORDER BY {}", sort.order("f"))).unwrap_or_default();
    let statement = format!(
        concat!(
            "SELECT f.finding_id, f.severity, f.status, COALESCE(c.title, f.check_id), f.check_id, f.module, f.module_version,
                 f.resource, f.asset_id, a.name, f.first_seen_at,
                 COALESCE(CASE WHEN f.status = 'open' THEN m.last_run_at ELSE f.closed_at END, f.opened_at), f.closed_at,
                 f.times_reopened, f.evidence::text FROM findings f ",
            joins!(),
            "WHERE {filter}{order}"
        ),
        filter = query.filter(),
        order = order
    );
    let rows = sqlx::query(AssertSqlSafe(statement))
        .persistent(false)
        .bind(filter.asset_id)
        .bind(filter.module.clone())
        .bind(filter.check.clone())
        .bind(query.pattern)
        .fetch(tx.connection()?);
    Ok(Export::new(EXPORTED, rows))
}
