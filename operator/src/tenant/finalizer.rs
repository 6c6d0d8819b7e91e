//! The finalizer of a tenant: set before the first write anywhere else, removed after the last step of offboarding.

use std::time::Duration;

use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::runtime::controller::Action;
use serde_json::json;

use crate::provision::Error;
use crate::systems::kubernetes::{self, REQUEST_LIMIT, bounded};
use crate::tenant::{Context, guard};
use crds::names::FINALIZER_OFFBOARD;
use crds::tenant::Tenant;

/// Sets the finalizer if it is missing.
pub async fn ensure(ctx: &Context, tenant: &Tenant) -> Result<(), Error> {
    if guard::has_finalizer(tenant) {
        return Ok(());
    }
    let mut finalizers = tenant.metadata.finalizers.clone().unwrap_or_default();
    finalizers.push(FINALIZER_OFFBOARD.to_owned());
    write(ctx, tenant, &finalizers).await
}

/// Lets the object go.
pub async fn remove(ctx: &Context, tenant: &Tenant) -> Result<Action, Error> {
    let mut finalizers = tenant.metadata.finalizers.clone().unwrap_or_default();
    finalizers.retain(|finalizer| finalizer != FINALIZER_OFFBOARD);
    match write(ctx, tenant, &finalizers).await {
        Ok(()) => Ok(Action::await_change()),
        Err(Error::Kubernetes(error)) if error.code() == Some(404) => Ok(Action::await_change()),
        // Somebody wrote in between; the watch brings the new object.
        Err(Error::Kubernetes(error)) if error.code() == Some(409) => Ok(Action::requeue(Duration::from_secs(1))),
        Err(error) => Err(error),
    }
}

async fn write(ctx: &Context, tenant: &Tenant, finalizers: &[String]) -> Result<(), Error> {
    ctx.systems.lead.permit(REQUEST_LIMIT).map_err(kubernetes::Error::from)?;
    let api: Api<Tenant> = Api::all(ctx.client.clone());
    let name = tenant.metadata.name.as_deref().unwrap_or_default();
    // With the resourceVersion, so that a finalizer which somebody else sets at the same time is not lost.
    let patch =
        json!({ "metadata": { "finalizers": finalizers, "resourceVersion": tenant.metadata.resource_version } });
    let params = PatchParams { field_manager: Some(crds::names::OPERATOR.to_owned()), ..PatchParams::default() };
    bounded("to write the finalizer of a tenant", api.patch_metadata(name, &params, &Patch::Merge(&patch))).await?;
    Ok(())
}
