//! `/v1/tenants`: for the platform's administrators; `/v1/tenants/current` for everybody in a tenant.

use axum::{
    Json as Answer,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use kube::ResourceExt;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    auth::{
        Allow, Role, Scope,
        permission::{ManageTenants, ReadTenant, ReadTenants},
    },
    error::Result,
    http::{
        body::Json,
        page::{Page, Paged},
        query::{Path, Query},
    },
    state::App,
    tenants::{
        service,
        view::{TenantView, own_view, view},
    },
};

/// The routes of this area.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(current)).routes(routes!(get, delete))
}

/// Which tenants are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TenantFilter {
    /// Only those whose slug or name contains this.
    pub q: Option<String>,
    /// Only those that are ready, or not.
    pub ready: Option<bool>,
}

/// A tenant to be made: the manifest's name and spec.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateTenant {
    /// Its slug: 1 to 40 lower-case letters, digits and `-`.
    #[schema(example = "acme")]
    pub slug: String,
    /// As the `spec` of the custom resource Tenant.
    #[schema(value_type = Object, example = json!({ "displayName": "Acme Corp", "plan": "Enterprise" }))]
    pub spec: serde_json::Value,
}

/// What has been set in motion.
#[derive(Debug, Serialize, ToSchema)]
pub struct TenantAccepted {
    /// The tenant's UUID.
    pub tenant_id: Uuid,
    /// `provisioning` or `offboarding`.
    #[schema(example = "provisioning")]
    pub status: &'static str,
}

/// Lists every tenant, by slug.
#[utoipa::path(get, path = "/tenants", tag = "tenants", params(TenantFilter, Page), responses((status = 200, body = Paged<TenantView>)))]
pub async fn list(
    _: Allow<ReadTenants>,
    State(app): State<App>,
    Query(filter): Query<TenantFilter>,
    page: Page,
) -> Result<Answer<Paged<TenantView>>> {
    let wanted = filter.q.as_deref().unwrap_or_default().to_lowercase();
    let tenants: Vec<TenantView> = app
        .tenants
        .list()
        .iter()
        .filter(|tenant| {
            tenant.name_any().contains(&wanted) || tenant.spec.display_name.to_lowercase().contains(&wanted)
        })
        .map(|tenant| view(tenant, None))
        .filter(|tenant| filter.ready.is_none_or(|ready| ready == tenant.ready))
        .collect();
    Ok(Answer(page.slice(tenants)))
}

/// Makes a tenant by its custom resource; the operator provisions it.
#[utoipa::path(
    post, path = "/tenants", tag = "tenants", request_body = CreateTenant,
    responses(
        (status = 202, body = TenantAccepted, headers(("location" = String, description = "The tenant"))),
        (status = 409, description = "The slug is taken", body = crate::error::ErrorBody),
    )
)]
pub async fn create(
    allowed: Allow<ManageTenants>,
    State(app): State<App>,
    Json(request): Json<CreateTenant>,
) -> Result<Response> {
    let (tenant_id, _) = service::create(&app, &request.slug, &request.spec, allowed.identity.user_id).await?;
    let mut response =
        (StatusCode::ACCEPTED, Answer(TenantAccepted { tenant_id, status: "provisioning" })).into_response();
    if let Ok(location) = HeaderValue::from_str(&format!("/v1/tenants/{tenant_id}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Shows the tenant that the caller acts in.
#[utoipa::path(get, path = "/tenants/current", tag = "tenants", responses((status = 200, body = TenantView)))]
pub async fn current(_: Allow<ReadTenant>, scope: Scope) -> Result<Response> {
    let show = if scope.role == Role::SuperAdmin { view } else { own_view };
    Ok(with_etag(show(&scope.resource, Some(scope.tenant.id))))
}

/// Shows one tenant, by UUID or slug.
#[utoipa::path(
    get, path = "/tenants/{id}", tag = "tenants", params(("id" = String, Path, description = "UUID or slug")),
    responses((status = 200, body = TenantView))
)]
pub async fn get(_: Allow<ReadTenants>, State(app): State<App>, Path(id): Path<String>) -> Result<Response> {
    let (tenant, tenant_id) = service::find(&app, &id).await?;
    Ok(with_etag(view(&tenant, tenant_id)))
}

/// Deletes a tenant; its deletion policy says what becomes of the data. `If-Match` takes the version last read.
#[utoipa::path(
    delete, path = "/tenants/{id}", tag = "tenants", params(("id" = String, Path, description = "UUID or slug")),
    responses(
        (status = 202, body = TenantAccepted),
        (status = 409, description = "A GitOps tool manages the tenant", body = crate::error::ErrorBody),
        (status = 412, description = "The tenant has changed since it was read", body = crate::error::ErrorBody),
    )
)]
pub async fn delete(
    allowed: Allow<ManageTenants>,
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response> {
    let (tenant, tenant_id) = service::find(&app, &id).await?;
    let if_match = headers
        .get(header::IF_MATCH)
        .and_then(|value| value.to_str().ok())
        .filter(|tag| *tag != "*")
        .map(|tag| tag.trim_matches('"').to_owned());
    service::delete(&app, &tenant, if_match, allowed.identity.user_id).await?;
    let body = TenantAccepted { tenant_id: tenant_id.unwrap_or_default(), status: "offboarding" };
    Ok((StatusCode::ACCEPTED, Answer(body)).into_response())
}

/// The `ETag` of an object is its resourceVersion, so that `If-Match` can be passed on.
fn with_etag(tenant: TenantView) -> Response {
    let tag = tenant.resource_version.as_ref().map(|version| format!("\"{version}\""));
    let mut response = Answer(tenant).into_response();
    if let Some(tag) = tag.and_then(|tag| HeaderValue::from_str(&tag).ok()) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}
