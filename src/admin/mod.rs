//! The operator's door: health, readiness, metrics, visits, events, reload. Its own listener, loopback by default;
//! everything but health asks for the token, and every request for a `Host` of ours, so that a page in the operator's
//! browser cannot reach it through a rebound name. Must not know the request path.

mod guard;
mod query;

use std::pin::Pin;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::Query;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use axum::routing::post;
use secrecy::SecretString;
use serde_json::Value;
use serde_json::json;

use crate::facts::Sources;
use crate::ledger::Ledger;
use crate::spool::Spool;
use crate::telemetry;
use crate::telemetry::Metrics;
use crate::visits::Visits;

use query::EventQuery;
pub use query::VisitQuery;

/// What the admin listener is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The token that `Authorization: Bearer` must carry.
    pub token: SecretString,
    /// Names accepted in `Host` beside loopback addresses and `localhost`; without port, lower case.
    pub hosts: Vec<String>,
}

/// What a reload did: one line for each thing loaded, or the faults of the files that were refused.
#[derive(Clone, Debug, Default)]
pub struct Reloaded {
    /// What is in force now.
    pub taken: Vec<String>,
    /// Keys of the configuration that differ from what is in force and take effect after a restart.
    pub after_restart: Vec<String>,
    /// What else is worth knowing, as that events wait for a destination that is no more.
    pub notes: Vec<String>,
    /// Faults of files that were refused; what was in force before stays.
    pub faults: Vec<String>,
}

/// One part of the process and how it is.
#[derive(Clone, Debug)]
pub struct Part {
    name: &'static str,
    needed: bool,
    state: Result<String, String>,
}

impl Part {
    /// A part without which no request should be sent here; its state in words, or what is wrong with it.
    pub fn needed(name: &'static str, state: Result<String, String>) -> Self {
        Self { name, needed: true, state }
    }

    /// A part that is told and decides nothing.
    pub fn told(name: &'static str, state: Result<String, String>) -> Self {
        Self { name, needed: false, state }
    }
}

/// Looks at all parts, `serving` and `listeners` among them; `app` hands it in.
pub type Look = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Vec<Part>> + Send>> + Send + Sync>;
/// Whether the threads turn round.
pub type Turns = Arc<dyn Fn() -> bool + Send + Sync>;

/// Reloads rules, lists and settings; `app` hands it in.
pub type Reload = Arc<dyn Fn() -> Reloaded + Send + Sync>;

/// How the servers of all shops stand; `app` hands it in.
pub type Upstreams = Arc<dyn Fn() -> Value + Send + Sync>;

/// How all lists stand; `app` hands it in.
pub type Lists = Arc<dyn Fn() -> Value + Send + Sync>;

/// The admin room.
#[derive(Clone)]
pub struct Admin {
    settings: Arc<Settings>,
    visits: Arc<Visits>,
    sources: Arc<Sources>,
    spool: Spool,
    ledger: Ledger,
    metrics: Metrics,
    reload: Reload,
    upstreams: Upstreams,
    lists: Lists,
    look: Look,
    turns: Turns,
}

impl Admin {
    /// A room over the engines.
    #[expect(clippy::too_many_arguments, reason = "each is handed in by name, once, in `app`")]
    pub fn new(
        settings: Settings,
        visits: Arc<Visits>,
        sources: Arc<Sources>,
        spool: Spool,
        ledger: Ledger,
        metrics: Metrics,
        reload: Reload,
        upstreams: Upstreams,
        lists: Lists,
        look: Look,
        turns: Turns,
    ) -> Self {
        Self { settings: Arc::new(settings), visits, sources, spool, ledger, metrics, reload, upstreams, lists, look, turns }
    }

    /// All routes.
    pub fn router(self) -> Router {
        let guarded = Router::new()
            .route("/metrics", get(metrics))
            .route("/api/visits", get(visits))
            .route("/api/events", get(events))
            .route("/api/proofs", get(proofs))
            .route("/api/upstreams", get(upstreams))
            .route("/api/lists", get(lists))
            .route("/api/reload", post(reload))
            .layer(middleware::from_fn_with_state(self.clone(), guard::token));
        Router::new()
            .route("/healthz", get(healthy))
            .route("/readyz", get(ready))
            .merge(guarded)
            .layer(middleware::from_fn_with_state(self.clone(), guard::host))
            .with_state(self)
    }
}

async fn healthy(State(admin): State<Admin>) -> Response {
    if (admin.turns)() {
        "ok\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "a thread stands still\n").into_response()
    }
}

async fn ready(State(admin): State<Admin>) -> Response {
    let parts = (admin.look)().await;
    let ready = parts.iter().all(|part| !part.needed || part.state.is_ok());
    let told: serde_json::Map<String, Value> = parts
        .into_iter()
        .map(|part| {
            let (well, says) = (part.state.is_ok(), part.state.unwrap_or_else(|says| says));
            (part.name.to_owned(), json!({ "well": well, "says": says }))
        })
        .collect();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": ready, "parts": told }))).into_response()
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    admin.metrics.visits.set(i64::try_from(admin.visits.len()).unwrap_or(i64::MAX));
    admin.metrics.log_lines_dropped.set(count(telemetry::log_lines_dropped()));
    admin.metrics.records_unwritten.set(count(admin.ledger.unwritten()));
    admin.metrics.visits_unwritten.set(count(admin.visits.unwritten()));
    admin.metrics.counter_bytes.set(count(admin.visits.counters().bytes()));
    admin.metrics.counter_evictions.set(count(admin.visits.counters().evicted()));
    for lookups in admin.sources.lookups() {
        for (result, total) in [("near", lookups.near), ("shared", lookups.shared), ("miss", lookups.missed)] {
            admin.metrics.cache_lookups.tell(&[("cache", lookups.cache), ("result", result)], total);
        }
    }
    if let Ok(status) = admin.spool.status().await {
        admin.metrics.spool_due.set(count(status.due));
        admin.metrics.spool_held.set(count(status.held));
        admin.metrics.spool_parked.set(count(status.parked));
    }
    ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], admin.metrics.expose()).into_response()
}

async fn visits(State(admin): State<Admin>, Query(query): Query<VisitQuery>) -> Json<Value> {
    let found = admin.visits.query(query.utm_content.as_deref(), query.limit());
    Json(Value::Array(found.iter().map(|visit| query::visit(visit)).collect()))
}

async fn events(State(admin): State<Admin>, Query(query): Query<EventQuery>) -> Json<Value> {
    Json(Value::Array(admin.ledger.query(&query.filter())))
}

async fn proofs(State(admin): State<Admin>) -> Json<Value> {
    Json(query::proofs(&admin.visits.canary().standing()))
}

async fn upstreams(State(admin): State<Admin>) -> Json<Value> {
    Json((admin.upstreams)())
}

async fn lists(State(admin): State<Admin>) -> Json<Value> {
    Json((admin.lists)())
}

async fn reload(State(admin): State<Admin>) -> Response {
    let done = tokio::task::spawn_blocking(move || (admin.reload)()).await.unwrap_or_else(|_| Reloaded {
        faults: vec!["the reload failed; what was in force before stays".to_owned()],
        ..Reloaded::default()
    });
    let status = if done.faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let told = json!({ "taken": done.taken, "after_restart": done.after_restart, "notes": done.notes, "faults": done.faults });
    (status, Json(told)).into_response()
}
