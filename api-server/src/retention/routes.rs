//! `/v1/retention`: the policy of the tenant, what it would delete, what it deleted, and legal holds.

use axum::{Json as Answer, extract::State};
use chrono::Utc;
use http::{HeaderMap, StatusCode, header};
use store::{
    Read,
    retention::{self, holds as kept, runs},
};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    auth::{
        Allow, Scope,
        permission::{LiftLegalHolds, ManageRetention, PlaceLegalHolds, ReadRetention},
    },
    error::{ErrorBody, Result},
    http::{
        body::Json,
        page::{Page, Paged},
        query::Path,
    },
    retention::{
        change,
        holds::{self, NewHold},
        policy::{self, PolicyBody},
        view::{HoldView, PolicyView, PreviewView, RetentionRunView},
    },
    state::App,
};

/// The routes of this area.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(get, put))
        .routes(routes!(preview))
        .routes(routes!(list_runs))
        .routes(routes!(list_holds, place_hold))
        .routes(routes!(lift_hold))
}

async fn is_held(app: &App, scope: &Scope) -> Result<bool> {
    let mut tx = app.db.platform().await?;
    let is_held = kept::is_held(&mut tx, scope.tenant.id).await?;
    tx.rollback().await?;
    Ok(is_held)
}

/// Shows the tenant's policy, and whether anything stops it.
#[utoipa::path(get, path = "/retention", tag = "retention", responses((status = 200, body = PolicyView)))]
pub async fn get(_: Allow<ReadRetention>, scope: Scope, State(app): State<App>) -> Result<Answer<PolicyView>> {
    let held = is_held(&app, &scope).await?;
    Ok(Answer(PolicyView::of(&app, &scope.resource, held)))
}

/// Changes the tenant's policy, in its resource; what is left out stays. Preview it first. `If-Match` takes the tenant's version
/// last read.
#[utoipa::path(
    put, path = "/retention", tag = "retention", request_body = PolicyBody,
    responses(
        (status = 200, body = PolicyView),
        (status = 409, description = "A GitOps tool manages the tenant", body = ErrorBody),
        (status = 412, description = "The tenant has changed since it was read", body = ErrorBody),
    )
)]
pub async fn put(
    allowed: Allow<ManageRetention>,
    scope: Scope,
    State(app): State<App>,
    headers: HeaderMap,
    Json(wanted): Json<PolicyBody>,
) -> Result<Answer<PolicyView>> {
    let if_match = headers.get(header::IF_MATCH).and_then(|value| value.to_str().ok()).filter(|tag| *tag != "*");
    let if_match = if_match.map(|tag| tag.trim_matches('"'));
    change::set(&app, &scope, &wanted, if_match, allowed.identity.user_id).await?;
    let held = is_held(&app, &scope).await?;
    // As the tenant is now, not as it was when the request came.
    let resource = app.tenants.active(scope.tenant.slug.as_str())?;
    Ok(Answer(PolicyView::of(&app, &resource, held)))
}

/// Shows what a policy would delete if it ran now, before it is saved; `{}` is the policy that the tenant has. The run deletes
/// what this counts: both ask the same of each row.
#[utoipa::path(
    post, path = "/retention/preview", tag = "retention", request_body = PolicyBody,
    responses((status = 200, body = PreviewView))
)]
pub async fn preview(
    _: Allow<ReadRetention>,
    scope: Scope,
    State(app): State<App>,
    Json(wanted): Json<PolicyBody>,
) -> Result<Answer<PreviewView>> {
    let said = wanted.over(&scope.resource.spec.retention)?;
    let cutoffs = policy::of(&said).cutoffs(Utc::now());
    let held = is_held(&app, &scope).await?;
    let mut tx = app.db.tenant::<Read>(&scope.tenant).await?;
    let extents = retention::preview(&mut tx, &cutoffs).await?;
    tx.rollback().await?;
    Ok(Answer(PreviewView::of(extents, &cutoffs, held)))
}

/// Lists the daily runs, newest first: what was planned and what was deleted, by table.
#[utoipa::path(
    get, path = "/retention/runs", tag = "retention", params(Page),
    responses((status = 200, body = Paged<RetentionRunView>))
)]
pub async fn list_runs(
    _: Allow<ReadRetention>,
    scope: Scope,
    State(app): State<App>,
    page: Page,
) -> Result<Answer<Paged<RetentionRunView>>> {
    let mut tx = app.db.platform().await?;
    let rows = runs::list(&mut tx, scope.tenant.id, page.of_store()).await?;
    tx.rollback().await?;
    Ok(Answer(page.of(rows, RetentionRunView::from)))
}

/// Lists the tenant's legal holds: those that hold, then those that were lifted.
#[utoipa::path(
    get, path = "/retention/legal-holds", tag = "retention", params(Page),
    responses((status = 200, body = Paged<HoldView>))
)]
pub async fn list_holds(
    _: Allow<ReadRetention>,
    scope: Scope,
    State(app): State<App>,
    page: Page,
) -> Result<Answer<Paged<HoldView>>> {
    let mut tx = app.db.platform().await?;
    let rows = kept::list(&mut tx, scope.tenant.id, page.of_store()).await?;
    tx.rollback().await?;
    Ok(Answer(page.of(rows, HoldView::from)))
}

/// Places a legal hold: from the answer on, retention deletes nothing of the tenant and no purge of it begins.
#[utoipa::path(
    post, path = "/retention/legal-holds", tag = "retention", request_body = NewHold,
    responses((status = 201, body = HoldView))
)]
pub async fn place_hold(
    allowed: Allow<PlaceLegalHolds>,
    scope: Scope,
    State(app): State<App>,
    Json(new): Json<NewHold>,
) -> Result<(StatusCode, Answer<HoldView>)> {
    let hold = holds::place(&app, &scope.tenant, new, allowed.identity.user_id).await?;
    Ok((StatusCode::CREATED, Answer(hold.into())))
}

/// Lifts a legal hold.
#[utoipa::path(
    delete, path = "/retention/legal-holds/{id}", tag = "retention", params(("id" = Uuid, Path)),
    responses((status = 204, description = "It is lifted"))
)]
pub async fn lift_hold(
    allowed: Allow<LiftLegalHolds>,
    scope: Scope,
    State(app): State<App>,
    Path(hold_id): Path<Uuid>,
) -> Result<StatusCode> {
    holds::lift(&app, &scope.tenant, hold_id, allowed.identity.user_id).await?;
    Ok(StatusCode::NO_CONTENT)
}
