//! Both doors over real engines: answers, ids, copies, tampering.

mod listener;
mod vectors;

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use clicksieve::clock::Clock;
use clicksieve::clock::UnixMillis;
use clicksieve::collect::Body;
use clicksieve::collect::Collector;
use clicksieve::collect::Destination;
use clicksieve::collect::Settings;
use clicksieve::facts;
use clicksieve::ledger;
use clicksieve::rules::Policy;
use clicksieve::seal::Keys;
use clicksieve::seal::PageToken;
use clicksieve::spool;
use clicksieve::telemetry::Metrics;
use clicksieve::verdict::Class;
use clicksieve::verdict::Mode;
use clicksieve::verdict::PixelAction;
use clicksieve::verdict::Score;
use clicksieve::visits;
use http::Request;
use http_body_util::BodyExt as _;
use http_body_util::Full;
use serde_json::Value;
use serde_json::json;
use uuid::Uuid;

const NOW: UnixMillis = UnixMillis(1_774_000_000_000);
const AGENT: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36";

struct Room {
    collector: Collector,
    spool: spool::Spool,
    keys: Arc<Keys>,
    visits: Arc<visits::Visits>,
}

fn room(folder: &Path) -> Room {
    with(folder, |_| {})
}

/// With some settings changed.
fn with(folder: &Path, change: impl FnOnce(&mut Settings)) -> Room {
    let keys = Arc::new(Keys::generate([7; 32]).unwrap());
    let spool = spool::Spool::open(&spool::Settings { path: folder.join("spool.db"), ..spool::Settings::default() }).unwrap();
    let source = facts::Settings::default();
    let sources = Arc::new(facts::Sources::new(facts::Knowledge::load(&source).unwrap(), &source));
    let to = Destination { name: Arc::from("meta"), pixel_id: "123".to_owned(), key: "our-key".into() };
    let mut settings = Settings { mode: Mode::Warn, destinations: vec![to], ..Settings::default() };
    change(&mut settings);
    let visits = Arc::new(visits::Visits::open(&visits::Settings { path: None, ..visits::Settings::default() }).unwrap());
    let collector = Collector::new(
        settings,
        Arc::new(ArcSwap::from_pointee(Policy::shipped())),
        sources,
        Arc::clone(&visits),
        spool.clone(),
        ledger::Ledger::open(&ledger::Settings { path: None, ..ledger::Settings::default() }).unwrap(),
        Arc::clone(&keys),
        Metrics::default(),
        Clock::moved(NOW),
    );
    Room { collector, spool, keys, visits }
}

async fn read(answer: http::Response<Full<Bytes>>) -> (u16, Value) {
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

impl Room {
    async fn graph(&self, method: &str, uri: &str, body: &str) -> (u16, Value) {
        let (head, ()) = Request::builder().method(method).uri(uri).body(()).unwrap().into_parts();
        read(self.collector.graph(&head, Body::Whole(Bytes::from(body.to_owned()))).await).await
    }

    async fn tag(&self, token: &str, items: Value) -> (u16, Value) {
        read(self.post(token, items).await).await
    }

    async fn post(&self, token: &str, items: Value) -> http::Response<Full<Bytes>> {
        let head = Request::post("/_cs/e").header("host", "shop.example").header("content-type", "text/plain");
        let head = head.header("user-agent", AGENT).header("origin", "https://shop.example").body(()).unwrap().into_parts().0;
        let body = json!({ "t": token, "k": items }).to_string();
        self.collector.browser(&head, Some("81.2.69.160".parse().unwrap()), Bytes::from(body)).await
    }

    fn token(&self, page: Uuid) -> String {
        let token = PageToken {
            page,
            visit: Uuid::from_u128(9),
            issued: NOW,
            class: Class::default(),
            score: Score::default(),
            pixel: PixelAction::default(),
        };
        self.keys.seal_page(&token, [1; 12])
    }
}

fn purchase() -> Value {
    json!({
        "event_name": "Purchase", "event_time": NOW.seconds(), "event_id": "own-1", "action_source": "website",
        "event_source_url": "https://shop.example/thanks", "user_data": { "em": ["A@b.com", null], "client_user_agent": AGENT },
        "custom_data": { "value": 1.5, "currency": "usd", "order_id": "A-100" },
    })
}

#[tokio::test]
async fn each_request_of_a_back_end_gets_the_answer_its_sdk_needs() {
    let folder = tempfile::tempdir().unwrap();
    let room = room(folder.path());
    let good = json!({ "data": [purchase()], "access_token": "our-key", "id": "123", "test_event_code": null }).to_string();
    let bad = json!({ "data": [purchase(), { "event_name": "Lead" }] }).to_string();
    for (method, uri, body, status, code) in [
        ("GET", "/v24.0/debug_token?access_token=x", "", 200, Value::Null),
        ("POST", "/v26.0/None/instruments", "x", 200, Value::Null),
        ("POST", "/v26.0/123/events", good.as_str(), 200, Value::Null),
        ("POST", "/v26.0/123/events?access_token=wrong", bad.as_str(), 401, json!(190)),
        ("POST", "/v26.0/123/events?access_token=our-key", bad.as_str(), 400, json!(100)),
        ("POST", "/v26.0/999/events?access_token=our-key", good.as_str(), 400, json!(100)),
        ("POST", "/v26.0/123/events?access_token=our-key", "{", 400, json!(100)),
        ("GET", "/v26.0/123/events", "", 405, json!(100)),
        ("GET", "/nothing", "", 404, json!(2500)),
    ] {
        let (answered, body) = room.graph(method, uri, body).await;
        assert_eq!((answered, &body["error"]["code"]), (status, &code), "{method} {uri}: {body}");
    }
    assert_eq!(room.spool.status().await.unwrap().due, 1);
}

#[tokio::test]
async fn a_post_that_repeats_itself_renews_once_and_a_visit_that_floods_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let room = with(folder.path(), |settings| settings.events_per_minute = 40);
    let page = Uuid::from_u128(3);
    let repeated = json!(std::iter::repeat_n(json!({ "k": "renew" }), 64).collect::<Vec<_>>());
    let (status, first) = room.tag(&room.token(page), repeated).await;
    assert!(status == 200 && first["p"].is_string(), "{first}");
    assert_eq!(room.visits.find(Uuid::from_u128(9)).unwrap().pages, 2);
    let consents = json!(std::iter::repeat_n(json!({ "k": "consent", "state": "granted" }), 64).collect::<Vec<_>>());
    let head = room.post(&room.token(page), consents).await;
    assert!(head.headers().get_all("set-cookie").iter().count() <= 6, "{head:?}");

    let forged = |n: u32| json!({ "k": "event", "name": "Lead", "id": format!("made-up-{n}"), "own": true });
    for post in 0..3_u32 {
        room.tag(&room.token(page), json!((0..60).map(|n| forged(post * 60 + n)).collect::<Vec<_>>())).await;
    }
    assert_eq!(room.spool.status().await.unwrap().due, 40);
}

#[tokio::test]
async fn both_halves_of_one_purchase_become_one_event_without_raw_contact_data() {
    let folder = tempfile::tempdir().unwrap();
    let room = room(folder.path());
    let event = json!({
        "k": "event", "name": "Purchase", "id": "o.A-100", "n": 1, "own": false, "time": NOW.seconds(),
        "url": "https://shop.example/thanks", "params": { "value": 1.5, "currency": "USD", "order_id": "A-100" }, "pixel": "fired",
    });
    let items = json!([{ "k": "match", "pixel": "123", "data": { "em": "A@b.com" } }, event]);
    let (status, body) = room.tag(&room.token(Uuid::from_u128(1)), items).await;
    assert_eq!((status, &body["ok"]), (200, &json!(true)), "{body}");
    let body = json!({ "data": [purchase()] }).to_string();
    assert_eq!(room.graph("POST", "/v26.0/123/events?access_token=our-key", &body).await.0, 200);
    let due = room.spool.due("meta", NOW, 10).await.unwrap();
    assert_eq!(due.iter().map(|event| event.id.as_str()).collect::<Vec<_>>(), ["o.A-100"]);
    assert!(!due[0].body.to_lowercase().contains("a@b.com"), "{}", due[0].body);
}

#[tokio::test]
async fn an_altered_token_and_an_id_that_is_not_the_pages_store_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let room = room(folder.path());
    let event = json!([{ "k": "event", "name": "Lead", "id": "ffffffffffffffffffffffffffffffff", "n": 1 }]);
    let token = room.token(Uuid::from_u128(1));
    assert_eq!(room.tag(&format!("{token}x"), event.clone()).await.0, 403);
    assert_eq!(room.tag(&token, event).await.0, 200);
    assert_eq!(room.spool.status().await.unwrap().due, 0);
}

#[tokio::test]
async fn wrong_keys_are_told_to_wait_at_last_and_the_right_one_never_is() {
    let folder = tempfile::tempdir().unwrap();
    let room = with(folder.path(), |settings| settings.graph_refused_per_minute = 2);
    let body = json!({ "data": [purchase()] }).to_string();
    for (key, status, code) in
        [("a", 401, json!(190)), ("b", 401, json!(190)), ("c", 429, json!(4)), ("our-key", 200, Value::Null), ("", 429, json!(4))]
    {
        let (answered, said) = room.graph("POST", &format!("/v26.0/123/events?access_token={key}"), &body).await;
        assert_eq!((answered, &said["error"]["code"]), (status, &code), "{key}: {said}");
    }
}

#[tokio::test]
async fn an_event_that_was_for_another_pixel_alone_is_told_to_nobody() {
    for (pixels, single, due) in [
        (json!(["123"]), json!(null), 1),
        (json!(["999", "123"]), json!(false), 1),
        // The page's Pixel may be older than the tag or have a wrong id: rather once too often than lost.
        (json!([]), json!(null), 1),
        (json!(["999"]), json!(null), 1),
        (json!(["123"]), json!(true), 1),
        (json!(["999"]), json!(true), 0),
        (json!("999"), json!(true), 0),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let room = room(folder.path());
        let id = Uuid::from_u128(1).simple().to_string();
        let event =
            json!([{ "k": "event", "name": "Lead", "id": id, "n": 1, "pixel": "fired", "pixels": pixels, "single": single }]);
        assert_eq!(room.tag(&room.token(Uuid::from_u128(1)), event).await.0, 200);
        assert_eq!(room.spool.status().await.unwrap().due, due, "{pixels} {single}");
    }
}
