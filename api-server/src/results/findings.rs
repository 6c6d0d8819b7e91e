//! `/v1/findings`: the failing rows of checks, with their evidence and what to do; as a file, without what a check says of
//! itself.

use std::collections::BTreeMap;

use axum::{Json as Answer, response::Response};
use catalog::Severity;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use store::{Read, findings};
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
};

/// A finding.
#[derive(Debug, Serialize, ToSchema)]
pub struct FindingView {
    /// The same finding keeps its id for ever.
    pub id: Uuid,
    /// critical, high, medium or low.
    #[schema(example = "high")]
    pub severity: String,
    /// open or closed.
    #[schema(example = "open")]
    pub status: String,
    /// The check's title.
    pub title: String,
    /// The check.
    pub check: String,
    /// Slug of the module.
    pub module: String,
    /// Its version.
    pub module_version: String,
    /// What it is about: a file, a user, a setting.
    pub resource: String,
    /// Where it was found.
    pub asset: AssetLabel,
    /// The failing row's other columns.
    #[schema(value_type = Object)]
    pub evidence: serde_json::Value,
    /// Why it matters.
    pub rationale: String,
    /// What to do.
    pub remediation: String,
    /// Framework to identifiers of its controls.
    pub controls: BTreeMap<String, Vec<String>>,
    /// When it was first found.
    pub first_seen_at: DateTime<Utc>,
    /// When it was last found.
    pub last_seen_at: DateTime<Utc>,
    /// When it was closed.
    pub closed_at: Option<DateTime<Utc>>,
    /// How often it came back.
    pub times_reopened: i32,
}

/// An asset's id and name.
#[derive(Debug, Serialize, ToSchema)]
pub struct AssetLabel {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
}

/// The finding as the API shows it.
pub fn view(row: findings::Finding) -> FindingView {
    FindingView {
        id: row.finding_id,
        severity: row.severity,
        status: row.status,
        title: row.title,
        check: row.check_id,
        module: row.module,
        module_version: row.module_version,
        resource: row.resource,
        asset: AssetLabel { id: row.asset_id, name: row.asset_name },
        evidence: row.evidence,
        rationale: row.rationale,
        remediation: row.remediation,
        controls: row.controls,
        first_seen_at: row.first_seen_at,
        last_seen_at: row.last_seen_at,
        closed_at: row.closed_at,
        times_reopened: row.times_reopened,
    }
}

/// Which findings are wanted, in which order.
#[derive(Debug, Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FindingFilter {
    /// One or more of critical, high, medium, low, with commas.
    #[param(example = "critical,high")]
    pub severity: Option<String>,
    /// open (the default), closed or all.
    #[param(inline)]
    pub status: Option<StatusFilter>,
    /// Of this asset.
    pub asset_id: Option<Uuid>,
    /// Of this module.
    pub module: Option<String>,
    /// Of this check.
    pub check: Option<String>,
    /// Contained in resource, check or title. Without `asset_id`, each part of the list holds what is found among the next
    /// 5,000 findings in order, and `next_cursor` goes on from there.
    pub q: Option<String>,
    /// severity (mildest first), -severity (worst first, the default), `first_seen_at` (oldest first), -`first_seen_at`. A
    /// finding that came back counts from when it did.
    pub sort: Option<String>,
}

/// Which findings by their status.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StatusFilter {
    /// Those that hold.
    #[default]
    Open,
    /// Those that hold no more.
    Closed,
    /// Both.
    All,
}

impl FindingFilter {
    fn of_store(self) -> Result<(findings::FindingFilter, findings::Sort)> {
        let severities = self
            .severity
            .as_deref()
            .unwrap_or_default()
            .split(',')
            .filter(|text| !text.is_empty())
            .map(|text| {
                text.trim().parse::<Severity>().map_err(|error| Error::BadRequest(format!("severity: {error}.")))
            })
            .collect::<Result<Vec<_>>>()?;
        let status = match self.status.unwrap_or_default() {
            StatusFilter::Open => Some(findings::Status::Open),
            StatusFilter::Closed => Some(findings::Status::Closed),
            StatusFilter::All => None,
        };
        let sort = match self.sort.as_deref() {
            None | Some("-severity") => findings::Sort::WorstFirst,
            Some("severity") => findings::Sort::MildestFirst,
            Some("-first_seen_at") => findings::Sort::NewestFirst,
            Some("first_seen_at") => findings::Sort::OldestFirst,
            Some(_) => {
                let fields = "severity, -severity, first_seen_at or -first_seen_at";
                return Err(Error::BadRequest(format!("sort takes {fields}.")));
            }
        };
        let Self { asset_id, module, check, q, .. } = self;
        Ok((findings::FindingFilter { severities, status, asset_id, module, check, q }, sort))
    }
}

/// Lists the findings of the tenant, worst first.
#[utoipa::path(
    get, path = "/findings", tag = "results", params(FindingFilter, Part),
    responses((status = 200, body = Listing<FindingView>))
)]
pub async fn list(
    _: Allow<ReadResults>,
    Query(filter): Query<FindingFilter>,
    part: Part,
    mut tenant: TenantTx<Read>,
) -> Result<Answer<Listing<FindingView>>> {
    let (filter, sort) = filter.of_store()?;
    let list = List::new(tenant.0.tenant(), "findings", &(&filter, sort));
    let rows = findings::list(&mut tenant.0, &filter, sort, &part.start(&list)?).await?;
    tenant.0.rollback().await?;
    Ok(Answer(part.of(&list, rows, view)?))
}

/// Gives the findings of the tenant as a file, in no order unless `sort` is given.
#[utoipa::path(
    get, path = "/findings/export.csv", tag = "results", params(FindingFilter),
    responses((status = 200, body = String, content_type = "text/csv"))
)]
pub async fn export(exporter: Exporter<ReadResults>, Query(filter): Query<FindingFilter>) -> Result<Response> {
    let what = What::list("findings", &filter, findings::EXPORTED);
    let is_sorted = filter.sort.is_some();
    let (filter, sort) = filter.of_store()?;
    let sort = is_sorted.then_some(sort);
    exporter.respond(what, move |tx| findings::export(tx, &filter, sort)).await
}

/// Shows one finding.
#[utoipa::path(
    get, path = "/findings/{id}", tag = "results", params(("id" = Uuid, Path)),
    responses((status = 200, body = FindingView))
)]
pub async fn get(
    _: Allow<ReadResults>,
    Path(id): Path<Uuid>,
    mut tenant: TenantTx<Read>,
) -> Result<Answer<FindingView>> {
    let row = findings::get(&mut tenant.0, id).await?;
    tenant.0.rollback().await?;
    Ok(Answer(view(row.ok_or(Error::NotFound("finding"))?)))
}
