//! The time a request may take. What is cut off is dropped in the middle: a transaction that was open rolls back.

use std::time::Duration;

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::error::Error;

/// Long enough for the slowest read under load, short enough that a stuck one frees its connection.
const USUAL: Duration = Duration::from_secs(30);
/// 8 MiB of results over a slow line, and their transaction.
const RESULTS: Duration = Duration::from_mins(2);
/// The longest poll (300 s) and what surrounds it.
const POLL: Duration = Duration::from_secs(320);

/// Gives a request up after the time its route may take; streams are not cut.
pub async fn middleware(request: Request, next: Next) -> Response {
    let limit = match request.uri().path() {
        "/v1/events" => return next.run(request).await,
        "/v1/agents/jobs/next" => POLL,
        "/v1/agents/results" => RESULTS,
        _ => USUAL,
    };
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Error::Timeout(limit.as_secs()).into_response(),
    }
}
