//! Connections to the shop: one pool per thread, and the exchange of one request over one of them.
//!
//! Nobody runs such a connection in a task of its own. Whoever waits for the answer's head polls it, then the answer's
//! body does, so that head and body of an answer leave in few writes; an unused one is looked at when it is taken out.
//! It goes back only in the state of a new one: both messages complete and not a byte more. A request goes out again
//! only where hyper hands it back unsent, or where a used connection broke and the request is safe to repeat (RFC 9110
//! section 9.2.2); both over a fresh connection. Must not know what is asked.

use std::cell::Cell;
use std::cell::RefCell;
use std::fmt;
use std::pin::Pin;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::Response;
use http_body::Body;
use http_body::Frame;
use http_body::SizeHint;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use prometheus_client::metrics::counter::Counter;
use tokio::time::Instant;
use tokio::time::timeout;

use crate::proxy::Settings;
use crate::proxy::ahead::Count;
use crate::proxy::ahead::Counted;
use crate::proxy::body::BodyError;
use crate::proxy::body::VisitorBody;
use crate::proxy::connection::ConnectionState;
use crate::proxy::connection::Wait;
use crate::proxy::line;
use crate::proxy::line::Line;
use crate::proxy::loss::Failure;
use crate::proxy::loss::Missed;
use crate::proxy::loss::lost;
use crate::proxy::loss::repeated;
use crate::proxy::origin::Origin;
use crate::proxy::reply::Kind;
use crate::proxy::servers::Place;
use crate::proxy::trust::Trust;

/// How often distrust of the shop is told of, at most.
const TOLD_EVERY: Duration = Duration::from_mins(1);

type Wire = http1::Connection<TokioIo<Counted<Line>>, VisitorBody>;
/// A connection that nothing has been sent over.
pub(super) type Opened = (http1::SendRequest<VisitorBody>, Wire, Count);

/// How many heads' worth of bytes may come before an answer's head is complete: its own and one of answers ahead of it.
const HEADS: usize = 2;

/// One connection to the shop. `sender` says what to send, `line` does it when polled.
pub struct Link {
    sender: http1::SendRequest<VisitorBody>,
    line: Wire,
    count: Count,
    unused_since: Instant,
}

impl fmt::Debug for Link {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Link").finish_non_exhaustive()
    }
}

impl Link {
    /// Whether the connection is as new: still open, nothing unread, nothing unsent.
    fn is_as_new(&mut self) -> bool {
        // Nothing is to be woken by an unused connection; its end is seen when it is looked at next.
        let mut context = Context::from_waker(Waker::noop());
        Pin::new(&mut self.line).poll(&mut context).is_pending() && self.sender.is_ready()
    }
}

/// The way to the shop from one thread. Cloning shares the pool.
#[derive(Clone, Debug)]
pub struct Upstream(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    origin: Origin,
    trust: Option<Trust>,
    /// When distrust was last told of.
    told: Cell<Option<Instant>>,
    #[expect(clippy::vec_box, reason = "a link moves between pool, request and body, and is several hundred bytes")]
    unused: RefCell<Vec<Box<Link>>>,
    opened: Counter,
    connect: Duration,
    first_byte: Duration,
    body_progress: Duration,
    idle_connections: usize,
    idle_age: Duration,
    head_limit: usize,
}

impl Upstream {
    /// An empty pool; `opened` counts the connections that are opened.
    pub fn new(settings: &Settings, opened: Counter) -> Self {
        Self(Rc::new(Shared {
            trust: settings.trust.clone().filter(|_| settings.upstream.is_tls()),
            told: Cell::new(None),
            origin: settings.upstream.clone(),
            unused: RefCell::new(Vec::new()),
            opened,
            connect: settings.connect,
            first_byte: settings.first_byte,
            body_progress: settings.body_progress,
            idle_connections: settings.idle_connections,
            idle_age: settings.idle_age,
            head_limit: settings.answer_head_limit,
        }))
    }

    /// Sends a request in origin form and waits for the head of its answer. A request that was not sent comes back.
    pub async fn send(
        &self,
        mut request: Request<VisitorBody>,
        visitor: &Arc<ConnectionState>,
    ) -> Result<Response<UpstreamBody>, Missed> {
        if let Some(link) = self.take() {
            let again = repeated(&request);
            match self.exchange(link, request, visitor).await {
                Ok(response) => return Ok(response),
                Err(Failure::Lost(kind)) => return Err(kind.into()),
                Err(Failure::Unsent(unsent)) => request = *unsent,
                Err(Failure::Unanswered(kind)) => request = again.ok_or(kind)?,
            }
        }
        let (sender, line, count) = match self.open().await {
            Ok(opened) => opened,
            Err(kind) => return Err(Missed::Unsent(kind, Box::new(request))),
        };
        let fresh = Box::new(Link { sender, line, count, unused_since: Instant::now() });
        self.exchange(fresh, request, visitor).await.map_err(|failure| match failure {
            Failure::Lost(kind) => Missed::Lost(kind),
            Failure::Unanswered(kind) => Missed::Unanswered(kind),
            Failure::Unsent(request) => Missed::Unsent(Kind::Broken, request),
        })
    }

    /// Opens a connection that belongs to no pool.
    pub(super) async fn open(&self) -> Result<Opened, Kind> {
        let (host, port) = self.0.origin.place();
        if self.0.origin.is_tls() && self.0.trust.is_none() {
            return Err(Kind::Distrusted);
        }
        let stream = match timeout(self.0.connect, Line::open(host, port, self.0.trust.as_ref())).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) if line::is_distrust(&error) => {
                self.tell_distrust(&error);
                return Err(Kind::Distrusted);
            }
            Ok(Err(error)) => {
                tracing::debug!(upstream = %self.0.origin.authority(), %error, "upstream refused");
                return Err(Kind::Unreachable);
            }
            Err(_) => return Err(Kind::Silent),
        };
        self.0.opened.inc();
        // hyper would grow its buffer to 400 KiB for a fast answer, and a slow visitor would hold several of that size.
        let mut protocol = http1::Builder::new();
        protocol.max_header_size(self.0.head_limit).max_buf_size(self.0.head_limit);
        let count = Count::default();
        let handshake = protocol.handshake(TokioIo::new(Counted::new(stream, count.clone()))).await;
        let (sender, line) = handshake.map_err(|_| Kind::Unreachable)?;
        Ok((sender, line, count))
    }

    /// Says so once in a while: the operator must know, and every request meets it.
    fn tell_distrust(&self, error: &std::io::Error) {
        let now = Instant::now();
        if self.0.told.get().is_none_or(|told| now.duration_since(told) >= TOLD_EVERY) {
            self.0.told.set(Some(now));
            tracing::error!(upstream = %self.0.origin.authority(), %error, "the upstream's certificate or TLS is not to be trusted");
        }
    }

    /// The unused connection that was used last, if one is still good. The others age and go.
    fn take(&self) -> Option<Box<Link>> {
        let mut unused = self.0.unused.borrow_mut();
        let now = Instant::now();
        while let Some(mut link) = unused.pop() {
            if now.duration_since(link.unused_since) > self.0.idle_age {
                // It was used last of all: the rest is older still.
                unused.clear();
                return None;
            }
            if link.is_as_new() {
                return Some(link);
            }
        }
        None
    }

    fn give_back(&self, mut link: Box<Link>) {
        if !link.is_as_new() {
            return;
        }
        link.unused_since = Instant::now();
        let mut unused = self.0.unused.borrow_mut();
        if unused.len() < self.0.idle_connections {
            unused.push(link);
        }
    }

    async fn exchange(
        &self,
        mut link: Box<Link>,
        request: Request<VisitorBody>,
        visitor: &Arc<ConnectionState>,
    ) -> Result<Response<UpstreamBody>, Failure> {
        visitor.restart(Wait::Answer, self.0.first_byte);
        link.count.restart();
        let (count, most) = (link.count.clone(), self.0.head_limit.saturating_mul(HEADS));
        let mut answer = pin!(link.sender.try_send_request(request));
        let mut link = Some(link);
        let answered = std::future::poll_fn(|context| {
            if link.as_mut().is_some_and(|link| Pin::new(&mut link.line).poll(context).is_ready()) {
                // Its end lets go of a request that is still queued, and of bytes of an answer that came whole.
                link = None;
            }
            match answer.as_mut().poll(context) {
                Poll::Ready(answered) => Poll::Ready(Some(answered)),
                Poll::Pending if visitor.is_over(Wait::Answer) || count.read() > most => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await;
        let stalled = visitor.is_waiting(Wait::RequestBody);
        visitor.end(Wait::Answer);
        match answered {
            Some(Ok(response)) if response.status() == http::StatusCode::SWITCHING_PROTOCOLS => Err(Failure::Lost(Kind::Broken)),
            Some(Ok(response)) => Ok(response.map(|incoming| self.body(incoming, link, visitor))),
            Some(Err(mut error)) => match error.take_message() {
                Some(request) => Err(Failure::Unsent(Box::new(request))),
                None => Err(lost(&error.into_error())),
            },
            None if count.read() > most => Err(Failure::Lost(Kind::Broken)),
            None if stalled => Err(Failure::Lost(Kind::BodyStalled)),
            None => Err(Failure::Lost(Kind::Silent)),
        }
    }

    /// The body of an answer. Without `link` somebody else drives the connection, or it has ended.
    pub fn body(&self, incoming: Incoming, link: Option<Box<Link>>, visitor: &Arc<ConnectionState>) -> UpstreamBody {
        let (home, visitor) = (self.clone(), Arc::clone(visitor));
        let mut body = UpstreamBody { incoming, link, home, visitor, failed: None, place: None };
        if body.incoming.is_end_stream() {
            body.finish();
        }
        body
    }
}

/// The shop's answer as it comes. It drives the connection it comes over and gives it back when it is complete.
#[derive(Debug)]
pub struct UpstreamBody {
    incoming: Incoming,
    link: Option<Box<Link>>,
    home: Upstream,
    visitor: Arc<ConnectionState>,
    failed: Option<BodyError>,
    place: Option<Place>,
}

impl UpstreamBody {
    /// The server has the request until all of the answer is there.
    #[must_use]
    pub(super) fn hold(mut self, place: Option<Place>) -> Self {
        self.place = place.filter(|_| !self.incoming.is_end_stream());
        self
    }

    /// Tells of a failure at the next poll only: what came before it is written out first, so that the visitor
    /// gets what the shop sent and sees where it was cut.
    fn fail(&mut self, error: BodyError, context: &Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        (self.link, self.place) = (None, None);
        self.failed = Some(error);
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn finish(&mut self) {
        self.visitor.end(Wait::Answer);
        if let Some(link) = self.link.take() {
            self.home.give_back(link);
        }
        self.place = None;
    }
}

impl Drop for UpstreamBody {
    fn drop(&mut self) {
        self.visitor.end(Wait::Answer);
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Some(error) = this.failed.take() {
            return Poll::Ready(Some(Err(error)));
        }
        if this.link.as_mut().is_some_and(|link| Pin::new(&mut link.line).poll(context).is_ready()) {
            this.link = None;
        }
        match Pin::new(&mut this.incoming).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                this.visitor.end(Wait::Answer);
                if this.incoming.is_end_stream() {
                    this.finish();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => this.fail(BodyError::Cut(error), context),
            Poll::Ready(None) => {
                this.finish();
                Poll::Ready(None)
            }
            Poll::Pending if this.visitor.is_over(Wait::Answer) => this.fail(BodyError::Stalled, context),
            Poll::Pending => {
                this.visitor.begin(Wait::Answer, this.home.0.body_progress);
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
