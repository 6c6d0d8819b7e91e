//! `/v1/users`.

use axum::{Json as Answer, extract::State};
use http::StatusCode;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    auth::{
        Allow, Scope,
        permission::{ManageUsers, ReadUsers},
    },
    error::{ErrorBody, Result},
    http::{
        body::Json,
        page::{Page, Paged},
    },
    state::App,
    users::service::{self, CreateUser, UserView},
};

/// The routes of this area.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create))
}

/// Lists the users of the tenant.
#[utoipa::path(get, path = "/users", tag = "users", params(Page), responses((status = 200, body = Paged<UserView>)))]
pub async fn list(
    _: Allow<ReadUsers>,
    scope: Scope,
    State(app): State<App>,
    page: Page,
) -> Result<Answer<Paged<UserView>>> {
    Ok(Answer(service::list(&app, &scope, page).await?))
}

/// Makes a user in the tenant, with a first password. A platform administrator names the tenant in `X-Tenantra-Tenant`.
#[utoipa::path(
    post, path = "/users", tag = "users", request_body = CreateUser,
    responses((status = 201, body = UserView), (status = 409, description = "The e-mail or username is taken", body = ErrorBody))
)]
pub async fn create(
    allowed: Allow<ManageUsers>,
    scope: Scope,
    State(app): State<App>,
    Json(request): Json<CreateUser>,
) -> Result<(StatusCode, Answer<UserView>)> {
    Ok((StatusCode::CREATED, Answer(service::create(&app, &scope, allowed.identity.user_id, request).await?)))
}
