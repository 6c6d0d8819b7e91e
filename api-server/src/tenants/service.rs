//! Writes tenants as custom resources, under the API's own field manager and with the name of whoever asked.
//!
//! The Kubernetes API server validates: its sentences say what to write instead, and are passed on.

use std::{sync::Arc, time::Duration};

use crds::{
    GROUP, VERSION,
    names::{ANNOTATION_CHANGED_BY, API as FIELD_MANAGER},
    tenant::Tenant,
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Preconditions},
};
use serde_json::{Value, json};
use store::{Slug, TenantRef, audit, tenants::TenantState};
use uuid::Uuid;

use crate::{
    error::{Error, Result},
    state::App,
    tenants::gitops,
};

/// One write to an API server that is next door.
const LIMIT: Duration = Duration::from_secs(10);

/// Creates the resource; an existing one is a conflict, not an update.
///
/// # Errors
/// The slug is taken, or the Kubernetes API server refuses the spec.
pub async fn create(app: &App, slug: &str, spec: &Value, changed_by: Uuid) -> Result<(Uuid, Arc<Tenant>)> {
    let slug = Slug::parse(slug).map_err(|error| Error::field("slug", error.to_string()))?;
    // Else the operator would refuse what was just made, and the answer would name the tenant that is kept.
    let mut tx = app.db.platform().await?;
    if let Some(row) = store::tenants::by_slug(&mut tx, &slug).await? {
        row.adoptable(None)?;
    }
    tx.rollback().await?;
    let object = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": "Tenant",
        "metadata": { "name": slug, "annotations": { ANNOTATION_CHANGED_BY: changed_by } },
        "spec": spec,
    });
    // kube's own create knows no field validation, and without it unknown fields of the spec would vanish silently.
    let path = format!("/apis/{GROUP}/{VERSION}/tenants?fieldManager={FIELD_MANAGER}&fieldValidation=Strict");
    let request = http::Request::post(path)
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(object.to_string().into_bytes())
        .map_err(Error::internal)?;
    let created: Tenant = match limited(app.kube.request::<Tenant>(request)).await {
        Err(Error::Kubernetes(kube::Error::Api(refusal))) if refusal.reason == "AlreadyExists" => {
            return Err(Error::Conflict(format!("There is a tenant {slug} already.")));
        }
        other => other?,
    };
    // The same statement as the operator's: whoever comes first decides the UUID.
    let mut tx = app.db.platform().await?;
    let row = store::tenants::ensure(&mut tx, &slug).await?;
    audit::write_platform(&mut tx, Some(row.tenant.id), &entry(changed_by, "tenant.created", slug.as_str())).await?;
    tx.commit().await?;
    app.tenants.wait_for(slug.as_str(), created.resource_version().as_deref()).await;
    Ok((row.tenant.id, Arc::new(created)))
}

/// Deletes the resource; what that does to the data is its deletion policy.
///
/// # Errors
/// There is none, a GitOps tool manages it, or `if_match` names another version.
pub async fn delete(app: &App, tenant: &Tenant, if_match: Option<String>, changed_by: Uuid) -> Result<()> {
    let slug = tenant.name_any();
    gitops::check(tenant)?;
    let parameters = DeleteParams {
        preconditions: Some(Preconditions { uid: tenant.uid(), resource_version: if_match }),
        ..DeleteParams::default()
    };
    let api: Api<Tenant> = Api::all(app.kube.clone());
    let deleted = limited(api.delete(&slug, &parameters)).await?;
    let mut tx = app.db.platform().await?;
    audit::write_platform(&mut tx, None, &entry(changed_by, "tenant.deleted", &slug)).await?;
    tx.commit().await?;
    // With a finalizer the object stays, marked; without one it is gone.
    let version = deleted.left().and_then(|tenant| tenant.resource_version());
    app.tenants.wait_for(&slug, version.as_deref()).await;
    Ok(())
}

/// The tenant by slug or UUID: from the watch, else read live, so that what another replica has just written is found.
///
/// # Errors
/// There is none. A UUID whose tenant was purged is nobody's: its slug may be another tenant's by now.
pub async fn find(app: &App, id: &str) -> Result<(Arc<Tenant>, Option<Uuid>)> {
    let row = match Uuid::try_parse(id) {
        Ok(tenant_id) => {
            let mut tx = app.db.platform().await?;
            let row = store::tenants::by_id(&mut tx, tenant_id).await?;
            tx.rollback().await?;
            let row = row.filter(|row| row.state != TenantState::Purged);
            Some(row.ok_or(Error::NotFound("tenant"))?.tenant)
        }
        Err(_) => None,
    };
    let slug = match &row {
        Some(TenantRef { slug, .. }) => slug.clone(),
        None => Slug::parse(id).map_err(|_| Error::NotFound("tenant"))?,
    };
    let tenant = if let Some(tenant) = app.tenants.get(slug.as_str()) {
        tenant
    } else {
        let api: Api<Tenant> = Api::all(app.kube.clone());
        Arc::new(limited(api.get_opt(slug.as_str())).await?.ok_or(Error::NotFound("tenant"))?)
    };
    let tenant_id = if let Some(row) = row {
        Some(row.id)
    } else {
        let mut tx = app.db.platform().await?;
        let row = store::tenants::by_slug(&mut tx, &slug).await?;
        tx.rollback().await?;
        row.map(|row| row.tenant.id)
    };
    Ok((tenant, tenant_id))
}

/// A call to the Kubernetes API server, within its time.
pub(crate) async fn limited<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T> {
    match tokio::time::timeout(LIMIT, call).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(Error::Unavailable("The Kubernetes API server does not answer. Try again in a moment.")),
    }
}

fn entry(changed_by: Uuid, action: &str, slug: &str) -> audit::Entry {
    audit::Entry {
        actor: format!("user:{changed_by}"),
        action: action.to_owned(),
        subject: slug.to_owned(),
        details: json!({}),
    }
}
