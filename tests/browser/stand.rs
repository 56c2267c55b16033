//! A server that plays site, injector and collector at once, so that the tag is tested alone: it puts the markup into its
//! pages, checks each event's id against its page token as the real collector does, and keeps what it is told.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::Html;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use axum::routing::post;
use serde_json::Value;
use serde_json::json;
use tokio::sync::Notify;
use uuid::Uuid;

const STUB: &str = include_str!("../../src/inject/tag/stub.js");
const PATIENCE: Duration = Duration::from_mins(1);

/// Meta's base code, as shops paste it.
pub(crate) const SNIPPET: &str = "<script>!function(f,b,e,v,n,t,s){if(f.fbq)return;n=f.fbq=function(){n.callMethod?n.callMethod.apply(n,arguments):n.queue.push(arguments)};\
if(!f._fbq)f._fbq=n;n.push=n;n.loaded=!0;n.version='2.0';n.queue=[];t=b.createElement(e);t.async=!0;t.src=v;\
s=b.getElementsByTagName(e)[0];s.parentNode.insertBefore(t,s)}(window,document,'script','/fbevents.js');</script>";

/// A page of the stand.
#[derive(Clone, Default)]
pub(crate) struct Page {
    /// Markup in the head before our own.
    pub(crate) before: String,
    /// Markup in the head after our own.
    pub(crate) after: String,
    /// The body.
    pub(crate) body: String,
    /// `leave`, `gate` or `withhold`; empty is `leave`.
    pub(crate) policy: &'static str,
    /// `not_required`, `waiting` or `granted`; empty is `not_required`.
    pub(crate) consent: &'static str,
}

#[derive(Default)]
struct Told {
    pages: HashMap<String, Page>,
    issued: HashMap<String, String>,
    hits: Vec<Value>,
    items: Vec<Value>,
    matches: Vec<Value>,
    faults: Vec<String>,
    policy: Option<&'static str>,
    leave_on_interaction: bool,
    down: usize,
    no_script: bool,
}

struct Inner {
    address: std::net::SocketAddr,
    told: Mutex<Told>,
    changed: Notify,
}

/// The running server.
#[derive(Clone)]
pub(crate) struct Stand(Arc<Inner>);

impl Stand {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stand = Self(Arc::new(Inner { address, told: Mutex::default(), changed: Notify::new() }));
        let router = Router::new()
            .route("/_cs/t.js", get(script))
            .route("/_cs/e", post(collect))
            .route("/pixel", post(pixel))
            .route("/fbevents.js", get(fbevents))
            .route("/p/{name}", get(page))
            .with_state(stand.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        stand
    }

    /// Puts a page at `/p/<name>` and gives its address.
    pub(crate) fn page(&self, name: &str, page: Page) -> String {
        self.told().pages.insert(name.to_owned(), page);
        format!("http://{}/p/{name}", self.0.address)
    }

    /// The policy that the collector answers from now on.
    pub(crate) fn answer(&self, policy: &'static str) {
        self.told().policy = Some(policy);
    }

    /// The collector answers `leave` once a proof with an interaction came.
    pub(crate) fn leave_on_interaction(&self) {
        self.told().leave_on_interaction = true;
    }

    /// The collector answers 503 so many times.
    pub(crate) fn down(&self, times: usize) {
        self.told().down = times;
    }

    /// `t.js` is not to be had.
    pub(crate) fn without_script(&self) {
        self.told().no_script = true;
    }

    /// What the Pixel would have sent: name and id.
    pub(crate) fn hits(&self) -> Vec<(String, Option<String>)> {
        let text = |hit: &Value, key: &str| hit[key].as_str().map(str::to_owned);
        self.told().hits.iter().map(|hit| (text(hit, "event").unwrap(), text(hit, "eventID"))).collect()
    }

    /// The events the collector got, without other items.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.told().items.iter().filter(|item| item["k"] == "event").cloned().collect()
    }

    /// All items the collector got.
    pub(crate) fn items(&self) -> Vec<Value> {
        self.told().items.clone()
    }

    /// The advanced-matching items the collector got.
    pub(crate) fn matches(&self) -> Vec<Value> {
        self.told().matches.clone()
    }

    /// Waits until what the stand knows satisfies `wanted`; fails the test after a while.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&Self) -> bool) {
        let waiting = async {
            loop {
                let changed = self.0.changed.notified();
                if wanted(self) {
                    return;
                }
                changed.await;
            }
        };
        let seen = tokio::time::timeout(PATIENCE, waiting).await.is_ok();
        assert!(seen, "never saw {what}; Pixel {:?}; collector {:#?}", self.hits(), self.items());
    }

    /// Both halves hold exactly these events, in any order, with equal ids, and no id is used twice.
    pub(crate) async fn both_halves_hold(&self, names: &[&str]) {
        let of = |mut names: Vec<String>| {
            names.sort();
            names
        };
        self.until(&format!("{names:?} in both halves"), |stand| {
            stand.hits().len() >= names.len() && stand.events().len() >= names.len()
        })
        .await;
        let wanted = of(names.iter().map(|&name| name.to_owned()).collect());
        assert_eq!(of(self.hits().into_iter().map(|hit| hit.0).collect()), wanted, "the Pixel's half");
        let mut pixel: Vec<(String, String)> = self.hits().into_iter().map(|(name, id)| (name, id.unwrap())).collect();
        let text = |event: &Value, key: &str| event[key].as_str().unwrap().to_owned();
        let mut server: Vec<(String, String)> =
            self.events().iter().map(|event| (text(event, "name"), text(event, "id"))).collect();
        pixel.sort();
        server.sort();
        assert_eq!(pixel, server);
        let all = pixel.len();
        pixel.dedup();
        assert_eq!(pixel.len(), all, "an id was used twice");
        assert_eq!(self.told().faults, Vec::<String>::new());
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.0.told.lock().unwrap()
    }
}

impl Told {
    fn mint(&mut self) -> (String, String) {
        let page = Uuid::new_v4().simple().to_string();
        let token = format!("token-{}", Uuid::new_v4());
        self.issued.insert(token.clone(), page.clone());
        (page, token)
    }

    /// The id that an event must have; the browser cannot choose it.
    fn check(&mut self, token: &str, item: &Value) {
        let page = &self.issued[token];
        let (name, id, n) = (item["name"].as_str().unwrap(), item["id"].as_str().unwrap(), item["n"].as_u64().unwrap());
        let order = match &item["params"]["order_id"] {
            Value::String(order) if name == "Purchase" => Some(order.clone()),
            Value::Number(order) if name == "Purchase" => Some(order.to_string()),
            _ => None,
        };
        let by_page = if n > 1 { format!("{page}.{n}") } else { page.clone() };
        let wanted = order.map_or(by_page, |order| format!("o.{order}"));
        if item["own"] == false && id != wanted {
            self.faults.push(format!("{name} has the id {id}, not {wanted}"));
        }
    }
}

async fn page(State(stand): State<Stand>, Path(name): Path<String>) -> Response {
    let mut told = stand.told();
    let Some(page) = told.pages.get(&name).cloned() else { return StatusCode::NOT_FOUND.into_response() };
    let (id, token) = told.mint();
    let or = |given: &'static str, default| if given.is_empty() { default } else { given };
    let data = json!({ "p": id, "t": token, "x": or(page.policy, "leave"), "c": or(page.consent, "not_required"), "u": "/_cs", "w": 1, "h": 1 });
    let data = data.to_string().replace('&', "&amp;").replace('\'', "&#39;");
    let html = format!(
        "<!doctype html><html><head>{}<script data-cs='{data}'>{STUB}</script><script async src=\"/_cs/t.js?v=1\"></script>{}</head>\
         <body>{}</body></html>",
        page.before, page.after, page.body
    );
    ([(header::CACHE_CONTROL, "private, no-cache")], Html(html)).into_response()
}

async fn script(State(stand): State<Stand>) -> Response {
    if stand.told().no_script {
        return StatusCode::NOT_FOUND.into_response();
    }
    ([(header::CONTENT_TYPE, "text/javascript")], clicksieve::inject::tag::script()).into_response()
}

async fn fbevents() -> Response {
    ([(header::CONTENT_TYPE, "text/javascript")], clicksieve::demo::pages::pixel_script("/pixel")).into_response()
}

async fn pixel(State(stand): State<Stand>, body: Bytes) -> StatusCode {
    stand.told().hits.push(serde_json::from_slice(&body).unwrap());
    stand.0.changed.notify_waiters();
    StatusCode::NO_CONTENT
}

async fn collect(State(stand): State<Stand>, body: Bytes) -> Response {
    let post: Value = serde_json::from_slice(&body).unwrap();
    let mut told = stand.told();
    if told.down > 0 {
        told.down -= 1;
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], "{\"ok\":false}").into_response();
    }
    let token = post["t"].as_str().unwrap().to_owned();
    let mut answer = json!({ "ok": true });
    for item in post["k"].as_array().unwrap() {
        match item["k"].as_str().unwrap() {
            "event" => told.check(&token, item),
            "match" => told.matches.push(item.clone()),
            "proof" if told.leave_on_interaction && item["facts"]["interaction"] == true => told.policy = Some("leave"),
            "renew" => {
                let (page, token) = told.mint();
                answer["p"] = page.into();
                answer["t"] = token.into();
            }
            _ => {}
        }
        // A page that goes before its post was answered sends it again; the real collector knows the copy by its id.
        let copy = item["k"] == "event" && told.items.contains(item);
        if item["k"] != "match" && !copy {
            told.items.push(item.clone());
        }
    }
    if let Some(policy) = told.policy {
        answer["pixel"] = policy.into();
    }
    drop(told);
    stand.0.changed.notify_waiters();
    axum::Json(answer).into_response()
}
