//! The web dashboard, compiled in: hashed assets are cached for ever, every other path is the single page.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::error::Error;

#[derive(RustEmbed)]
#[folder = "ui/dist"]
struct Dist;

const ABSENT: &str = "Tenantra's API is running. The dashboard was not built into this program; \
    the API's documentation is at /docs.\n";

/// Answers every path that no route takes.
pub async fn fallback(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path();
    if path.starts_with("/v1/") || path == "/v1" {
        return Error::NoRoute(format!("{method} {path}")).into_response();
    }
    if method != Method::GET && method != Method::HEAD {
        return Error::MethodNotAllowed(method.to_string()).into_response();
    }
    let name = path.trim_start_matches('/');
    if let Some(file) = Dist::get(name) {
        return answer(&file, &headers, name.starts_with("assets/"));
    }
    // A missing asset must not answer with the page: the browser would try to run HTML as a script.
    if name.starts_with("assets/") {
        return Error::NotFound("file").into_response();
    }
    match Dist::get("index.html") {
        Some(page) => answer(&page, &headers, false),
        None => ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], ABSENT).into_response(),
    }
}

fn answer(file: &EmbeddedFile, request: &HeaderMap, is_immutable: bool) -> Response {
    let tag = format!("\"{}\"", hex::encode(&file.metadata.sha256_hash()[..16]));
    let cache = if is_immutable { "public, max-age=31536000, immutable" } else { "no-cache" };
    let is_known = request.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = Response::new(Body::from(file.data.clone()));
        if let Ok(kind) = HeaderValue::from_str(file.metadata.mimetype()) {
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
        }
        response
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}
