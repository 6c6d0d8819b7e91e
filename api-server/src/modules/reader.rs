//! Who reads the catalog: somebody of a tenant, who sees what was released and whether it is enabled; or the platform's
//! administrator, who sees every state and need not name a tenant.

use axum::extract::FromRequestParts;
use catalog::lifecycle::State;
use http::request::Parts;

use crate::{
    auth::{Role, Scope, identity::Identity, permission::ReadModules, roles::Permission},
    error::{Error, Result},
    state::App,
};

/// A caller who may read the catalog.
#[derive(Debug)]
pub struct Reader {
    /// The tenant the request is about; none only for the platform's administrator.
    pub scope: Option<Scope>,
    is_platform: bool,
}

impl Reader {
    /// Somebody of that tenant.
    pub fn of_tenant(scope: Scope) -> Self {
        Self { is_platform: scope.role == Role::SuperAdmin, scope: Some(scope) }
    }

    /// Whether versions in this state exist for the caller.
    pub fn sees(&self, state: State) -> bool {
        self.is_platform || !state.is_open()
    }
}

impl FromRequestParts<App> for Reader {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let identity = Identity::of(parts, app).await?;
        let is_platform = identity.is_super_admin;
        match Scope::of(parts, app).await {
            Ok(scope) if ReadModules::ROLES.contains(&scope.role) => Ok(Self { scope: Some(scope), is_platform }),
            Ok(_) => Err(Error::Forbidden { permission: ReadModules::NAME }),
            Err(Error::TenantRequired) if is_platform => Ok(Self { scope: None, is_platform }),
            Err(error) => Err(error),
        }
    }
}
