//! `/v1/overview`: the tenant at a glance, from kept scores only. Those who ask at the same time share one read and one answer,
//! down to its bytes and its tag.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use chrono::{DateTime, NaiveDate, Utc};
use http::{HeaderValue, header};
use serde::Serialize;
use store::{
    Db, Read, TenantRef,
    overview::{self, Overview},
};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    attempt::{self, Missed},
    auth::{Allow, Scope, permission::ReadResults},
    compliance::view::CheckCounts,
    error::{Error, Result},
    http::etag,
    results::{
        findings::{FindingView, view},
        rounds::Rounds,
    },
    state::App,
    tenants::plan::{self, Feature},
};

/// The overviews that are being read, by tenant and whether its plan has a score; nothing else of the caller is in one. A
/// reading has a time limit, so that one that hangs does not hold up those behind it.
pub type Overviews = Rounds<(Uuid, bool), Result<Page, Missed>>;

/// An overview as it is sent.
#[derive(Clone, Debug)]
pub struct Page {
    body: Bytes,
    tag: HeaderValue,
}

/// The tenant at a glance.
#[derive(Debug, Serialize, ToSchema)]
pub struct OverviewView {
    /// 0 to 100; none where nothing was assessed or the plan has no score.
    pub score: Option<u8>,
    /// Checks that passed, or failed with nothing to waive it.
    pub assessed: i64,
    /// Open findings.
    pub findings: SeverityCounts,
    /// Assets known.
    pub assets: i64,
    /// Agents.
    pub agents: AgentTotals,
    /// Checks by verdict, over all assets.
    pub checks: CheckCounts,
    /// Scans that have not ended.
    pub jobs: JobCounts,
    /// When the last result came in.
    pub last_result_at: Option<DateTime<Utc>>,
    /// The last 30 days, oldest first.
    pub trend: Vec<DayScore>,
    /// The five worst open findings.
    pub worst_findings: Vec<FindingView>,
}

/// Counts by severity.
#[derive(Debug, Serialize, ToSchema)]
pub struct SeverityCounts {
    /// Critical.
    pub critical: i64,
    /// High.
    pub high: i64,
    /// Medium.
    pub medium: i64,
    /// Low.
    pub low: i64,
}

/// Agents of the tenant.
#[derive(Debug, Serialize, ToSchema)]
pub struct AgentTotals {
    /// Enrolled.
    pub total: i64,
    /// Heard of lately.
    pub online: i64,
    /// Not heard of lately.
    pub silent: i64,
}

/// What the checks of a run came to.
#[derive(Debug, Serialize, ToSchema)]
pub struct VerdictCounts {
    /// Passed.
    pub passed: i64,
    /// Failed.
    pub failed: i64,
    /// Without a subject.
    pub not_applicable: i64,
    /// Could not be decided.
    pub error: i64,
}

/// Scans that have not ended.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobCounts {
    /// Waiting for their agent.
    pub queued: i64,
    /// Taken by their agent.
    pub running: i64,
}

/// A day of the trend.
#[derive(Debug, Serialize, ToSchema)]
pub struct DayScore {
    /// In UTC.
    pub day: NaiveDate,
    /// The last score of that day.
    pub score: Option<i16>,
}

/// Shows score, findings, assets and agents of the tenant at a glance.
#[utoipa::path(get, path = "/overview", tag = "results", responses((status = 200, body = OverviewView)))]
pub async fn read(_: Allow<ReadResults>, scope: Scope, State(app): State<App>) -> Result<Response> {
    let has_score = plan::has(&scope.resource.spec, Feature::ComplianceScore);
    let (db, tenant) = (app.db.clone(), scope.tenant.clone());
    let read = move || async move {
        attempt::for_many("an overview", attempt::LIMIT, Page::read(&db, &tenant, has_score)).await
    };
    let page = match app.overviews.join((scope.tenant.id, has_score), read).await {
        Ok(page) => page,
        Err(Missed::Away) => return Err(attempt::away()),
        Err(Missed::Refused) => attempt::alone(attempt::LIMIT, Page::read(&app.db, &scope.tenant, has_score)).await?,
    };
    Ok(page.into_response())
}

impl Page {
    async fn read(db: &Db, tenant: &TenantRef, has_score: bool) -> Result<Self> {
        let mut tx = db.tenant::<Read>(tenant).await?;
        let overview = overview::read(&mut tx).await?;
        // Nothing was written: nobody has to wait for its end.
        drop(tx);
        let body = serde_json::to_vec(&OverviewView::of(overview, has_score)).map_err(Error::internal)?;
        let tag = etag::of(&body).map_err(Error::internal)?;
        Ok(Self { body: body.into(), tag })
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let kind = HeaderValue::from_static("application/json");
        ([(header::CONTENT_TYPE, kind), (header::ETAG, self.tag)], self.body).into_response()
    }
}

impl OverviewView {
    fn of(overview: Overview, has_score: bool) -> Self {
        let Overview { totals, score, trend, worst } = overview;
        Self {
            score: score.filter(|_| has_score),
            assessed: totals.passed + totals.failed,
            findings: SeverityCounts {
                critical: totals.open_critical,
                high: totals.open_high,
                medium: totals.open_medium,
                low: totals.open_low,
            },
            assets: totals.assets,
            agents: AgentTotals {
                total: totals.agents,
                online: totals.agents_online,
                silent: totals.agents - totals.agents_online,
            },
            checks: CheckCounts {
                passed: totals.passed,
                failed: totals.failed,
                waived: totals.waived,
                not_applicable: totals.not_applicable,
                error: totals.error,
            },
            jobs: JobCounts { queued: totals.jobs_queued, running: totals.jobs_running },
            last_result_at: totals.last_result_at,
            trend: trend
                .into_iter()
                .filter(|_| has_score)
                .map(|day| DayScore { day: day.day, score: day.score })
                .collect(),
            worst_findings: worst.into_iter().map(view).collect(),
        }
    }
}
