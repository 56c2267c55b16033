//! One connection from its first byte to its last: shaking hands where there is TLS, then HTTP/1.1 within the door's
//! bounds, its waits looked at by one timer. Must not know what a request asks.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::pin::pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use http::HeaderValue;
use http::StatusCode;
use http::header::CONNECTION;
use http::header::STRICT_TRANSPORT_SECURITY;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::watch;

use crate::proxy::ConnectionState;
use crate::proxy::connection::Wait;
use crate::server::Settings;
use crate::server::guard::Fault;
use crate::server::live::Entry;
use crate::server::route::Room;
use crate::server::tls::Handshakes;
use crate::server::watch::Resting;
use crate::server::watch::Scratch;
use crate::server::watch::Timer;
use crate::server::watch::Watched;
use crate::server::wire::Raw;
use crate::server::wire::Wire;
use crate::telemetry::Metrics;

/// How much later than the guard the HTTP library finds a head too large.
const HEADROOM: usize = 1_024;

/// What the door counts by itself: what it refuses never reaches a room.
#[derive(Clone, Debug)]
pub(super) struct Counts {
    pub(super) accepted: Counter,
    pub(super) full: Counter,
    pub(super) malformed: Counter,
    pub(super) resets: Counter,
    pub(super) preamble: Counter,
    pub(super) slow: Counter,
    /// By [`Fault`].
    faults: Arc<[Counter]>,
    handshakes: Handshakes,
}

impl Counts {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let refused = |kind| metrics.errors.with(&[("kind", kind)]);
        Self {
            accepted: metrics.connections.clone(),
            full: refused("too_many_connections"),
            malformed: refused("malformed"),
            resets: refused("too_many_resets"),
            preamble: refused("preamble"),
            slow: refused("head_stalled"),
            faults: Fault::ALL.iter().map(|fault| refused(fault.name())).collect(),
            handshakes: Handshakes::new(metrics),
        }
    }
}

/// One connection.
pub(super) struct Talk {
    pub(super) connection: Arc<ConnectionState>,
    pub(super) entry: Entry,
    /// Those of the connection's beginning; they hold for what lasts as long as it does.
    pub(super) settings: Arc<Settings>,
    pub(super) scratch: Scratch,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) counts: Counts,
}

impl Talk {
    /// Shakes hands where it must, and talks.
    pub(super) async fn begin(self, raw: Raw) {
        let Some(tls) = self.settings.tls.clone() else { return self.http1(Wire::Plain(raw)).await };
        let mut stop = self.stop.clone();
        // What only TLS needs is boxed, so that a plain connection is no larger for it.
        let greeted = tokio::select! {
            greeted = Box::pin(tls.greet(raw, &self.connection, self.settings.handshake, &self.counts.handshakes)) => greeted,
            _ = stop.wait_for(|stop| *stop) => None,
        };
        if let Some(stream) = greeted {
            self.connection.encrypt();
            let wire = Wire::shaken(*stream);
            if wire.is_h2() { Box::pin(self.http2(wire)).await } else { self.http1(wire).await }
        }
    }

    async fn http1(self, wire: Wire) {
        let Self { connection, entry, settings, scratch, stop, counts } = self;
        let secure = matches!(wire, Wire::Tls(_));
        let io = Watched::new(wire, Arc::clone(&connection), &settings, scratch);
        connection.begin(Wait::Head, settings.head);
        let service = service_fn(|request| {
            let (room, connection) = (entry.room(&connection), Arc::clone(&connection));
            connection.ask();
            let mut told = room.told(&connection, "HTTP/1.1", &request);
            async move {
                let mut response = room.answer(&connection, request).await;
                if secure && let Some(hsts) = &room.settings().hsts {
                    response.headers_mut().entry(STRICT_TRANSPORT_SECURITY).or_insert_with(|| hsts.clone());
                }
                if room.settings().pressure.parts() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                if let Some(told) = &mut told {
                    told.answered(&mut response);
                }
                let idle = room.settings().idle;
                Ok::<_, Infallible>(response.map(|body| Resting::new(body, connection, idle, told)))
            }
        });
        let mut http = protocol(&settings).serve_connection(io, service).with_upgrades();
        let mut timer = Timer::new();
        let mut stopping = StopSignal::new(&stop);
        let mut wake = stop.clone();
        let mut stopped = pin!(wake.wait_for(|stop| *stop));
        let ended = std::future::poll_fn(|context| {
            if stopping.came(context, stopped.as_mut()) {
                connection.part();
                Pin::new(&mut http).graceful_shutdown();
            }
            timer.look(context, &connection);
            if [Wait::Idle, Wait::Head, Wait::Write].into_iter().any(|wait| connection.is_over(wait)) {
                return Poll::Ready(Ended::Late);
            }
            if let Poll::Ready(outcome) = Pin::new(&mut http).poll(context) {
                return Poll::Ready(Ended::Done(outcome));
            }
            timer.set(context, &connection);
            Poll::Pending
        })
        .await;
        // Without parts the connection has become a tunnel.
        let Some(mut parts) = http.into_parts() else { return };
        let fault = parts.io.fault();
        if let Some(counter) = fault.and_then(|fault| counts.faults.get(fault as usize)) {
            counter.inc();
        }
        let room = entry.room(&connection);
        let stalled = connection.is_over(Wait::Head) && !parts.read_buf.is_empty();
        let Some(word) = last_word(ended, fault, stalled, &room, &counts) else { return };
        parts.io.part(&word, !parts.read_buf.is_empty()).await;
    }
}

/// What a visitor is told at the end of its connection, which is counted; `None` where it is not worth waiting for.
fn last_word(ended: Ended, fault: Option<Fault>, stalled: bool, room: &Room, counts: &Counts) -> Option<Bytes> {
    match ended {
        Ended::Done(Err(error)) => {
            tracing::debug!(%error, "connection ended");
            if fault.is_none() && error.is_parse() {
                counts.malformed.inc();
            }
            Some(fault.filter(|_| is_refusal(&error)).map_or(Bytes::new(), |fault| room.door().refused(fault)))
        }
        Ended::Late if stalled => {
            counts.slow.inc();
            Some(Bytes::copy_from_slice(room.door().slow()))
        }
        Ended::Late => None,
        Ended::Done(Ok(())) => Some(Bytes::new()),
    }
}

/// Whether a connection ended by the guard's word, with nothing said to the visitor.
fn is_refusal(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.and_then(io::Error::get_ref).is_some_and(<dyn std::error::Error + Send + Sync>::is::<Fault>)
}

/// HTTP/1.1 within the door's bounds.
fn protocol(settings: &Settings) -> http1::Builder {
    let mut protocol = http1::Builder::new();
    protocol
        .max_headers(settings.fields)
        // The guard counts the same bytes and fields, and says which was too much.
        .max_header_size(settings.head_limit.saturating_add(HEADROOM))
        .max_buf_size(settings.head_limit.saturating_add(HEADROOM))
        .half_close(false);
    // The waits of the connection are looked at by its own timer, which costs a request nothing.
    protocol.header_read_timeout(None);
    protocol
}

/// How far the stop signal has come to a connection.
pub(super) struct StopSignal {
    seen: Seen,
    stop: watch::Receiver<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Not,
    Awaited,
    Obeyed,
}

impl StopSignal {
    pub(super) fn new(stop: &watch::Receiver<bool>) -> Self {
        Self { seen: Seen::Not, stop: stop.clone() }
    }

    /// Whether it has come with this poll. `stopped` is asked once, for the wake-up; later polls look at the flag alone.
    pub(super) fn came(&mut self, context: &mut Context<'_>, stopped: Pin<&mut impl Future>) -> bool {
        let came = match self.seen {
            Seen::Not => stopped.poll(context).is_ready(),
            Seen::Awaited => self.stop.has_changed().unwrap_or(true),
            Seen::Obeyed => false,
        };
        self.seen = if came || self.seen == Seen::Obeyed { Seen::Obeyed } else { Seen::Awaited };
        came
    }
}

/// How a connection ended.
enum Ended {
    Done(hyper::Result<()>),
    Late,
}
