//! A mock of Meta's Graph API: takes `POST /vN.N/{pixel}/events`, refuses what Meta refuses, keeps what it accepted,
//! and fails in Meta's ways when told to. Loopback only. Must not share code with `event` or `delivery`.

use std::collections::HashSet;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use http_body_util::BodyExt;
use http_body_util::Limited;
use hyper::Method;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use secrecy::ExposeSecret;
use secrecy::SecretString;
use serde_json::Value;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::clock::UnixMillis;
use crate::demo::failure;
use crate::demo::failure::Answer;
use crate::demo::failure::Cut;
pub use crate::demo::failure::Failure;
use crate::demo::failure::json_answer;
use crate::demo::refusals;
use crate::demo::refusals::Refusal;

const BODY_LIMIT: usize = 8 << 20;
/// As many events are remembered; older ones are forgotten, so that a long demo stays small.
const MEMORY: usize = 100_000;

/// A pixel and the token that may write to it.
#[derive(Clone, Debug)]
pub struct Account {
    /// The pixel's id.
    pub pixel: String,
    /// Its access token.
    pub token: SecretString,
}

/// An event that was accepted.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The pixel it came for.
    pub pixel: String,
    /// The event as it came.
    pub event: Value,
    /// What its request said beside its events, without token and proof.
    pub beside: Value,
    /// The number of the request that brought it, from 1.
    pub request: u64,
    /// When.
    pub at: UnixMillis,
}

impl Taken {
    /// A text field of the event, empty where there is none.
    pub fn text(&self, key: &str) -> &str {
        self.event.get(key).and_then(Value::as_str).unwrap_or_default()
    }
}

#[derive(Default)]
struct State {
    taken: VecDeque<Taken>,
    refused: VecDeque<Refusal>,
    failures: VecDeque<Failure>,
    lasting: Option<Failure>,
    poisoned: HashSet<String>,
    requests: u64,
}

struct Inner {
    address: SocketAddr,
    accounts: Vec<Account>,
    clock: Clock,
    state: Mutex<State>,
    changed: Notify,
}

/// A running mock; clones are handles to the same one. It lives as long as its runtime.
#[derive(Clone)]
pub struct Graph(Arc<Inner>);

impl Graph {
    /// Listens on `at` (port 0 takes a free one) and answers for `accounts`.
    pub async fn start(at: SocketAddr, accounts: Vec<Account>, clock: Clock) -> io::Result<Self> {
        let listener = TcpListener::bind(at).await?;
        let address = listener.local_addr()?;
        let graph = Self(Arc::new(Inner { address, accounts, clock, state: Mutex::default(), changed: Notify::new() }));
        tokio::spawn(accept(listener, graph.clone()));
        Ok(graph)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Its base URL, to be used as the Graph API's host.
    pub fn url(&self) -> String {
        format!("http://{}", self.0.address)
    }

    /// The accepted events, oldest first.
    pub fn taken(&self) -> Vec<Taken> {
        self.state().taken.iter().cloned().collect()
    }

    /// The refusals given, oldest first.
    pub fn refused(&self) -> Vec<Refusal> {
        self.state().refused.iter().cloned().collect()
    }

    /// How many requests came.
    pub fn requests(&self) -> u64 {
        self.state().requests
    }

    /// Fails the next `count` requests so, after those already told.
    pub fn fail(&self, failure: Failure, count: usize) {
        self.state().failures.extend(std::iter::repeat_n(failure, count));
    }

    /// Fails every request so, beside those already told, until it is told otherwise.
    pub fn fail_always(&self, failure: Option<Failure>) {
        self.state().lasting = failure;
    }

    /// Refuses each request for good in which an event has this id, as Meta does for one bad event among many.
    pub fn poison(&self, event_id: &str) {
        self.state().poisoned.insert(event_id.to_owned());
    }

    /// Waits until the accepted events satisfy `wanted`, at most so long; says whether they did.
    pub async fn until(&self, wanted: impl Fn(&[Taken]) -> bool, at_most: Duration) -> bool {
        let waiting = async {
            loop {
                let changed = self.0.changed.notified();
                if wanted(&self.taken()) {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(at_most, waiting).await.is_ok()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_failure(&self) -> (u64, Option<Failure>) {
        let mut state = self.state();
        state.requests += 1;
        let failure = state.failures.pop_front().or(state.lasting);
        (state.requests, failure)
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Answer, Cut> {
        let (number, failure) = self.next_failure();
        let trace = format!("mock{number:08}");
        match failure {
            None => Ok(self.serve(request, number, &trace).await),
            Some(Failure::LostAnswer) => {
                self.serve(request, number, &trace).await;
                Err(Cut)
            }
            Some(failure) => {
                // Read first: who is answered while still sending may see a reset instead of the answer.
                let read = Limited::new(request.into_body(), BODY_LIMIT).collect().await;
                read.map_err(|_| Cut)?;
                failure::answer(failure, &trace).await
            }
        }
    }

    async fn serve(&self, request: Request<Incoming>, number: u64, trace: &str) -> Answer {
        match self.take(request, number).await {
            Ok(count) => json_answer(200, &json!({ "events_received": count, "messages": [], "fbtrace_id": trace })),
            Err(refusal) => {
                let answer = json_answer(refusal.status, &refusal.body(trace));
                let mut state = self.state();
                state.refused.push_back(refusal);
                state.refused.truncate(MEMORY);
                answer
            }
        }
    }

    async fn take(&self, request: Request<Incoming>, number: u64) -> Result<usize, Refusal> {
        let (head, body) = request.into_parts();
        let Some(pixel) = pixel_of(head.uri.path()).map(str::to_owned) else {
            return Err(Refusal::lasting(404, 2500, None, "Unknown path components"));
        };
        if head.method != Method::POST {
            return Err(Refusal::lasting(400, 100, Some(33), "Unsupported get request"));
        }
        let bytes = Limited::new(body, BODY_LIMIT)
            .collect()
            .await
            .map_err(|_| Refusal { transient: true, ..Refusal::lasting(413, 1, None, "The request body could not be read") })?;
        let body: Value = serde_json::from_slice(&bytes.to_bytes())
            .map_err(|_| Refusal::lasting(400, 100, None, "(#100) The request body is not valid JSON"))?;
        self.admit(&head, &body, &pixel)?;
        let now = self.0.clock.now();
        let events = refusals::examine(&body, now.seconds())?;
        let count = events.len();
        let beside = beside(body);
        let taken = |event| Taken { pixel: pixel.clone(), event, beside: beside.clone(), request: number, at: now };
        let mut state = self.state();
        let poisoned =
            |event: &Value| event.get("event_id").and_then(Value::as_str).is_some_and(|id| state.poisoned.contains(id));
        if events.iter().any(poisoned) {
            return Err(Refusal::lasting(400, 100, Some(2_804_009), "(#100) Invalid parameter"));
        }
        state.taken.extend(events.into_iter().map(taken));
        while state.taken.len() > MEMORY {
            state.taken.pop_front();
        }
        drop(state);
        self.0.changed.notify_waiters();
        Ok(count)
    }

    fn admit(&self, head: &http::request::Parts, body: &Value, pixel: &str) -> Result<(), Refusal> {
        let Some(token) = token_of(head, body) else {
            return Err(Refusal::lasting(400, 104, None, "An access token is required to request this resource."));
        };
        let known: Vec<&Account> = self.0.accounts.iter().filter(|account| account.token.expose_secret() == token).collect();
        if known.is_empty() {
            return Err(Refusal::lasting(401, 190, None, "Invalid OAuth access token - Cannot parse access token"));
        }
        if !known.iter().any(|account| account.pixel == pixel) {
            let message = format!("Unsupported post request. Object with ID '{pixel}' does not exist or cannot be loaded");
            return Err(Refusal::lasting(400, 100, Some(33), message));
        }
        Ok(())
    }
}

async fn accept(listener: TcpListener, graph: Graph) {
    loop {
        // A full table of descriptors passes; the next connection tries again.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        tokio::spawn(converse(stream, graph.clone()));
    }
}

async fn converse(stream: TcpStream, graph: Graph) {
    let service = service_fn(move |request| {
        let graph = graph.clone();
        async move { graph.answer(request).await }
    });
    // An error here is the client's going away or our own cut.
    let _gone = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

fn pixel_of(path: &str) -> Option<&str> {
    let mut parts = path.strip_prefix("/v")?.split('/');
    let (major, minor) = parts.next()?.split_once('.')?;
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let pixel = parts.next().filter(|pixel| number(pixel))?;
    (number(major) && number(minor) && parts.next() == Some("events") && parts.next().is_none()).then_some(pixel)
}

fn token_of(head: &http::request::Parts, body: &Value) -> Option<String> {
    let query = head.uri.query().unwrap_or_default();
    let in_query = url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "access_token");
    let in_body = || body.get("access_token").and_then(Value::as_str).map(str::to_owned);
    let bearer = || head.headers.get("authorization")?.to_str().ok()?.strip_prefix("Bearer ").map(str::to_owned);
    in_query.map(|(_, token)| token.into_owned()).or_else(in_body).or_else(bearer)
}

fn beside(body: Value) -> Value {
    let Value::Object(mut fields) = body else { return Value::Null };
    fields.retain(|name, _| !matches!(name.as_str(), "data" | "access_token" | "appsecret_proof"));
    Value::Object(fields)
}
