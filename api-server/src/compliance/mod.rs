//! `/v1/compliance` and `/v1/waivers`: frameworks and their controls down to a check on an asset, the trend, what it says, the
//! tenants below a tenant, and who answers for what fails. The scores at a glance are in [`crate::results::compliance`].

pub mod evidence;
pub mod frameworks;
pub mod tree;
pub mod trend;
pub mod view;
pub mod waivers;

use axum::extract::FromRequestParts;
use http::request::Parts;
use store::Read;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    auth::{Scope, TenantTx},
    error::{Error, Result},
    state::App,
    tenants::plan::{self, Feature},
};

/// The routes of this area.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(frameworks::list))
        .routes(routes!(frameworks::get))
        .routes(routes!(frameworks::coverage))
        .routes(routes!(frameworks::assets))
        .routes(routes!(frameworks::checks))
        .routes(routes!(frameworks::results))
        .routes(routes!(evidence::list))
        .routes(routes!(frameworks::group))
        .routes(routes!(trend::trend))
        .routes(routes!(trend::insights))
        .routes(routes!(tree::read))
        .routes(routes!(waivers::list, waivers::create))
        .routes(routes!(waivers::get, waivers::revoke))
}

/// Refuses a tenant whose plan has no compliance score.
///
/// # Errors
/// 403 `feature_not_in_plan`.
pub fn require(scope: &Scope) -> Result<()> {
    let spec = &scope.resource.spec;
    if plan::has(spec, Feature::ComplianceScore) {
        return Ok(());
    }
    let feature = Feature::ComplianceScore.key();
    Err(Error::FeatureNotInPlan { plan: plan::name(spec.plan).to_owned(), feature })
}

/// The tenant of the request, whose plan has the compliance score, and the transaction in which it is read.
#[derive(Debug)]
pub struct Scored {
    /// The tenant.
    pub scope: Scope,
    /// The transaction.
    pub tx: store::TenantTx<Read>,
}

impl FromRequestParts<App> for Scored {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let scope = Scope::of(parts, app).await?;
        require(&scope)?;
        let TenantTx(tx) = TenantTx::<Read>::from_request_parts(parts, app).await?;
        Ok(Self { scope, tx })
    }
}
