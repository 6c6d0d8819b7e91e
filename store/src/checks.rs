//! The current verdict of each check on an asset. They are written by [`crate::ingest`] only.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::page::{Listed, Start, Total};
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
    /// It fails, and a waiver covers it.
    pub is_waived: bool,
    /// Why, where the verdict alone does not say it.
    pub message: Option<String>,
    /// Since when.
    pub changed_at: DateTime<Utc>,
}

/// Where in the order of a list a check is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    module: String,
    check_id: String,
}

impl Place {
    fn of(state: &CheckState) -> Self {
        Self { module: state.module.clone(), check_id: state.check_id.clone() }
    }
}

/// An asset's checks, of one verdict where asked for: two statements. [`Error::NotFound`] if there is no such asset.
pub async fn list<M: Mode>(
    tx: &mut TenantTx<M>,
    asset_id: Uuid,
    verdict: Option<catalog::envelope::Verdict>,
    start: &Start<Place>,
) -> Result<Listed<CheckState, Place>> {
    let verdict = verdict.map(catalog::envelope::Verdict::as_str);
    let place = start.place();
    let items = sqlx::query_as(
        "SELECT s.module, s.module_version, s.check_id, COALESCE(c.title, s.check_id) AS title, s.severity, s.verdict, s.is_waived,
             s.message, s.changed_at
         FROM check_states s LEFT JOIN shared.checks c
             ON c.module = s.module AND c.version = s.module_version AND c.check_id = s.check_id
         WHERE s.asset_id = $1 AND ($2::text IS NULL OR s.verdict = $2)
             AND ($3::text IS NULL OR (s.module, s.check_id) > ($3, $4)) ORDER BY s.module, s.check_id LIMIT $5 OFFSET $6",
    )
    .bind(asset_id)
    .bind(verdict)
    .bind(place.map(|place| place.module.as_str()))
    .bind(place.map(|place| place.check_id.as_str()))
    .bind(start.limit())
    .bind(start.offset())
    .fetch_all(tx.connection()?)
    .await?;
    // Kept numbers: an asset without a score has no checks.
    let kept: Option<i32> = sqlx::query_scalar(
        "SELECT COALESCE(CASE $2 WHEN 'pass' THEN passed WHEN 'fail' THEN failed + waived WHEN 'not_applicable' THEN not_applicable
             WHEN 'error' THEN error ELSE passed + failed + waived + not_applicable + error END, 0)
         FROM assets a LEFT JOIN asset_scores s USING (asset_id) WHERE a.asset_id = $1",
    )
    .bind(asset_id)
    .bind(verdict)
    .fetch_optional(tx.connection()?)
    .await?;
    let total = Total::exact(kept.ok_or(Error::NotFound("asset"))?.into());
    Ok(Listed::of(items, start, total, Place::of))
}
