//! `/metrics`, `/healthz` and `/readyz`. A standby whose caches are warm is ready: it can take over any moment.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::runtime::caches::Synced;
use crate::runtime::metrics::Metrics;

#[derive(Clone)]
struct Served {
    metrics: Metrics,
    synced: Synced,
}

/// Serves until the process ends.
pub async fn serve(listen: SocketAddr, metrics: Metrics, synced: Synced) -> std::io::Result<()> {
    let router = Router::new()
        .route("/metrics", get(text))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(Served { metrics, synced });
    let listener = TcpListener::bind(listen).await?;
    tracing::info!(address = %listener.local_addr()?, "serving metrics and health");
    axum::serve(listener, router).await
}

async fn text(State(served): State<Served>) -> Response {
    match served.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
            .into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn ready(State(served): State<Served>) -> Response {
    let missing = served.synced.missing();
    if missing.is_empty() {
        (StatusCode::OK, "ready\n").into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for the first list of {}\n", missing.join(", ")))
            .into_response()
    }
}
