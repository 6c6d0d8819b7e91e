//! Whether the program works, and what it counts.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::{error::Result, state::App};

/// A probe that waits longer is taken for a failed one anyway.
const PROBE: Duration = Duration::from_secs(3);

/// The version of this program.
#[derive(Debug, Serialize, ToSchema)]
pub struct Version {
    /// Semantic version.
    pub version: &'static str,
}

/// Says which version answers.
#[utoipa::path(get, path = "/version", tag = "system", responses((status = 200, body = Version)))]
pub async fn version() -> Json<Version> {
    Json(Version { version: env!("CARGO_PKG_VERSION") })
}

/// Alive: the process answers. Nothing outside is asked, so that an outage elsewhere restarts nobody.
pub async fn healthz() -> Json<serde_json::Value> {
    Json(json!({ "status": "ok" }))
}

/// Ready: everything that a request needs is there; otherwise 503 with each thing that is missing.
pub async fn readyz(State(app): State<App>) -> Response {
    let mut missing: Vec<String> = Vec::new();
    match tokio::time::timeout(PROBE, database_problem(&app)).await {
        Ok(None) => {}
        Ok(Some(problem)) => missing.push(problem),
        Err(_) => missing.push("database unreachable: no answer within 3 s".to_owned()),
    }
    if let Some(problem) = app.tenants.problem() {
        missing.push(problem.to_owned());
    }
    if let Some(problem) = app.modules.problem() {
        missing.push(problem.to_owned());
    }
    if app.shutdown.is_cancelled() {
        missing.push("the program is ending".to_owned());
    }
    if missing.is_empty() {
        Json(json!({ "status": "ready" })).into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "not ready", "missing": missing }))).into_response()
    }
}

async fn database_problem(app: &App) -> Option<String> {
    if let Err(error) = app.db.ping().await {
        return Some(format!("database unreachable: {error}"));
    }
    store::readiness::schema_problem(&app.db).await.unwrap_or_else(|error| Some(error.to_string()))
}

/// What Prometheus reads.
pub async fn metrics(State(app): State<App>) -> Result<Response> {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], app.metrics.encode()?).into_response())
}
