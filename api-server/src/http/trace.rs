//! One id for each request: in the header `x-trace-id`, in error bodies and in every log line of the request.
//!
//! A caller's `traceparent` or `x-trace-id` is taken over when it has the form of one, so that a line can be followed
//! from agent to API. The id lives in a task-local, because an error turns into a response where no request is at hand.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tracing::Instrument;
use uuid::Uuid;

use crate::state::App;

/// The response header that carries the id.
pub const HEADER: HeaderName = HeaderName::from_static("x-trace-id");

tokio::task_local! {
    static CURRENT: String;
}

/// The id of the request that is being answered; empty outside of one.
pub fn current() -> String {
    CURRENT.try_with(Clone::clone).unwrap_or_default()
}

/// Gives each request its id and span, and counts it.
pub async fn middleware(State(app): State<App>, request: Request, next: Next) -> Response {
    let trace_id = from_caller(request.headers()).unwrap_or_else(|| Uuid::now_v7().simple().to_string());
    // The route's template, never the path: a label of unbounded values would be a leak.
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let method = request.method().clone();
    let span = tracing::info_span!(
        "request",
        trace_id,
        method = %method,
        route,
        tenant_id = tracing::field::Empty,
        user_id = tracing::field::Empty,
        agent_id = tracing::field::Empty,
    );
    let started = Instant::now();
    let header = HeaderValue::from_str(&trace_id);
    let mut response = CURRENT.scope(trace_id, next.run(request).instrument(span.clone())).await;
    let took = started.elapsed();
    app.metrics.request(&method, &route, response.status(), took);
    let status = response.status().as_u16();
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    span.in_scope(|| {
        if is_noise(&method, &route) {
            tracing::debug!(status, duration_ms, "answered");
        } else {
            tracing::info!(status, duration_ms, "answered");
        }
    });
    if let Ok(header) = header {
        response.headers_mut().insert(HEADER, header);
    }
    response
}

/// Probes and scrapes would be most of the log.
fn is_noise(method: &Method, route: &str) -> bool {
    method == Method::GET && matches!(route, "/healthz" | "/readyz" | "/metrics")
}

fn from_caller(headers: &HeaderMap) -> Option<String> {
    if let Some(own) = headers.get(&HEADER).and_then(|value| value.to_str().ok()) {
        return is_trace_id(own).then(|| own.to_owned());
    }
    // W3C Trace Context §3.2: version, trace id, parent id, flags.
    let parent = headers.get("traceparent")?.to_str().ok()?;
    let id = parent.split('-').nth(1)?;
    is_trace_id(id).then(|| id.to_owned())
}

fn is_trace_id(text: &str) -> bool {
    text.len() == 32
        && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        && text.bytes().any(|byte| byte != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_well_formed_id_is_taken_over() {
        let cases = [
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true),
            ("traceparent", "00-00000000000000000000000000000000-b7ad6b7169203331-01", false),
            ("x-trace-id", "0af7651916cd43dd8448eb211c80319c", true),
            ("x-trace-id", "<script>", false),
        ];
        for (name, value, is_taken) in cases {
            let headers = HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))]);
            assert_eq!(from_caller(&headers).is_some(), is_taken, "{name}: {value}");
        }
    }
}
