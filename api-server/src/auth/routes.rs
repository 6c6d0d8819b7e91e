//! `/v1/auth`: sign in, refresh, sign out, who am I.

use std::net::SocketAddr;

use axum::{
    Json as Answer,
    extract::{ConnectInfo, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, Uri, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    auth::{
        Role, cookies,
        identity::Identity,
        scope::Scope,
        service::{self, Signed, Visitor},
    },
    error::{Error, Result},
    http::{
        body::{self, Json, JsonOrForm},
        origin,
    },
    state::App,
};

/// The routes of this area.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(login))
        .routes(routes!(refresh))
        .routes(routes!(logout))
        .routes(routes!(me))
        .layer(body::limit(body::STRANGERS_LIMIT_BYTES))
}

/// Who signs in; e-mail or username.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// E-mail; or write `username`.
    #[serde(default)]
    pub email: Option<String>,
    /// Username or e-mail.
    #[serde(default)]
    pub username: Option<String>,
    /// Password.
    #[schema(format = Password)]
    pub password: String,
}

impl std::fmt::Debug for LoginRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginRequest")
            .field("email", &self.email)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// A refresh token in the body; a browser sends its cookie instead.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshRequest {
    /// The refresh token.
    #[serde(default)]
    pub refresh_token: Option<String>,
}

/// Tokens, for callers that are no browser.
#[derive(Serialize, ToSchema)]
pub struct TokenResponse {
    /// Goes after `Bearer`.
    pub access_token: String,
    /// Gives the next pair; each works once.
    pub refresh_token: String,
    /// Always `Bearer`.
    pub token_type: &'static str,
    /// Seconds that the access token holds.
    pub expires_in: u64,
}

/// What a browser is told; its tokens are in cookies that no script can read.
#[derive(Debug, Serialize, ToSchema)]
pub struct BrowserResponse {
    /// Seconds that the access token holds.
    pub expires_in: u64,
}

/// The signed-in person.
#[derive(Debug, Serialize, ToSchema)]
pub struct Me {
    /// The user.
    pub id: Uuid,
    /// E-mail.
    pub email: String,
    /// Name for people.
    pub name: String,
    /// Whether all tenants are theirs.
    pub is_super_admin: bool,
    /// Their roles.
    pub roles: Vec<RoleView>,
    /// The tenant that requests without `X-Tenantra-Tenant` are about; absent for who has several, or none.
    pub tenant: Option<TenantLabel>,
}

/// A role in a tenant.
#[derive(Debug, Serialize, ToSchema)]
pub struct RoleView {
    /// The tenant's slug; absent for the platform's role.
    pub tenant: Option<String>,
    /// The role.
    pub role: Role,
}

/// A tenant's names.
#[derive(Debug, Serialize, ToSchema)]
pub struct TenantLabel {
    /// Its UUID.
    pub id: Uuid,
    /// Its slug.
    pub slug: String,
    /// Its name for people.
    pub display_name: String,
}

/// Signs in with e-mail (or username) and password.
///
/// A page of this site sends `x-tenantra-browser: 1` and gets cookies; everybody else gets tokens.
#[utoipa::path(
    post, path = "/auth/login", tag = "auth",
    request_body(content((LoginRequest = "application/json"), (LoginRequest = "application/x-www-form-urlencoded"))),
    responses(
        (status = 200, body = TokenResponse),
        (status = 401, description = "Wrong e-mail, username or password", body = crate::error::ErrorBody),
        (status = 403, description = "Every tenant of the account is suspended", body = crate::error::ErrorBody),
        (status = 429, description = "Too many tries", body = crate::error::ErrorBody),
    )
)]
pub async fn login(
    State(app): State<App>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    uri: Uri,
    headers: HeaderMap,
    JsonOrForm(request): JsonOrForm<LoginRequest>,
) -> Result<Response> {
    let is_browser = cookies::is_browser(&headers);
    if is_browser {
        // Otherwise another site could sign a visitor in to an account of its own.
        origin::check(&http::Method::POST, &uri, &headers)?;
    }
    let login = match (request.email, request.username) {
        (Some(email), None) => email,
        (None, Some(username)) => username,
        _ => return Err(Error::field("email", "Write either email or username.")),
    };
    let signed = service::login(&app, &login, request.password, &visitor(&headers, address)).await?;
    Ok(answer(&app, signed, is_browser))
}

/// Exchanges a refresh token for the next pair. A token that was used before ends the whole sign-in.
#[utoipa::path(
    post, path = "/auth/refresh", tag = "auth", request_body = Option<RefreshRequest>,
    responses(
        (status = 200, body = TokenResponse),
        (status = 401, description = "The refresh token does not hold", body = crate::error::ErrorBody),
    )
)]
pub async fn refresh(
    State(app): State<App>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    uri: Uri,
    headers: HeaderMap,
    body: Option<Json<RefreshRequest>>,
) -> Result<Response> {
    let visitor = visitor(&headers, address);
    let (token, is_browser) = presented(&uri, &headers, body)?;
    let token = token.ok_or(Error::Unauthenticated("There is no refresh token. Sign in again."))?;
    let signed = service::refresh(&app, &token, &visitor).await?;
    Ok(answer(&app, signed, is_browser))
}

/// Ends the sign-in: its access and refresh tokens hold no more, on any replica.
#[utoipa::path(
    post, path = "/auth/logout", tag = "auth", request_body = Option<RefreshRequest>,
    responses((status = 204, description = "Signed out, or there was nothing to sign out of"))
)]
pub async fn logout(
    State(app): State<App>,
    uri: Uri,
    headers: HeaderMap,
    body: Option<Json<RefreshRequest>>,
) -> Result<Response> {
    let (token, is_browser) = presented(&uri, &headers, body)?;
    let access = crate::auth::identity::bearer(&headers)
        .or_else(|| cookies::get(&headers, cookies::ACCESS).filter(|_| is_browser))
        .and_then(|access| app.tokens.verify(access).ok());
    service::logout(&app, access.map(|claims| claims.sid), token.as_deref()).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    if is_browser {
        cookies::clear(response.headers_mut());
    }
    Ok(response)
}

/// Says who is signed in and what they may act on.
#[utoipa::path(get, path = "/auth/me", tag = "auth", responses((status = 200, body = Me)))]
pub async fn me(State(app): State<App>, identity: Identity, request: axum::extract::Request) -> Result<Answer<Me>> {
    let (mut parts, _) = request.into_parts();
    let tenant = match Scope::of(&mut parts, &app).await {
        Ok(scope) => Some(TenantLabel {
            id: scope.tenant.id,
            slug: scope.tenant.slug.to_string(),
            display_name: scope.resource.spec.display_name.clone(),
        }),
        Err(Error::TenantRequired) => None,
        Err(error) => return Err(error),
    };
    let platform = identity.is_super_admin.then_some(RoleView { tenant: None, role: Role::SuperAdmin });
    let roles = platform
        .into_iter()
        .chain(
            identity
                .memberships
                .iter()
                .map(|membership| RoleView { tenant: Some(membership.tenant.slug.to_string()), role: membership.role }),
        )
        .collect();
    Ok(Answer(Me {
        id: identity.user_id,
        email: identity.email,
        name: identity.name,
        is_super_admin: identity.is_super_admin,
        roles,
        tenant,
    }))
}

/// The refresh token of the body or, from a page of ours, of the cookie.
fn presented(uri: &Uri, headers: &HeaderMap, body: Option<Json<RefreshRequest>>) -> Result<(Option<String>, bool)> {
    let in_body = body.and_then(|Json(request)| request.refresh_token);
    match (in_body, cookies::get(headers, cookies::REFRESH)) {
        (Some(_), Some(_)) => Err(Error::TwoCredentials),
        (None, Some(cookie)) => {
            origin::check(&http::Method::POST, uri, headers)?;
            Ok((Some(cookie.to_owned()), true))
        }
        (in_body, None) => Ok((in_body, cookies::is_browser(headers))),
    }
}

fn visitor(headers: &HeaderMap, address: SocketAddr) -> Visitor {
    let user_agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    Visitor { address: address.ip(), user_agent: user_agent.chars().take(200).collect() }
}

fn answer(app: &App, signed: Signed, is_browser: bool) -> Response {
    let mut response = if is_browser {
        let mut response = Answer(BrowserResponse { expires_in: signed.expires_in }).into_response();
        cookies::set(
            response.headers_mut(),
            (&signed.access_token, app.config.access_token_lifetime()),
            (&signed.refresh_token, app.config.refresh_token_lifetime()),
        );
        response
    } else {
        Answer(TokenResponse {
            access_token: signed.access_token,
            refresh_token: signed.refresh_token,
            token_type: "Bearer",
            expires_in: signed.expires_in,
        })
        .into_response()
    };
    response.headers_mut().insert(header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    response
}
