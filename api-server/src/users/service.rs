//! Makes users, up to the role that the caller may give.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{audit, users};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    auth::{Role, Scope, password},
    error::{Error, Result},
    http::page::{Page, Paged},
    state::App,
};

/// Longest name for people, in bytes.
const MAX_NAME: usize = 128;

/// A user to be made in the tenant of the request.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateUser {
    /// E-mail; what the user signs in with.
    pub email: String,
    /// Another name to sign in with.
    #[serde(default)]
    pub username: Option<String>,
    /// Name for people.
    #[serde(default)]
    pub name: String,
    /// Role in the tenant.
    pub role: Role,
    /// First password: at least 12 characters of three kinds.
    #[schema(format = Password)]
    pub password: String,
}

/// A user of the tenant.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserView {
    /// The user.
    pub id: Uuid,
    /// E-mail.
    pub email: String,
    /// Another name to sign in with.
    pub username: Option<String>,
    /// Name for people.
    pub name: String,
    /// Role in the tenant.
    pub role: Role,
    /// Whether they may sign in.
    pub is_active: bool,
    /// Whether a password was ever set; an account that a tenant's manifest named starts without one.
    pub has_password: bool,
    /// When they last did.
    pub last_login_at: Option<DateTime<Utc>>,
    /// When the account was made.
    pub created_at: DateTime<Utc>,
}

fn view(row: users::Member) -> UserView {
    UserView {
        id: row.user_id,
        email: row.email,
        username: row.username,
        name: row.name,
        role: row.role.into(),
        is_active: row.is_active,
        has_password: row.has_password,
        last_login_at: row.last_login_at,
        created_at: row.created_at,
    }
}

/// Makes a user with a role in the tenant. An account without a password that belongs to this tenant alone (its manifest
/// named it) gets its first password this way.
///
/// # Errors
/// The caller may not give the role, the password is weak, or the e-mail is taken.
pub async fn create(app: &App, scope: &Scope, created_by: Uuid, request: CreateUser) -> Result<UserView> {
    let CreateUser { email, username, name, role, password } = request;
    let stored_role = role
        .in_tenant()
        .filter(|_| scope.role.may_grant().is_some_and(|most| role <= most))
        .ok_or(Error::Forbidden { permission: "users.grant" })?;
    let email = email.trim().to_lowercase();
    if !is_email(&email) {
        return Err(Error::field("email", "Write an e-mail address, such as ada@acme.example."));
    }
    if username.as_deref().is_some_and(|name| !is_username(name)) {
        return Err(Error::field("username", "Write 3 to 64 letters, digits, '.', '_' or '-'."));
    }
    if name.len() > MAX_NAME || name.contains(char::is_control) {
        return Err(Error::field("name", "Write at most 128 bytes without control characters."));
    }
    password::check_strength(&password, &email)?;
    let password_hash = password::hash(password).await?;
    let mut tx = app.db.platform().await?;
    let user = match users::by_login(&mut tx, &email).await? {
        Some(invited) if is_invited(&mut tx, &invited, scope).await? => {
            users::set_password(&mut tx, invited.user_id, &password_hash).await?;
            invited
        }
        Some(_) => return Err(Error::Conflict("There is a user with that e-mail already.".to_owned())),
        None => {
            let password_hash = Some(password_hash);
            let new = users::NewUser { email, username, name, password_hash, is_super_admin: false };
            users::create(&mut tx, &new).await?
        }
    };
    users::grant(&mut tx, user.user_id, scope.tenant.id, stored_role).await?;
    let entry = audit::Entry {
        actor: format!("user:{created_by}"),
        action: "user.created".to_owned(),
        subject: user.user_id.to_string(),
        details: json!({ "role": role }),
    };
    audit::write_platform(&mut tx, Some(scope.tenant.id), &entry).await?;
    tx.commit().await?;
    Ok(UserView {
        id: user.user_id,
        email: user.email,
        username: user.username,
        name: user.name,
        role,
        is_active: user.is_active,
        has_password: true,
        last_login_at: user.last_login_at,
        created_at: user.created_at,
    })
}

/// Whether the account waits for its first password and is nobody else's: no password, and only of this tenant.
async fn is_invited(tx: &mut store::PlatformTx, user: &users::User, scope: &Scope) -> Result<bool> {
    if user.password_hash.is_some() || user.is_super_admin {
        return Ok(false);
    }
    let memberships = users::memberships(tx, user.user_id).await?;
    let is_ours = memberships.iter().all(|membership| membership.tenant_id == scope.tenant.id);
    // A manager must not take over an administrator's account by giving it a password.
    let is_below = memberships
        .iter()
        .all(|membership| scope.role.may_grant().is_some_and(|most| Role::from(membership.role) <= most));
    Ok(is_ours && is_below && !memberships.is_empty())
}

/// Lists the tenant's users by e-mail.
///
/// # Errors
/// The database does not answer.
pub async fn list(app: &App, scope: &Scope, page: Page) -> Result<Paged<UserView>> {
    let mut tx = app.db.platform().await?;
    let rows = users::members(&mut tx, scope.tenant.id, page.of_store()).await?;
    tx.rollback().await?;
    Ok(page.of(rows, view))
}

fn is_email(text: &str) -> bool {
    let Some((name, domain)) = text.split_once('@') else { return false };
    let is_plain = |part: &str| {
        !part.is_empty()
            && part.chars().all(|character| !character.is_whitespace() && !character.is_control() && character != '@')
    };
    text.len() <= 254
        && is_plain(name)
        && is_plain(domain)
        && domain.contains('.')
        && !domain.starts_with('.')
        && !domain.ends_with('.')
}

fn is_username(text: &str) -> bool {
    (3..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_are_checked() {
        for good in ["ada@acme.example", "a+b@c.d.e"] {
            assert!(is_email(good), "{good}");
        }
        for bad in ["", "ada", "@acme.example", "ada@", "ada@acme", "a b@c.d", "a@b@c.d", "a@.d"] {
            assert!(!is_email(bad), "{bad}");
        }
        assert!(is_username("ada.l"));
        assert!(!is_username("a@b"), "a username that looks like an e-mail could be somebody else's");
    }
}
