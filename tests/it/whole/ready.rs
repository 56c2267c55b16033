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
        let folder = tempfile::tempdir().unwrap();
        let address = site.as_ref().map_or_else(Site::nobody, |site| site.address);
        let text = whole::configuration(address, "http://127.0.0.1:9", whole::ADMIN);
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
    let mut place = Place::of(Some(Site::answers(whole::html_answer())), "deadlines: { drain_wait: 3s }\n");
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
