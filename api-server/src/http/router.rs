//! All routes and what surrounds them, in the order that a request meets it.

use std::any::Any;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    middleware::{from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderValue, Method, header};
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::{
        CompressionLayer, Predicate,
        predicate::{DefaultPredicate, NotForContentType},
    },
    cors::{AllowOrigin, CorsLayer},
};
use utoipa_axum::{router::OpenApiRouter, routes};
use utoipa_swagger_ui::SwaggerUi;

use crate::{
    agents, audit_key, auth, compliance, dead_letters,
    error::Error,
    events,
    http::{body::LIMIT_BYTES, etag, openapi, security, timeout, trace, ui},
    modules, results, retention,
    state::App,
    system, tenants, users,
};

/// Every route below `/v1`, with its description.
pub fn v1() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(auth::routes::router())
        .merge(users::routes::router())
        .merge(tenants::routes::router())
        .merge(agents::routes::router())
        .merge(modules::routes::router())
        .merge(results::router())
        .merge(retention::routes::router())
        .merge(retention::platform::router())
        .merge(dead_letters::router())
        .merge(audit_key::router())
        .merge(compliance::router())
        .routes(routes!(events::stream_events))
        .routes(routes!(system::version))
}

/// The whole service.
pub fn build(app: App) -> Router {
    let (routes, document) = openapi::with_routes(OpenApiRouter::new().nest("/v1", v1())).split_for_parts();
    let docs: Router<App> = SwaggerUi::new("/docs").url("/v1/openapi.json", document).into();
    let probes = if app.config.metrics_listen.is_some() { probes() } else { probes().merge(metrics()) };
    let api = routes
        .merge(docs)
        .merge(probes)
        .fallback(ui::fallback)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(LIMIT_BYTES))
        .layer(from_fn(etag::middleware))
        .layer(compression())
        .layer(from_fn(timeout::middleware))
        // Inside the trace, so that the answer of a panic carries its id; outside of everything that could panic.
        .layer(CatchPanicLayer::custom(panicked))
        .layer(cors(&app))
        .layer(from_fn_with_state(app.clone(), security::middleware))
        // route_layer would miss unmatched paths; the matched template is still there, set by the router's nest.
        .layer(from_fn_with_state(app.clone(), trace::middleware));
    api.with_state(app)
}

/// What Prometheus and the kubelet ask for, at an address of its own.
pub fn operations(app: App) -> Router {
    probes().merge(metrics()).layer(from_fn(timeout::middleware)).with_state(app)
}

fn probes() -> Router<App> {
    Router::new().route("/healthz", get(system::healthz)).route("/readyz", get(system::readyz))
}

fn metrics() -> Router<App> {
    Router::new().route("/metrics", get(system::metrics))
}

/// Events must leave at once, not when a compressor's buffer is full.
fn compression() -> CompressionLayer<impl Predicate> {
    CompressionLayer::new()
        .compress_when(DefaultPredicate::new().and(NotForContentType::const_new("text/event-stream")))
}

fn cors(app: &App) -> CorsLayer {
    let origins: Vec<HeaderValue> = app
        .config
        .cors_origins
        .iter()
        .filter_map(|origin| HeaderValue::from_str(&origin.origin().ascii_serialization()).ok())
        .collect();
    // Only bearer tokens cross sites: cookies are not allowed (no credentials).
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            http::HeaderName::from_static("x-tenantra-tenant"),
        ])
        .expose_headers([header::ETAG, header::RETRY_AFTER, trace::HEADER])
}

async fn method_not_allowed(request: Request) -> Response {
    Error::MethodNotAllowed(request.method().to_string()).into_response()
}

// The signature is tower-http's.
#[expect(clippy::needless_pass_by_value, reason = "the layer hands the payload over")]
fn panicked(payload: Box<dyn Any + Send + 'static>) -> Response {
    let what = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    Error::Internal(format!("a handler panicked: {what}")).into_response()
}
