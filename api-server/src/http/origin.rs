//! Proof that a write by cookie comes from this site's own pages.
//!
//! `SameSite=Strict` already keeps cookies from other sites; this holds against sibling hosts of the same site too.

use http::{HeaderMap, Method, Uri, header, uri::Authority};

use crate::error::Error;

/// Checks `Sec-Fetch-Site` and `Origin` of a request that authenticates by cookie; reads pass.
///
/// # Errors
/// The request comes from another origin, or nothing says where it comes from.
pub fn check(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Error> {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let site = text("sec-fetch-site");
    let origin = headers.get(header::ORIGIN).and_then(|value| value.to_str().ok());
    // HTTP/2 names the host in the request's target.
    let own = uri.authority().map(Authority::as_str).or_else(|| text("host"));
    let is_same_site = site.is_none_or(|site| site == "same-origin");
    let is_same_host = origin.is_none_or(|origin| {
        let host = origin.split_once("://").map(|(_, host)| host);
        host.is_some() && host == own
    });
    if is_same_site && is_same_host && (site.is_some() || origin.is_some()) { Ok(()) } else { Err(Error::CrossSite) }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], bool);

    #[test]
    fn only_our_own_pages_may_write() {
        let cases: [Case<'_>; 8] = [
            ("/", &[("sec-fetch-site", "same-origin"), ("origin", "https://t.example"), ("host", "t.example")], true),
            ("/", &[("origin", "https://t.example:8443"), ("host", "t.example:8443")], true),
            ("/", &[("sec-fetch-site", "same-site"), ("host", "t.example")], false),
            ("/", &[("origin", "https://evil.example"), ("host", "t.example")], false),
            ("/", &[("origin", "null"), ("host", "t.example")], false),
            ("/", &[("host", "t.example")], false),
            ("https://t.example:8443/", &[("origin", "https://t.example:8443")], true),
            ("https://t.example/", &[("origin", "https://evil.example"), ("host", "evil.example")], false),
        ];
        for (target, headers, is_allowed) in cases {
            let uri = Uri::from_static(target);
            let map: HeaderMap = headers
                .iter()
                .map(|(name, value)| {
                    (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
                })
                .collect();
            assert_eq!(check(&Method::POST, &uri, &map).is_ok(), is_allowed, "{headers:?}");
            assert!(check(&Method::GET, &uri, &map).is_ok());
        }
    }
}
