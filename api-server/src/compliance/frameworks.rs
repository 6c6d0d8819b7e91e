//! `/v1/compliance/frameworks`: from a framework to its controls, to the checks of a control, to a check on each asset. The rows
//! that make a check fail are the findings of that asset, module and check (`/v1/findings`).

use axum::Json as Answer;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use store::{
    Read,
    compliance::{self, FrameworkStanding},
};
use utoipa::{IntoParams, ToSchema};

use crate::{
    auth::{Allow, Scope, TenantTx, permission::ReadResults},
    compliance::{
        Scored,
        view::{ControlCounts, ControlStatus, StandingView},
    },
    error::{Error, Result},
    http::{
        page::{List, Listing, Page, Paged, Part},
        query::{Path, Query},
    },
    results::findings::AssetLabel,
};

/// Bytes of a label's key or value.
const MAX_LABEL: usize = 256;

/// A framework over all assets of the tenant.
#[derive(Debug, Serialize, ToSchema)]
pub struct FrameworkView {
    /// Its slug.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its version.
    pub version: String,
    /// Who publishes it.
    pub publisher: String,
    /// Whether the tenant's spec names it.
    pub selected: bool,
    /// Its controls over all assets.
    #[serde(flatten)]
    pub standing: StandingView,
    /// Each control once, with the worst status that it has on any asset.
    pub by_worst: ControlCounts,
}

fn view(scope: &Scope, row: FrameworkStanding) -> FrameworkView {
    FrameworkView {
        selected: scope.resource.spec.frameworks.contains(&row.framework),
        id: row.framework,
        title: row.title,
        version: row.version,
        publisher: row.publisher,
        standing: row.standing.into(),
        by_worst: row.controls.into(),
    }
}

/// Lists the frameworks of the installation, those that the tenant's spec names first.
#[utoipa::path(
    get, path = "/compliance/frameworks", tag = "compliance", params(Page),
    responses((status = 200, body = Paged<FrameworkView>))
)]
pub async fn list(_: Allow<ReadResults>, page: Page, mut tenant: Scored) -> Result<Answer<Paged<FrameworkView>>> {
    let standings = compliance::standings(&mut tenant.tx).await?;
    tenant.tx.rollback().await?;
    let mut frameworks: Vec<FrameworkView> =
        standings.frameworks.into_iter().map(|framework| view(&tenant.scope, framework)).collect();
    frameworks.sort_by_key(|framework| !framework.selected);
    Ok(Answer(page.slice(frameworks)))
}

/// Shows one framework over all assets of the tenant.
#[utoipa::path(
    get, path = "/compliance/frameworks/{id}", tag = "compliance", params(("id" = String, Path)),
    responses((status = 200, body = FrameworkView))
)]
pub async fn get(_: Allow<ReadResults>, Path(id): Path<String>, mut tenant: Scored) -> Result<Answer<FrameworkView>> {
    let standings = compliance::standings(&mut tenant.tx).await?;
    tenant.tx.rollback().await?;
    let found = standings.frameworks.into_iter().find(|framework| framework.framework == id);
    Ok(Answer(view(&tenant.scope, found.ok_or(Error::NotFound("framework"))?)))
}

/// A control over all assets.
#[derive(Debug, Serialize, ToSchema)]
pub struct ControlView {
    /// Its identifier in its framework.
    pub id: String,
    /// Its short name.
    pub title: String,
    /// The worst status that it has on any asset.
    pub status: ControlStatus,
    /// Its checks, and on how many assets it has which status.
    #[serde(flatten)]
    pub standing: StandingView,
}

/// Which controls are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ControlFilter {
    /// Of this status.
    #[param(inline)]
    pub status: Option<ControlStatus>,
}

/// Lists every control of a framework, assessed or not, in the framework's own order.
#[utoipa::path(
    get, path = "/compliance/frameworks/{id}/coverage", tag = "compliance",
    params(("id" = String, Path), ControlFilter, Part), responses((status = 200, body = Listing<ControlView>))
)]
pub async fn coverage(
    _: Allow<ReadResults>,
    Path(id): Path<String>,
    Query(filter): Query<ControlFilter>,
    part: Part,
    mut tenant: Scored,
) -> Result<Answer<Listing<ControlView>>> {
    let list = List::new(tenant.tx.tenant(), "controls", &(&id, filter.status));
    let status = filter.status.map(Into::into);
    let rows = compliance::controls(&mut tenant.tx, &id, status, &part.start(&list)?).await?;
    tenant.tx.rollback().await?;
    let answer = part.of(&list, rows, |row| ControlView {
        status: row.standing.controls.status().into(),
        id: row.control,
        title: row.title,
        standing: row.standing.into(),
    })?;
    Ok(Answer(answer))
}

/// A framework on one asset.
#[derive(Debug, Serialize, ToSchema)]
pub struct AssetStandingView {
    /// The asset.
    pub asset: AssetLabel,
    /// Its controls, each once.
    #[serde(flatten)]
    pub standing: StandingView,
}

/// Lists how a framework stands on each asset, by the asset's name.
#[utoipa::path(
    get, path = "/compliance/frameworks/{id}/assets", tag = "compliance", params(("id" = String, Path), Part),
    responses((status = 200, body = Listing<AssetStandingView>))
)]
pub async fn assets(
    _: Allow<ReadResults>,
    Path(id): Path<String>,
    part: Part,
    mut tenant: Scored,
) -> Result<Answer<Listing<AssetStandingView>>> {
    let list = List::new(tenant.tx.tenant(), "framework_on_assets", &id);
    let rows = compliance::framework_on_assets(&mut tenant.tx, &id, &part.start(&list)?).await?;
    tenant.tx.rollback().await?;
    let answer = part.of(&list, rows, |row| AssetStandingView {
        asset: AssetLabel { id: row.asset_id, name: row.name },
        standing: row.standing.into(),
    })?;
    Ok(Answer(answer))
}

/// A check of a control over all assets.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckStandingView {
    /// Slug of the module.
    pub module: String,
    /// The check.
    pub check: String,
    /// Its title.
    pub title: String,
    /// critical, high, medium or low.
    pub severity: String,
    /// Assets on which it passes.
    pub passed: i64,
    /// On which it fails, and nothing waives it.
    pub failed: i64,
    /// On which it fails under a waiver.
    pub waived: i64,
    /// On which it has no subject.
    pub not_applicable: i64,
    /// On which it could not be decided.
    pub error: i64,
}

/// A control by its framework.
#[derive(Debug, Deserialize)]
pub struct ControlPath {
    /// The framework's slug.
    pub id: String,
    /// The control's identifier in it.
    pub control: String,
}

/// Lists the checks that are mapped to a control, each with how many assets it passes and fails on.
#[utoipa::path(
    get, path = "/compliance/frameworks/{id}/controls/{control}/checks", tag = "compliance",
    params(("id" = String, Path), ("control" = String, Path), Part),
    responses((status = 200, body = Listing<CheckStandingView>))
)]
pub async fn checks(
    _: Allow<ReadResults>,
    Path(ControlPath { id, control }): Path<ControlPath>,
    part: Part,
    mut tenant: Scored,
) -> Result<Answer<Listing<CheckStandingView>>> {
    let list = List::new(tenant.tx.tenant(), "checks_of_control", &(&id, &control));
    let rows = compliance::checks(&mut tenant.tx, &id, &control, &part.start(&list)?).await?;
    tenant.tx.rollback().await?;
    let answer = part.of(&list, rows, |row| CheckStandingView {
        module: row.module,
        check: row.check_id,
        title: row.title,
        severity: row.severity,
        passed: row.passed,
        failed: row.failed,
        waived: row.waived,
        not_applicable: row.not_applicable,
        error: row.error,
    })?;
    Ok(Answer(answer))
}

/// A verdict, or that what fails is waived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResultVerdict {
    /// It passes.
    Pass,
    /// It fails, and nothing waives it.
    Fail,
    /// It fails under a waiver.
    Waived,
    /// It has no subject.
    NotApplicable,
    /// It could not be decided.
    Error,
}

impl ResultVerdict {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Waived => "waived",
            Self::NotApplicable => "not_applicable",
            Self::Error => "error",
        }
    }
}

/// Which results are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ResultFilter {
    /// Slug of the module.
    pub module: String,
    /// The check.
    pub check: String,
    /// With this verdict.
    #[param(inline)]
    pub verdict: Option<ResultVerdict>,
}

/// A check on one asset. Where it fails, `/v1/findings` with the same asset, module and check has the rows that say why.
#[derive(Debug, Serialize, ToSchema)]
pub struct ResultView {
    /// The asset.
    pub asset: AssetLabel,
    /// The version of the module that decided it.
    pub module_version: String,
    /// critical, high, medium or low.
    pub severity: String,
    /// pass, fail, waived, `not_applicable` or error.
    #[schema(example = "waived")]
    pub verdict: String,
    /// Why, where the verdict alone does not say it.
    pub message: Option<String>,
    /// Since when.
    pub changed_at: DateTime<Utc>,
}

/// Lists how one check stands on each asset that reported it.
#[utoipa::path(
    get, path = "/compliance/results", tag = "compliance", params(ResultFilter, Part),
    responses((status = 200, body = Listing<ResultView>))
)]
pub async fn results(
    _: Allow<ReadResults>,
    Query(ResultFilter { module, check, verdict }): Query<ResultFilter>,
    part: Part,
    mut tenant: TenantTx<Read>,
) -> Result<Answer<Listing<ResultView>>> {
    let list = List::new(tenant.0.tenant(), "results", &(&module, &check, verdict));
    let start = part.start(&list)?;
    let verdict = verdict.map(ResultVerdict::as_str);
    let rows = compliance::results(&mut tenant.0, (module.as_str(), check.as_str()), verdict, &start).await?;
    tenant.0.rollback().await?;
    let answer = part.of(&list, rows, |row| ResultView {
        asset: AssetLabel { id: row.asset_id, name: row.asset_name },
        module_version: row.module_version,
        severity: row.severity,
        verdict: row.verdict,
        message: row.message,
        changed_at: row.changed_at,
    })?;
    Ok(Answer(answer))
}

/// Which assets are a group.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct GroupFilter {
    /// Key of a label.
    #[param(example = "environment")]
    pub key: String,
    /// Its value.
    #[param(example = "production")]
    pub value: String,
}

/// A framework over the assets of a group.
#[derive(Debug, Serialize, ToSchema)]
pub struct GroupFrameworkView {
    /// Slug of the framework.
    pub framework: String,
    /// Its controls over the group's assets.
    #[serde(flatten)]
    pub standing: StandingView,
}

/// The assets that have a label, and how the frameworks that their checks map to stand over them.
#[derive(Debug, Serialize, ToSchema)]
pub struct GroupView {
    /// Assets with the label.
    pub assets: i64,
    /// By slug.
    pub frameworks: Vec<GroupFrameworkView>,
}

/// Shows how frameworks stand over the assets that have a label.
#[utoipa::path(
    get, path = "/compliance/groups", tag = "compliance", params(GroupFilter),
    responses((status = 200, body = GroupView))
)]
pub async fn group(
    _: Allow<ReadResults>,
    Query(GroupFilter { key, value }): Query<GroupFilter>,
    mut tenant: Scored,
) -> Result<Answer<GroupView>> {
    if key.is_empty() || key.len() > MAX_LABEL || value.len() > MAX_LABEL {
        return Err(Error::BadRequest(format!("Name a label: key in 1 to {MAX_LABEL} bytes, value in {MAX_LABEL}.")));
    }
    let (assets, rows) = compliance::group(&mut tenant.tx, &key, &value).await?;
    tenant.tx.rollback().await?;
    let frameworks = rows
        .into_iter()
        .map(|row| GroupFrameworkView { framework: row.framework, standing: row.standing.into() })
        .collect();
    Ok(Answer(GroupView { assets, frameworks }))
}
