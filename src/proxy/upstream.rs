//! Connections to the shop: one pool per thread, and the exchange of one request over one of them. Where the shop speaks
//! HTTP/2, `Multiplex` carries the request instead.
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

use http::Request;
use http::Response;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use prometheus_client::metrics::counter::Counter;
use tokio::time::Instant;
use tokio::time::timeout;

use crate::proxy::Settings;
use crate::proxy::ahead::Count;
use crate::proxy::ahead::Counted;
use crate::proxy::answer::UpstreamBody;
use crate::proxy::body::VisitorBody;
use crate::proxy::connection::ConnectionState;
use crate::proxy::connection::Wait;
use crate::proxy::line;
use crate::proxy::line::Line;
use crate::proxy::loss::Failure;
use crate::proxy::loss::Missed;
use crate::proxy::loss::lost;
use crate::proxy::loss::repeated;
use crate::proxy::multiplex;
use crate::proxy::multiplex::Guest;
use crate::proxy::multiplex::Multiplex;
use crate::proxy::multiplex::Sent;
use crate::proxy::origin::Origin;
use crate::proxy::reply::Kind;
use crate::proxy::trust::Trust;

/// How often distrust of the shop is told of, at most.
const TOLD_EVERY: Duration = Duration::from_mins(1);

type Wire = http1::Connection<TokioIo<Counted<Line>>, VisitorBody>;
/// A connection that nothing has been sent over.
pub(super) type Opened = (http1::SendRequest<VisitorBody>, Wire, Count);

/// How long a shop that chose HTTP/1.1 is not asked again.
const ASKED_EVERY: Duration = Duration::from_mins(1);

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
    /// Does what is to be done on the connection; tells whether it has ended.
    pub(super) fn has_ended(&mut self, context: &mut Context<'_>) -> bool {
        Pin::new(&mut self.line).poll(context).is_ready()
    }

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
    /// The same, offering HTTP/2.
    trust_http2: Option<Trust>,
    /// The connections of HTTP/2, where the shop may speak it.
    multiplex: Option<Multiplex>,
    /// Since when the shop has chosen HTTP/1.1.
    declined: Cell<Option<Instant>>,
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
        let trust = settings.trust.clone().filter(|_| settings.upstream.is_tls());
        let http2 = settings.upstream.is_h2c() || settings.upstream.offers_http2();
        Self(Rc::new(Shared {
            trust_http2: trust.as_ref().filter(|_| http2).map(Trust::offering_http2),
            multiplex: http2.then(|| Multiplex::new(settings.answer_head_limit)),
            declined: Cell::new(None),
            trust,
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
        if let Some(multiplex) = self.multiplex() {
            // Boxed, so that a request over HTTP/1.1 is no larger for it.
            return Box::pin(self.stream(multiplex, request, visitor)).await;
        }
        if let Some(link) = self.take() {
            let again = repeated(&request);
            match self.exchange(link, request, visitor).await {
                Ok(response) => return Ok(response),
                Err(Failure::Lost(kind)) => return Err(kind.into()),
                Err(Failure::Unsent(unsent)) => request = *unsent,
                Err(Failure::Unanswered(kind)) => request = again.ok_or(kind)?,
                Err(Failure::Refused) => return Err(Kind::Broken.into()),
            }
        }
        match self.open().await {
            Ok(opened) => self.fresh(opened, request, visitor).await,
            Err(kind) => Err(Missed::Unsent(kind, Box::new(request))),
        }
    }

    /// Sends a request over a connection that nothing has been sent over.
    async fn fresh(
        &self,
        (sender, line, count): Opened,
        request: Request<VisitorBody>,
        visitor: &Arc<ConnectionState>,
    ) -> Result<Response<UpstreamBody>, Missed> {
        let fresh = Box::new(Link { sender, line, count, unused_since: Instant::now() });
        self.exchange(fresh, request, visitor).await.map_err(|failure| match failure {
            Failure::Lost(kind) => Missed::Lost(kind),
            Failure::Unanswered(kind) => Missed::Unanswered(kind),
            Failure::Unsent(request) => Missed::Unsent(Kind::Broken, request),
            Failure::Refused => Missed::Lost(Kind::Broken),
        })
    }

    /// The connections of HTTP/2, unless the shop has just chosen otherwise.
    fn multiplex(&self) -> Option<&Multiplex> {
        let multiplex = self.0.multiplex.as_ref()?;
        let declined = self.0.declined.get().is_some_and(|since| since.elapsed() < ASKED_EVERY);
        (!declined).then_some(multiplex)
    }

    async fn stream(
        &self,
        multiplex: &Multiplex,
        mut request: Request<VisitorBody>,
        visitor: &Arc<ConnectionState>,
    ) -> Result<Response<UpstreamBody>, Missed> {
        multiplex::absolute(&mut request, self.0.origin.is_tls())?;
        let connect = || self.connect(self.0.trust_http2.as_ref());
        match multiplex.send(request, visitor, self.0.first_byte, connect).await {
            Ok(Sent::Answered(response, guest)) => {
                Ok(response.map(|incoming| self.body_of(incoming, None, Some(guest), visitor)))
            }
            Ok(Sent::Other(other)) => {
                let (line, mut request) = *other;
                self.0.declined.set(Some(Instant::now()));
                multiplex::relative(&mut request)?;
                match self.begin(line).await {
                    Ok(opened) => self.fresh(opened, request, visitor).await,
                    Err(kind) => Err(Missed::Unsent(kind, Box::new(request))),
                }
            }
            Err(Missed::Unsent(kind, mut request)) => {
                // Another server may speak otherwise.
                multiplex::relative(&mut request)?;
                Err(Missed::Unsent(kind, request))
            }
            Err(missed) => Err(missed),
        }
    }

    /// Opens a connection of HTTP/1.1 that belongs to no pool.
    pub(super) async fn open(&self) -> Result<Opened, Kind> {
        let line = self.connect(self.0.trust.as_ref()).await?;
        self.begin(line).await
    }

    async fn connect(&self, trust: Option<&Trust>) -> Result<Line, Kind> {
        let (host, port) = self.0.origin.place();
        if self.0.origin.is_tls() && trust.is_none() {
            return Err(Kind::Distrusted);
        }
        let line = match timeout(self.0.connect, Line::open(host, port, trust)).await {
            Ok(Ok(line)) => line,
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
        Ok(line)
    }

    async fn begin(&self, line: Line) -> Result<Opened, Kind> {
        // hyper would grow its buffer to 400 KiB for a fast answer, and a slow visitor would hold several of that size.
        let mut protocol = http1::Builder::new();
        protocol.max_header_size(self.0.head_limit).max_buf_size(self.0.head_limit);
        let count = Count::default();
        let handshake = protocol.handshake(TokioIo::new(Counted::new(line, count.clone()))).await;
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

    /// How long an answer may stand still.
    pub(super) fn body_progress(&self) -> Duration {
        self.0.body_progress
    }

    /// Takes back a connection whose answer is complete.
    pub(super) fn give_back(&self, mut link: Box<Link>) {
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
            if link.as_mut().is_some_and(|link| link.has_ended(context)) {
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
        self.body_of(incoming, link, None, visitor)
    }

    fn body_of(
        &self,
        incoming: Incoming,
        link: Option<Box<Link>>,
        guest: Option<Guest>,
        visitor: &Arc<ConnectionState>,
    ) -> UpstreamBody {
        UpstreamBody::new(incoming, link, guest, self.clone(), Arc::clone(visitor))
    }
}
