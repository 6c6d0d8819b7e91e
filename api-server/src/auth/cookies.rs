//! The two cookies of a browser session. `__Host-` binds them to this host, HTTPS and the whole path (RFC 6265bis §4.1.3).

use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};

/// Carries the access token.
pub const ACCESS: &str = "__Host-tenantra_access";
/// Carries the refresh token.
pub const REFRESH: &str = "__Host-tenantra_refresh";
/// The header by which a browser's page asks for cookies instead of tokens in the body.
pub const BROWSER_HEADER: &str = "x-tenantra-browser";

/// The value of a cookie.
pub fn get<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(key, value)| (key == name).then_some(value))
}

/// Whether the caller is a page of ours that keeps its tokens in cookies.
pub fn is_browser(headers: &HeaderMap) -> bool {
    headers.get(BROWSER_HEADER).is_some_and(|value| value == "1")
}

/// Sets both cookies.
pub fn set(headers: &mut HeaderMap, access: (&str, Duration), refresh: (&str, Duration)) {
    append(headers, ACCESS, access.0, access.1);
    append(headers, REFRESH, refresh.0, refresh.1);
}

/// Removes both cookies.
pub fn clear(headers: &mut HeaderMap) {
    append(headers, ACCESS, "", Duration::ZERO);
    append(headers, REFRESH, "", Duration::ZERO);
}

fn append(headers: &mut HeaderMap, name: &str, value: &str, lifetime: Duration) {
    let cookie = format!("{name}={value}; Path=/; Max-Age={}; Secure; HttpOnly; SameSite=Strict", lifetime.as_secs());
    // Tokens are base64url and dots: always a legal header.
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        headers.append(header::SET_COOKIE, cookie);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others() {
        let headers = HeaderMap::from_iter([(
            header::COOKIE,
            HeaderValue::from_static("a=1; __Host-tenantra_access=x.y.z; b=2"),
        )]);
        assert_eq!(get(&headers, ACCESS), Some("x.y.z"));
        assert_eq!(get(&headers, REFRESH), None);
    }

    #[test]
    fn cookies_are_bound_to_host_and_https() {
        let mut headers = HeaderMap::new();
        set(&mut headers, ("a", Duration::from_mins(1)), ("r", Duration::from_secs(90)));
        let cookies: Vec<_> = headers.get_all(header::SET_COOKIE).iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(
            cookies,
            [
                "__Host-tenantra_access=a; Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Strict",
                "__Host-tenantra_refresh=r; Path=/; Max-Age=90; Secure; HttpOnly; SameSite=Strict",
            ]
        );
    }
}
