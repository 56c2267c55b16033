//! `WebSocket` pass-through (RFC 6455): a tunnel opens only after the shop's 101 to an upgrade that the visitor asked
//! for; every other answer passes as an ordinary one. Must not know what runs in the tunnel.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::Version;
use http::header;
use http::request::Parts;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::proxy::body::VisitorBody;
use crate::proxy::connection::ConnectionState;
use crate::proxy::passing::UpstreamBody;
use crate::proxy::reply::Kind;
use crate::proxy::upstream::Upstream;
use crate::proxy::websocket;
use crate::proxy::websocket::Handshake;

/// Bytes that each direction of a tunnel holds at a time.
const PIECE: usize = 8 * 1024;
/// How long and how far a connection is read on whose upgrade was not granted and which is to close: a socket closed with
/// bytes unread is reset, and the reset may overtake the answer (RFC 9112 section 9.6).
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: u64 = 16 << 20;

/// Whether a visitor asks for a `WebSocket` (RFC 6455 section 4.1); any other upgrade is not offered to the shop.
pub fn is_wanted(head: &Parts) -> bool {
    if websocket::is_extended(head) {
        return true;
    }
    head.method == Method::GET
        && head.version == Version::HTTP_11
        && is_websocket(&head.headers)
        && tokens(&head.headers, &header::CONNECTION).any(|token| token.eq_ignore_ascii_case(b"upgrade"))
}

fn is_websocket(headers: &HeaderMap) -> bool {
    let mut upgrades = tokens(headers, &header::UPGRADE);
    upgrades.next().is_some_and(|first| first.eq_ignore_ascii_case(b"websocket")) && upgrades.next().is_none()
}

fn tokens<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers.get_all(name).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

/// Says, on one hop, that the connection becomes a `WebSocket`.
pub fn mark(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}

/// Lets go of an upgrade that is not granted. hyper hands the socket over all the same if it is the connection's last word.
pub fn decline(visitor_side: OnUpgrade) {
    tokio::task::spawn_local(async move {
        let Ok(visitor) = visitor_side.await else { return };
        let mut visitor = TokioIo::new(visitor);
        let parting = async {
            visitor.shutdown().await?;
            tokio::io::copy(&mut visitor.take(LINGER_BYTES), &mut tokio::io::sink()).await
        };
        // A visitor that is gone, or goes on for ever, has no claim to more.
        let _ = timeout(LINGER, parting).await;
    });
}

/// What a tunnel needs besides the request.
#[derive(Debug)]
pub struct Tunnel<'a> {
    /// The way to the shop.
    pub upstream: &'a Upstream,
    /// The visitor's connection.
    pub visitor: &'a Arc<ConnectionState>,
    /// How long the shop may take to answer.
    pub first_byte: Duration,
    /// How long the tunnel may stand still.
    pub idle: Duration,
    /// The visitor's end is a stream of HTTP/2.
    pub stream: bool,
}

impl Tunnel<'_> {
    /// Forwards the upgrade over a connection of its own. `visitor_side` becomes the tunnel's visitor end after a 101.
    pub async fn open(self, mut request: Request<VisitorBody>, visitor_side: OnUpgrade) -> Result<Response<UpstreamBody>, Kind> {
        let handshake = if self.stream { Some(Handshake::begin(request.headers_mut())?) } else { None };
        let (mut sender, line, _) = self.upstream.open().await?;
        // The connection outlives the request, so it runs by itself; its end is seen by whoever holds its other end.
        tokio::task::spawn_local(line.with_upgrades());
        let answered = timeout(self.first_byte, sender.send_request(request)).await.map_err(|_| Kind::Silent)?;
        let mut response = answered.map_err(|_| Kind::Broken)?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            if !is_websocket(response.headers()) {
                return Err(Kind::Broken);
            }
            let shop_side = hyper::upgrade::on(&mut response);
            handshake.map_or(Ok(()), |handshake| handshake.end(&mut response))?;
            self.visitor.tunnel();
            tokio::task::spawn_local(run(visitor_side, shop_side, self.idle, Arc::clone(self.visitor)));
        } else if let Some(handshake) = handshake {
            handshake.end(&mut response)?;
        } else {
            decline(visitor_side);
        }
        Ok(response.map(|incoming| self.upstream.body(incoming, None, self.visitor)))
    }
}

/// Carries bytes both ways until both sides have ended, one fails, or nothing has moved for too long. `_visitor` keeps
/// the visitor counted as connected.
async fn run(visitor_side: OnUpgrade, shop_side: OnUpgrade, idle: Duration, _visitor: Arc<ConnectionState>) {
    let Ok(Ok((visitor, shop))) = timeout(idle, async { tokio::try_join!(visitor_side, shop_side) }).await else { return };
    let (visitor_read, visitor_write) = tokio::io::split(TokioIo::new(visitor));
    let (shop_read, shop_write) = tokio::io::split(TokioIo::new(shop));
    let moved = tokio::sync::Notify::new();
    let both = async {
        tokio::join!(carry(visitor_read, shop_write, &moved), carry(shop_read, visitor_write, &moved));
    };
    let silence = async { while timeout(idle, moved.notified()).await.is_ok() {} };
    tokio::select! { () = both => {} () = silence => {} }
}

async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, moved: &tokio::sync::Notify) {
    let mut piece = vec![0; PIECE];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        moved.notify_one();
        // TLS may hold back what the socket did not take at once, and the next piece may be long in coming.
        if to.write_all(piece.get(..length).unwrap_or_default()).await.is_err() || to.flush().await.is_err() {
            break;
        }
    }
    // The other direction may go on; this one has said all it had to.
    let _ = to.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(fields: &[(&'static str, &'static str)]) -> bool {
        let mut head = Request::new(()).into_parts().0;
        for (name, value) in fields {
            head.headers.append(*name, HeaderValue::from_static(value));
        }
        is_wanted(&head)
    }

    #[test]
    fn a_websocket_is_asked_for_with_both_fields() {
        assert!(wanted(&[("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")]));
        assert!(!wanted(&[("connection", "keep-alive"), ("upgrade", "websocket")]));
        assert!(!wanted(&[("connection", "upgrade")]));
    }

    #[test]
    fn no_other_protocol_is_asked_for() {
        assert!(!wanted(&[("connection", "upgrade"), ("upgrade", "h2c")]));
        assert!(!wanted(&[("connection", "upgrade"), ("upgrade", "websocket, h2c")]));
    }
}
