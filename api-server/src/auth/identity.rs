//! The person behind a request: by bearer token or by cookie, never by both.
//!
//! The access token is checked without the database, then its session's row is read: a logout, a removed role or a
//! deactivated account holds from the next request on, on every replica, for the price of one indexed look-up; requests that
//! come together share a statement.

use http::{HeaderMap, header, request::Parts};
use store::{
    Db,
    principal::{self, Belonging, Principal, SignIn},
};
use tokio::time::timeout;
use uuid::Uuid;

use crate::{
    attempt::{self, Missed},
    auth::{Role, cookies, together::Together},
    error::{Error, Result},
    http::origin,
    state::App,
};

/// Sign-ins that are being looked up. While Postgres does not answer, all who wait are told so; who meets another failure asks
/// by itself, and is told what is wrong.
pub type SignIns = Together<SignIn, Result<Option<Principal>, Missed>>;

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
        let sign_in = SignIn { user_id: claims.sub, family_id: claims.sid };
        let principal =
            principal_of(app, sign_in).await?.ok_or(Error::Unauthenticated("The session has ended. Sign in again."))?;
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

async fn principal_of(app: &App, sign_in: SignIn) -> Result<Option<Principal>> {
    let db = app.db.clone();
    let look_up = move |asked: Vec<SignIn>| {
        let db = db.clone();
        async move {
            let found = async { principal::of_sign_ins(&db, &asked).await.map_err(Error::from) };
            Some(match attempt::for_many("sign-ins", attempt::LIMIT, found).await {
                Ok(found) => {
                    found.into_iter().map(|one| one.map_err(|error| Missed::of("a sign-in", &error.into()))).collect()
                }
                Err(missed) => vec![Err(missed); asked.len()],
            })
        }
    };
    // The wait for a turn counts as well: nobody queues up behind a Postgres that does not answer.
    match timeout(attempt::LIMIT, app.sign_ins.ask(sign_in, look_up)).await {
        Ok(Some(Ok(found))) => Ok(found),
        Ok(Some(Err(Missed::Away))) | Err(_) => Err(attempt::away()),
        Ok(Some(Err(Missed::Refused)) | None) => attempt::alone(attempt::LIMIT, ask_alone(&app.db, sign_in)).await,
    }
}

async fn ask_alone(db: &Db, sign_in: SignIn) -> Result<Option<Principal>> {
    Ok(principal::of_sign_ins(db, &[sign_in]).await?.pop().transpose()?.flatten())
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
