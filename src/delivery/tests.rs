//! Delivery as a whole, against a destination of raw bytes that misbehaves as told.

use std::future::Future;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::*;
use crate::clock::UnixMillis;
use crate::event::EventId;
use crate::event::Source;
use crate::ledger;
use crate::spool;
use crate::spool::NewEvent;
use crate::spool::NewState;

const NOW: UnixMillis = UnixMillis(1_774_000_000_000);

/// What the destination does with one request.
enum Act {
    Answer(u16, String),
    Raw(Vec<u8>),
    Reset,
    /// Says so much, and no more, and does not close.
    Silent(&'static [u8]),
    /// Accepts one event once it is told to.
    Later(Arc<Notify>),
}

fn accept(request: &Value) -> Act {
    Act::Answer(200, json!({"events_received": request["data"].as_array().unwrap().len(), "messages": []}).to_string())
}

fn refuse(status: u16, code: i64, subcode: Option<i64>) -> Act {
    Act::Answer(status, json!({"error": {"message": "non", "code": code, "error_subcode": subcode}}).to_string())
}

/// The destination: takes one request per connection and keeps what it was sent.
struct Destination {
    host: Url,
    requests: Arc<Mutex<Vec<(String, String)>>>,
}

impl Destination {
    async fn new(act: impl Fn(usize, &Value) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = requests.clone();
        tokio::spawn(async move {
            let mut kept_open = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let (head, body) = read(&mut stream).await;
                let n = {
                    let mut kept = kept.lock().unwrap();
                    kept.push((head, body.clone()));
                    kept.len()
                };
                let act = act(n, &serde_json::from_str(&body).unwrap());
                let act = match act {
                    Act::Later(told) => {
                        told.notified().await;
                        Act::Answer(200, json!({"events_received": 1}).to_string())
                    }
                    act => act,
                };
                match act {
                    Act::Answer(status, body) => {
                        let head = format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
                        let _ = stream.write_all((head + &body).as_bytes()).await;
                    }
                    Act::Raw(bytes) => {
                        let _ = stream.write_all(&bytes).await;
                    }
                    Act::Silent(bytes) => {
                        let _ = stream.write_all(bytes).await;
                        kept_open.push(stream);
                    }
                    Act::Later(_) => unreachable!("was awaited above"),
                    Act::Reset => socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap(),
                }
            }
        });
        Self { host, requests }
    }

    fn seen(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    fn bodies(&self) -> Vec<String> {
        self.requests.lock().unwrap().iter().map(|(_, body)| body.clone()).collect()
    }
}

async fn read(stream: &mut TcpStream) -> (String, String) {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
            let length: usize = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
            while bytes.len() < end + 4 + length {
                assert!(stream.read_buf(&mut bytes).await.unwrap() > 0);
            }
            return (head, String::from_utf8(bytes[end + 4..].to_vec()).unwrap());
        }
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0);
    }
}

/// A spool with a running delivery behind it.
struct House {
    spool: Spool,
    ledger: Ledger,
    clock: Clock,
    metrics: Metrics,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
    _folder: TempDir,
}

impl House {
    fn new(clock: Clock, targets: Vec<Target>, settings: Settings) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = TempDir::new().unwrap();
        let spool = Spool::open(&spool::Settings { path: folder.path().join("spool.db"), ..spool::Settings::default() }).unwrap();
        let ledger = Ledger::open(&ledger::Settings { path: None, ..ledger::Settings::default() }).unwrap();
        let metrics = Metrics::default();
        let delivery = Delivery::new(settings, targets, spool.clone(), ledger.clone(), metrics.clone(), clock.clone()).unwrap();
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(delivery.run(stopped));
        Self { spool, ledger, clock, metrics, stop, task, _folder: folder }
    }

    async fn take(&self, destination: &str, ids: impl IntoIterator<Item = String>) {
        let events = ids.into_iter().map(|id| event(destination, &id, self.clock.now().seconds())).collect();
        self.spool.commit(self.clock.now(), events).await.unwrap();
    }

    fn count(&self, destination: &str, outcome: &str) -> u64 {
        self.metrics.deliveries.with(&[("destination", destination), ("outcome", outcome)]).get()
    }

    async fn stop(self) {
        self.stop.send(true).unwrap();
        within(self.task).await.unwrap();
    }
}

fn event(destination: &str, id: &str, time: u64) -> NewEvent {
    let body = format!(
        r#"{{"event_name":"Purchase", "event_time":{time},"event_id":"{id}","user_data":{{"fbc":"fb.1.x","em":["h"]}},"custom_data":{{"value":1.50}}}}"#
    );
    NewEvent {
        destination: destination.into(),
        name: "Purchase".into(),
        id: EventId::parse(id).unwrap(),
        aliases: Vec::new(),
        source: Source::Browser,
        visit: None,
        time,
        body,
        fbp: None,
        apart: None,
        state: NewState::Due,
    }
}

fn target(name: &str, destination: &Destination) -> Target {
    Target {
        name: name.into(),
        pixel_id: "123".into(),
        access_token: SecretString::from("secret-token"),
        app_secret: None,
        host: destination.host.clone(),
        version: "v26.0".into(),
        test_event_code: None,
    }
}

fn quick() -> Settings {
    let short = Duration::from_millis(5);
    Settings { backoff_base: short, backoff_ceiling: short, poll: short, timeout: Duration::from_secs(20), ..Settings::default() }
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), what).await.expect("not within half a minute")
}

/// Waits for a state.
async fn until(state: impl Fn() -> bool) {
    within(async {
        while !state() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

fn ids(body: &str) -> Vec<String> {
    let body: Value = serde_json::from_str(body).unwrap();
    body["data"].as_array().unwrap().iter().map(|event| event["event_id"].as_str().unwrap().to_owned()).collect()
}

/// The events of a body as they stand in it.
fn data(body: &str) -> &str {
    body.split(r#"],"partner_agent""#).next().unwrap()
}

#[tokio::test]
async fn an_accepted_batch_goes_out_once_with_the_token_in_the_body_only() {
    let destination = Destination::new(|_, request| accept(request)).await;
    let house = House::new(Clock::system(), vec![target("meta", &destination)], quick());
    house.take("meta", (0..3).map(|n| format!("e{n}"))).await;
    until(|| house.count("meta", "delivered") == 3).await;
    let (head, body) = destination.requests.lock().unwrap()[0].clone();
    assert!(head.starts_with("post /v26.0/123/events http/1.1\r\n"), "{head}");
    assert!(!head.contains("secret-token"), "{head}");
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["access_token"], "secret-token");
    assert_eq!(ids(&body), ["e0", "e1", "e2"]);
    house.stop().await;
    assert_eq!(destination.seen(), 1);
}

#[tokio::test]
async fn a_retry_sends_the_same_bytes_again() {
    let destination = Destination::new(|n, request| match n {
        1 => Act::Answer(500, "<html>oops</html>".into()),
        2 => Act::Reset,
        3 => Act::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"events_rec".to_vec()),
        4 => Act::Answer(200, "x".repeat(300_000)),
        5 => refuse(400, 4, None),
        _ => accept(request),
    })
    .await;
    let house = House::new(Clock::system(), vec![target("meta", &destination)], quick());
    house.take("meta", ["a".to_owned(), "b".to_owned()]).await;
    until(|| house.count("meta", "delivered") == 2).await;
    house.stop().await;
    let bodies = destination.bodies();
    assert_eq!(bodies.len(), 6);
    assert!(bodies.iter().all(|body| data(body) == data(&bodies[0])));
    assert!(data(&bodies[0]).contains(r#""Purchase", "event_time""#), "the spool's own bytes");
}

#[tokio::test]
async fn a_silent_destination_is_left_after_the_time_out() {
    let destination =
        Destination::new(
            |n, request| {
                if n == 1 { Act::Silent(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n") } else { accept(request) }
            },
        )
        .await;
    // Long enough for the second request on a busy machine.
    let settings = Settings { timeout: Duration::from_secs(2), ..quick() };
    let house = House::new(Clock::system(), vec![target("meta", &destination)], settings);
    house.take("meta", ["a".to_owned()]).await;
    until(|| house.count("meta", "delivered") == 1).await;
    assert_eq!(house.count("meta", "retried"), 1);
    house.stop().await;
}

#[tokio::test]
async fn one_poisoned_event_is_found_and_the_others_are_delivered_exactly_once() {
    let destination = Destination::new(|_, request| {
        let poisoned = request["data"].as_array().unwrap().iter().any(|event| event["event_id"] == "e37");
        if poisoned { refuse(400, 100, Some(2_804_009)) } else { accept(request) }
    })
    .await;
    let house = House::new(Clock::system(), vec![target("meta", &destination)], quick());
    house.take("meta", (0..100).map(|n| format!("e{n}"))).await;
    until(|| house.count("meta", "delivered") + house.count("meta", "parked") == 100).await;
    assert_eq!(house.count("meta", "parked"), 1);
    assert_eq!(house.spool.status().await.unwrap().parked, 1);
    house.stop().await;
    let mut taken: Vec<String> =
        destination.bodies().iter().map(|body| ids(body)).filter(|ids| !ids.contains(&"e37".into())).flatten().collect();
    taken.sort();
    let mut expected: Vec<String> = (0..100).filter(|n| *n != 37).map(|n| format!("e{n}")).collect();
    expected.sort();
    assert_eq!(taken, expected);
    assert!(destination.seen() <= 15, "{}", destination.seen());
}

#[tokio::test]
async fn a_malformed_fbc_is_left_out_and_the_event_sent_again() {
    let destination = Destination::new(|_, request| {
        let bad = request["data"]
            .as_array()
            .unwrap()
            .iter()
            .any(|event| event["event_id"] == "b" && event["user_data"]["fbc"].is_string());
        if bad { refuse(400, 100, Some(2_804_001)) } else { accept(request) }
    })
    .await;
    let house = House::new(Clock::system(), vec![target("meta", &destination)], quick());
    house.take("meta", ["a".to_owned(), "b".to_owned()]).await;
    until(|| house.count("meta", "delivered") == 2).await;
    assert_eq!((house.count("meta", "repaired"), house.count("meta", "parked")), (1, 0));
    house.stop().await;
}

#[tokio::test]
async fn a_repair_that_does_not_help_ends_in_parking() {
    let destination = Destination::new(|_, _| refuse(400, 100, Some(2_804_001))).await;
    let house = House::new(Clock::system(), vec![target("meta", &destination)], quick());
    house.take("meta", ["a".to_owned()]).await;
    until(|| house.count("meta", "parked") == 1).await;
    house.stop().await;
    assert_eq!(destination.seen(), 2);
}

#[tokio::test]
async fn a_dead_token_rests_the_target_until_a_single_probe_passes() {
    let alive = Arc::new(Mutex::new(false));
    let state = alive.clone();
    let destination =
        Destination::new(move |_, request| if *state.lock().unwrap() { accept(request) } else { refuse(401, 190, Some(463)) })
            .await;
    let house = House::new(Clock::moved(NOW), vec![target("meta", &destination)], quick());
    house.take("meta", (0..5).map(|n| format!("e{n}"))).await;
    until(|| house.count("meta", "paused") == 1).await;
    house.take("meta", ["late".to_owned()]).await;
    house.clock.set(NOW.plus(Duration::from_hours(1)));
    until(|| destination.seen() == 2).await;
    *alive.lock().unwrap() = true;
    // The second probe is due an hour after the first, whenever that was noted down.
    until(|| {
        house.clock.set(house.clock.now().plus(Duration::from_mins(1)));
        house.count("meta", "delivered") == 6
    })
    .await;
    assert_eq!(house.count("meta", "paused"), 1, "said once");
    assert_eq!(house.count("meta", "parked"), 0);
    house.stop().await;
    let sizes: Vec<usize> = destination.bodies().iter().map(|body| ids(body).len()).collect();
    assert_eq!(sizes[..3], [5, 1, 1], "probes carry one event");
}

#[tokio::test]
async fn one_targets_trouble_does_not_stop_anothers_events() {
    let dead = Destination::new(|_, _| refuse(400, 200, None)).await;
    let well = Destination::new(|_, request| accept(request)).await;
    let house = House::new(Clock::system(), vec![target("dead", &dead), target("well", &well)], quick());
    house.take("dead", ["a".to_owned()]).await;
    until(|| house.count("dead", "paused") == 1).await;
    house.take("well", ["a".to_owned()]).await;
    until(|| house.count("well", "delivered") == 1).await;
    assert_eq!(house.spool.due("dead", house.clock.now(), 10).await.unwrap().len(), 1, "its event is kept");
    house.stop().await;
}

#[tokio::test]
async fn a_request_under_way_is_finished_before_the_stop() {
    let told = Arc::new(Notify::new());
    let waits = told.clone();
    let destination = Destination::new(move |_, _| Act::Later(waits.clone())).await;
    let house = House::new(Clock::system(), vec![target("meta", &destination)], quick());
    house.take("meta", ["a".to_owned()]).await;
    until(|| destination.seen() == 1).await;
    house.stop.send(true).unwrap();
    told.notify_one();
    let House { task, metrics, .. } = house;
    within(task).await.unwrap();
    assert_eq!(metrics.deliveries.with(&[("destination", "meta"), ("outcome", "delivered")]).get(), 1);
}

#[tokio::test]
async fn a_throttled_target_is_left_alone_as_long_as_it_asks() {
    let throttle = "HTTP/1.1 429 x\r\nretry-after: 600\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let destination = Destination::new(move |n, request| if n == 1 { Act::Raw(throttle.into()) } else { accept(request) }).await;
    let house = House::new(Clock::moved(NOW), vec![target("meta", &destination)], quick());
    house.take("meta", ["a".to_owned()]).await;
    until(|| house.count("meta", "retried") == 1).await;
    house.clock.set(NOW.plus(Duration::from_secs(599)));
    // A newer event wakes the worker; it must not go out either.
    house.take("meta", ["b".to_owned()]).await;
    house.spool.status().await.unwrap();
    assert_eq!(destination.seen(), 1);
    house.clock.set(NOW.plus(Duration::from_secs(601)));
    until(|| house.count("meta", "delivered") == 2).await;
    house.stop().await;
    assert_eq!(destination.seen(), 2, "both in one request");
}

#[tokio::test]
async fn every_step_leaves_a_record_without_the_body() {
    let destination = Destination::new(|n, request| match n {
        1 => refuse(400, 2, None),
        _ if request["data"][0]["event_id"] == "bad" => refuse(400, 100, Some(2_804_050)),
        _ => accept(request),
    })
    .await;
    let house = House::new(Clock::system(), vec![target("meta", &destination)], Settings { batch: 1, ..quick() });
    house.take("meta", ["good".to_owned(), "bad".to_owned()]).await;
    until(|| house.count("meta", "delivered") == 1 && house.count("meta", "parked") == 1).await;
    house.ledger.flush();
    let records = house.ledger.query(&ledger::Filter { limit: 10, ..ledger::Filter::default() });
    let find = |id: &str, decision: &str| {
        records.iter().find(|record| record["event_id"] == id && record["decision"] == decision).cloned()
    };
    assert!(find("good", "delivered").is_some_and(|record| record["type"] == "event" && record["destination"] == "meta"));
    assert!(find("bad", "parked").is_some_and(|record| record["outcome"] == "100/2804050"));
    assert_eq!(records.iter().filter(|record| record["decision"] == "retried").count(), 1);
    assert!(records.iter().all(|record| !record.to_string().contains("fb.1.x")));
    house.stop().await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Destination::new(|_, request| accept(request)).await;
    let location = elsewhere.host.clone();
    let destination = Destination::new(move |n, request| {
        let redirect = format!("HTTP/1.1 307 x\r\nlocation: {location}steal\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        if n == 1 { Act::Raw(redirect.into_bytes()) } else { accept(request) }
    })
    .await;
    let house = House::new(Clock::system(), vec![target("meta", &destination)], quick());
    house.take("meta", ["a".to_owned()]).await;
    until(|| house.count("meta", "delivered") == 1).await;
    house.stop().await;
    assert_eq!((elsewhere.seen(), destination.seen()), (0, 2));
}

#[tokio::test]
async fn events_that_are_too_old_are_parked_unsent() {
    let destination = Destination::new(|_, request| accept(request)).await;
    // Under the spool's own bound, so that delivery has to see it.
    let settings = Settings { too_old: Duration::from_hours(24), ..quick() };
    let house = House::new(Clock::moved(NOW), vec![target("meta", &destination)], settings);
    let old = NOW.minus(Duration::from_hours(25)).seconds();
    house.spool.commit(NOW, vec![event("meta", "old", old), event("meta", "new", NOW.seconds())]).await.unwrap();
    until(|| house.count("meta", "delivered") == 1 && house.count("meta", "parked") == 1).await;
    house.stop().await;
    assert_eq!(ids(&destination.bodies()[0]), ["new"]);
}

#[tokio::test]
async fn a_request_never_outgrows_its_bound() {
    let destination = Destination::new(|_, request| accept(request)).await;
    let house = House::new(Clock::system(), vec![target("meta", &destination)], Settings { batch_bytes: 500, ..quick() });
    house.take("meta", (0..10).map(|n| format!("e{n}"))).await;
    until(|| house.count("meta", "delivered") == 10).await;
    house.stop().await;
    assert!(destination.bodies().iter().all(|body| data(body).len() <= 520));
}

#[tokio::test]
async fn a_token_is_never_sent_in_the_clear_to_another_machine() {
    let destination = Destination::new(|_, request| accept(request)).await;
    let with_host = |host: &str| Target { host: host.parse().unwrap(), ..target("meta", &destination) };
    assert!(matches!(address(&with_host("http://graph.facebook.com")), Err(DeliveryError::PlainHost(_))));
    assert!(matches!(address(&with_host("ftp://127.0.0.1")), Err(DeliveryError::PlainHost(_))));
    assert_eq!(
        address(&with_host("https://graph.facebook.com")).unwrap().as_str(),
        "https://graph.facebook.com/v26.0/123/events"
    );
    let odd = Target { pixel_id: "../me".into(), ..target("meta", &destination) };
    assert!(matches!(address(&odd), Err(DeliveryError::BadPath(_))));
}
