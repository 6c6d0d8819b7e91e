//! The person behind a request: by bearer token or by cookie, never by both.
//!
//! The access token is checked without the database, then its session's row is read: a logout, a removed role or a
//! deactivated account holds from the next request on, on every replica, for the price of one indexed look-up.

use http::{HeaderMap, header, request::Parts};
use store::principal::Belonging;
use uuid::Uuid;

use crate::{
    auth::{Role, cookies},
    error::{Error, Result},
    http::origin,
    state::App,
};

/// Who is calling.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The user.
    pub user_id: Uuid,
    /// The sign-in that the token belongs to.
    pub session_id: Uuid,
    /// E-mail.
    pub email: String,
    /// Name for people.
    pub name: String,
    /// Whether all tenants are theirs.
    pub is_super_admin: bool,
    /// Where they belong.
    pub memberships: Vec<Membership>,
}

/// A role in a tenant.
#[derive(Clone, Debug)]
pub struct Membership {
    /// The tenant.
    pub tenant: store::TenantRef,
    /// Whether the tenant is served: its row says so, whatever a manifest of its slug says.
    pub is_served: bool,
    /// The role there.
    pub role: Role,
}

impl Identity {
    /// The caller of a request; asked once for each request and kept with it.
    ///
    /// # Errors
    /// 401 without a credential that holds, 400 with two, 403 for a write by cookie from another site.
    pub async fn of(parts: &mut Parts, app: &App) -> Result<Self> {
        if let Some(known) = parts.extensions.get::<Self>() {
            return Ok(known.clone());
        }
        let claims = match (bearer(&parts.headers), cookies::get(&parts.headers, cookies::ACCESS)) {
            (Some(_), Some(_)) => return Err(Error::TwoCredentials),
            (None, None) => return Err(Error::Unauthenticated("Sign in first: POST /v1/auth/login.")),
            (Some(token), None) => app.tokens.verify(token)?,
            (None, Some(token)) => {
                origin::check(&parts.method, &parts.uri, &parts.headers)?;
                app.tokens.verify(token)?
            }
        };
        let mut tx = app.db.platform().await?;
        let principal = store::principal::of_session(&mut tx, claims.sub, claims.sid).await?;
        tx.rollback().await?;
        let principal = principal.ok_or(Error::Unauthenticated("The session has ended. Sign in again."))?;
        let memberships = principal
            .memberships
            .into_iter()
            .map(|Belonging { tenant, tenant_state, role }| Membership {
                tenant,
                is_served: tenant_state.is_served(),
                role: role.into(),
            })
            .collect();
        let identity = Self {
            user_id: principal.user_id,
            session_id: claims.sid,
            email: principal.email,
            name: principal.name,
            is_super_admin: principal.is_super_admin,
            memberships,
        };
        tracing::Span::current().record("user_id", tracing::field::display(identity.user_id));
        parts.extensions.insert(identity.clone());
        Ok(identity)
    }
}

/// The token of `Authorization: Bearer`.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl axum::extract::FromRequestParts<App> for Identity {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        Self::of(parts, app).await
    }
}
