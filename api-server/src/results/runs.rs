//! `/v1/runs`: what was executed where, and how it ended.

use axum::{Json as Answer, response::Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Read, runs};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    auth::{Allow, TenantTx, permission::ReadResults},
    error::{Error, Result},
    http::{
        csv::{Exporter, What},
        page::{List, Listing, Part},
        query::{Path, Query},
    },
    results::{findings::AssetLabel, overview::VerdictCounts},
};

/// A run.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunView {
    /// Its id.
    pub id: Uuid,
    /// Where it ran.
    pub asset: AssetLabel,
    /// Which agent ran it.
    pub agent_id: Option<Uuid>,
    /// Slug of the module.
    pub module: String,
    /// Its version.
    pub version: String,
    /// succeeded, failed, timeout, partial or unchanged.
    pub status: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// Wall time in milliseconds.
    pub duration_ms: i64,
    /// Processor time in milliseconds.
    pub cpu_ms: i64,
    /// Greatest resident set in KiB.
    pub max_rss_kb: i64,
    /// Checks by verdict.
    pub checks: VerdictCounts,
    /// 0 to 100, unweighted.
    pub score: Option<i16>,
    /// What the run had to say.
    #[schema(value_type = Vec<Object>)]
    pub log: Value,
    /// When the result came in.
    pub received_at: DateTime<Utc>,
}

fn view(row: runs::Run) -> RunView {
    RunView {
        id: row.run_id,
        asset: AssetLabel { id: row.asset_id, name: row.asset_name },
        agent_id: row.agent_id,
        module: row.module,
        version: row.module_version,
        status: row.status,
        started_at: row.started_at,
        duration_ms: row.duration_ms,
        cpu_ms: row.cpu_ms,
        max_rss_kb: row.max_rss_kb,
        checks: VerdictCounts {
            passed: row.passed.into(),
            failed: row.failed.into(),
            not_applicable: row.not_applicable.into(),
            error: row.error.into(),
        },
        score: row.score,
        log: row.log,
        received_at: row.received_at,
    }
}

/// Which runs are wanted.
#[derive(Debug, Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RunFilter {
    /// On this asset.
    pub asset_id: Option<Uuid>,
    /// Of this module. With it, and with the status succeeded or unchanged, each part of the list holds what is found among
    /// the next 10,000 runs, and `next_cursor` goes on from there.
    pub module: Option<String>,
    /// With this status.
    #[param(inline)]
    pub status: Option<RunStatus>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// To its end.
    Succeeded,
    /// Not at all.
    Failed,
    /// Cut off.
    Timeout,
    /// In parts.
    Partial,
    /// As the one before it.
    Unchanged,
}

impl RunFilter {
    fn of_store(self) -> runs::RunFilter {
        let Self { asset_id, module, status } = self;
        let status = status.map(|status| match status {
            RunStatus::Succeeded => runs::Status::Succeeded,
            RunStatus::Failed => runs::Status::Failed,
            RunStatus::Timeout => runs::Status::Timeout,
            RunStatus::Partial => runs::Status::Partial,
            RunStatus::Unchanged => runs::Status::Unchanged,
        });
        runs::RunFilter { asset_id, module, status }
    }
}

/// Lists the runs of the tenant, newest first.
#[utoipa::path(get, path = "/runs", tag = "results", params(RunFilter, Part), responses((status = 200, body = Listing<RunView>)))]
pub async fn list(
    _: Allow<ReadResults>,
    Query(filter): Query<RunFilter>,
    part: Part,
    mut tenant: TenantTx<Read>,
) -> Result<Answer<Listing<RunView>>> {
    let filter = filter.of_store();
    let list = List::new(tenant.0.tenant(), "runs", &filter);
    let rows = runs::list(&mut tenant.0, &filter, &part.start(&list)?).await?;
    tenant.0.rollback().await?;
    Ok(Answer(part.of(&list, rows, view)?))
}

/// Gives the runs of the tenant as a file, in no order.
#[utoipa::path(
    get, path = "/runs/export.csv", tag = "results", params(RunFilter),
    responses((status = 200, body = String, content_type = "text/csv"))
)]
pub async fn export(exporter: Exporter<ReadResults>, Query(filter): Query<RunFilter>) -> Result<Response> {
    let what = What::list("runs", &filter, runs::EXPORTED);
    let filter = filter.of_store();
    exporter.respond(what, move |tx| runs::export(tx, &filter)).await
}

/// Shows one run.
#[utoipa::path(get, path = "/runs/{id}", tag = "results", params(("id" = Uuid, Path)), responses((status = 200, body = RunView)))]
pub async fn get(_: Allow<ReadResults>, Path(id): Path<Uuid>, mut tenant: TenantTx<Read>) -> Result<Answer<RunView>> {
    let row = runs::get(&mut tenant.0, id).await?;
    tenant.0.rollback().await?;
    Ok(Answer(view(row.ok_or(Error::NotFound("run"))?)))
}
