//! Findings: lists and one by one. They are written by [`crate::ingest`] only. A page is two statements, whatever the
//! filters; those that are not set are left to the planner as constants.

use std::collections::BTreeMap;

use catalog::Severity;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::error::Result;
use crate::page::{Page, Paged, contains};
use crate::tx::{Mode, TenantTx};

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
    /// Contained in resource, check or title, without regard to case.
    pub q: Option<String>,
}

/// How a list is ordered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sort {
    /// Worst first, then newest.
    #[default]
    WorstFirst,
    /// Least bad first.
    MildestFirst,
    /// Newest first.
    NewestFirst,
    /// Oldest first.
    OldestFirst,
}

// An open finding was last seen when its asset's module last ran to its end; the page's rows look that up, no row holds it.
macro_rules! select_finding {
    ($inner:expr) => {
        concat!(
            "SELECT f.finding_id, f.asset_id, a.name AS asset_name, f.module, f.module_version, f.check_id, ",
            "COALESCE(c.title, f.check_id) AS title, f.resource, f.severity, f.status, f.evidence, COALESCE(c.rationale, '') AS rationale, ",
            "COALESCE(c.remediation, '') AS remediation, COALESCE(c.controls, '{}') AS controls, f.first_seen_at, ",
            "COALESCE(CASE WHEN f.status = 'open' THEN m.last_run_at ELSE f.closed_at END, f.opened_at) AS last_seen_at, ",
            "f.opened_at, f.closed_at, f.times_reopened FROM (",
            $inner,
            ") f JOIN assets a USING (asset_id) LEFT JOIN asset_modules m ON m.asset_id = f.asset_id AND m.module = f.module ",
            "LEFT JOIN shared.checks c ON c.module = f.module AND c.version = f.module_version AND c.check_id = f.check_id "
        )
    };
}

macro_rules! filtered {
    ($select:literal, $order:expr) => {
        concat!(
            $select,
            " FROM findings f WHERE ($1::text IS NULL OR f.status = $1) AND ($2::smallint[] IS NULL OR f.severity_rank = ANY($2)) ",
            "AND ($3::uuid IS NULL OR f.asset_id = $3) AND ($4::text IS NULL OR f.module = $4) AND ($5::text IS NULL OR f.check_id = $5) ",
            "AND ($6::text IS NULL OR f.resource ILIKE $6 OR f.check_id ILIKE $6 OR EXISTS (SELECT FROM shared.checks c ",
            "WHERE c.module = f.module AND c.version = f.module_version AND c.check_id = f.check_id AND c.title ILIKE $6)) ",
            $order
        )
    };
}

macro_rules! list_in_order {
    ($order:literal) => {
        concat!(
            select_finding!(filtered!("SELECT f.*", concat!("ORDER BY ", $order, " LIMIT $7 OFFSET $8"))),
            "ORDER BY ",
            $order
        )
    };
}

/// A page of findings: two statements.
pub async fn list<M: Mode>(
    tx: &mut TenantTx<M>,
    filter: &FindingFilter,
    sort: Sort,
    page: Page,
) -> Result<Paged<Finding>> {
    let FindingFilter { severities, status, asset_id, module, check, q } = filter;
    let ranks: Option<Vec<i16>> = (!severities.is_empty()).then(|| severities.iter().map(|s| rank(*s)).collect());
    let pattern = q.as_deref().filter(|q| !q.is_empty()).map(contains);
    let statement = match sort {
        Sort::WorstFirst => list_in_order!("f.status DESC, f.severity_rank DESC, f.opened_at DESC, f.finding_id"),
        Sort::MildestFirst => list_in_order!("f.severity_rank, f.opened_at DESC, f.finding_id"),
        Sort::NewestFirst => list_in_order!("f.opened_at DESC, f.finding_id"),
        Sort::OldestFirst => list_in_order!("f.opened_at, f.finding_id"),
    };
    let items = sqlx::query_as(statement)
        .bind(status.map(Status::as_str))
        .bind(&ranks)
        .bind(asset_id)
        .bind(module)
        .bind(check)
        .bind(&pattern)
        .bind(page.limit())
        .bind(page.offset())
        .fetch_all(tx.connection()?)
        .await?;
    let total = sqlx::query_scalar(filtered!("SELECT count(*)", ""))
        .bind(status.map(Status::as_str))
        .bind(&ranks)
        .bind(asset_id)
        .bind(module)
        .bind(check)
        .bind(&pattern)
        .fetch_one(tx.connection()?)
        .await?;
    Ok(Paged { items, total })
}

/// One finding.
pub async fn get<M: Mode>(tx: &mut TenantTx<M>, finding_id: Uuid) -> Result<Option<Finding>> {
    Ok(sqlx::query_as(select_finding!("SELECT * FROM findings WHERE finding_id = $1"))
        .bind(finding_id)
        .fetch_optional(tx.connection()?)
        .await?)
}

/// The worst open findings of the tenant.
pub async fn worst<M: Mode>(tx: &mut TenantTx<M>, max: u32) -> Result<Vec<Finding>> {
    Ok(sqlx::query_as(concat!(
        select_finding!(
            "SELECT * FROM findings WHERE status = 'open' ORDER BY severity_rank DESC, opened_at DESC, finding_id LIMIT $1"
        ),
        "ORDER BY f.severity_rank DESC, f.opened_at DESC, f.finding_id"
    ))
    .bind(i64::from(max))
    .fetch_all(tx.connection()?)
    .await?)
}

/// The order of severities as the generated column has it.
const fn rank(severity: Severity) -> i16 {
    match severity {
        Severity::Critical => 4,
        Severity::High => 3,
        Severity::Medium => 2,
        Severity::Low => 1,
    }
}
