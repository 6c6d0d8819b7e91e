//! The current verdict of each check on an asset. They are written by [`crate::ingest`] only.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::error::Result;
use crate::page::{Page, Paged};
use crate::tx::{Mode, TenantTx};

/// A check on an asset.
#[derive(Debug, Clone, PartialEq, Serialize, sqlx::FromRow)]
pub struct CheckState {
    /// Slug of the module.
    pub module: String,
    /// The version that decided it.
    pub module_version: String,
    /// The check.
    pub check_id: String,
    /// Its title.
    pub title: String,
    /// `critical`, `high`, `medium`, `low`.
    pub severity: String,
    /// `pass`, `fail`, `not_applicable`, `error`.
    pub verdict: String,
    /// Why, where the verdict alone does not say it.
    pub message: Option<String>,
    /// Since when.
    pub changed_at: DateTime<Utc>,
}

/// An asset's checks, of one verdict where asked for.
pub async fn list<M: Mode>(
    tx: &mut TenantTx<M>,
    asset_id: Uuid,
    verdict: Option<catalog::envelope::Verdict>,
    page: Page,
) -> Result<Paged<CheckState>> {
    let verdict = verdict.map(catalog::envelope::Verdict::as_str);
    let items = sqlx::query_as(
        "SELECT s.module, s.module_version, s.check_id, COALESCE(c.title, s.check_id) AS title, s.severity, s.verdict, s.message,
             s.changed_at
         FROM check_states s LEFT JOIN shared.checks c
             ON c.module = s.module AND c.version = s.module_version AND c.check_id = s.check_id
         WHERE s.asset_id = $1 AND ($2::text IS NULL OR s.verdict = $2) ORDER BY s.module, s.check_id LIMIT $3 OFFSET $4",
    )
    .bind(asset_id)
    .bind(verdict)
    .bind(page.limit())
    .bind(page.offset())
    .fetch_all(tx.connection()?)
    .await?;
    let total = sqlx::query_scalar(
        "SELECT count(*) FROM check_states WHERE asset_id = $1 AND ($2::text IS NULL OR verdict = $2)",
    )
    .bind(asset_id)
    .bind(verdict)
    .fetch_one(tx.connection()?)
    .await?;
    Ok(Paged { items, total })
}
