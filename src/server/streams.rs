//! HTTP/2 with a visitor (RFC 9113): streams side by side, each in a task with waits of its own, so that one that stands
//! still neither holds up nor covers another. Promises: streams, heads, buffers and resets are bounded; a body that was
//! cut ends in a reset. Must not know what a request asks.

use std::cell::Cell;
use std::convert::Infallible;
use std::error::Error as _;
use std::pin::Pin;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http::StatusCode;
use http::header;
use http::header::STRICT_TRANSPORT_SECURITY;
use http_body::Body;
use http_body::Frame;
use http_body::SizeHint;
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use pin_project_lite::pin_project;

use crate::proxy::ConnectionState;
use crate::proxy::ProxyBody;
use crate::proxy::body::BodyError;
use crate::proxy::connection::Wait;
use crate::server::access::Told;
use crate::server::converse::Counts;
use crate::server::converse::StopSignal;
use crate::server::converse::Talk;
use crate::server::watch::Timer;
use crate::server::wire::Wire;

/// The bounds of HTTP/2.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests at once on one connection. 100, the least that RFC 9113 section 6.5.2 advises.
    pub streams: u32,
    /// Bytes of a head, counted as HPACK does (with 32 for each field). 64 KiB as for HTTP/1.1; more gets 431.
    pub head: u32,
    /// Streams that the visitor may have reset before they were looked at. 20, the answer to CVE-2023-44487.
    pub pending_resets: usize,
    /// Resets that faults of the visitor may cost us on one connection (CVE-2025-8671). 1,024, since a client that does not
    /// know the limit yet may ask for some hundreds at once, is refused and asks again.
    pub own_resets: usize,
    /// Bytes of one request's body that may be on their way. 64 KiB, what an upload needs at 100 ms and 5 Mbit/s.
    pub stream_window: u32,
    /// Bytes of all request bodies that may be on their way. 1 MiB, so that sixteen uploads share a connection.
    pub connection_window: u32,
    /// Bytes of an answer that wait for one stream's visitor. 64 KiB as the buffer towards the shop.
    pub send_buffer: usize,
    /// How often a silent connection is asked whether it still stands. 30 s finds a phone that has left the network.
    pub ping: Duration,
    /// How long the answer to that may take. 20 s as gRPC has it.
    pub pong: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            streams: 100,
            head: 64 * 1024,
            pending_resets: 20,
            own_resets: 1_024,
            stream_window: 64 * 1024,
            connection_window: 1024 * 1024,
            send_buffer: 64 * 1024,
            ping: Duration::from_secs(30),
            pong: Duration::from_secs(20),
        }
    }
}

/// The most of an answer that a stream hands over at a time, one frame's worth. Within the write wait a visitor must
/// take as much: 273 bytes a second of each stream, by default.
const PIECE: usize = 16 * 1024;

tokio::task_local! {
    /// The stream whose task is running.
    static STREAM: Arc<ConnectionState>;
}

/// The streams of one connection; it runs each in a task of its own.
#[derive(Clone)]
struct Streams(Rc<Open>);

struct Open {
    connection: Arc<ConnectionState>,
    count: Cell<usize>,
    idle: Duration,
    /// Who looks at the connection's waits.
    waker: Cell<Option<Waker>>,
}

/// One open stream; with the last one gone the connection rests.
struct Guest(Rc<Open>);

impl Guest {
    fn new(open: &Rc<Open>) -> Self {
        open.count.set(open.count.get() + 1);
        open.connection.end(Wait::Idle);
        Self(Rc::clone(open))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let left = self.0.count.get().saturating_sub(1);
        self.0.count.set(left);
        if left == 0 {
            self.0.connection.restart(Wait::Idle, self.0.idle);
            if let Some(waker) = self.0.waker.take() {
                waker.wake();
            }
        }
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + 'static,
{
    fn execute(&self, future: F) {
        let stream = Arc::new(self.0.connection.stream());
        let task = Attended { future, stream: Arc::clone(&stream), timer: Timer::new(), _guest: Guest::new(&self.0) };
        tokio::task::spawn_local(STREAM.scope(stream, task));
    }
}

pin_project! {
    /// A stream's task under its own timer. One whose visitor takes nothing ends, and so is reset.
    struct Attended<F> {
        #[pin]
        future: F,
        stream: Arc<ConnectionState>,
        timer: Timer,
        _guest: Guest,
    }
}

impl<F> Future for Attended<F>
where
    F: Future<Output = ()>,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        this.timer.look(context, this.stream);
        if this.stream.is_over(Wait::Write) || this.future.poll(context).is_ready() {
            return Poll::Ready(());
        }
        this.timer.set(context, this.stream);
        Poll::Pending
    }
}

/// An answer in pieces. What was handed over must be taken before the next piece is asked for.
struct Pieces {
    body: ProxyBody,
    rest: Bytes,
    stream: Arc<ConnectionState>,
    write: Duration,
    told: Option<Box<Told>>,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        this.stream.end(Wait::Write);
        if this.rest.is_empty() {
            match std::task::ready!(Pin::new(&mut this.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end => return Poll::Ready(end),
            }
        }
        this.stream.restart(Wait::Write, this.write);
        let piece = this.rest.split_to(this.rest.len().min(PIECE));
        if let Some(told) = &mut this.told {
            told.sent(piece.len());
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, mut hint) = (self.rest.len() as u64, self.body.size_hint());
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(hint.lower().saturating_add(rest));
        hint
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        self.stream.end(Wait::Write);
    }
}

impl Talk {
    /// HTTP/2 from its preface to its end.
    pub(super) async fn http2(self, wire: Wire) {
        let Self { connection, entry, settings, stop, counts, .. } = self;
        connection.begin(Wait::Head, settings.head);
        let (write, above) = (settings.write, &connection);
        let service = service_fn(|request| {
            above.end(Wait::Head);
            let (room, above) = (entry.room(above), Arc::clone(above));
            let mut told = room.told(&above, "HTTP/2", &request);
            async move {
                let stream = STREAM.try_with(Arc::clone).unwrap_or_else(|_| Arc::new(above.stream()));
                let mut response = room.answer(&stream, request).await;
                strip_connection(&mut response);
                if let Some(hsts) = &room.settings().hsts {
                    response.headers_mut().entry(STRICT_TRANSPORT_SECURITY).or_insert_with(|| hsts.clone());
                }
                if let Some(told) = &mut told {
                    told.answered(&mut response);
                }
                Ok::<_, Infallible>(response.map(|body| Pieces { body, rest: Bytes::new(), stream, write, told }))
            }
        });
        let open = Rc::new(Open {
            connection: Arc::clone(&connection),
            count: Cell::new(0),
            idle: settings.idle,
            waker: Cell::new(None),
        });
        let mut http = protocol(&settings.http2, Streams(Rc::clone(&open))).serve_connection(TokioIo::new(wire), service);
        let (mut timer, mut stopping) = (Timer::new(), StopSignal::new(&stop));
        let mut leaving = false;
        let mut wake = stop.clone();
        let mut stopped = pin!(wake.wait_for(|stop| *stop));
        let ended = std::future::poll_fn(|context| {
            open.waker.set(Some(context.waker().clone()));
            timer.look(context, &connection);
            if [Wait::Head, Wait::Write].into_iter().any(|wait| connection.is_over(wait)) {
                return Poll::Ready(None);
            }
            let rested = connection.is_over(Wait::Idle);
            if !leaving && (rested || settings.pressure.parts() || stopping.came(context, stopped.as_mut())) {
                leaving = true;
                connection.part();
                Pin::new(&mut http).graceful_shutdown();
            }
            if rested {
                // Nothing is open: the visitor has as long to take the farewell as it had to begin.
                connection.end(Wait::Idle);
                connection.begin(Wait::Head, settings.head);
            }
            if let Poll::Ready(outcome) = Pin::new(&mut http).poll(context) {
                return Poll::Ready(Some(outcome));
            }
            timer.set(context, &connection);
            Poll::Pending
        })
        .await;
        if let Some(Err(error)) = ended {
            blame(&error, &counts);
        }
    }
}

fn protocol(limits: &Limits, streams: Streams) -> http2::Builder<Streams> {
    let mut protocol = http2::Builder::new(streams);
    protocol
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(limits.head)
        .max_pending_accept_reset_streams(limits.pending_resets)
        .max_local_error_reset_streams(limits.own_resets)
        .initial_stream_window_size(limits.stream_window)
        .initial_connection_window_size(limits.connection_window)
        .max_send_buf_size(limits.send_buffer)
        .enable_connect_protocol()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.ping)
        .keep_alive_timeout(limits.pong);
    protocol
}

/// What closes a connection of HTTP/1.1 has no place in an answer (RFC 9113 section 8.2.2).
fn strip_connection<B>(response: &mut Response<B>) {
    let no_content = response.status() == StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    for name in [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE] {
        headers.remove(name);
    }
    headers.remove("keep-alive");
    // hyper leaves it out of HTTP/1.1 by itself (RFC 9110 section 8.6: a 204 has no length).
    if no_content {
        headers.remove(header::CONTENT_LENGTH);
    }
}

/// Counts what ended a connection where the visitor broke the rules; one that has just left did not.
fn blame(error: &hyper::Error, counts: &Counts) {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
    if let Some(cause) = cause.filter(|cause| cause.is_library()) {
        let calm = cause.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM);
        (if calm { &counts.resets } else { &counts.malformed }).inc();
    }
    tracing::debug!(%error, "connection ended");
}
