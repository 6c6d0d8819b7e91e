//! Enrolment tokens: made by an administrator, shown once, good for a number of uses until a time.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use crds::tenant::Tenant;
use serde::{Deserialize, Serialize};
use store::{TenantRef, enrollment};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    auth::{Scope, token},
    error::{Error, Result},
    http::page::{Page, Paged},
    state::App,
};

const PREFIX: &str = "tne_";
/// A token for more hosts than this is better made anew.
const MAX_USES: i32 = 100_000;
/// A year.
const MAX_HOURS: i64 = 24 * 366;
const DEFAULT_HOURS: i64 = 24;

/// A token to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// What it is for.
    #[schema(example = "web servers in Berlin")]
    pub name: String,
    /// How many hosts may enrol with it; 1 to 100,000.
    #[serde(default = "one")]
    #[schema(minimum = 1, maximum = 100_000, default = 1)]
    pub max_uses: i32,
    /// Hours that it holds; up to a year.
    #[serde(default = "a_day")]
    #[schema(minimum = 1, maximum = 8784, default = 24)]
    pub expires_in_hours: i64,
    /// Labels that every host which enrols with it gets.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

const fn one() -> i32 {
    1
}

const fn a_day() -> i64 {
    DEFAULT_HOURS
}

/// A token, without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenView {
    /// Its id.
    pub id: Uuid,
    /// What it is for.
    pub name: String,
    /// Labels that it gives.
    pub labels: BTreeMap<String, String>,
    /// How many hosts may enrol with it.
    pub max_uses: i32,
    /// How many have.
    pub uses: i32,
    /// Until when it holds.
    pub expires_at: DateTime<Utc>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Who made it.
    pub created_by: String,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// A new token. The secret is shown this once.
#[derive(Serialize, ToSchema)]
pub struct CreatedToken {
    /// What hosts enrol with.
    pub token: String,
    /// All else of it.
    #[serde(flatten)]
    pub view: TokenView,
}

/// What a token gave.
pub struct Redeemed {
    /// The tenant that the host joins.
    pub tenant: TenantRef,
    /// Its resource.
    pub resource: Arc<Tenant>,
    /// Labels of the token.
    pub labels: BTreeMap<String, String>,
}

fn view(row: enrollment::Token) -> TokenView {
    TokenView {
        id: row.token_id,
        name: row.name,
        labels: row.labels,
        max_uses: row.max_uses,
        uses: row.uses,
        expires_at: row.expires_at,
        created_at: row.created_at,
        created_by: row.created_by,
        revoked_at: row.revoked_at,
    }
}

/// Makes a token.
///
/// # Errors
/// The request does not fit.
pub async fn create(app: &App, scope: &Scope, created_by: &str, request: CreateToken) -> Result<CreatedToken> {
    let CreateToken { name, max_uses, expires_in_hours, labels } = request;
    if name.trim().is_empty() || name.len() > 128 {
        return Err(Error::field("name", "Write what the token is for, in 1 to 128 bytes."));
    }
    if !(1..=MAX_USES).contains(&max_uses) {
        return Err(Error::field("max_uses", format!("Write a number from 1 to {MAX_USES}.")));
    }
    if !(1..=MAX_HOURS).contains(&expires_in_hours) {
        return Err(Error::field("expires_in_hours", format!("Write a number from 1 to {MAX_HOURS}.")));
    }
    if labels.len() > 32 || labels.iter().any(|(key, value)| key.len() > 128 || value.len() > 256) {
        return Err(Error::field("labels", "Write at most 32 labels, keys up to 128 and values up to 256 bytes."));
    }
    let token = format!("{PREFIX}{}_{}", Uuid::now_v7().simple(), token::new_secret());
    let hours = u64::try_from(expires_in_hours).map_err(Error::internal)?;
    let new = enrollment::NewToken {
        tenant_id: scope.tenant.id,
        token_hash: token::digest(&token),
        name,
        labels,
        max_uses,
        expires_at: Utc::now() + Duration::from_secs(hours * 3600),
        created_by: created_by.to_owned(),
    };
    let mut tx = app.db.platform().await?;
    let row = enrollment::create(&mut tx, &new).await?;
    tx.commit().await?;
    Ok(CreatedToken { token, view: view(row) })
}

/// Lists the tenant's tokens, newest first.
///
/// # Errors
/// The database does not answer.
pub async fn list(app: &App, scope: &Scope, page: Page) -> Result<Paged<TokenView>> {
    let mut tx = app.db.platform().await?;
    let rows = enrollment::list(&mut tx, scope.tenant.id, page.of_store()).await?;
    tx.rollback().await?;
    Ok(page.of(rows, view))
}

/// Revokes a token of the tenant; hosts that have enrolled stay.
///
/// # Errors
/// There is none.
pub async fn revoke(app: &App, scope: &Scope, token_id: Uuid) -> Result<()> {
    let mut tx = app.db.platform().await?;
    enrollment::revoke(&mut tx, scope.tenant.id, token_id).await?;
    tx.commit().await?;
    Ok(())
}

/// Takes one use of a token.
///
/// # Errors
/// It does not hold, or its tenant is suspended.
pub async fn redeem(app: &App, token: &str) -> Result<Redeemed> {
    let refused =
        Error::EnrolmentRefused("The enrolment token does not hold: it is unknown, used up, expired or revoked.");
    if token::split(token, PREFIX).is_none() {
        return Err(refused);
    }
    let mut tx = app.db.platform().await?;
    let Some(redeemed) = enrollment::consume(&mut tx, &token::digest(token)).await? else { return Err(refused) };
    // Not yet committed: a suspended tenant's token keeps its use.
    let resource = match app.tenants.served(&redeemed.tenant.slug, redeemed.is_served) {
        Err(Error::NotFound(_)) => return Err(refused),
        other => other?,
    };
    tx.commit().await?;
    Ok(Redeemed { tenant: redeemed.tenant, resource, labels: redeemed.labels })
}
