//! Who may ask: the `Host` check against rebound names, the token in constant time. Must not know the routes.

use std::net::IpAddr;

use axum::extract::Request;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::header::HOST;
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::uri::Authority;
use axum::middleware::Next;
use axum::response::IntoResponse;
use axum::response::Response;
use secrecy::ExposeSecret;
use subtle::ConstantTimeEq;

use crate::admin::Admin;

/// Refuses a request whose `Host` is neither loopback nor a configured name (DNS rebinding).
pub(super) async fn host(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    let named = request.headers().get(HOST).and_then(|host| host.to_str().ok()).and_then(|host| host.parse::<Authority>().ok());
    let ours = named.is_some_and(|authority| is_ours(authority.host(), &admin.settings.hosts));
    if ours {
        next.run(request).await
    } else {
        (StatusCode::MISDIRECTED_REQUEST, "this host name is not served here\n").into_response()
    }
}

/// Refuses a request without the admin token.
pub(super) async fn token(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    let given = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map_or("", |(_, token)| token.trim());
    let expected = admin.settings.token.expose_secret();
    if bool::from(given.as_bytes().ct_eq(expected.as_bytes())) {
        next.run(request).await
    } else {
        let says = "the admin token is missing or wrong\nhint: send `Authorization: Bearer <token>`\n";
        (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer realm=\"clicksieve\"")], says).into_response()
    }
}

fn is_ours(host: &str, names: &[String]) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        || host.eq_ignore_ascii_case("localhost")
        || names.iter().any(|name| name.eq_ignore_ascii_case(bare))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_and_configured_names_are_ours() {
        let names = vec!["admin.shop.example".to_owned()];
        for (host, ours) in [
            ("127.0.0.1", true),
            ("[::1]", true),
            ("LOCALHOST", true),
            ("admin.shop.example", true),
            ("shop.example", false),
            ("192.0.2.1", false),
            ("127.0.0.1.evil.example", false),
        ] {
            assert_eq!(is_ours(host, &names), ours, "{host}");
        }
    }
}
