//! People: accounts, and what each may do in which tenant. Passwords arrive hashed.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::error::{Error, Result, is_duplicate};
use crate::names::Slug;
use crate::tx::PlatformTx;

/// What a person may do in a tenant (and, for `MspAdmin`, its descendants).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Manages child tenants.
    MspAdmin,
    /// Everything in the tenant.
    Admin,
    /// Users and settings, and all of `User`.
    Manager,
    /// The analyst.
    User,
    /// The auditor.
    Readonly,
    /// Usage and invoices only.
    BillingViewer,
}

impl Role {
    const ALL: [Self; 6] =
        [Self::MspAdmin, Self::Admin, Self::Manager, Self::User, Self::Readonly, Self::BillingViewer];

    /// The name as it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MspAdmin => "msp_admin",
            Self::Admin => "admin",
            Self::Manager => "manager",
            Self::User => "user",
            Self::Readonly => "readonly",
            Self::BillingViewer => "billing_viewer",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| Error::Invalid(format!("'{text}' is no role")))
    }
}

/// A person's account. The password's hash is left out of every print.
#[derive(Clone, sqlx::FromRow)]
pub struct User {
    /// Its id.
    pub user_id: Uuid,
    /// Unique without regard to case.
    pub email: String,
    /// Unique without regard to case.
    pub username: Option<String>,
    /// What people read.
    pub name: String,
    /// bcrypt; none if the person only signs in elsewhere.
    pub password_hash: Option<String>,
    /// Whether the platform itself is theirs.
    pub is_super_admin: bool,
    /// Whether they may sign in.
    pub is_active: bool,
    /// Wrong passwords since the last right one.
    pub failed_attempts: i32,
    /// No sign-in before that.
    pub locked_until: Option<DateTime<Utc>>,
    /// The last sign-in.
    pub last_login_at: Option<DateTime<Utc>>,
    /// When the account was made.
    pub created_at: DateTime<Utc>,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("user_id", &self.user_id).field("email", &self.email).finish_non_exhaustive()
    }
}

/// A membership with the tenant's slug and state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Membership {
    /// The tenant.
    pub tenant_id: Uuid,
    /// Its slug.
    pub slug: Slug,
    /// Whether the tenant is served ([`crate::tenants::TenantState::is_served`]).
    pub is_served: bool,
    /// What the person may do there.
    pub role: Role,
}

/// A new account.
#[derive(Clone)]
pub struct NewUser {
    /// Unique without regard to case.
    pub email: String,
    /// Unique without regard to case.
    pub username: Option<String>,
    /// What people read.
    pub name: String,
    /// bcrypt.
    pub password_hash: Option<String>,
    /// Whether the platform itself is theirs.
    pub is_super_admin: bool,
}

macro_rules! select_user {
    ($condition:literal) => {
        concat!(
            "SELECT user_id, email, username, name, password_hash, is_super_admin, is_active, failed_attempts, locked_until, ",
            "last_login_at, created_at FROM shared.users ",
            $condition
        )
    };
}

/// Makes an account; [`Error::Exists`] if the e-mail or username is taken.
pub async fn create(tx: &mut PlatformTx, user: &NewUser) -> Result<User> {
    let NewUser { email, username, name, password_hash, is_super_admin } = user;
    sqlx::query_as(
        "INSERT INTO shared.users (user_id, email, username, name, password_hash, is_super_admin) VALUES ($1, $2, $3, $4, $5, $6)
         RETURNING user_id, email, username, name, password_hash, is_super_admin, is_active, failed_attempts, locked_until,
         last_login_at, created_at",
    )
    .bind(Uuid::now_v7())
    .bind(email)
    .bind(username)
    .bind(name)
    .bind(password_hash)
    .bind(is_super_admin)
    .fetch_one(tx.connection()?)
    .await
    .map_err(|e| {
        if is_duplicate(&e, "users_email") {
            Error::Exists("a user with that e-mail")
        } else if is_duplicate(&e, "users_username") {
            Error::Exists("a user with that username")
        } else {
            e.into()
        }
    })
}

/// Makes the account if its e-mail is free; an existing one is left as it is. For seeding.
pub async fn ensure(tx: &mut PlatformTx, user: &NewUser) -> Result<User> {
    sqlx::query(
        "INSERT INTO shared.users (user_id, email, username, name, password_hash, is_super_admin) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT DO NOTHING",
    )
    .bind(Uuid::now_v7())
    .bind(&user.email)
    .bind(&user.username)
    .bind(&user.name)
    .bind(&user.password_hash)
    .bind(user.is_super_admin)
    .execute(tx.connection()?)
    .await?;
    by_login(tx, &user.email).await?.ok_or(Error::Exists("a user with that username"))
}

/// The account of an e-mail or username.
pub async fn by_login(tx: &mut PlatformTx, login: &str) -> Result<Option<User>> {
    Ok(sqlx::query_as(select_user!("WHERE lower(email) = lower($1) OR lower(username) = lower($1)"))
        .bind(login)
        .fetch_optional(tx.connection()?)
        .await?)
}

/// The account of an id.
pub async fn by_id(tx: &mut PlatformTx, user_id: Uuid) -> Result<Option<User>> {
    Ok(sqlx::query_as(select_user!("WHERE user_id = $1")).bind(user_id).fetch_optional(tx.connection()?).await?)
}

/// Records a wrong password; after five in a row each locks the account twice as long, up to 15 min.
pub async fn record_failure(tx: &mut PlatformTx, user_id: Uuid) -> Result<()> {
    sqlx::query(
        "UPDATE shared.users SET failed_attempts = failed_attempts + 1, locked_until = CASE WHEN failed_attempts >= 4
             THEN now() + LEAST(interval '15 minutes', interval '5 seconds' * power(2, LEAST(failed_attempts - 4, 20))) END
         WHERE user_id = $1",
    )
    .bind(user_id)
    .execute(tx.connection()?)
    .await?;
    Ok(())
}

/// Records a sign-in.
pub async fn record_success(tx: &mut PlatformTx, user_id: Uuid) -> Result<()> {
    sqlx::query(
        "UPDATE shared.users SET failed_attempts = 0, locked_until = NULL, last_login_at = now() WHERE user_id = $1",
    )
    .bind(user_id)
    .execute(tx.connection()?)
    .await?;
    Ok(())
}

/// Sets a password's hash.
pub async fn set_password(tx: &mut PlatformTx, user_id: Uuid, password_hash: &str) -> Result<()> {
    let done = sqlx::query(
        "UPDATE shared.users SET password_hash = $2, failed_attempts = 0, locked_until = NULL, updated_at = now()
         WHERE user_id = $1",
    )
    .bind(user_id)
    .bind(password_hash)
    .execute(tx.connection()?)
    .await?;
    if done.rows_affected() == 0 { Err(Error::NotFound("user")) } else { Ok(()) }
}

/// Gives a person a role in a tenant, in place of the one they had.
pub async fn grant(tx: &mut PlatformTx, user_id: Uuid, tenant_id: Uuid, role: Role) -> Result<()> {
    sqlx::query(
        "INSERT INTO shared.memberships (user_id, tenant_id, role) VALUES ($1, $2, $3)
         ON CONFLICT (user_id, tenant_id) DO UPDATE SET role = excluded.role WHERE memberships.role <> excluded.role",
    )
    .bind(user_id)
    .bind(tenant_id)
    .bind(role.as_str())
    .execute(tx.connection()?)
    .await?;
    Ok(())
}

/// Takes a person out of a tenant.
pub async fn revoke(tx: &mut PlatformTx, user_id: Uuid, tenant_id: Uuid) -> Result<()> {
    sqlx::query("DELETE FROM shared.memberships WHERE user_id = $1 AND tenant_id = $2")
        .bind(user_id)
        .bind(tenant_id)
        .execute(tx.connection()?)
        .await?;
    Ok(())
}

/// The tenants a person is a member of, by slug; purged ones are left out.
pub async fn memberships(tx: &mut PlatformTx, user_id: Uuid) -> Result<Vec<Membership>> {
    let rows: Vec<(Uuid, String, String, String)> = sqlx::query_as(
        "SELECT t.tenant_id, t.slug, t.state, m.role FROM shared.memberships m JOIN shared.tenants t USING (tenant_id)
         WHERE m.user_id = $1 AND t.state <> 'purged' ORDER BY t.slug",
    )
    .bind(user_id)
    .fetch_all(tx.connection()?)
    .await?;
    rows.into_iter()
        .map(|(tenant_id, slug, state, role)| {
            let state: crate::tenants::TenantState = state.parse()?;
            Ok(Membership { tenant_id, slug: Slug::parse(&slug)?, is_served: state.is_served(), role: role.parse()? })
        })
        .collect()
}

/// A person of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The account.
    pub user_id: Uuid,
    /// Its e-mail.
    pub email: String,
    /// Another name to sign in with.
    pub username: Option<String>,
    /// What people read.
    pub name: String,
    /// What the person may do in the tenant.
    pub role: Role,
    /// Whether they may sign in.
    pub is_active: bool,
    /// Whether a password was ever set.
    pub has_password: bool,
    /// The last sign-in.
    pub last_login_at: Option<DateTime<Utc>>,
    /// When the account was made.
    pub created_at: DateTime<Utc>,
}

/// The people of a tenant, by e-mail, and how many there are in all.
pub async fn members(tx: &mut PlatformTx, tenant_id: Uuid, page: crate::Page) -> Result<crate::Paged<Member>> {
    type Row = (Uuid, String, Option<String>, String, String, bool, bool, Option<DateTime<Utc>>, DateTime<Utc>);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT u.user_id, u.email, u.username, u.name, m.role, u.is_active, u.password_hash IS NOT NULL, u.last_login_at,
             u.created_at
         FROM shared.memberships m JOIN shared.users u USING (user_id) WHERE m.tenant_id = $1
         ORDER BY lower(u.email) LIMIT $2 OFFSET $3",
    )
    .bind(tenant_id)
    .bind(page.limit())
    .bind(page.offset())
    .fetch_all(tx.connection()?)
    .await?;
    let total = sqlx::query_scalar("SELECT count(*) FROM shared.memberships WHERE tenant_id = $1")
        .bind(tenant_id)
        .fetch_one(tx.connection()?)
        .await?;
    let items = rows
        .into_iter()
        .map(|(user_id, email, username, name, role, is_active, has_password, last_login_at, created_at)| {
            let role = role.parse()?;
            Ok(Member { user_id, email, username, name, role, is_active, has_password, last_login_at, created_at })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(crate::Paged { items, total })
}
