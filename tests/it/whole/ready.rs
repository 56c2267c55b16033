//! What `/readyz` and `/healthz` say is so: each part that is unwell is told, and only what keeps us from our work takes us out
//! of the balancer. And the guard that keeps the process within its memory.

use serde_json::Value;

use crate::harness::site::Site;
use crate::harness::visitor::Visitor;
use crate::whole;
use crate::whole::process::Process;

struct Place {
    process: Process,
    folder: tempfile::TempDir,
    text: String,
    _site: Option<Site>,
}

impl Place {
    fn of(site: Option<Site>, more: &str) -> Self {
        Self::trusting("trusted_proxies: [127.0.0.1]\n", site, more)
    }

    /// With these words in place of those that trust the proxy in front.
    fn trusting(words: &str, site: Option<Site>, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = site.as_ref().map_or_else(Site::nobody, |site| site.address);
        let text = whole::configuration(address, "http://127.0.0.1:9", whole::ADMIN);
        let text = text.replace("trusted_proxies: [127.0.0.1]\n", words);
        let config = folder.path().join("clicksieve.yaml");
        std::fs::write(&config, format!("{text}{more}")).unwrap();
        Self { process: Process::start(&config), folder, text, _site: site }
    }

    fn ready(&self) -> (u16, Value) {
        let answer = Visitor::connect(self.process.admin).ask("GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n");
        (answer.status, serde_json::from_slice(&answer.body).unwrap())
    }

    fn admin(&self, method: &str, path: &str) -> String {
        let token = std::fs::read_to_string(self.folder.path().join("state/admin.token")).unwrap();
        let lines = format!("host: localhost\r\nauthorization: Bearer {}\r\ncontent-length: 0\r\n", token.trim());
        let answer = Visitor::connect(self.process.admin).ask(&format!("{method} {path} HTTP/1.1\r\n{lines}\r\n"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text().to_owned()
    }

    fn reload(&self, more: &str) {
        std::fs::write(self.folder.path().join("clicksieve.yaml"), format!("{}{more}", self.text)).unwrap();
        self.admin("POST", "/api/reload");
    }

    fn until_pressure(&self, press: u8) {
        let wanted = format!("clicksieve_memory_pressure {press}\n");
        while !self.admin("GET", "/metrics").contains(&wanted) {
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_site_that_is_away_is_told_and_leaves_us_ready() {
    let place = Place::of(None, "");
    let (status, told) = place.ready();
    assert_eq!((status, &told["ready"], &told["parts"]["upstream"]["well"]), (200, &true.into(), &false.into()), "{told}");
    for part in ["serving", "listeners", "spool", "rules"] {
        assert_eq!(told["parts"][part]["well"], true, "{told}");
    }
    let place = Place::of(Some(Site::answers(whole::html_answer())), "");
    assert_eq!(place.ready().1["parts"]["upstream"], serde_json::json!({ "well": true, "says": "reached" }));
}

/// Chrome's request as HAProxy and nginx pass it on: from HTTP/2 over TLS to HTTP/1.1 in the clear, without a word on whose it is.
const PASSED_ON: &str = "GET /?utm_content=passed-on&fbclid=IwAR0abcdefghijklmnopqrstuvwxyz0123456789 HTTP/1.1\r\n\
    Host: shop.example\r\nConnection: close\r\n\
    sec-ch-ua: \"Google Chrome\";v=\"131\", \"Chromium\";v=\"131\", \"Not_A Brand\";v=\"24\"\r\nsec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: \"Windows\"\r\n\
    upgrade-insecure-requests: 1\r\n\
    user-agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36\r\n\
    accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8\r\n\
    sec-fetch-site: cross-site\r\nsec-fetch-mode: navigate\r\nsec-fetch-user: ?1\r\nsec-fetch-dest: document\r\n\
    accept-encoding: gzip, deflate, br, zstd\r\naccept-language: de-DE,de;q=0.9\r\npriority: u=0, i\r\n\r\n";

#[test]
fn visitors_behind_a_proxy_that_nobody_named_are_people_and_the_operator_hears_of_it() {
    let place = Place::trusting("", Some(Site::answers(whole::html_answer())), "");
    assert_eq!(place.ready().1["parts"]["front"]["well"], true);
    for _ in 0..2 {
        assert_eq!(Visitor::connect(place.process.shop).ask(PASSED_ON).status, 200);
    }
    let visits: Value = serde_json::from_str(&place.admin("GET", "/api/visits?utm_content=passed-on")).unwrap();
    for visit in visits.as_array().unwrap() {
        assert_eq!(visit["landing"]["band"], "human", "{visit}");
    }
    assert_eq!(visits.as_array().map(Vec::len), Some(2));
    let (status, told) = place.ready();
    assert_eq!((status, &told["parts"]["front"]["well"]), (200, &false.into()), "{told}");
    assert!(told["parts"]["front"]["says"].as_str().unwrap().contains("2 page views"), "{told}");
    let said = place.process.until_said("trusted_proxies");
    assert!(said.contains("127.0.0.1") && said.contains("hint:"), "{said}");
}

#[test]
fn visitors_behind_a_named_proxy_raise_no_alarm() {
    let place = Place::of(Some(Site::answers(whole::html_answer())), "");
    Visitor::connect(place.process.shop).ask(PASSED_ON);
    assert_eq!(place.ready().1["parts"]["front"], serde_json::json!({ "well": true, "says": "no unnamed proxy was seen" }));
}

#[test]
fn a_state_folder_that_takes_nothing_makes_us_unready_until_it_does() {
    let place = Place::of(None, "");
    let (state, aside) = (place.folder.path().join("state"), place.folder.path().join("aside"));
    std::fs::rename(&state, &aside).unwrap();
    let (status, told) = place.ready();
    assert_eq!((status, &told["parts"]["spool"]["well"]), (503, &false.into()), "{told}");
    assert!(told["parts"]["spool"]["says"].as_str().unwrap().contains("the disk takes nothing"), "{told}");
    std::fs::rename(&aside, &state).unwrap();
    assert_eq!(place.ready().0, 200);
}

#[test]
fn a_spool_at_its_bound_makes_us_unready() {
    let place = Place::of(None, "limits: { spool_bytes: 256KiB }\n");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (client, now) = (whole::client(), clicksieve::clock::Clock::system().now().seconds());
    let refused = (0..100).any(|batch| {
        let events: Vec<Value> = (0..50).map(|order| whole::purchase(&format!("{batch}-{order}"), now)).collect();
        runtime.block_on(whole::report(&client, place.process.graph, &events)).unwrap().status() == 503
    });
    assert!(refused, "it never was full");
    // A smaller event may still find room.
    let full = (0..1_000).any(|order| {
        let event = [whole::purchase(&format!("one-{order}"), now)];
        runtime.block_on(whole::report(&client, place.process.graph, &event)).unwrap().status() == 503
    });
    assert!(full);
    let (status, told) = place.ready();
    assert_eq!((status, &told["parts"]["spool"]["says"]), (503, &"the spool is full".into()), "{told}");
}

#[test]
fn before_it_stops_it_says_for_a_while_that_it_is_not_ready_and_serves_on() {
    let mut place = Place::of(Some(Site::answers(whole::html_answer())), "deadlines: { drain_wait: 8s }\n");
    place.process.signal("TERM");
    place.process.until_said("stopping");
    while place.ready().0 == 200 {
        std::thread::yield_now();
    }
    assert_eq!(place.ready().1["parts"]["serving"]["well"], false);
    assert_eq!(Visitor::connect(place.process.shop).get("/").status, 200);
    assert_eq!(place.process.ended().code(), Some(0));
}

#[test]
fn short_of_memory_connections_part_after_their_answer_and_new_ones_are_turned_away() {
    let place = Place::of(Some(Site::answers(whole::html_answer())), "limits: { memory: off }\n");
    let mut kept = Visitor::connect(place.process.shop);
    assert_eq!(kept.get("/").field("connection"), None);
    // The shipped lists alone take more.
    place.reload("limits: { memory: 64MiB }\n");
    place.until_pressure(2);
    let answer = kept.get("/");
    assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
    assert!(kept.head().is_none());
    assert_eq!(Visitor::connect(place.process.shop).answer(false).status, 503);
    place.process.until_said("memory is very short");
    place.reload("limits: { memory: 64GiB }\n");
    place.until_pressure(0);
    assert_eq!(Visitor::connect(place.process.shop).get("/").field("connection"), None);
}
