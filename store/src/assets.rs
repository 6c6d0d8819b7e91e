//! Assets of a tenant: hosts now, later devices, cloud resources, Kubernetes objects. Each comes with its kept score.
//!
//! There are thousands, not millions: a list looks at the sort keys of all of them, and reads only its own rows whole.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::error::Result;
use crate::export::{Column, Export, Kind};
use crate::page::{Listed, Start, Total};
use crate::tx::{Mode, Read, TenantTx};

/// Assets that are counted at most.
const COUNTED: i64 = 100_000;
/// Where assets without a score are in the order of scores.
const NO_SCORE: i16 = 101;

/// An asset with its score and open findings.
#[derive(Debug, Clone, PartialEq, Serialize, sqlx::FromRow)]
pub struct Asset {
    /// Its id.
    pub asset_id: Uuid,
    /// What makes it the same asset when it enrols again.
    pub identity: String,
    /// `host`.
    pub kind: String,
    /// What people read.
    pub name: String,
    /// Operating system: name, version, id, arch, kernel.
    pub os: Value,
    /// Its labels.
    #[sqlx(json)]
    pub labels: BTreeMap<String, String>,
    /// When it was first seen.
    pub first_seen_at: DateTime<Utc>,
    /// When it was last heard of.
    pub last_seen_at: DateTime<Utc>,
    /// 0–100; none if nothing was assessed.
    pub score: Option<i16>,
    /// Checks by verdict.
    pub passed: i32,
    /// Checks that fail, and nothing waives it.
    pub failed: i32,
    /// Checks that fail under a waiver.
    pub waived: i32,
    /// Checks without a subject.
    pub not_applicable: i32,
    /// Checks that could not be decided.
    pub error: i32,
    /// Open findings.
    pub open_critical: i32,
    /// Open findings.
    pub open_high: i32,
    /// Open findings.
    pub open_medium: i32,
    /// Open findings.
    pub open_low: i32,
    /// `low`, `normal`, `high` or `critical`.
    pub criticality: String,
    /// Whether the internet reaches it.
    pub internet_facing: bool,
    /// 0–100; none if nothing ever looked at it.
    pub risk: Option<i16>,
}

/// How a list of assets is ordered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sort {
    /// By name.
    #[default]
    Name,
    /// Lowest score first, those without one last.
    WorstFirst,
    /// Last seen first.
    LastSeen,
}

macro_rules! columns {
    () => {
        "a.asset_id, a.identity, a.kind, a.name, a.os, a.labels, a.first_seen_at, a.last_seen_at, s.score,
         COALESCE(s.passed, 0) AS passed, COALESCE(s.failed, 0) AS failed, COALESCE(s.waived, 0) AS waived,
         COALESCE(s.not_applicable, 0) AS not_applicable, COALESCE(s.error, 0) AS error,
         COALESCE(s.open_critical, 0) AS open_critical, COALESCE(s.open_high, 0) AS open_high,
         COALESCE(s.open_medium, 0) AS open_medium, COALESCE(s.open_low, 0) AS open_low,
         a.criticality, a.internet_facing, s.risk"
    };
}

/// Where in the order of a list an asset is. Whichever key the order does not have is there all the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    name: String,
    score: i16,
    last_seen_at: DateTime<Utc>,
    asset_id: Uuid,
}

impl Place {
    fn of(asset: &Asset) -> Self {
        Self {
            name: asset.name.clone(),
            score: asset.score.unwrap_or(NO_SCORE),
            last_seen_at: asset.last_seen_at,
            asset_id: asset.asset_id,
        }
    }
}

impl Sort {
    /// ORDER BY over the columns of `a` and `s`.
    const fn order(self) -> &'static str {
        match self {
            Self::Name => "a.name, a.asset_id",
            Self::WorstFirst => "COALESCE(s.score, 101), a.asset_id",
            Self::LastSeen => "a.last_seen_at DESC, a.asset_id",
        }
    }

    /// What comes after a place: $2 name, $3 score, $4 time, $5 id.
    const fn after(self) -> &'static str {
        match self {
            Self::Name => "(a.name, a.asset_id) > ($2, $5)",
            Self::WorstFirst => "(COALESCE(s.score, 101), a.asset_id) > ($3, $5)",
            Self::LastSeen => "(a.last_seen_at < $4 OR (a.last_seen_at = $4 AND a.asset_id > $5))",
        }
    }
}

/// The tenant's assets whose name contains `q`, without regard to case: two statements.
pub async fn list<M: Mode>(
    tx: &mut TenantTx<M>,
    q: Option<&str>,
    sort: Sort,
    start: &Start<Place>,
) -> Result<Listed<Asset, Place>> {
    let pattern = q.filter(|q| !q.is_empty()).map(crate::page::contains);
    let (order, place) = (sort.order(), start.place());
    let named = if pattern.is_some() { "a.name ILIKE $1" } else { "true" };
    let after = if place.is_some() { sort.after() } else { "true" };
    let statement = format!(
        concat!(
            "SELECT {columns} FROM (SELECT a.asset_id FROM assets a LEFT JOIN asset_scores s USING (asset_id) ",
            "WHERE {named} AND {after} ORDER BY {order} LIMIT $6 OFFSET $7) k JOIN assets a USING (asset_id) ",
            "LEFT JOIN asset_scores s USING (asset_id) ORDER BY {order}"
        ),
        columns = columns!(),
        named = named,
        after = after,
        order = order
    );
    let items = sqlx::query_as(AssertSqlSafe(statement))
        .persistent(false)
        .bind(&pattern)
        .bind(place.map(|place| place.name.as_str()))
        .bind(place.map(|place| place.score))
        .bind(place.map(|place| place.last_seen_at))
        .bind(place.map(|place| place.asset_id))
        .bind(start.limit())
        .bind(start.offset())
        .fetch_all(tx.connection()?)
        .await?;
    let count = sqlx::query_scalar(
        "SELECT count(*) FROM (SELECT FROM assets a WHERE $1::text IS NULL OR a.name ILIKE $1 LIMIT $2) k",
    )
    .bind(&pattern)
    .bind(COUNTED + 1)
    .fetch_one(tx.connection()?)
    .await?;
    Ok(Listed::of(items, start, Total::counted(count, COUNTED), Place::of))
}

/// One asset.
pub async fn get<M: Mode>(tx: &mut TenantTx<M>, asset_id: Uuid) -> Result<Option<Asset>> {
    let statement = concat!(
        "SELECT ",
        columns!(),
        " FROM assets a LEFT JOIN asset_scores s USING (asset_id) WHERE a.asset_id = $1"
    );
    Ok(sqlx::query_as(statement).bind(asset_id).fetch_optional(tx.connection()?).await?)
}

/// What an export of assets has of each.
pub const EXPORTED: &[Column] = &[
    Column::new("id", Kind::Id),
    Column::new("kind", Kind::Text),
    Column::new("name", Kind::Text),
    Column::new("identity", Kind::Text),
    Column::new("os", Kind::Text),
    Column::new("os_version", Kind::Text),
    Column::new("arch", Kind::Text),
    Column::new("labels", Kind::Text),
    Column::new("score", Kind::Number),
    Column::new("checks_passed", Kind::Number),
    Column::new("checks_failed", Kind::Number),
    Column::new("checks_not_applicable", Kind::Number),
    Column::new("checks_error", Kind::Number),
    Column::new("open_critical", Kind::Number),
    Column::new("open_high", Kind::Number),
    Column::new("open_medium", Kind::Number),
    Column::new("open_low", Kind::Number),
    Column::new("first_seen_at", Kind::Time),
    Column::new("last_seen_at", Kind::Time),
    Column::new("criticality", Kind::Text),
    Column::new("internet_facing", Kind::Text),
    Column::new("risk", Kind::Number),
];

/// All assets whose name contains `q`, in one statement; in no order unless one is asked for.
pub fn export<'tx>(tx: &'tx mut TenantTx<Read>, q: Option<&str>, sort: Option<Sort>) -> Result<Export<'tx>> {
    let pattern = q.filter(|q| !q.is_empty()).map(crate::page::contains);
    let statement = format!(
        "SELECT a.asset_id, a.kind, a.name, a.identity, a.os ->> 'name', a.os ->> 'version', a.os ->> 'arch', a.labels::text,
             s.score::integer, COALESCE(s.passed, 0), COALESCE(s.failed, 0), COALESCE(s.not_applicable, 0), COALESCE(s.error, 0),
             COALESCE(s.open_critical, 0), COALESCE(s.open_high, 0), COALESCE(s.open_medium, 0), COALESCE(s.open_low, 0),
             a.first_seen_at, a.last_seen_at, a.criticality, a.internet_facing::text, s.risk::integer
         FROM assets a LEFT JOIN asset_scores s USING (asset_id) WHERE $1::text IS NULL OR a.name ILIKE $1{}",
        sort.map(|sort| format!(" ORDER BY {}", sort.order())).unwrap_or_default()
    );
    let rows = sqlx::query(AssertSqlSafe(statement)).persistent(false).bind(pattern).fetch(tx.connection()?);
    Ok(Export::new(EXPORTED, rows))
}
