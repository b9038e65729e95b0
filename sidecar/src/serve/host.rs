//! Without a token, only what asks for loopback by its name is answered.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::App;
use super::problem::Problem;

/// Refuses a request for another host than loopback, if no token is set.
///
/// A web page can have its own name resolve to 127.0.0.1 ("DNS rebinding"), and its script then talks to
/// the sidecar as to its own server. What the browser cannot do is send another `Host` than that name.
pub(crate) async fn check(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if app.token.is_some() || is_for_loopback(request.uri(), request.headers()) {
        return next.run(request).await;
    }
    app.counters.misdirected.inc();
    let detail = "without a token only requests for localhost or a loopback address are answered: \
                  use such a URL, or set token_file";
    Problem::new(StatusCode::MISDIRECTED_REQUEST, "misdirected", detail).into_response()
}

/// The target's own host comes before the header (RFC 9112, section 3.2.2). Who names no host at all is
/// no browser.
fn is_for_loopback(target: &Uri, headers: &HeaderMap) -> bool {
    if let Some(host) = target.host() {
        return is_loopback(host);
    }
    headers.get_all(HOST).iter().all(|value| {
        let authority = Authority::try_from(value.as_bytes());
        authority.is_ok_and(|authority| is_loopback(authority.host()))
    })
}

fn is_loopback(host: &str) -> bool {
    if let Some(host) = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        return host
            .parse::<Ipv6Addr>()
            .is_ok_and(|address| address.to_canonical().is_loopback());
    }
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<Ipv4Addr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn allowed(target: &'static str, hosts: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, HeaderValue::from_str(host).unwrap());
        }
        is_for_loopback(&Uri::from_static(target), &headers)
    }

    #[test]
    fn loopback_by_name_or_address_is_let_in() {
        for host in [
            "localhost",
            "LOCALHOST:7077",
            "127.0.0.1",
            "127.0.0.1:7077",
            "127.1.2.3:1",
            "[::1]",
            "[::1]:7077",
            "[::ffff:127.0.0.1]:7077",
        ] {
            assert!(allowed("/v1/status", &[host]), "{host}");
        }
        assert!(allowed("/v1/status", &[]));
        assert!(allowed("http://127.0.0.1:7077/v1/status", &["x"]));
    }

    #[test]
    fn other_hosts_are_not() {
        for host in [
            "",
            "x",
            "evil.example:7077",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1:7077",
            "0.0.0.0:7077",
            "[::]:7077",
            "[2001:db8::1]",
            "[::1",
            "2130706433",
            "user@127.0.0.1@evil.example",
            "127.0.0.1 evil.example",
        ] {
            assert!(!allowed("/v1/status", &[host]), "{host}");
        }
        assert!(!allowed("/", &["localhost", "evil.example"]));
        assert!(!allowed("http://evil.example/v1/status", &["localhost"]));
    }
}
