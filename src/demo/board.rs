//! The demo's page that shows both halves of every event as they happen: what the Pixel stand-in reports, what the mock
//! Graph API accepted, and the decision records between them. Loopback only. Must not decide anything.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::extract::State;
use axum::http::HeaderName;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use axum::routing::post;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::demo::graph::Graph;
use crate::demo::graph::Taken;

/// So many reports of the Pixel are remembered; older ones are forgotten.
const MEMORY: usize = 10_000;
/// So many of each kind are shown.
const SHOWN: usize = 200;
/// One report of the Pixel is at most so long.
const REPORT_LIMIT: usize = 64 << 10;
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// The decision records, newest first.
pub type Records = Arc<dyn Fn() -> Vec<Value> + Send + Sync>;

/// One event as the Pixel stand-in would have sent it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PixelHit {
    /// The pixel's id.
    pub pixel: String,
    /// The event's name.
    pub event: String,
    /// The id it carried.
    #[serde(rename = "eventID")]
    pub event_id: Option<String>,
    /// Its parameters.
    #[serde(default)]
    pub params: Map<String, Value>,
    /// The names of the advanced-matching fields that were given.
    #[serde(default)]
    pub user: Vec<String>,
    /// The page.
    #[serde(default)]
    pub url: String,
    /// The browser's clock, in milliseconds.
    pub time: u64,
}

struct Inner {
    address: SocketAddr,
    graph: Graph,
    records: Records,
    links: Mutex<Vec<(String, String)>>,
    hits: Mutex<VecDeque<PixelHit>>,
    changed: Notify,
}

/// A running board; clones are handles to the same one. It lives as long as its runtime.
#[derive(Clone)]
pub struct Board(Arc<Inner>);

impl Board {
    /// Listens on `at` (port 0 takes a free one).
    pub async fn start(at: SocketAddr, graph: Graph, records: Records) -> io::Result<Self> {
        let listener = TcpListener::bind(at).await?;
        let address = listener.local_addr()?;
        let inner = Inner { address, graph, records, links: Mutex::default(), hits: Mutex::default(), changed: Notify::new() };
        let board = Self(Arc::new(inner));
        let router = Router::new()
            .route("/", get(|| async { asset("text/html; charset=utf-8", include_str!("assets/board.html")) }))
            .route("/board.css", get(|| async { asset("text/css; charset=utf-8", include_str!("assets/board.css")) }))
            .route("/board.js", get(|| async { asset("text/javascript; charset=utf-8", include_str!("assets/board.js")) }))
            .route("/pixel", post(report))
            .route("/state.json", get(state))
            .layer(DefaultBodyLimit::max(REPORT_LIMIT))
            .with_state(board.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(board)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Its page.
    pub fn url(&self) -> String {
        format!("http://{}/", self.0.address)
    }

    /// Where the Pixel stand-in reports to.
    pub fn pixel_url(&self) -> String {
        format!("http://{}/pixel", self.0.address)
    }

    /// A link on the page: its words and its address.
    pub fn link(&self, words: &str, url: &str) {
        let mut links = self.0.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.push((words.to_owned(), url.to_owned()));
    }

    /// What the Pixel reported, oldest first.
    pub fn hits(&self) -> Vec<PixelHit> {
        self.reported().iter().cloned().collect()
    }

    /// Waits until the Pixel's reports satisfy `wanted`, at most so long; says whether they did.
    pub async fn until(&self, wanted: impl Fn(&[PixelHit]) -> bool, at_most: Duration) -> bool {
        let waiting = async {
            loop {
                let changed = self.0.changed.notified();
                if wanted(&self.hits()) {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(at_most, waiting).await.is_ok()
    }

    fn reported(&self) -> MutexGuard<'_, VecDeque<PixelHit>> {
        self.0.hits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The report comes as `text/plain` from another origin, so its type says nothing.
async fn report(State(board): State<Board>, body: Bytes) -> StatusCode {
    let Ok(hit) = serde_json::from_slice::<PixelHit>(&body) else { return StatusCode::BAD_REQUEST };
    let mut hits = board.reported();
    hits.push_back(hit);
    while hits.len() > MEMORY {
        hits.pop_front();
    }
    drop(hits);
    board.0.changed.notify_waiters();
    StatusCode::NO_CONTENT
}

async fn state(State(board): State<Board>) -> Response {
    let pixel: Vec<PixelHit> = board.reported().iter().rev().take(SHOWN).cloned().collect();
    let server: Vec<Value> = board.0.graph.taken().iter().rev().take(SHOWN).map(shown).collect();
    let records: Vec<Value> = (board.0.records)().into_iter().take(SHOWN).collect();
    let links = board.0.links.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let body = json!({ "pixel": pixel, "server": server, "records": records, "links": links }).to_string();
    guarded("application/json", body)
}

fn shown(taken: &Taken) -> Value {
    json!({ "event_name": taken.text("event_name"), "event_id": taken.event.get("event_id"), "pixel": taken.pixel, "at": taken.at })
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    guarded(kind, text.to_owned())
}

fn guarded(kind: &'static str, text: String) -> Response {
    let headers: [(HeaderName, &'static str); 5] = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, text).into_response()
}
