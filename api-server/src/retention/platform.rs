//! `/v1/tenants/{id}/legal-holds`: the legal holds of any tenant that has data, for the platform's administrators. Found by its
//! row: one that is suspended, offboarded or without a resource has nobody who could act in it, and its purge waits for these.

use axum::{Json as Answer, extract::State};
use http::StatusCode;
use store::{
    Slug, TenantRef,
    retention::holds as kept,
    tenants::{self, TenantState},
};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    auth::{Allow, permission::ManageTenants},
    error::{Error, Result},
    http::{
        body::Json,
        page::{Page, Paged},
        query::Path,
    },
    retention::{
        holds::{self, NewHold},
        view::HoldView,
    },
    state::App,
};

/// The routes of this area.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_tenant_holds, place_tenant_hold)).routes(routes!(lift_tenant_hold))
}

/// The tenant of a UUID or slug, whatever its state; a purged one is nobody.
async fn find(app: &App, id: &str) -> Result<TenantRef> {
    let mut tx = app.db.platform().await?;
    let row = match (Uuid::try_parse(id), Slug::parse(id)) {
        (Ok(tenant_id), _) => tenants::by_id(&mut tx, tenant_id).await?,
        (Err(_), Ok(slug)) => tenants::by_slug(&mut tx, &slug).await?,
        (Err(_), Err(_)) => None,
    };
    tx.rollback().await?;
    let row = row.filter(|row| row.state != TenantState::Purged).ok_or(Error::NotFound("tenant"))?;
    Ok(row.tenant)
}

/// Lists a tenant's legal holds, in whatever state it is: those that hold, then those that were lifted.
#[utoipa::path(
    get, path = "/tenants/{id}/legal-holds", tag = "retention",
    params(("id" = String, Path, description = "UUID or slug"), Page),
    responses((status = 200, body = Paged<HoldView>))
)]
pub async fn list_tenant_holds(
    _: Allow<ManageTenants>,
    State(app): State<App>,
    Path(id): Path<String>,
    page: Page,
) -> Result<Answer<Paged<HoldView>>> {
    let tenant = find(&app, &id).await?;
    let mut tx = app.db.platform().await?;
    let rows = kept::list(&mut tx, tenant.id, page.of_store()).await?;
    tx.rollback().await?;
    Ok(Answer(page.of(rows, HoldView::from)))
}

/// Places a legal hold on a tenant, in whatever state it is: from the answer on, retention deletes nothing of it and no purge of
/// it begins.
#[utoipa::path(
    post, path = "/tenants/{id}/legal-holds", tag = "retention", request_body = NewHold,
    params(("id" = String, Path, description = "UUID or slug")),
    responses(
        (status = 201, body = HoldView),
        (status = 409, description = "Its purge has begun", body = crate::error::ErrorBody),
    )
)]
pub async fn place_tenant_hold(
    allowed: Allow<ManageTenants>,
    State(app): State<App>,
    Path(id): Path<String>,
    Json(new): Json<NewHold>,
) -> Result<(StatusCode, Answer<HoldView>)> {
    let tenant = find(&app, &id).await?;
    let hold = holds::place(&app, &tenant, new, allowed.identity.user_id).await?;
    Ok((StatusCode::CREATED, Answer(hold.into())))
}

/// Lifts a legal hold of a tenant, in whatever state it is; a purge that is due and approved begins with the last one.
#[utoipa::path(
    delete, path = "/tenants/{id}/legal-holds/{hold_id}", tag = "retention",
    params(("id" = String, Path, description = "UUID or slug"), ("hold_id" = Uuid, Path)),
    responses((status = 204, description = "It is lifted"))
)]
pub async fn lift_tenant_hold(
    allowed: Allow<ManageTenants>,
    State(app): State<App>,
    Path((id, hold_id)): Path<(String, Uuid)>,
) -> Result<StatusCode> {
    let tenant = find(&app, &id).await?;
    holds::lift(&app, &tenant, hold_id, allowed.identity.user_id).await?;
    Ok(StatusCode::NO_CONTENT)
}
