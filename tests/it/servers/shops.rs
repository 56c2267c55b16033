//! Several shops behind one door: each host has its own servers, exemptions and destinations, and no other's.

use clicksieve::demo::graph::Account;
use clicksieve::demo::graph::Graph;
use clicksieve::proxy::CookieDomain;
use clicksieve::proxy::servers::Group;
use secrecy::SecretString;
use serde_json::Value;
use serde_json::json;

use crate::harness::site::Site;
use crate::harness::visitor::Answer;
use crate::harness::visitor::Visitor;
use crate::servers::OK;
use crate::servers::Stand;
use crate::servers::group;
use crate::servers::shop;
use crate::whole;
use crate::whole::inside::Inside;
use crate::whole::pages::chrome;
use crate::whole::pages::tag_of;

fn named(hosts: &[&str], group: Group) -> clicksieve::proxy::servers::Site {
    let mut shop = shop(group);
    shop.hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
    shop
}

fn says(text: &str) -> Site {
    Site::answers(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len()))
}

fn ask(stand: &Stand, host: &str) -> Answer {
    Visitor::connect(stand.front.address).ask(&format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n"))
}

#[test]
fn each_host_has_its_shop_and_an_unknown_one_none() {
    let sites = [says("one"), says("many"), says("own")];
    let of = |site: &Site| group(&[(site.address, 1)]);
    let shops = vec![
        named(&["one.example"], of(&sites[0])),
        named(&["*.many.example"], of(&sites[1])),
        named(&["own.many.example"], of(&sites[2])),
    ];
    let stand = Stand::of(shops, 1);
    let cases = [("one.example", "one"), ("One.EXAMPLE:8443", "one"), ("a.many.example", "many"), ("OWN.many.example.", "own")];
    for (host, text) in cases {
        assert_eq!(ask(&stand, host).text(), text, "{host}");
    }
    for host in ["two.example", "many.example", "a.b.many.example", "127.0.0.1", "one.example.evil.example"] {
        assert_eq!(ask(&stand, host).status, 421, "{host}");
    }
    assert_eq!((stand.errors("unknown_host"), sites[0].heads().len() + sites[1].heads().len()), (5, 3));
    // The connection stands, and the collector is nobody's either.
    let mut visitor = Visitor::connect(stand.front.address);
    let events = "POST /_cs/e HTTP/1.1\r\nhost: two.example\r\ncontent-length: 2\r\n\r\n{}";
    assert_eq!(visitor.ask(events).status, 421);
}

#[test]
fn a_host_that_is_nobodys_has_the_shop_without_hosts() {
    let (one, all) = (says("one"), says("all"));
    let shops = vec![named(&["one.example"], group(&[(one.address, 1)])), shop(group(&[(all.address, 1)]))];
    let stand = Stand::of(shops, 1);
    assert_eq!((ask(&stand, "one.example").text(), ask(&stand, "two.example").text()), ("one", "all"));
    let old = Visitor::connect(stand.front.address).ask("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(old.text(), "all", "HTTP/1.0 names no host");
}

#[test]
fn what_a_shop_says_of_itself_is_rewritten_as_its_own_settings_say() {
    let moves = |cookie: &'static str| {
        Site::start(move |talk, _| {
            while talk.head().is_some() {
                let address = talk.stream.get_ref().local_addr().unwrap();
                let fields = format!("location: http://{address}/next\r\nset-cookie: a=b; Domain={cookie}\r\n");
                talk.say(format!("HTTP/1.1 302 Found\r\n{fields}content-length: 0\r\n\r\n"));
            }
        })
    };
    let sites = [moves("in.example"), moves("in.example"), moves("in.example")];
    let mut rewritten = named(&["one.example"], group(&[(sites[0].address, 1), (sites[1].address, 1)]));
    rewritten.rewrite_location = true;
    rewritten.cookie_domain = Some(CookieDomain { from: "in.example".to_owned(), to: "one.example".to_owned() });
    let stand = Stand::of(vec![rewritten, named(&["two.example"], group(&[(sites[2].address, 1)]))], 1);
    for _ in 0..2 {
        let answer = ask(&stand, "one.example");
        assert_eq!(answer.field("location"), Some("http://one.example/next"), "whichever server said it");
        assert_eq!(answer.field("set-cookie"), Some("a=b; Domain=one.example"));
    }
    let answer = ask(&stand, "two.example");
    assert_eq!(answer.field("location"), Some(&format!("http://{}/next", sites[2].address)[..]));
    assert_eq!(answer.field("set-cookie"), Some("a=b; Domain=in.example"));
}

#[test]
fn a_path_is_exempt_in_the_shop_that_says_so() {
    let sites = [Site::answers(OK), Site::answers(OK)];
    let mut first = named(&["one.example"], group(&[(sites[0].address, 1)]));
    first.exempt = vec!["/api".to_owned()];
    let stand = Stand::of(vec![first, named(&["two.example"], group(&[(sites[1].address, 1)]))], 1);
    let scored = |site: &Site, host: &str| {
        let request = format!("GET /api HTTP/1.1\r\nhost: {host}\r\naccept: text/html\r\n\r\n");
        assert_eq!(Visitor::connect(stand.front.address).ask(&request).status, 200);
        site.heads()[0].contains("x-clicksieve-score")
    };
    assert_eq!((scored(&sites[0], "one.example"), scored(&sites[1], "two.example")), (false, true));
}

const OTHER: &str = "200300400500600";

/// The process with three shops and two destinations, the second of them at a mock of its own.
fn three_shops(site: &Site) -> (Inside, Graph) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let account = Account { pixel: OTHER.to_owned(), token: SecretString::from(whole::TOKEN) };
    let clock = clicksieve::clock::Clock::system();
    let inside_clock = clock.clone();
    let other = runtime.block_on(Graph::start("127.0.0.1:0".parse().unwrap(), vec![account], clock)).unwrap();
    // The mock lives as long as its runtime, which nobody needs to stop.
    std::mem::forget(runtime);
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
    (inside, other)
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
    let (inside, other) = three_shops(&site);
    tells(&inside, "quiet.example", "Q-1", None);
    tells(&inside, "shop.example", "A-1", None);
    tells(&inside, "www.other.example", "B-1", None);
    // A page cannot name its way to another shop's pixel.
    tells(&inside, "shop.example", "A-2", Some(OTHER));
    tells(&inside, "www.other.example", "B-2", Some(OTHER));
    inside.arrives("o.A-1");
    inside.arrives("o.A-2");
    let both = |all: &[clicksieve::demo::graph::Taken]| {
        ["o.B-1", "o.B-2"].iter().all(|id| all.iter().any(|taken| taken.text("event_id") == *id))
    };
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
    let inside = Inside::with(clicksieve::clock::Clock::system(), site.address, |text| {
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
