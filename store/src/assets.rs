//! Assets of a tenant: hosts now, later devices, cloud resources, Kubernetes objects. Each comes with its kept score.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::error::Result;
use crate::page::{Page, Paged};
use crate::tx::{Mode, TenantTx};

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
    /// Checks that fail.
    pub failed: i32,
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

macro_rules! select_asset {
    ($rest:literal) => {
        concat!(
            "SELECT a.asset_id, a.identity, a.kind, a.name, a.os, a.labels, a.first_seen_at, a.last_seen_at, s.score, ",
            "COALESCE(s.passed, 0) AS passed, COALESCE(s.failed, 0) AS failed, COALESCE(s.not_applicable, 0) AS not_applicable, ",
            "COALESCE(s.error, 0) AS error, COALESCE(s.open_critical, 0) AS open_critical, COALESCE(s.open_high, 0) AS open_high, ",
            "COALESCE(s.open_medium, 0) AS open_medium, COALESCE(s.open_low, 0) AS open_low ",
            "FROM assets a LEFT JOIN asset_scores s USING (asset_id) ",
            $rest
        )
    };
}

/// The tenant's assets whose name contains `q`, without regard to case.
pub async fn list<M: Mode>(tx: &mut TenantTx<M>, q: Option<&str>, sort: Sort, page: Page) -> Result<Paged<Asset>> {
    let pattern = q.filter(|q| !q.is_empty()).map(crate::page::contains);
    let statement = match sort {
        Sort::Name => {
            select_asset!("WHERE $1::text IS NULL OR a.name ILIKE $1 ORDER BY a.name, a.asset_id LIMIT $2 OFFSET $3")
        }
        Sort::WorstFirst => {
            select_asset!(
                "WHERE $1::text IS NULL OR a.name ILIKE $1 ORDER BY s.score NULLS LAST, a.asset_id LIMIT $2 OFFSET $3"
            )
        }
        Sort::LastSeen => {
            select_asset!(
                "WHERE $1::text IS NULL OR a.name ILIKE $1 ORDER BY a.last_seen_at DESC, a.asset_id LIMIT $2 OFFSET $3"
            )
        }
    };
    let items = sqlx::query_as(statement)
        .bind(&pattern)
        .bind(page.limit())
        .bind(page.offset())
        .fetch_all(tx.connection()?)
        .await?;
    let total = sqlx::query_scalar("SELECT count(*) FROM assets a WHERE $1::text IS NULL OR a.name ILIKE $1")
        .bind(&pattern)
        .fetch_one(tx.connection()?)
        .await?;
    Ok(Paged { items, total })
}

/// One asset.
pub async fn get<M: Mode>(tx: &mut TenantTx<M>, asset_id: Uuid) -> Result<Option<Asset>> {
    Ok(sqlx::query_as(select_asset!("WHERE a.asset_id = $1")).bind(asset_id).fetch_optional(tx.connection()?).await?)
}
