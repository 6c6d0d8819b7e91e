//! `/v1/assets`: what is scanned, and the verdicts on it.

use std::collections::BTreeMap;

use axum::{Json as Answer, extract::State, response::Response};
use catalog::envelope::Verdict;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{Read, Write, assets, audit, checks, risk};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    auth::{
        Allow, Scope, TenantTx,
        permission::{ManageAssets, ReadResults},
    },
    compliance::view::CheckCounts,
    error::{Error, Result},
    http::{
        body::Json,
        csv::{Exporter, What},
        page::{List, Listing, Part},
        query::{Path, Query},
    },
    results::{overview::SeverityCounts, risk::Criticality},
    state::App,
    tenants::plan,
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
    pub checks: CheckCounts,
    /// Its open findings.
    pub findings: SeverityCounts,
    /// 0 to 100; none where nothing looked at it yet.
    pub risk: Option<i16>,
    /// low, normal, high or critical.
    pub criticality: String,
    /// Whether the internet reaches it.
    pub internet_facing: bool,
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
        checks: CheckCounts {
            passed: row.passed.into(),
            failed: row.failed.into(),
            waived: row.waived.into(),
            not_applicable: row.not_applicable.into(),
            error: row.error.into(),
        },
        findings: SeverityCounts {
            critical: row.open_critical.into(),
            high: row.open_high.into(),
            medium: row.open_medium.into(),
            low: row.open_low.into(),
        },
        risk: row.risk,
        criticality: row.criticality,
        internet_facing: row.internet_facing,
        first_seen_at: row.first_seen_at,
        last_seen_at: row.last_seen_at,
    }
}

/// Which assets are wanted, in which order.
#[derive(Debug, Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AssetFilter {
    /// Contained in the name.
    pub q: Option<String>,
    /// name (the default), score (lowest first) or -`last_seen_at`.
    pub sort: Option<String>,
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
    /// It fails, and a waiver covers it: it counts neither for nor against the score.
    pub waived: bool,
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

impl AssetFilter {
    fn sort(&self) -> Result<Option<assets::Sort>> {
        match self.sort.as_deref() {
            None => Ok(None),
            Some("name") => Ok(Some(assets::Sort::Name)),
            Some("score") => Ok(Some(assets::Sort::WorstFirst)),
            Some("-last_seen_at") => Ok(Some(assets::Sort::LastSeen)),
            Some(_) => Err(Error::BadRequest("sort takes name, score or -last_seen_at.".to_owned())),
        }
    }
}

/// Lists the assets of the tenant.
#[utoipa::path(
    get, path = "/assets", tag = "results", params(AssetFilter, Part),
    responses((status = 200, body = Listing<AssetView>))
)]
pub async fn list(
    _: Allow<ReadResults>,
    Query(filter): Query<AssetFilter>,
    part: Part,
    mut tenant: TenantTx<Read>,
) -> Result<Answer<Listing<AssetView>>> {
    let sort = filter.sort()?.unwrap_or_default();
    let list = List::new(tenant.0.tenant(), "assets", &(&filter.q, sort));
    let rows = assets::list(&mut tenant.0, filter.q.as_deref(), sort, &part.start(&list)?).await?;
    tenant.0.rollback().await?;
    Ok(Answer(part.of(&list, rows, view)?))
}

/// Gives the assets of the tenant as a file, in no order unless `sort` is given.
#[utoipa::path(
    get, path = "/assets/export.csv", tag = "results", params(AssetFilter),
    responses((status = 200, body = String, content_type = "text/csv"))
)]
pub async fn export(exporter: Exporter<ReadResults>, Query(filter): Query<AssetFilter>) -> Result<Response> {
    let what = What::list("assets", &filter, assets::EXPORTED);
    let sort = filter.sort()?;
    exporter.respond(what, move |tx| assets::export(tx, filter.q.as_deref(), sort)).await
}

/// Shows one asset with its score.
#[utoipa::path(
    get, path = "/assets/{id}", tag = "results", params(("id" = Uuid, Path)),
    responses((status = 200, body = AssetView))
)]
pub async fn get(_: Allow<ReadResults>, Path(id): Path<Uuid>, mut tenant: TenantTx<Read>) -> Result<Answer<AssetView>> {
    let row = assets::get(&mut tenant.0, id).await?;
    tenant.0.rollback().await?;
    Ok(Answer(view(row.ok_or(Error::NotFound("asset"))?)))
}

/// What its owner says of an asset. What is left out stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RateAsset {
    /// How much it matters.
    pub criticality: Option<Criticality>,
    /// Whether the internet reaches it.
    pub internet_facing: Option<bool>,
}

/// Says how much an asset matters and whether the internet reaches it. Its risk, and that of the tenant, follow.
#[utoipa::path(
    patch, path = "/assets/{id}", tag = "results", params(("id" = Uuid, Path)), request_body = RateAsset,
    responses((status = 200, body = AssetView))
)]
pub async fn rate(
    allowed: Allow<ManageAssets>,
    scope: Scope,
    State(app): State<App>,
    Path(id): Path<Uuid>,
    Json(request): Json<RateAsset>,
) -> Result<Answer<AssetView>> {
    let RateAsset { criticality, internet_facing } = request;
    if criticality.is_none() && internet_facing.is_none() {
        return Err(Error::field("criticality", "Write criticality, internet_facing, or both."));
    }
    let new = risk::NewRating { criticality: criticality.map(Into::into), internet_facing };
    let mut tx = app.db.tenant::<Write>(&scope.tenant).await?;
    let (before, after) = risk::rate(&mut tx, id, new, &plan::weights(&scope.resource.spec)).await?;
    if before != after {
        let entry = audit::Entry {
            actor: format!("user:{}", allowed.identity.user_id),
            action: "asset.rated".to_owned(),
            subject: id.to_string(),
            details: json!({ "before": before, "after": after }),
        };
        audit::write(&mut tx, &entry).await?;
    }
    let row = assets::get(&mut tx, id).await?;
    tx.commit().await?;
    if before != after {
        app.has_changed(&scope.tenant);
    }
    Ok(Answer(view(row.ok_or(Error::NotFound("asset"))?)))
}

/// Lists the current verdicts on one asset.
#[utoipa::path(
    get, path = "/assets/{id}/checks", tag = "results", params(("id" = Uuid, Path), CheckFilter, Part),
    responses((status = 200, body = Listing<CheckView>))
)]
pub async fn checks(
    _: Allow<ReadResults>,
    Path(id): Path<Uuid>,
    Query(filter): Query<CheckFilter>,
    part: Part,
    mut tenant: TenantTx<Read>,
) -> Result<Answer<Listing<CheckView>>> {
    let list = List::new(tenant.0.tenant(), "checks", &(id, filter.verdict));
    let rows = checks::list(&mut tenant.0, id, filter.verdict, &part.start(&list)?).await?;
    tenant.0.rollback().await?;
    let answer = part.of(&list, rows, |row| CheckView {
        module: row.module,
        module_version: row.module_version,
        check: row.check_id,
        title: row.title,
        severity: row.severity,
        verdict: row.verdict,
        waived: row.is_waived,
        message: row.message,
        changed_at: row.changed_at,
    })?;
    Ok(Answer(answer))
}
