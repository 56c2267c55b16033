//! The access log: what a line says and what it keeps to itself, and that whoever reads it, or does not, holds up nobody.

use std::io::BufRead;
use std::io::BufReader;
use std::process::Command;

use serde_json::Value;

use crate::harness::site::Site;
use crate::harness::visitor::Visitor;
use crate::whole;
use crate::whole::process::Process;
use crate::whole::seen;

struct Place {
    process: Process,
    folder: tempfile::TempDir,
    _site: Site,
}

impl Place {
    fn of(log: &str, prepare: impl FnOnce(&std::path::Path)) -> Self {
        let (folder, site) = (tempfile::tempdir().unwrap(), Site::answers(whole::html_answer()));
        prepare(folder.path());
        let config = folder.path().join("clicksieve.yaml");
        let more = format!("{}access_log: {{ path: {log} }}\n", whole::ADMIN);
        std::fs::write(&config, whole::configuration(site.address, "http://127.0.0.1:9", &more)).unwrap();
        Self { process: Process::start(&config), folder, _site: site }
    }

    /// Stops it, and reads what it has written.
    fn lines(mut self, name: &str) -> Vec<Value> {
        self.process.signal("TERM");
        assert_eq!(self.process.ended().code(), Some(0));
        let text = std::fs::read_to_string(self.folder.path().join(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn dropped(&self) -> u64 {
        let token = std::fs::read_to_string(self.folder.path().join("state/admin.token")).unwrap();
        let lines = format!("host: localhost\r\nauthorization: Bearer {}\r\n", token.trim());
        let answer = Visitor::connect(self.process.admin).ask(&format!("GET /metrics HTTP/1.1\r\n{lines}\r\n"));
        let value = answer.text().lines().find_map(|line| line.strip_prefix("clicksieve_access_lines_dropped_total "));
        value.unwrap().parse().unwrap()
    }
}

#[test]
fn a_line_tells_of_each_answer_and_keeps_what_records_keep_to_themselves() {
    let place = Place::of("access.jsonl", |_| {});
    let mut visitor = Visitor::connect(place.process.shop);
    let page = "GET /mug?utm_source=mail&email=ann%40example.com&campaign_id=7 HTTP/1.1\r\nhost: shop.example\r\n";
    let answer = visitor.ask(&format!("{page}{}\r\n", seen::chrome_from("203.0.113.9")));
    assert_eq!(answer.status, 200);
    assert_eq!(visitor.get("/_cs/nothing").status, 404);
    drop(visitor);
    let lines = place.lines("access.jsonl");
    assert_eq!(lines.len(), 2, "{lines:?}");
    let line = &lines[0];
    assert_eq!(line["path"], "/mug?utm_source=mail&campaign_id=7", "{line}");
    assert_eq!((&line["method"], &line["host"], &line["status"]), (&"GET".into(), &"shop.example".into(), &200.into()));
    assert_eq!((&line["protocol"], &line["scheme"], &line["ip"]), (&"HTTP/1.1".into(), &"http".into(), &"203.0.113.0/24".into()));
    assert_eq!(line["bytes"], answer.body.len());
    assert!(line["score"].is_u64() && line["band"].is_string() && line["upstream_ms"].is_u64(), "{line}");
    assert!(line["duration_ms"].as_u64() >= line["upstream_ms"].as_u64(), "{line}");
    assert_eq!((&lines[1]["status"], &lines[1]["upstream_ms"], &lines[1]["band"]), (&404.into(), &Value::Null, &Value::Null));
    assert!(!format!("{lines:?}").contains("ann"), "{lines:?}");
}

#[test]
fn a_pipe_that_nobody_reads_and_a_full_disk_hold_up_nobody() {
    let place = Place::of("pipe", |folder| assert!(Command::new("mkfifo").arg(folder.join("pipe")).status().unwrap().success()));
    let mut visitor = Visitor::connect(place.process.shop);
    // More than queue and pipe hold, though the first line waits for a reader already.
    let mut asked = 0;
    while asked < 9_000 || place.dropped() == 0 {
        assert_eq!(visitor.get("/_cs/nothing").status, 404);
        asked += 1;
    }
    // Whoever comes late reads what waited.
    let pipe = BufReader::new(std::fs::File::open(place.folder.path().join("pipe")).unwrap());
    let first: Value = serde_json::from_str(&pipe.lines().next().unwrap().unwrap()).unwrap();
    assert_eq!(first["status"], 404);

    let mut place = Place::of("/dev/full", |_| {});
    assert_eq!(Visitor::connect(place.process.shop).get("/").status, 200);
    while place.dropped() == 0 {
        std::thread::yield_now();
    }
    place.process.signal("TERM");
    assert_eq!(place.process.ended().code(), Some(0));
}

#[test]
fn a_file_that_was_moved_away_is_followed_by_a_new_one_at_a_hang_up() {
    let place = Place::of("access.jsonl", |_| {});
    assert_eq!(Visitor::connect(place.process.shop).get("/_cs/one").status, 404);
    let (log, old) = (place.folder.path().join("access.jsonl"), place.folder.path().join("access.jsonl.1"));
    while std::fs::read_to_string(&log).unwrap().is_empty() {
        std::thread::yield_now();
    }
    std::fs::rename(&log, &old).unwrap();
    place.process.signal("HUP");
    place.process.until_said("what=\"configuration\"");
    assert_eq!(Visitor::connect(place.process.shop).get("/_cs/two").status, 404);
    assert!(std::fs::read_to_string(&old).unwrap().contains("/_cs/one"));
    let lines = place.lines("access.jsonl");
    assert_eq!((lines.len(), &lines[0]["path"]), (1, &"/_cs/two".into()), "{lines:?}");
}
