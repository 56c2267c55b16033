//! Starts that must not succeed and what they say, reloads of a running process, and the operator's door.

use std::path::Path;

use crate::harness::site::Site;
use crate::harness::visitor::Answer;
use crate::harness::visitor::Visitor;
use crate::whole;
use crate::whole::process::Process;

const GRAPH: &str = "http://127.0.0.1:9";

/// A folder with a configuration; `more` is put before its end.
struct Place {
    folder: tempfile::TempDir,
    site: Site,
}

impl Place {
    fn new(more: &str) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap(), site: Site::answers(whole::html_answer()) };
        place.write("clicksieve.yaml", whole::configuration(place.site.address, GRAPH, &format!("{more}{}", whole::ADMIN)));
        place
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    fn config(&self) -> std::path::PathBuf {
        self.folder.path().join("clicksieve.yaml")
    }

    /// How a start ends that must not succeed: its exit code and what it says.
    fn refused(&self) -> (Option<i32>, String) {
        let (status, said) = Process::try_start(&self.config()).err().expect("it must not start");
        (status.code(), said)
    }

    /// What the site is told of a curl that clicks an ad.
    fn band_of_curl(&self, process: &Process) -> String {
        let asked = "GET /?fbclid=IwAR0curl-0123456789-0123456789-0123456789-0123456789_aem HTTP/1.1\r\nhost: shop.example\r\nuser-agent: curl/8.14.1\r\naccept: */*\r\n\r\n";
        assert_eq!(Visitor::connect(process.shop).ask(asked).status, 200);
        let head = self.site.heads().pop().unwrap();
        crate::harness::visitor::field(&head, "x-clicksieve-band").unwrap().to_owned()
    }
}

/// The shipped rules, where curl has so many points.
fn rules(points: &str) -> String {
    let shipped = include_str!("../../../rules/default.yaml");
    let changed = shipped.replacen(
        "match: { ua.kind: library }\n    points: 60",
        &format!("match: {{ ua.kind: library }}\n    points: {points}"),
        1,
    );
    assert!(changed != shipped || points == "60");
    changed
}

/// Asks the operator's door with these header lines.
fn admin(process: &Process, method: &str, path: &str, lines: &str) -> Answer {
    Visitor::connect(process.admin).ask(&format!("{method} {path} HTTP/1.1\r\n{lines}content-length: 0\r\n\r\n"))
}

fn token_line(folder: &Path) -> String {
    let token = std::fs::read_to_string(folder.join("state/admin.token")).unwrap();
    format!("host: localhost\r\nauthorization: Bearer {}\r\n", token.trim())
}

#[test]
fn a_second_process_on_the_same_state_folder_is_refused() {
    let place = Place::new("");
    let _first = Process::start(&place.config());
    let (code, said) = place.refused();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("spool.db` is in use by another process\nhint: stop it, or give this one"), "{said}");
}

#[test]
fn a_fault_in_the_configuration_or_the_rules_is_named_with_its_place() {
    let place = Place::new("mod: warn\n");
    let (code, said) = place.refused();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("clicksieve.yaml:14:1: unknown field `mod`") && said.contains("hint: did you mean `mode`?"), "{said}");

    let place = Place::new("rules: rules.yaml\n");
    place.write("rules.yaml", rules("sixty"));
    let (code, said) = place.refused();
    assert_eq!(code, Some(1), "{said}");
    let line = 1 + rules("sixty").lines().position(|line| line.contains("sixty")).unwrap();
    assert!(said.contains(&format!("rules.yaml:{line}:13: ")), "{said}");
}

#[test]
fn damaged_state_is_named_with_what_to_do_and_left_as_it_is() {
    for name in ["spool.db", "visits.db"] {
        let place = Place::new("");
        let garbage: Vec<u8> = (0..20_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        place.write(&format!("state/{name}"), &garbage);
        let (code, said) = place.refused();
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(&format!("{name}` cannot be opened: `")) && said.contains("is damaged"), "{said}");
        assert!(said.contains("\nhint: nothing was changed: "), "{said}");
        assert!(std::fs::read(place.folder.path().join("state").join(name)).unwrap() == garbage, "{name} was changed");
    }
}

#[test]
fn a_broken_list_refuses_the_start() {
    for (name, bytes, says) in [
        ("asn/origin-asn.mmdb", &b"not a database"[..], "origin-asn.mmdb"),
        ("vpn/ipv4.txt", &b"<!doctype html><html><body>Not found</body></html>"[..], "vpn/ipv4.txt"),
        ("tor/exits-ipv4.txt", &b""[..], "the file is empty"),
    ] {
        let place = Place::new("data: lists\n");
        place.write(&format!("lists/{name}"), bytes);
        let (code, said) = place.refused();
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(says), "{said}");
    }
}

#[test]
fn a_reload_takes_good_rules_and_leaves_the_old_ones_for_bad_ones() {
    let place = Place::new("rules: rules.yaml\n");
    place.write("rules.yaml", rules("60"));
    let process = Process::start(&place.config());
    let lines = token_line(place.folder.path());
    assert_eq!(place.band_of_curl(&process), "likely_invalid");

    place.write("rules.yaml", rules("sixty"));
    let answer = admin(&process, "POST", "/api/reload", &lines);
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert!(answer.text().contains("rules.yaml:"), "{}", answer.text());
    assert_eq!(place.band_of_curl(&process), "likely_invalid");

    place.write("rules.yaml", rules("20"));
    let answer = admin(&process, "POST", "/api/reload", &lines);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(place.band_of_curl(&process), "human");
}

#[test]
fn a_hang_up_reloads_lists_and_a_bad_list_leaves_the_old_one() {
    let place = Place::new("data: lists\n");
    place.write("lists/vpn/ipv4.txt", "192.0.2.0/24\n");
    let mut process = Process::start(&place.config());
    // Nothing has changed, so it is the signal that it speaks of.
    process.signal("HUP");
    process.until_said("what=\"lists\" version=");
    place.write("lists/vpn/ipv4.txt", "192.0.2.1/24\n");
    process.signal("HUP");
    let said = process.until_said("not reloaded");
    assert!(said.contains("vpn/ipv4.txt:1:1"), "{said}");
    place.write("lists/vpn/ipv4.txt", "198.51.100.0/24\n");
    process.signal("HUP");
    process.until_said("what=\"lists\" version=");
    process.signal("TERM");
    assert_eq!(process.ended().code(), Some(0));
}

#[test]
fn the_operators_door_asks_for_token_and_host() {
    let place = Place::new("");
    let process = Process::start(&place.config());
    let lines = token_line(place.folder.path());
    let home = "host: localhost\r\n";
    for path in ["/metrics", "/api/visits", "/api/events"] {
        assert_eq!(admin(&process, "GET", path, home).status, 401, "{path}");
        assert_eq!(admin(&process, "GET", path, &format!("{home}authorization: Bearer no\r\n")).status, 401, "{path}");
    }
    assert_eq!(admin(&process, "POST", "/api/reload", home).status, 401);
    for path in ["/healthz", "/metrics"] {
        assert_eq!(admin(&process, "GET", path, &lines.replace("localhost", "rebound.example")).status, 421, "{path}");
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(admin(&process, "GET", path, home).status, 200, "{path}");
    }
    assert_eq!(place.band_of_curl(&process), "likely_invalid");
    let metrics = admin(&process, "GET", "/metrics", &lines);
    assert!(metrics.text().contains("clicksieve_clicks_total{class=\"visit\",band=\"likely_invalid\"} 1"), "{}", metrics.text());
    let visits: serde_json::Value = serde_json::from_slice(&admin(&process, "GET", "/api/visits", &lines).body).unwrap();
    assert_eq!((&visits[0]["band"], &visits[0]["agent"]["family"]), (&"likely_invalid".into(), &"curl".into()), "{visits}");
    let events: serde_json::Value = serde_json::from_slice(&admin(&process, "GET", "/api/events", &lines).body).unwrap();
    assert_eq!(events, serde_json::json!([]));
}

#[test]
fn an_operator_who_asks_half_a_question_holds_up_no_stop() {
    let place = Place::new("");
    let mut process = Process::start(&place.config());
    let mut half = Visitor::connect(process.admin);
    half.say(format!("POST /api/reload HTTP/1.1\r\n{}content-length: 9\r\n\r\nx", token_line(place.folder.path())));
    let mut head = Visitor::connect(process.admin);
    head.say("GET /metrics HTTP/1.1\r\nhost: localho");
    // Both are with the process once it has answered somebody who came later.
    assert_eq!(admin(&process, "GET", "/metrics", &token_line(place.folder.path())).status, 200);
    process.signal("TERM");
    assert!(process.ended().success());
}
