//! Sign-in, rotation of refresh tokens, sign-out.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use store::{sessions, users};
use uuid::Uuid;

use crate::{
    auth::{password, token},
    error::{Error, Result},
    http::limit::Refused,
    state::App,
};

const PREFIX: &str = "tnr_";
/// Longer than any e-mail address (RFC 5321 §4.5.3.1).
const MAX_LOGIN: usize = 254;

/// Where a sign-in comes from, for the list of sessions.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// The peer's address.
    pub address: IpAddr,
    /// What the program calls itself.
    pub user_agent: String,
}

/// A sign-in that succeeded.
pub struct Signed {
    /// The access token.
    pub access_token: String,
    /// The refresh token.
    pub refresh_token: String,
    /// Seconds that the access token holds.
    pub expires_in: u64,
}

/// Checks e-mail (or username) and password. Takes as long for an account that does not exist.
///
/// # Errors
/// 401, 429 after too many tries, 403 where every tenant of the account is suspended.
pub async fn login(app: &App, login: &str, password: String, visitor: &Visitor) -> Result<Signed> {
    let login = login.trim().to_lowercase();
    if login.len() > MAX_LOGIN {
        return Err(Error::WrongPassword);
    }
    let refused = |refused: Refused| Error::TooMany(refused);
    app.limits.signin_by_address.take(visitor.address).map_err(refused)?;
    // By what was typed, whether such an account exists or not: the limit does not tell either.
    app.limits.signin_by_account.take(login.clone()).map_err(refused)?;
    let mut tx = app.db.platform().await?;
    let account = users::by_login(&mut tx, &login).await?;
    let memberships = match &account {
        Some(account) => users::memberships(&mut tx, account.user_id).await?,
        None => Vec::new(),
    };
    // Hashing takes long; nothing is held meanwhile.
    tx.rollback().await?;
    let hash = account.as_ref().and_then(|account| account.password_hash.clone());
    let is_right = password::verify(password, hash).await?;

    let mut tx = app.db.platform().await?;
    // A locked account is answered as a wrong password is: whether it exists is nobody's to learn.
    let is_locked = |until: Option<DateTime<Utc>>| until.is_some_and(|until| until > Utc::now());
    let user = match account {
        Some(user) if is_right && user.is_active && !is_locked(user.locked_until) => user,
        other => {
            if let Some(user) = other {
                users::record_failure(&mut tx, user.user_id).await?;
                tx.commit().await?;
            }
            tracing::info!(address = %visitor.address, "sign-in refused");
            return Err(Error::WrongPassword);
        }
    };
    app.limits.signin_by_account.forget(&login);
    if !user.is_super_admin {
        check_suspension(app, &memberships)?;
    }
    users::record_success(&mut tx, user.user_id).await?;
    let refresh_token = new_refresh_token();
    let session = sessions::NewSession {
        family_id: Uuid::now_v7(),
        user_id: user.user_id,
        refresh_hash: token::digest(&refresh_token),
        user_agent: visitor.user_agent.clone(),
        address: visitor.address.to_string(),
        expires_at: Utc::now() + app.config.refresh_token_lifetime(),
    };
    sessions::create(&mut tx, &session).await?;
    let (access_token, expires_in) = app.tokens.sign(user.user_id, session.family_id)?;
    tx.commit().await?;
    tracing::info!(user_id = %user.user_id, address = %visitor.address, "signed in");
    Ok(Signed { access_token, refresh_token, expires_in })
}

/// A person whose tenants are all suspended has nothing to sign in to.
fn check_suspension(app: &App, memberships: &[users::Membership]) -> Result<()> {
    let mut suspended = None;
    for membership in memberships {
        match app.tenants.served(&membership.slug, membership.is_served) {
            Ok(_) => return Ok(()),
            Err(error @ Error::TenantSuspended(_)) => suspended = Some(error),
            Err(Error::NotFound(_)) => {}
            Err(other) => return Err(other),
        }
    }
    suspended.map_or(Ok(()), Err)
}

/// Gives the next pair for a refresh token, which then holds no more. A token that was used before means that somebody
/// else has it: the whole sign-in ends.
///
/// # Errors
/// 401 if it does not hold.
pub async fn refresh(app: &App, refresh_token: &str, visitor: &Visitor) -> Result<Signed> {
    app.limits.signin_by_address.take(visitor.address).map_err(Error::TooMany)?;
    let ended = Error::Unauthenticated("The refresh token does not hold. Sign in again.");
    if token::split(refresh_token, PREFIX).is_none() {
        return Err(ended);
    }
    let next = new_refresh_token();
    let expires_at = Utc::now() + app.config.refresh_token_lifetime();
    let mut tx = app.db.platform().await?;
    let rotation = sessions::rotate(&mut tx, &token::digest(refresh_token), &token::digest(&next), expires_at).await?;
    // In every case: a reuse has revoked the sign-in, and that has to stay.
    tx.commit().await?;
    match rotation {
        sessions::Rotation::Rotated { user_id, family_id } => {
            let (access_token, expires_in) = app.tokens.sign(user_id, family_id)?;
            Ok(Signed { access_token, refresh_token: next, expires_in })
        }
        sessions::Rotation::Reused { family_id } => {
            tracing::warn!(%family_id, address = %visitor.address, "a refresh token was used twice; its sign-in was ended");
            Err(ended)
        }
        sessions::Rotation::Refused => Err(ended),
    }
}

/// Ends a sign-in, named by its access token or its refresh token. Ending what has ended is no error.
///
/// # Errors
/// The database does not answer.
pub async fn logout(app: &App, family_id: Option<Uuid>, refresh_token: Option<&str>) -> Result<()> {
    let mut tx = app.db.platform().await?;
    if let Some(family_id) = family_id {
        sessions::revoke_family(&mut tx, family_id).await?;
    }
    if let Some(refresh_token) = refresh_token
        && let Some(family_id) = sessions::family_of(&mut tx, &token::digest(refresh_token)).await?
    {
        sessions::revoke_family(&mut tx, family_id).await?;
    }
    tx.commit().await?;
    Ok(())
}

fn new_refresh_token() -> String {
    format!("{PREFIX}{}_{}", Uuid::now_v7().simple(), token::new_secret())
}
