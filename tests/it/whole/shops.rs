//! Several shops and several servers in the whole process: where events of each shop's pages go, and what the operator is told.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use clicksieve::clock::Clock;
use clicksieve::demo::graph::Account;
use clicksieve::demo::graph::Graph;
use clicksieve::demo::graph::Taken;
use secrecy::SecretString;
use serde_json::Value;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::harness::site::Site;
use crate::harness::visitor::Answer;
use crate::harness::visitor::Visitor;
use crate::whole;
use crate::whole::inside::Inside;
use crate::whole::pages::chrome;
use crate::whole::pages::tag_of;
use crate::whole::process::Process;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const OTHER: &str = "200300400500600";

/// The process with three shops and two destinations, the second of them at a mock of its own.
fn three_shops(site: &Site) -> (Inside, Graph, Runtime) {
    let runtime = Runtime::new().unwrap();
    let account = Account { pixel: OTHER.to_owned(), token: SecretString::from(whole::TOKEN) };
    let clock = Clock::system();
    let inside_clock = clock.clone();
    let other = runtime.block_on(Graph::start("127.0.0.1:0".parse().unwrap(), vec![account], clock)).unwrap();
    let url = other.url();
    let address = site.address;
    let inside = Inside::with(inside_clock, site.address, |text| {
        let second = format!(
            "\n  - {{ name: other, pixel_id: \"{OTHER}\", access_token: \"${{META_TOKEN}}\", host: \"{url}\" }}\nsites:\n  \
             - {{ hosts: [shop.example], upstream: \"http://{address}\", destinations: [meta] }}\n  \
             - {{ hosts: [\"*.other.example\"], upstream: \"http://{address}\", destinations: [other] }}\n  \
             - {{ hosts: [quiet.example], upstream: \"http://{address}\", destinations: [] }}\ngraph:"
        );
        text.replace("\ngraph:", &second).replace(&format!("upstream: http://{address}\n"), "")
    });
    (inside, other, runtime)
}

fn asked(inside: &Inside, host: &str, request: &str, lines: &str, body: &str) -> Answer {
    let text = format!("{request} HTTP/1.1\r\nhost: {host}\r\n{lines}\r\n{body}");
    Visitor::connect(inside.running.shop()).ask(&text)
}

fn tells(inside: &Inside, host: &str, order: &str, pixel: Option<&str>) {
    let tag = tag_of(&asked(inside, host, "GET /mug", &chrome(), "")).unwrap();
    let mut event = whole::tag_event(&tag.page, "Purchase", 1, inside.now());
    event["id"] = json!(format!("o.{order}"));
    event["params"] = json!({ "value": 11.5, "currency": "EUR", "order_id": order });
    event["pixels"] = pixel.map_or_else(|| json!([]), |pixel| json!([pixel]));
    let proof = json!({ "k": "proof", "facts": { "webdriver": false, "interaction": true } });
    let body = json!({ "t": tag.token, "k": [proof, event] }).to_string();
    let lines = format!("content-type: text/plain\r\ncontent-length: {}\r\n{}", body.len(), chrome());
    assert_eq!(asked(inside, host, "POST /_cs/e", &lines, &body).status, 200);
}

#[test]
fn events_of_a_shops_pages_go_to_its_own_destinations_only() {
    let site = Site::answers(whole::html_answer());
    let (inside, other, _runtime) = three_shops(&site);
    tells(&inside, "quiet.example", "Q-1", None);
    tells(&inside, "shop.example", "A-1", None);
    tells(&inside, "www.other.example", "B-1", None);
    // A page cannot name its way to another shop's pixel.
    tells(&inside, "shop.example", "A-2", Some(OTHER));
    tells(&inside, "www.other.example", "B-2", Some(OTHER));
    inside.arrives("o.A-1");
    inside.arrives("o.A-2");
    let both = |all: &[Taken]| ["o.B-1", "o.B-2"].iter().all(|id| all.iter().any(|taken| taken.text("event_id") == *id));
    assert!(inside.runtime.block_on(other.until(both, whole::ARRIVAL)));
    let ids = |graph: &Graph| {
        let mut ids: Vec<String> = graph.taken().iter().map(|taken| taken.text("event_id").to_owned()).collect();
        ids.sort();
        ids
    };
    assert_eq!((ids(&inside.graph), ids(&other)), (vec!["o.A-1".into(), "o.A-2".into()], vec!["o.B-1".into(), "o.B-2".into()]));
    assert_eq!(asked(&inside, "unknown.example", "GET /", "", "").status, 421);
}

#[test]
fn the_operator_sees_how_each_server_stands() {
    let (site, dead) = (Site::answers(OK), Site::nobody());
    let inside = Inside::with(Clock::system(), site.address, |text| {
        let servers = format!(
            "upstream: {{ servers: [{{ url: \"http://{0}\", weight: 3 }}, \"http://{dead}\"], connections: 9, failures: 1, rest: 1h, \
             health: {{ path: / }} }}\n",
            site.address
        );
        text.replace(&format!("upstream: http://{}\n", site.address), &servers)
    });
    for _ in 0..4 {
        assert_eq!(inside.ask("GET", "/", "").status, 200);
    }
    let told: Vec<Value> = serde_json::from_str(&inside.admin("/api/upstreams")).unwrap();
    assert_eq!(told.len(), 2);
    let (up, down) = (&told[0], &told[1]);
    assert_eq!((&up["server"], &up["weight"], &up["state"]), (&json!(site.address.to_string()), &json!(3), &json!("in")));
    assert_eq!((&down["server"], &down["connections"]), (&json!(dead.to_string()), &json!(9)));
    assert_ne!(down["state"], "in");
    assert!(down["since"].is_string() && down["why"].is_string(), "{down}");
    assert_eq!(inside.metric(&format!("clicksieve_upstream_up{{server=\"{dead}\"}}")), Some(0));
}

#[test]
fn the_log_says_when_a_server_goes_out_and_when_it_is_in_again() {
    let well = Arc::new(AtomicBool::new(true));
    let site = {
        let well = Arc::clone(&well);
        Site::start(move |talk, _| {
            while talk.head().is_some() && well.load(Ordering::SeqCst) {
                talk.say(OK);
            }
        })
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clicksieve.yaml");
    let servers = format!(
        "upstream: {{ servers: [\"http://{}\"], health: {{ path: /, every: 10ms, unhealthy_after: 2, healthy_after: 1 }} }}\n",
        site.address
    );
    let text = whole::configuration(site.address, "http://127.0.0.1:9", whole::ADMIN);
    std::fs::write(&file, text.replace(&format!("upstream: http://{}\n", site.address), &servers)).unwrap();
    let process = Process::start(&file);
    well.store(false, Ordering::SeqCst);
    let out = process.until_said("a server of the shop is out");
    assert!(out.contains(&format!("server={}", site.address)) && out.contains("why=gave no proper answer"), "{out}");
    well.store(true, Ordering::SeqCst);
    process.until_said("a server of the shop is in again");
}
