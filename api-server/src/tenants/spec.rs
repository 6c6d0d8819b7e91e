//! Changes of a tenant's spec on somebody's word: read from the Kubernetes API server, decided, written against the version that
//! was read, and all of that again where somebody else wrote in between.

use crds::{
    names::{ANNOTATION_CHANGED_BY, API as FIELD_MANAGER},
    tenant::Tenant,
};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    auth::Scope,
    error::{Error, Result},
    state::App,
    tenants::service::limited,
};

/// Somebody else may write the same tenant at the same moment.
const ATTEMPTS: u32 = 4;

/// What is to be written.
#[derive(Debug)]
pub struct Change<T> {
    /// Merged into the spec.
    pub spec: Value,
    /// What the caller wants to know of it once it is written.
    pub outcome: T,
}

/// Writes what `decide` says of the tenant as it is, and waits until this replica has seen it; none if nothing has to be written.
/// `if_match` is the tenant's version that the caller has seen.
///
/// # Errors
/// What `decide` says; the tenant has changed since it was read.
pub async fn write<T>(
    app: &App,
    scope: &Scope,
    if_match: Option<&str>,
    actor: Uuid,
    decide: impl Fn(&Tenant) -> Result<Option<Change<T>>>,
) -> Result<Option<T>> {
    let name = scope.tenant.slug.as_str();
    let api: Api<Tenant> = Api::all(app.kube.clone());
    for attempt in 1.. {
        let tenant = limited(api.get(name)).await?;
        let version = tenant.resource_version();
        if if_match.is_some() && if_match != version.as_deref() {
            return Err(Error::PreconditionFailed("tenant"));
        }
        let Some(Change { spec, outcome }) = decide(&tenant)? else { return Ok(None) };
        let patch = json!({
            "metadata": { "resourceVersion": version, "annotations": { ANNOTATION_CHANGED_BY: actor } },
            "spec": spec,
        });
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        match limited(api.patch(name, &parameters, &Patch::Merge(&patch))).await {
            Ok(written) => {
                app.tenants.wait_for(name, written.resource_version().as_deref()).await;
                return Ok(Some(outcome));
            }
            Err(Error::Kubernetes(kube::Error::Api(refusal)))
                if refusal.code == 409 && if_match.is_none() && attempt < ATTEMPTS => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::PreconditionFailed("tenant"))
}
