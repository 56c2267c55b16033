//! `WebSocket` over HTTP/2 (RFC 8441): an extended `CONNECT` of a visitor is told to the shop as the upgrade of HTTP/1.1 that
//! shops know, and the 101 told back as a 200. Must not know what runs in the tunnel.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::Response;
use http::StatusCode;
use http::Version;
use http::header;
use http::request::Parts;
use hyper::ext::Protocol;

use crate::proxy::reply::Kind;

/// What a server adds to a key before it proves that it has read it (RFC 6455 section 1.3).
const SALT: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const KEY: HeaderName = HeaderName::from_static("sec-websocket-key");
const ACCEPT: HeaderName = HeaderName::from_static("sec-websocket-accept");

/// Says that a head was an extended `CONNECT`.
#[derive(Clone, Copy, Debug)]
struct Extended;

/// Turns an extended `CONNECT` for a `WebSocket` into the `GET` that it stands for (RFC 8441 section 5); false where the head
/// is none, or asks for another protocol.
pub(super) fn translate(head: &mut Parts) -> bool {
    let asked = head.extensions.get::<Protocol>().is_some_and(|protocol| protocol.as_str() == "websocket");
    if !asked || head.version != Version::HTTP_2 || head.headers.contains_key(header::CONTENT_LENGTH) {
        return false;
    }
    head.method = Method::GET;
    head.extensions.insert(Extended);
    true
}

/// Whether a head came as an extended `CONNECT`: only a tunnel is an answer to it.
pub fn is_extended(head: &Parts) -> bool {
    head.extensions.get::<Extended>().is_some()
}

/// The key of one upgrade of ours, and what the shop must answer to it.
pub(super) struct Handshake {
    accept: String,
}

impl Handshake {
    /// Writes a fresh key into a head for the shop. A visitor's own has no meaning over HTTP/2.
    pub(super) fn begin(headers: &mut HeaderMap) -> Result<Self, Kind> {
        let key = STANDARD.encode(rand::random::<[u8; 16]>());
        let accept = accept(key.as_bytes());
        headers.insert(KEY, HeaderValue::try_from(key).map_err(|_| Kind::Broken)?);
        headers.entry("sec-websocket-version").or_insert(HeaderValue::from_static("13"));
        Ok(Self { accept })
    }

    /// Tells the shop's answer in the words of HTTP/2. A 101 must prove that the key was read (RFC 6455 section 4.1); any
    /// other success would be read as a tunnel, which it is not.
    pub(super) fn end<B>(&self, response: &mut Response<B>) -> Result<(), Kind> {
        let proof = response.headers_mut().remove(ACCEPT);
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let proved = proof.is_some_and(|proof| proof.as_bytes() == self.accept.as_bytes());
            *response.status_mut() = StatusCode::OK;
            response.headers_mut().remove(header::CONNECTION);
            response.headers_mut().remove(header::UPGRADE);
            response.headers_mut().remove(header::CONTENT_LENGTH);
            if proved { Ok(()) } else { Err(Kind::Broken) }
        } else if response.status().is_success() {
            Err(Kind::Broken)
        } else {
            Ok(())
        }
    }
}

/// `SHA-1` is what RFC 6455 says; nothing rests on its strength.
fn accept(key: &[u8]) -> String {
    let salted = [key, SALT].concat();
    STANDARD.encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &salted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_answered_as_the_standard_has_it() {
        // RFC 6455 section 1.3.
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn only_a_proved_101_is_a_tunnel() {
        let handshake = Handshake::begin(&mut HeaderMap::new()).unwrap();
        let answer = |status: u16, proof: &str| {
            let mut response = Response::builder().status(status).header("sec-websocket-accept", proof).body(()).unwrap();
            handshake.end(&mut response).map(|()| response.status().as_u16())
        };
        assert_eq!(answer(101, &handshake.accept), Ok(200));
        assert_eq!(answer(101, "other"), Err(Kind::Broken));
        assert_eq!(answer(200, &handshake.accept), Err(Kind::Broken));
        assert_eq!(answer(403, ""), Ok(403));
    }
}
