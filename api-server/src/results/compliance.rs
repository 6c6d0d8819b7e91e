//! `/v1/compliance/scores`: the tenant's score and that of each framework, from what is kept.

use axum::Json as Answer;
use chrono::{DateTime, Utc};
use serde::Serialize;
use store::{Read, compliance};
use utoipa::ToSchema;

use crate::{
    auth::{Allow, Scope, TenantTx, permission::ReadResults},
    compliance::{require, view::CheckCounts},
    error::Result,
};

/// The tenant's scores. They follow a result within 5 s.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScoresView {
    /// Over everything, 0 to 100; none where nothing was assessed. What is waived neither raises nor lowers it.
    pub score: Option<u8>,
    /// Controls assessed of all, each once for every asset, in percent; of the frameworks listed here.
    pub coverage: Option<u8>,
    /// Checks by verdict, each once for every asset.
    pub checks: CheckCounts,
    /// When any of it last changed; none before the first result.
    pub changed_at: Option<DateTime<Utc>>,
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
    /// Controls assessed of all, each once for every asset, in percent.
    pub coverage: Option<u8>,
    /// Controls that it has.
    pub controls: i64,
    /// Of these, assessed on at least one asset.
    pub assessed: i64,
    /// Of these, failing on at least one asset.
    pub failed: i64,
    /// Of these, failing nowhere but under a waiver.
    pub waived: i64,
    /// Checks by verdict; one that is mapped to two controls counts in both.
    pub checks: CheckCounts,
}

/// Shows the tenant's score and that of each framework.
#[utoipa::path(get, path = "/compliance/scores", tag = "results", responses((status = 200, body = ScoresView)))]
pub async fn scores(_: Allow<ReadResults>, scope: Scope, mut tenant: TenantTx<Read>) -> Result<Answer<ScoresView>> {
    require(&scope)?;
    let standings = compliance::standings(&mut tenant.0).await?;
    tenant.0.rollback().await?;
    let selected = &scope.resource.spec.frameworks;
    let mut frameworks: Vec<FrameworkScoreView> = standings
        .frameworks
        .into_iter()
        .filter(|framework| framework.is_mapped)
        .map(|row| FrameworkScoreView {
            selected: selected.contains(&row.framework),
            framework: row.framework,
            title: row.title,
            score: row.standing.score(),
            coverage: row.standing.coverage(),
            controls: row.controls.all(),
            assessed: row.controls.assessed(),
            failed: row.controls.failed,
            waived: row.controls.waived,
            checks: row.standing.checks.into(),
        })
        .collect();
    frameworks.sort_by_key(|framework| !framework.selected);
    Ok(Answer(ScoresView {
        score: standings.tenant.score(),
        coverage: standings.tenant.coverage(),
        checks: standings.tenant.checks.into(),
        changed_at: standings.changed_at,
        frameworks,
    }))
}
