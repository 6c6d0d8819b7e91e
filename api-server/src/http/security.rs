//! Headers that tell a browser what this site never does.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{config::Config, state::App};

/// The docs page of swagger-ui writes styles and an inline script, so it has a policy of its own; it has no cookies to
/// steal that a script could read.
const DOCS_CSP: &str = "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'";

/// The headers, built once from the configuration.
#[derive(Clone, Debug)]
pub struct SecurityHeaders {
    common: Vec<(HeaderName, HeaderValue)>,
    csp: HeaderValue,
}

impl SecurityHeaders {
    /// Builds them; HSTS only where this server ends TLS itself.
    ///
    /// # Errors
    /// A value that a header cannot carry.
    pub fn new(config: &Config) -> Result<Self, http::header::InvalidHeaderValue> {
        let mut common = vec![
            (header::X_FRAME_OPTIONS, HeaderValue::from_str(&config.sec_frame_options)?),
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_str(&config.sec_content_type_options)?),
            (header::REFERRER_POLICY, HeaderValue::from_str(&config.sec_referrer_policy)?),
            (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
            (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
            (
                HeaderName::from_static("permissions-policy"),
                HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=()"),
            ),
        ];
        if config.tls_cert_file.is_some() {
            common.push((header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_str(&config.sec_hsts)?));
        }
        Ok(Self { common, csp: HeaderValue::from_str(&config.sec_csp)? })
    }

    fn write(&self, path: &str, headers: &mut HeaderMap) {
        for (name, value) in &self.common {
            headers.entry(name).or_insert_with(|| value.clone());
        }
        let csp = if path == "/docs" || path.starts_with("/docs/") {
            HeaderValue::from_static(DOCS_CSP)
        } else {
            self.csp.clone()
        };
        headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(csp);
    }
}

/// Writes the headers on every answer; what the API answers is never kept by a shared cache.
pub async fn middleware(State(app): State<App>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let mut response = next.run(request).await;
    app.security_headers.write(&path, response.headers_mut());
    if path.starts_with("/v1/") {
        response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
    response
}
