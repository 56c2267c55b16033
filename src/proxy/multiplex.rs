//! HTTP/2 to the shop: a few connections per thread that carry many requests each, run by tasks of their own. Promises:
//! streams, windows and heads are bounded; a connection on which nothing but noise comes is given up; a request goes out
//! again only where the shop said that it did not look at it, or where it is safe to repeat. Must not know what is asked.

use std::cell::Cell;
use std::cell::RefCell;
use std::error::Error as _;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::Response;
use http::StatusCode;
use http::Uri;
use http::header;
use http_body::Body;
use http_body::Frame;
use http_body::SizeHint;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use tokio::sync::Mutex;
use tokio::sync::oneshot;

use crate::proxy::ahead::Count;
use crate::proxy::ahead::Counted;
use crate::proxy::body::BodyError;
use crate::proxy::body::VisitorBody;
use crate::proxy::connection::ConnectionState;
use crate::proxy::connection::Wait;
use crate::proxy::line::Line;
use crate::proxy::loss::Failure;
use crate::proxy::loss::Missed;
use crate::proxy::loss::lost;
use crate::proxy::reply::Kind;

/// Connections per thread. Two cores with four each open as many streams as a pool of HTTP/1.1 would open connections.
const LANES: usize = 4;
/// Streams at once on a connection, where the shop allows as many: the least that RFC 9113 section 6.5.2 advises.
const STREAMS: usize = 100;
/// The same before the shop has answered once, and so has said how many it allows.
const FIRST_STREAMS: usize = 32;
/// Bytes of one answer that may be on their way, and of all answers of a connection. A shop stands near: at a millisecond
/// 256 KiB are 2 Gbit/s, and slow visitors hold no more than this each.
const STREAM_WINDOW: u32 = 256 * 1024;
const LANE_WINDOW: u32 = 4 * 1024 * 1024;
/// Bytes of a request that wait for the shop.
const SEND_BUFFER: usize = 64 * 1024;
/// How often a silent connection is asked whether it still stands, and how long the answer may take, as at the door.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(20);

/// Runs what belongs to a connection on the thread it is used by.
#[derive(Clone, Copy, Debug)]
struct Here;

impl<F: Future<Output = ()> + 'static> Executor<F> for Here {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// One connection.
struct Lane {
    sender: RefCell<http2::SendRequest<Leashed>>,
    /// Requests that are not answered whole.
    open: Cell<usize>,
    /// How many it takes.
    most: Cell<usize>,
    /// Whether it has answered.
    used: Cell<bool>,
    count: Count,
}

/// One request on a connection. Dropping it says that nobody waits for the rest of the answer, nor sends the rest of the
/// request.
pub struct Guest {
    lane: Rc<Lane>,
    _leash: oneshot::Sender<()>,
}

impl Lane {
    fn has_room(&self) -> bool {
        let most = if self.used.get() { self.most.get() } else { FIRST_STREAMS };
        self.open.get() < most
    }
}

impl fmt::Debug for Guest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Guest").finish_non_exhaustive()
    }
}

impl Guest {
    fn new(lane: Rc<Lane>, leash: oneshot::Sender<()>) -> Self {
        lane.open.set(lane.open.get() + 1);
        Self { lane, _leash: leash }
    }

    /// Something of use has come.
    pub(super) fn moved(&self) {
        self.lane.count.restart();
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.lane.open.set(self.lane.open.get().saturating_sub(1));
    }
}

/// A request's body that ends with its answer: what comes later interests nobody, and the stream is reset (RFC 9113
/// section 8.1).
struct Leashed {
    body: VisitorBody,
    ended: Option<oneshot::Receiver<()>>,
}

impl Body for Leashed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if this.ended.as_mut().is_some_and(|ended| Pin::new(ended).poll(context).is_ready()) {
            this.ended = None;
            return Poll::Ready(Some(Err(BodyError::given_up())));
        }
        Pin::new(&mut this.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What asking for a connection gave.
enum Way {
    Lane(Rc<Lane>),
    /// The shop chose HTTP/1.1 when it was asked.
    Other(Line),
}

/// How sending over HTTP/2 ended.
pub(super) enum Sent {
    /// With the head of an answer.
    Answered(Response<Incoming>, Guest),
    /// Not at all: the shop speaks HTTP/1.1, over this connection.
    Other(Box<(Line, Request<VisitorBody>)>),
}

/// The connections of one thread.
#[derive(Default)]
pub(super) struct Multiplex {
    lanes: RefCell<Vec<Rc<Lane>>>,
    /// One opens, the others wait for what comes of it.
    opening: Mutex<()>,
    /// How many attempts have ended, and how the last one failed.
    attempts: Cell<u64>,
    failed: Cell<Option<Kind>>,
    head_limit: usize,
}

impl fmt::Debug for Multiplex {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Multiplex").field("lanes", &self.lanes.borrow().len()).finish_non_exhaustive()
    }
}

impl Multiplex {
    /// No connection yet; heads may be so large.
    pub(super) fn new(head_limit: usize) -> Self {
        Self { head_limit, ..Self::default() }
    }

    /// Sends a request in origin form and waits for the head of its answer; `connect` opens connections.
    pub(super) async fn send<F>(
        &self,
        request: Request<VisitorBody>,
        visitor: &Arc<ConnectionState>,
        first_byte: Duration,
        connect: impl Fn() -> F,
    ) -> Result<Sent, Missed>
    where
        F: Future<Output = Result<Line, Kind>>,
    {
        let mut next = Some(request);
        let mut refused = None;
        for _ in 0..=LANES {
            let Some(request) = next.take() else { break };
            let lane = match self.lane(&connect).await {
                Ok(Way::Lane(lane)) => lane,
                Ok(Way::Other(line)) => return Ok(Sent::Other(Box::new((line, request)))),
                Err(kind) => return Err(Missed::Unsent(kind, Box::new(request))),
            };
            let (again, safe) = (bodiless(&request), is_safe(&request));
            let used = lane.used.get();
            match exchange(lane, request, visitor, first_byte).await {
                Ok((response, guest)) => return Ok(Sent::Answered(response, guest)),
                Err(Failure::Lost(kind)) => return Err(Missed::Lost(kind)),
                Err(Failure::Unsent(unsent)) => next = Some(*unsent),
                Err(Failure::Refused) => (next, refused) = (again, Some(Kind::Broken)),
                Err(Failure::Unanswered(kind)) if used && safe => (next, refused) = (again, Some(kind)),
                Err(Failure::Unanswered(kind)) => return Err(Missed::Unanswered(kind)),
            }
        }
        let kind = refused.unwrap_or(Kind::Broken);
        Err(next.map_or(Missed::Lost(kind), |request| Missed::Unsent(kind, Box::new(request))))
    }

    /// A connection with room; a new one where all are full and there may be more.
    async fn lane<F>(&self, connect: &impl Fn() -> F) -> Result<Way, Kind>
    where
        F: Future<Output = Result<Line, Kind>>,
    {
        if let Some(lane) = self.roomy() {
            return Ok(Way::Lane(lane));
        }
        let before = self.attempts.get();
        let _opening = self.opening.lock().await;
        if let Some(lane) = self.roomy() {
            return Ok(Way::Lane(lane));
        }
        if self.attempts.get() > before
            && let Some(kind) = self.failed.get()
        {
            return Err(kind);
        }
        let opened = match connect().await {
            Ok(line) if line.is_other_than_h2() => return Ok(Way::Other(line)),
            Ok(line) => self.begin(line).await,
            Err(kind) => Err(kind),
        };
        self.attempts.set(self.attempts.get().saturating_add(1));
        self.failed.set(opened.as_ref().err().copied());
        opened.map(Way::Lane)
    }

    /// The first connection with room, so that the last ones empty and are let go; the emptiest where no more may be opened.
    fn roomy(&self) -> Option<Rc<Lane>> {
        let mut lanes = self.lanes.borrow_mut();
        lanes.retain(|lane| !lane.sender.borrow().is_closed());
        let room = lanes.iter().find(|lane| lane.has_room());
        let least = || lanes.iter().min_by_key(|lane| lane.open.get()).filter(|_| lanes.len() >= LANES);
        room.or_else(least).map(Rc::clone)
    }

    async fn begin(&self, wire: Line) -> Result<Rc<Lane>, Kind> {
        let head = u32::try_from(self.head_limit).unwrap_or(u32::MAX);
        let mut protocol = http2::Builder::new(Here);
        protocol
            .initial_max_send_streams(STREAMS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(LANE_WINDOW)
            .max_header_list_size(head)
            .max_send_buf_size(SEND_BUFFER)
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PONG)
            .keep_alive_while_idle(true);
        let count = Count::default();
        // What may have come without anybody having taken it: all windows, a head, and one of answers ahead of it.
        let noise = (LANE_WINDOW as usize).saturating_add(self.head_limit.saturating_mul(2));
        let io = TokioIo::new(Counted::within(wire, count.clone(), noise));
        let (sender, mut connection) = protocol.handshake(io).await.map_err(|_| Kind::Unreachable)?;
        let opened = Rc::new(Lane {
            sender: RefCell::new(sender),
            open: Cell::new(0),
            most: Cell::new(STREAMS),
            used: Cell::new(false),
            count,
        });
        let told = Rc::downgrade(&opened);
        tokio::task::spawn_local(async move {
            let ended = std::future::poll_fn(|context| {
                let ended = Pin::new(&mut connection).poll(context);
                if let Some(lane) = told.upgrade() {
                    lane.most.set(connection.current_max_send_streams().clamp(1, STREAMS));
                }
                ended
            });
            if let Err(error) = ended.await {
                tracing::debug!(%error, "upstream connection ended");
            }
        });
        self.lanes.borrow_mut().push(Rc::clone(&opened));
        Ok(opened)
    }
}

async fn exchange(
    lane: Rc<Lane>,
    mut request: Request<VisitorBody>,
    visitor: &Arc<ConnectionState>,
    first_byte: Duration,
) -> Result<(Response<Incoming>, Guest), Failure> {
    visitor.restart(Wait::Answer, first_byte);
    // It belongs to connections of HTTP/1.1 (RFC 9113 section 8.2.2).
    request.headers_mut().remove(header::CONNECTION);
    let (leash, ended) = oneshot::channel();
    let waiting = lane.sender.borrow_mut().try_send_request(request.map(|body| Leashed { body, ended: Some(ended) }));
    if lane.open.get() == 0 {
        lane.count.restart();
    }
    let guest = Guest::new(lane, leash);
    let mut waiting = std::pin::pin!(waiting);
    let answered = std::future::poll_fn(|context| match waiting.as_mut().poll(context) {
        Poll::Ready(answered) => Poll::Ready(Some(answered)),
        Poll::Pending if visitor.is_over(Wait::Answer) || visitor.is_over(Wait::RequestBody) => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await;
    let stalled = visitor.is_waiting(Wait::RequestBody);
    visitor.end(Wait::Answer);
    match answered {
        Some(Ok(response)) if response.status() == StatusCode::SWITCHING_PROTOCOLS => Err(Failure::Lost(Kind::Broken)),
        Some(Ok(response)) => {
            guest.moved();
            guest.lane.used.set(true);
            Ok((response, guest))
        }
        Some(Err(mut error)) => match error.take_message() {
            Some(request) => Err(Failure::Unsent(Box::new(request.map(|leashed| leashed.body)))),
            None => Err(sorted(&error.into_error())),
        },
        None if stalled => Err(Failure::Lost(Kind::BodyStalled)),
        None => Err(Failure::Lost(Kind::Silent)),
    }
}

/// What a failure says of the request: streams beyond a farewell's last one, and refused ones, were not looked at (RFC 9113
/// sections 6.8 and 8.7).
fn sorted(error: &hyper::Error) -> Failure {
    let Some(cause) = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>()) else { return lost(error) };
    let refused = cause.is_reset() && cause.reason() == Some(h2::Reason::REFUSED_STREAM);
    if cause.is_remote() && (cause.is_go_away() || refused) {
        Failure::Refused
    } else if cause.is_io() {
        Failure::Unanswered(Kind::Broken)
    } else {
        lost(error)
    }
}

fn is_safe(request: &Request<VisitorBody>) -> bool {
    [http::Method::GET, http::Method::HEAD, http::Method::OPTIONS].contains(request.method())
}

/// The same request once more, if it has no body.
fn bodiless(request: &Request<VisitorBody>) -> Option<Request<VisitorBody>> {
    request.body().is_end_stream().then(|| {
        let mut again = Request::new(request.body().none_like());
        request.method().clone_into(again.method_mut());
        request.uri().clone_into(again.uri_mut());
        request.headers().clone_into(again.headers_mut());
        again
    })
}

/// Writes the target as HTTP/2 has it: with scheme, and the `Host` as its authority (RFC 9113 section 8.3.1).
pub(super) fn absolute(request: &mut Request<VisitorBody>, tls: bool) -> Result<(), Kind> {
    let host = request.headers_mut().remove(header::HOST).ok_or(Kind::BadRequest)?;
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(if tls { http::uri::Scheme::HTTPS } else { http::uri::Scheme::HTTP });
    parts.authority = Some(http::uri::Authority::try_from(host.as_bytes()).map_err(|_| Kind::BadRequest)?);
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| Kind::BadRequest)?;
    *request.version_mut() = http::Version::HTTP_2;
    Ok(())
}

/// Takes that back: a target in origin form, and a `Host`.
pub(super) fn relative(request: &mut Request<VisitorBody>) -> Result<(), Kind> {
    let parts = std::mem::take(request.uri_mut()).into_parts();
    let host = parts.authority.and_then(|name| http::HeaderValue::from_str(name.as_str()).ok()).ok_or(Kind::BadRequest)?;
    request.headers_mut().insert(header::HOST, host);
    *request.uri_mut() = parts.path_and_query.map_or_else(|| Uri::from_static("/"), Uri::from);
    *request.version_mut() = http::Version::HTTP_11;
    Ok(())
}
