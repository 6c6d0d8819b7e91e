//! `/v1/assets`: what is scanned, its facts, verdicts and what changed on it.

use std::collections::BTreeMap;

use axum::Json as Answer;
use catalog::envelope::Verdict;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Read, assets, checks, facts};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    auth::{Allow, TenantTx, permission::ReadResults},
    error::{Error, Result},
    http::{
        page::{Page, Paged},
        query::{Path, Query},
    },
    results::overview::{SeverityCounts, VerdictCounts},
};

/// An asset.
#[derive(Debug, Serialize, ToSchema)]
pub struct AssetView {
    /// Its id.
    pub id: Uuid,
    /// `host`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What makes it the same asset when it enrols again.
    pub identity: String,
    /// Operating system: name, version, id, arch, kernel.
    #[schema(value_type = Object)]
    pub os: Value,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// 0 to 100; none where nothing was assessed.
    pub score: Option<i16>,
    /// Its checks by verdict.
    pub checks: VerdictCounts,
    /// Its open findings.
    pub findings: SeverityCounts,
    /// When it was first seen.
    pub first_seen_at: DateTime<Utc>,
    /// When it was last heard of.
    pub last_seen_at: DateTime<Utc>,
}

fn view(row: assets::Asset) -> AssetView {
    AssetView {
        id: row.asset_id,
        kind: row.kind,
        name: row.name,
        identity: row.identity,
        os: row.os,
        labels: row.labels,
        score: row.score,
        checks: VerdictCounts {
            passed: row.passed.into(),
            failed: row.failed.into(),
            not_applicable: row.not_applicable.into(),
            error: row.error.into(),
        },
        findings: SeverityCounts {
            critical: row.open_critical.into(),
            high: row.open_high.into(),
            medium: row.open_medium.into(),
            low: row.open_low.into(),
        },
        first_seen_at: row.first_seen_at,
        last_seen_at: row.last_seen_at,
    }
}

/// Which assets are wanted, in which order.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AssetFilter {
    /// Contained in the name.
    pub q: Option<String>,
    /// name (the default), score (lowest first) or -`last_seen_at`.
    pub sort: Option<String>,
}

/// A fact that a module keeps.
#[derive(Debug, Serialize, ToSchema)]
pub struct FactView {
    /// Slug of the module.
    pub module: String,
    /// The table.
    pub table: String,
    /// What the row is about.
    pub key: String,
    /// The row.
    #[schema(value_type = Object)]
    pub row: Value,
    /// Since when it is like this.
    pub first_seen_at: DateTime<Utc>,
}

/// Which facts are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FactFilter {
    /// Of this table.
    pub table: Option<String>,
}

/// The current verdict of a check.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckView {
    /// Slug of the module.
    pub module: String,
    /// The version that decided it.
    pub module_version: String,
    /// The check.
    pub check: String,
    /// Its title.
    pub title: String,
    /// critical, high, medium or low.
    pub severity: String,
    /// pass, fail, `not_applicable` or error.
    pub verdict: String,
    /// Why, where the verdict alone does not say it.
    pub message: Option<String>,
    /// Since when.
    pub changed_at: DateTime<Utc>,
}

/// Which checks are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CheckFilter {
    /// With this verdict.
    #[param(inline)]
    pub verdict: Option<Verdict>,
}

/// A change of a fact.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangeView {
    /// Slug of the module.
    pub module: String,
    /// The table.
    pub table: String,
    /// added, changed or removed.
    pub kind: String,
    /// What the row is about.
    pub key: String,
    /// The row before.
    #[schema(value_type = Option<Object>)]
    pub before: Option<Value>,
    /// The row after.
    #[schema(value_type = Option<Object>)]
    pub after: Option<Value>,
    /// When.
    pub changed_at: DateTime<Utc>,
}

/// Lists the assets of the tenant.
#[utoipa::path(
    get, path = "/assets", tag = "results", params(AssetFilter, Page),
    responses((status = 200, body = Paged<AssetView>))
)]
pub async fn list(
    _: Allow<ReadResults>,
    Query(filter): Query<AssetFilter>,
    page: Page,
    mut tenant: TenantTx<Read>,
) -> Result<Answer<Paged<AssetView>>> {
    let sort = match filter.sort.as_deref() {
        None | Some("name") => assets::Sort::Name,
        Some("score") => assets::Sort::WorstFirst,
        Some("-last_seen_at") => assets::Sort::LastSeen,
        Some(_) => return Err(Error::BadRequest("sort takes name, score or -last_seen_at.".to_owned())),
    };
    let rows = assets::list(&mut tenant.0, filter.q.as_deref(), sort, page.of_store()).await?;
    tenant.0.rollback().await?;
    Ok(Answer(page.of(rows, view)))
}

/// Shows one asset with its score.
#[utoipa::path(
    get, path = "/assets/{id}", tag = "results", params(("id" = Uuid, Path)),
    responses((status = 200, body = AssetView))
)]
pub async fn get(_: Allow<ReadResults>, Path(id): Path<Uuid>, mut tenant: TenantTx<Read>) -> Result<Answer<AssetView>> {
    let row = exists(&mut tenant, id).await?;
    tenant.0.rollback().await?;
    Ok(Answer(view(row)))
}

/// Lists what modules keep of one asset.
#[utoipa::path(
    get, path = "/assets/{id}/facts", tag = "results", params(("id" = Uuid, Path), FactFilter, Page),
    responses((status = 200, body = Paged<FactView>))
)]
pub async fn facts(
    _: Allow<ReadResults>,
    Path(id): Path<Uuid>,
    Query(filter): Query<FactFilter>,
    page: Page,
    mut tenant: TenantTx<Read>,
) -> Result<Answer<Paged<FactView>>> {
    exists(&mut tenant, id).await?;
    let rows = facts::list(&mut tenant.0, id, filter.table.as_deref(), page.of_store()).await?;
    tenant.0.rollback().await?;
    Ok(Answer(page.of(rows, |row| FactView {
        module: row.module,
        table: row.table_name,
        key: row.row_key,
        row: row.content,
        first_seen_at: row.first_seen_at,
    })))
}

/// Lists the current verdicts on one asset.
#[utoipa::path(
    get, path = "/assets/{id}/checks", tag = "results", params(("id" = Uuid, Path), CheckFilter, Page),
    responses((status = 200, body = Paged<CheckView>))
)]
pub async fn checks(
    _: Allow<ReadResults>,
    Path(id): Path<Uuid>,
    Query(filter): Query<CheckFilter>,
    page: Page,
    mut tenant: TenantTx<Read>,
) -> Result<Answer<Paged<CheckView>>> {
    exists(&mut tenant, id).await?;
    let rows = checks::list(&mut tenant.0, id, filter.verdict, page.of_store()).await?;
    tenant.0.rollback().await?;
    Ok(Answer(page.of(rows, |row| CheckView {
        module: row.module,
        module_version: row.module_version,
        check: row.check_id,
        title: row.title,
        severity: row.severity,
        verdict: row.verdict,
        message: row.message,
        changed_at: row.changed_at,
    })))
}

/// Lists what changed on one asset, newest first.
#[utoipa::path(
    get, path = "/assets/{id}/timeline", tag = "results", params(("id" = Uuid, Path), Page),
    responses((status = 200, body = Paged<ChangeView>))
)]
pub async fn timeline(
    _: Allow<ReadResults>,
    Path(id): Path<Uuid>,
    page: Page,
    mut tenant: TenantTx<Read>,
) -> Result<Answer<Paged<ChangeView>>> {
    exists(&mut tenant, id).await?;
    let rows = facts::changes(&mut tenant.0, id, page.of_store()).await?;
    tenant.0.rollback().await?;
    Ok(Answer(page.of(rows, |row| ChangeView {
        module: row.module,
        table: row.table_name,
        kind: row.kind,
        key: row.row_key,
        before: row.before,
        after: row.after,
        changed_at: row.changed_at,
    })))
}

async fn exists(tenant: &mut TenantTx<Read>, asset_id: Uuid) -> Result<assets::Asset> {
    assets::get(&mut tenant.0, asset_id).await?.ok_or(Error::NotFound("asset"))
}
