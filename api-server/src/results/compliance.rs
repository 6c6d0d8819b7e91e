//! `/v1/compliance`: scores by framework.

use axum::Json as Answer;
use serde::Serialize;
use store::{Read, overview, scores};
use utoipa::ToSchema;

use crate::{
    auth::{Allow, Scope, TenantTx, permission::ReadResults},
    error::{Error, Result},
    tenants::plan::{self, Feature},
};

/// The tenant's scores.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScoresView {
    /// Over everything, 0 to 100; none where nothing was assessed.
    pub score: Option<u8>,
    /// Frameworks that a check of the tenant maps to; those that its spec names first.
    pub frameworks: Vec<FrameworkScoreView>,
}

/// A framework's score over the tenant.
#[derive(Debug, Serialize, ToSchema)]
pub struct FrameworkScoreView {
    /// Slug of the framework.
    pub framework: String,
    /// Its title.
    pub title: String,
    /// Whether the tenant's spec names it.
    pub selected: bool,
    /// 0 to 100; none where nothing was assessed.
    pub score: Option<u8>,
    /// Controls that it has.
    pub controls: i64,
    /// Of these, with at least one assessed check.
    pub assessed: i64,
    /// Of these, with at least one failing check.
    pub failed: i64,
}

/// Shows the tenant's score and that of each framework.
#[utoipa::path(get, path = "/compliance/scores", tag = "results", responses((status = 200, body = ScoresView)))]
pub async fn scores(_: Allow<ReadResults>, scope: Scope, mut tenant: TenantTx<Read>) -> Result<Answer<ScoresView>> {
    let spec = &scope.resource.spec;
    if !plan::has(spec, Feature::ComplianceScore) {
        let feature = Feature::ComplianceScore.key();
        return Err(Error::FeatureNotInPlan { plan: plan::name(spec.plan).to_owned(), feature });
    }
    let rows = scores::by_framework(&mut tenant.0).await?;
    let overall = overview::read(&mut tenant.0).await?.score;
    tenant.0.rollback().await?;
    let mut frameworks: Vec<FrameworkScoreView> = rows
        .into_iter()
        .map(|row| FrameworkScoreView {
            selected: spec.frameworks.contains(&row.framework),
            framework: row.framework,
            title: row.title,
            score: row.score,
            controls: row.controls,
            assessed: row.assessed,
            failed: row.failed,
        })
        .collect();
    frameworks.sort_by_key(|framework| !framework.selected);
    Ok(Answer(ScoresView { score: overall, frameworks }))
}
