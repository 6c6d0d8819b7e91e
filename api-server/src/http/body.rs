//! Bodies: JSON with unknown fields refused by name, forms for sign-in, and zstd with a guard against bombs.

use std::io::Read;

use axum::{
    Extension,
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest, OptionalFromRequest, Request, rejection::BytesRejection},
};
use futures::StreamExt;
use http::{HeaderMap, header};
use serde::{Deserialize, de::DeserializeOwned};

use crate::error::{Error, Result};

/// The most bytes a body may have as sent, where a route sets no lower limit.
pub const LIMIT_BYTES: usize = 8 * 1024 * 1024;
/// Of a sign-in or an enrolment, which anybody may send.
pub const STRANGERS_LIMIT_BYTES: usize = 64 * 1024;
/// Of an agent's poll or heartbeat.
pub const POLL_LIMIT_BYTES: usize = 1024 * 1024;
/// The most bytes that are read past before the connection is given up.
const DISCARDED_BYTES: usize = 2 * LIMIT_BYTES;
/// The most bytes an agent's results may have once decompressed.
pub const DECOMPRESSED_LIMIT_BYTES: usize = 32 * 1024 * 1024;
/// The most values a body may have. A parsed value takes some tens of bytes where the text takes two (`0,`), so that a
/// limit on bytes alone would let 32 MiB grow to many times that.
pub const VALUES_LIMIT: usize = 2_000_000;
/// zstd windows above 8 MiB (2^23) are refused: the window is allocated before the first byte comes out.
const MAX_WINDOW_LOG: u32 = 23;

/// A JSON body, parsed into a type that refuses unknown fields.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        if !is_json(request.headers()) {
            return Err(Error::UnsupportedMedia("Send JSON with content-type: application/json."));
        }
        let bytes = read(request, state).await?;
        parse(&bytes).map(Self)
    }
}

impl<T: DeserializeOwned, S: Send + Sync> OptionalFromRequest<S> for Json<T> {
    type Rejection = Error;

    /// No content type means no body.
    async fn from_request(request: Request, state: &S) -> Result<Option<Self>> {
        if request.headers().contains_key(header::CONTENT_TYPE) {
            <Self as FromRequest<S>>::from_request(request, state).await.map(Some)
        } else {
            Ok(None)
        }
    }
}

/// A body as JSON or as a form, whichever the content type says.
#[derive(Debug)]
pub struct JsonOrForm<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonOrForm<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        if is_json(request.headers()) {
            let Json(value) = <Json<T> as FromRequest<S>>::from_request(request, state).await?;
            return Ok(Self(value));
        }
        if media_type(request.headers()) != Some("application/x-www-form-urlencoded") {
            return Err(Error::UnsupportedMedia(
                "Send JSON (application/json) or a form (application/x-www-form-urlencoded).",
            ));
        }
        let bytes = read(request, state).await?;
        let form = axum::extract::RawForm(bytes);
        let request = Request::builder()
            .method(http::Method::POST)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(axum::body::Body::from(form.0))
            .map_err(Error::internal)?;
        match axum::extract::Form::<T>::from_request(request, state).await {
            Ok(axum::extract::Form(value)) => Ok(Self(value)),
            Err(rejection) => Err(unprocessable(&rejection.body_text())),
        }
    }
}

/// The limit of a route, for what is said when it is exceeded.
#[derive(Clone, Copy, Debug)]
pub struct Limit(usize);

/// A layer that takes bodies of at most so many bytes on the routes it is put around; the innermost one holds.
pub fn limit(bytes: usize) -> (DefaultBodyLimit, Extension<Limit>) {
    (DefaultBodyLimit::max(bytes), Extension(Limit(bytes)))
}

/// Reads a body up to the limit that the router set.
///
/// # Errors
/// A body that is too large or breaks off.
pub async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes> {
    let limit_bytes = request.extensions().get::<Limit>().map_or(LIMIT_BYTES, |Limit(bytes)| *bytes);
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|bytes: usize| bytes > limit_bytes) {
        discard(request).await;
        return Err(Error::TooLarge { limit_bytes });
    }
    Bytes::from_request(request, state).await.map_err(|rejection| match rejection {
        BytesRejection::FailedToBufferBody(inner) if inner.status() == http::StatusCode::PAYLOAD_TOO_LARGE => {
            Error::TooLarge { limit_bytes }
        }
        _ => Error::BadRequest("The body broke off before its end.".to_owned()),
    })
}

/// Reads a body to its end and keeps nothing of it: an answer before that end may be lost with the connection.
pub async fn discard(request: Request) {
    let mut left = DISCARDED_BYTES;
    let mut body = request.into_body().into_data_stream();
    while let Some(Ok(chunk)) = body.next().await {
        match left.checked_sub(chunk.len()) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// Parses JSON; what is wrong is said with the field's name.
///
/// # Errors
/// 413 for more values than [`VALUES_LIMIT`], 400 for what is not JSON, 422 for what is not what the route takes.
pub fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T> {
    // Each value but the first comes after one of these. Those within texts count as well, which only errs to the safe side.
    let values = bytes.iter().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count();
    if values > VALUES_LIMIT {
        return Err(Error::TooManyValues { limit: VALUES_LIMIT });
    }
    serde_json::from_slice(bytes).map_err(|error| {
        if error.is_data() {
            unprocessable(&error.to_string())
        } else {
            Error::BadRequest(format!("The body is not valid JSON: {error}."))
        }
    })
}

/// Decompresses zstd up to the limit; a bomb costs no more memory than the limit and one window.
///
/// # Errors
/// Too large, or not zstd.
pub fn decompress(bytes: &[u8]) -> Result<Vec<u8>> {
    let broken = |_| Error::BadRequest("The body is not valid zstd.".to_owned());
    let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(broken)?;
    decoder.window_log_max(MAX_WINDOW_LOG).map_err(Error::internal)?;
    let limit = DECOMPRESSED_LIMIT_BYTES as u64;
    let mut out = Vec::with_capacity(bytes.len().saturating_mul(4).min(DECOMPRESSED_LIMIT_BYTES));
    decoder.take(limit + 1).read_to_end(&mut out).map_err(broken)?;
    if out.len() > DECOMPRESSED_LIMIT_BYTES {
        return Err(Error::TooLarge { limit_bytes: DECOMPRESSED_LIMIT_BYTES });
    }
    Ok(out)
}

/// serde's sentences: "unknown field `x`, expected …", "missing field `x` at line …", "invalid type: …".
fn unprocessable(message: &str) -> Error {
    let mut field = None;
    for prefix in ["unknown field `", "missing field `", "duplicate field `"] {
        if let Some((_, rest)) = message.split_once(prefix)
            && let Some((name, _)) = rest.split_once('`')
        {
            field = Some(name.to_owned());
        }
    }
    Error::Unprocessable { message: format!("The body does not fit: {message}."), field }
}

fn media_type(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or(value).trim())
}

fn is_json(headers: &HeaderMap) -> bool {
    media_type(headers).is_some_and(|media| media == "application/json" || media.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        #[expect(dead_code, reason = "only parsed")]
        name: String,
    }

    #[test]
    fn an_unknown_field_is_named() {
        let error = parse::<Body>(br#"{"name": "a", "colour": "red"}"#).unwrap_err();
        let Error::Unprocessable { field, message } = error else { panic!("{error:?}") };
        assert_eq!(field.as_deref(), Some("colour"));
        assert!(message.contains("unknown field `colour`"), "{message}");
    }

    #[test]
    fn what_is_not_json_is_a_bad_request() {
        assert!(matches!(parse::<Body>(b"{").unwrap_err(), Error::BadRequest(_)));
        assert!(matches!(parse::<Body>(&[0xff, 0xfe]).unwrap_err(), Error::BadRequest(_)));
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bomb = zstd::stream::encode_all(std::io::repeat(0).take(64 * 1024 * 1024), 3).unwrap();
        assert!(bomb.len() < 64 * 1024);
        assert!(matches!(decompress(&bomb).unwrap_err(), Error::TooLarge { .. }));
    }

    #[test]
    fn a_body_of_more_values_than_memory_is_worth_is_refused_unparsed() {
        let zeros = |count: usize| format!("[{}0]", "0,".repeat(count - 1));
        let error = parse::<serde_json::Value>(zeros(VALUES_LIMIT + 1).as_bytes()).unwrap_err();
        assert!(matches!(error, Error::TooManyValues { .. }), "{error:?}");
        assert_eq!(error.status_and_code().0, http::StatusCode::PAYLOAD_TOO_LARGE);
        let nested = format!("{}{}", "[".repeat(VALUES_LIMIT), "{".repeat(VALUES_LIMIT));
        assert!(matches!(parse::<serde_json::Value>(nested.as_bytes()).unwrap_err(), Error::TooManyValues { .. }));
        assert_eq!(parse::<Vec<u8>>(zeros(1_000).as_bytes()).unwrap().len(), 1_000);
    }

    #[test]
    fn what_fits_comes_out_whole() {
        let packed = zstd::stream::encode_all(&b"hello"[..], 3).unwrap();
        assert_eq!(decompress(&packed).unwrap(), b"hello");
        assert!(decompress(b"not zstd").is_err());
    }
}
