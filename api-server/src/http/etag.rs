//! `ETags` on everything that GET answers with JSON, and `If-None-Match`.
//!
//! A handler that knows a version (a resourceVersion) sets the header itself; otherwise it is a digest of the body, so that
//! two answers that differ, whoever's they are, never have the same one. It is a weak one: the same answer leaves here
//! compressed in several ways. The database is read either way: what is saved is the way to the client, not the work. An answer
//! that many share has its tag made once, by [`of`].

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{self, InvalidHeaderValue},
};
use sha2::{Digest, Sha256};

use crate::error::Error;

/// Bodies above this are passed on without an `ETag` rather than held in memory.
const LIMIT_BYTES: usize = 8 * 1024 * 1024;

/// Answers 304 where the client has it already.
pub async fn middleware(request: Request, next: Next) -> Response {
    if request.method() != Method::GET {
        return next.run(request).await;
    }
    let known = request.headers().get(header::IF_NONE_MATCH).cloned();
    let response = next.run(request).await;
    if response.status() != StatusCode::OK || !is_json(response.headers()) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // Per user and never for a shared cache; `no-cache` means "ask again", which is what the ETag is for.
    parts.headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-cache"));
    parts.headers.append(header::VARY, HeaderValue::from_static("authorization, cookie, x-tenantra-tenant"));
    let Ok(bytes) = to_bytes(body, LIMIT_BYTES).await else {
        return Error::internal("an answer was larger than the ETag layer takes").into_response();
    };
    if !parts.headers.contains_key(header::ETAG)
        && let Ok(tag) = of(&bytes)
    {
        parts.headers.insert(header::ETAG, tag);
    }
    let is_known = known.is_some_and(|known| parts.headers.get(header::ETAG).is_some_and(|tag| matches(&known, tag)));
    if is_known {
        parts.headers.remove(header::CONTENT_TYPE);
        parts.headers.remove(header::CONTENT_LENGTH);
        parts.status = StatusCode::NOT_MODIFIED;
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, Body::from(bytes))
}

/// The tag of a body.
///
/// # Errors
/// None in fact: digits can be sent in a header.
pub fn of(body: &[u8]) -> Result<HeaderValue, InvalidHeaderValue> {
    HeaderValue::from_str(&format!("W/\"{}\"", hex::encode(&Sha256::digest(body)[..16])))
}

/// RFC 9110 §13.1.2: a list of tags, compared weakly.
fn matches(known: &HeaderValue, tag: &HeaderValue) -> bool {
    let (Ok(known), Ok(tag)) = (known.to_str(), tag.to_str()) else { return false };
    let opaque = |text: &str| text.trim().trim_start_matches("W/").to_owned();
    known.trim() == "*" || known.split(',').any(|one| opaque(one) == opaque(tag))
}

fn is_json(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_compare_weakly_and_in_lists() {
        let tag = HeaderValue::from_static("\"a\"");
        for (known, is_match) in
            [("\"a\"", true), ("W/\"a\"", true), ("\"b\", \"a\"", true), ("*", true), ("\"b\"", false)]
        {
            assert_eq!(matches(&HeaderValue::from_static(known), &tag), is_match, "{known}");
        }
    }
}
