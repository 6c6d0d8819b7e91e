//! `/v1/modules`: the catalog for everybody in a tenant; drafts and the steps of a version for the platform's administrators.

use axum::{
    Json as Answer,
    extract::State as Shared,
    response::{IntoResponse, Response},
};
use catalog::lifecycle::State;
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    auth::{
        Allow, Scope,
        permission::{ManageCatalog, ManageModules},
    },
    error::Result,
    http::{
        body::{self, Json},
        page::{Page, Paged},
        query::{Path, Query},
    },
    modules::{
        enablement, gates,
        reader::Reader,
        service::{self, Filter, Step},
        view::{ModuleDetail, ModuleView, VersionView},
    },
    state::App,
};

/// The most bytes that a draft may have with its envelope.
const DRAFT_LIMIT_BYTES: usize = 1024 * 1024;

/// The routes of this area.
pub fn router() -> OpenApiRouter<App> {
    let drafts = OpenApiRouter::new().routes(routes!(create)).layer(body::limit(DRAFT_LIMIT_BYTES));
    OpenApiRouter::new()
        .routes(routes!(list))
        .merge(drafts)
        .routes(routes!(get))
        .routes(routes!(versions))
        .routes(routes!(enable))
        .routes(routes!(run_tests))
        .routes(routes!(promote))
        .routes(routes!(deprecate))
        .routes(routes!(retire))
}

/// Which modules are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ModuleFilter {
    /// Of this category.
    #[param(example = "compliance")]
    pub category: Option<String>,
    /// With a version in this state; left out, with one that may run. draft and qa only for platform administrators.
    #[param(inline)]
    pub state: Option<State>,
    /// Those that the tenant may use, or may not.
    pub enabled: Option<bool>,
    /// Contained in slug or title.
    pub q: Option<String>,
}

/// A module to be stored as a draft.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDraft {
    /// The module's YAML, as `tenantra module show -o yaml` gives it.
    pub document: String,
}

/// Whether the tenant uses a module.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Enablement {
    /// True to use it.
    pub enabled: bool,
}

/// Until when a version still runs.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Deprecation {
    /// RFC 3339; in the future.
    pub sunset_at: DateTime<Utc>,
}

/// Lists modules, by slug.
#[utoipa::path(
    get, path = "/modules", tag = "modules", params(ModuleFilter, Page),
    responses((status = 200, body = Paged<ModuleView>))
)]
pub async fn list(
    reader: Reader,
    Shared(app): Shared<App>,
    Query(filter): Query<ModuleFilter>,
    page: Page,
) -> Result<Answer<Paged<ModuleView>>> {
    let ModuleFilter { category, state, enabled, q } = filter;
    let modules = service::list(&app, &reader, &Filter { category, state, enabled, q }).await?;
    Ok(Answer(page.slice(modules)))
}

/// Stores a module as a draft, or another content of one that is not released.
#[utoipa::path(
    post, path = "/modules", tag = "modules", request_body = NewDraft,
    responses(
        (status = 201, body = VersionView, headers(("location" = String, description = "Its versions"))),
        (status = 200, description = "The draft was there and has this content now", body = VersionView),
        (status = 409, description = "The version is released", body = crate::error::ErrorBody),
    )
)]
pub async fn create(
    allowed: Allow<ManageCatalog>,
    Shared(app): Shared<App>,
    Json(draft): Json<NewDraft>,
) -> Result<Response> {
    let (version, is_new) = service::put_draft(&app, draft.document, allowed.identity.user_id).await?;
    let location = HeaderValue::from_str(&format!("/v1/modules/{}/versions", version.module));
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = (status, Answer(version)).into_response();
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Shows a module in full.
#[utoipa::path(
    get, path = "/modules/{slug}", tag = "modules", params(("slug" = String, Path)),
    responses((status = 200, body = ModuleDetail))
)]
pub async fn get(reader: Reader, Shared(app): Shared<App>, Path(slug): Path<String>) -> Result<Answer<ModuleDetail>> {
    Ok(Answer(service::get(&app, &reader, &slug).await?))
}

/// Lists the versions of a module, newest first.
#[utoipa::path(
    get, path = "/modules/{slug}/versions", tag = "modules", params(("slug" = String, Path), Page),
    responses((status = 200, body = Paged<VersionView>))
)]
pub async fn versions(
    reader: Reader,
    Shared(app): Shared<App>,
    Path(slug): Path<String>,
    page: Page,
) -> Result<Answer<Paged<VersionView>>> {
    Ok(Answer(page.slice(service::versions(&app, &reader, &slug).await?)))
}

/// Switches a module on or off for the tenant, in its resource. `If-Match` takes the tenant's version last read.
#[utoipa::path(
    put, path = "/modules/{slug}/enablement", tag = "modules", params(("slug" = String, Path)), request_body = Enablement,
    responses(
        (status = 200, body = ModuleDetail),
        (status = 409, description = "A GitOps tool manages the tenant, or a pattern of its spec decides otherwise", body = crate::error::ErrorBody),
        (status = 412, description = "The tenant has changed since it was read", body = crate::error::ErrorBody),
    )
)]
pub async fn enable(
    allowed: Allow<ManageModules>,
    scope: Scope,
    Shared(app): Shared<App>,
    Path(slug): Path<String>,
    headers: HeaderMap,
    Json(wanted): Json<Enablement>,
) -> Result<Answer<ModuleDetail>> {
    let if_match = headers.get(header::IF_MATCH).and_then(|value| value.to_str().ok()).filter(|tag| *tag != "*");
    let if_match = if_match.map(|tag| tag.trim_matches('"'));
    enablement::set(&app, &scope, &slug, wanted.enabled, if_match, allowed.identity.user_id).await?;
    // As the tenant is now, not as it was when the request came.
    let resource = app.tenants.active(scope.tenant.slug.as_str())?;
    let reader = Reader::of_tenant(Scope { resource, ..scope });
    Ok(Answer(service::get(&app, &reader, &slug).await?))
}

/// Runs the quality gates on a version that is not released yet (lint, fixtures, budget, determinism) and stores what they
/// say with it. A look that takes longer than the request goes on; `gates` of the version shows its report then.
#[utoipa::path(
    post, path = "/modules/{slug}/versions/{version}/tests-run", tag = "modules",
    params(("slug" = String, Path), ("version" = String, Path)),
    responses(
        (status = 200, description = "The gates were run; `gates` says whether they were passed", body = VersionView),
        (status = 202, description = "They are still being run", headers(("location" = String, description = "The versions, with their gates"))),
        (status = 409, description = "It is released", body = crate::error::ErrorBody),
        (status = 503, description = "Others are being run, or this server cannot run any", body = crate::error::ErrorBody),
    )
)]
pub async fn run_tests(
    allowed: Allow<ManageCatalog>,
    Shared(app): Shared<App>,
    Path((slug, version)): Path<(String, String)>,
) -> Result<Response> {
    if let Some(row) = gates::run(&app, &slug, &version, allowed.identity.user_id).await? {
        return Ok(Answer(VersionView::from(row)).into_response());
    }
    let mut response = StatusCode::ACCEPTED.into_response();
    if let Ok(location) = HeaderValue::from_str(&format!("/v1/modules/{slug}/versions")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Takes a version one step towards its release: from draft to qa, from qa to released. Its quality gates have to be on
/// record; a release deprecates its predecessors.
#[utoipa::path(
    post, path = "/modules/{slug}/versions/{version}/promote", tag = "modules",
    params(("slug" = String, Path), ("version" = String, Path)),
    responses(
        (status = 200, body = VersionView),
        (status = 409, description = "Its state does not allow it, or its gates are not on record", body = crate::error::ErrorBody),
    )
)]
pub async fn promote(
    allowed: Allow<ManageCatalog>,
    Shared(app): Shared<App>,
    Path((slug, version)): Path<(String, String)>,
) -> Result<Answer<VersionView>> {
    Ok(Answer(service::step(&app, &slug, &version, Step::Promote, allowed.identity.user_id).await?))
}

/// Deprecates a released version until its sunset, or moves the sunset of a deprecated one.
#[utoipa::path(
    post, path = "/modules/{slug}/versions/{version}/deprecate", tag = "modules", request_body = Deprecation,
    params(("slug" = String, Path), ("version" = String, Path)),
    responses(
        (status = 200, body = VersionView),
        (status = 409, description = "Its state does not allow it", body = crate::error::ErrorBody),
    )
)]
pub async fn deprecate(
    allowed: Allow<ManageCatalog>,
    Shared(app): Shared<App>,
    Path((slug, version)): Path<(String, String)>,
    Json(deprecation): Json<Deprecation>,
) -> Result<Answer<VersionView>> {
    let step = Step::Deprecate(deprecation.sunset_at);
    Ok(Answer(service::step(&app, &slug, &version, step, allowed.identity.user_id).await?))
}

/// Retires a deprecated version before its sunset. Running jobs finish, results stay.
#[utoipa::path(
    post, path = "/modules/{slug}/versions/{version}/retire", tag = "modules",
    params(("slug" = String, Path), ("version" = String, Path)),
    responses(
        (status = 200, body = VersionView),
        (status = 409, description = "Its state does not allow it", body = crate::error::ErrorBody),
    )
)]
pub async fn retire(
    allowed: Allow<ManageCatalog>,
    Shared(app): Shared<App>,
    Path((slug, version)): Path<(String, String)>,
) -> Result<Answer<VersionView>> {
    Ok(Answer(service::step(&app, &slug, &version, Step::Retire, allowed.identity.user_id).await?))
}
