//! The tenant that a request is about, and the transaction in which its data is read or written.
//!
//! The header `X-Tenantra-Tenant` names it; without one it is the caller's only tenant. A tenant that the caller has no
//! part in does not exist for them: 404, never 403. Served is what both the resource and the row say is: a manifest that
//! takes the slug of an offboarded tenant does not open its data.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use crds::tenant::Tenant;
use http::request::Parts;
use store::{Mode, Slug, TenantRef};

use crate::{
    auth::{
        Role,
        identity::{Identity, Membership},
    },
    error::{Error, Result},
    state::App,
};

/// The header that names a tenant by its slug.
pub const HEADER: &str = "x-tenantra-tenant";

/// One tenant, as the caller may see it.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The tenant.
    pub tenant: TenantRef,
    /// The caller's role there.
    pub role: Role,
    /// Its resource, from the watch.
    pub resource: Arc<Tenant>,
}

impl Scope {
    /// The tenant of a request; asked once for each request and kept with it.
    ///
    /// # Errors
    /// 401, 404 for a tenant that the caller has no part in, 400 where none is named and not exactly one is theirs, 403
    /// while it is suspended.
    pub async fn of(parts: &mut Parts, app: &App) -> Result<Self> {
        if let Some(known) = parts.extensions.get::<Self>() {
            return Ok(known.clone());
        }
        let identity = Identity::of(parts, app).await?;
        let named = match parts.headers.get(HEADER) {
            Some(value) => {
                let slug = value.to_str().ok().and_then(|slug| Slug::parse(slug).ok());
                Some(slug.ok_or(Error::NotFound("tenant"))?)
            }
            None => None,
        };
        let Membership { tenant, is_served, role } = choose(&identity, named, app).await?;
        let resource = app.tenants.served(&tenant.slug, is_served)?;
        tracing::Span::current().record("tenant_id", tracing::field::display(tenant.id));
        let scope = Self { tenant, role, resource };
        parts.extensions.insert(scope.clone());
        Ok(scope)
    }
}

async fn choose(identity: &Identity, named: Option<Slug>, app: &App) -> Result<Membership> {
    let membership = match &named {
        Some(slug) => identity.memberships.iter().find(|membership| membership.tenant.slug == *slug),
        // Of several, none is guessed: whoever is added to another tenant would otherwise work there unawares.
        None => match identity.memberships.as_slice() {
            [only] => Some(only),
            _ => None,
        },
    };
    if let Some(membership) = membership {
        let role = if identity.is_super_admin { Role::SuperAdmin } else { membership.role };
        return Ok(Membership { role, ..membership.clone() });
    }
    match named {
        Some(slug) if identity.is_super_admin => {
            let mut tx = app.db.platform().await?;
            let tenant = store::tenants::by_slug(&mut tx, &slug).await?;
            tx.rollback().await?;
            let row = tenant.ok_or(Error::NotFound("tenant"))?;
            Ok(Membership { is_served: row.state.is_served(), tenant: row.tenant, role: Role::SuperAdmin })
        }
        Some(_) => Err(Error::NotFound("tenant")),
        None => Err(Error::TenantRequired),
    }
}

impl FromRequestParts<App> for Scope {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        Self::of(parts, app).await
    }
}

/// A transaction as the tenant of the request; the only way from a handler to a tenant's tables.
#[derive(Debug)]
pub struct TenantTx<M: Mode>(pub store::TenantTx<M>);

impl<M: Mode> FromRequestParts<App> for TenantTx<M> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let scope = Scope::of(parts, app).await?;
        Ok(Self(app.db.tenant::<M>(&scope.tenant).await?))
    }
}
