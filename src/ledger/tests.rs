//! What may be recorded, and that records are bounded on disk and in memory.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use proptest::prelude::*;
use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::fact::Agent;
use crate::fact::Network;
use crate::verdict::Category;
use crate::verdict::Mode;
use crate::verdict::PixelAction;
use crate::verdict::Reason;
use crate::verdict::Verdict;

use super::*;

const NOW: UnixMillis = UnixMillis(1_774_000_000_000);

fn settings(path: Option<&Path>) -> Settings {
    Settings { path: path.map(Path::to_owned), ..Settings::default() }
}

fn page(url: &str) -> PageRecord {
    let reason = Reason { rule: "net.cloud".into(), points: 40, category: Category::Datacenter };
    PageRecord {
        time: NOW,
        visit: Uuid::from_u128(1),
        page: Uuid::from_u128(2),
        address: Some("203.0.113.77".parse().unwrap()),
        url: url.to_owned(),
        verdict: Arc::new(Verdict { reasons: [reason].into(), ..Verdict::default() }),
        pixel: PixelAction::Gate,
        network: Network::default(),
        agent: Arc::new(Agent::default()),
        http: None,
        tls: None,
        h2: None,
        rules: "digest".into(),
        mode: Mode::Warn,
        action: "tag",
        action_shadow: None,
    }
}

fn event(id: &str, time: UnixMillis) -> EventRecord {
    EventRecord {
        time,
        event_id: id.to_owned(),
        event_name: "Purchase".to_owned(),
        decision: "forward".into(),
        ..EventRecord::default()
    }
}

#[test]
fn a_click_is_recorded_with_its_campaign_and_without_its_owner() {
    let ledger = Ledger::open(&settings(None)).unwrap();
    let url = "https://shop.example/p?email=jo%40x.example&fbclid=IwAR1&utm_source=fb&utm_content=ad%207#jo@x.example";
    assert!(ledger.append(Record::Click(page(url))));
    ledger.flush();
    let found = ledger.query(&Filter { utm_content: Some("ad%207".to_owned()), ..Filter::default() });
    let record = &found[0];
    assert_eq!(record["url"], "https://shop.example/p?utm_source=fb&utm_content=ad%207");
    assert_eq!(record["ip"], "203.0.113.0/24");
    assert_eq!((&record["ad_network"], &record["pixel"], &record["action"]), (&"meta".into(), &"gate".into(), &"tag".into()));
    let reasons = serde_json::json!([{"rule": "net.cloud", "points": 40, "category": "givt.datacenter"}]);
    assert_eq!((&record["reasons"], &record["v"]), (&reasons, &1.into()));
    assert_eq!(record["event_id"], "00000000000000000000000000000002");
}

#[test]
fn an_address_is_cut_to_its_network() {
    assert_eq!(cut_address("203.0.113.77".parse().unwrap()), "203.0.113.0/24");
    assert_eq!(cut_address("::ffff:203.0.113.77".parse().unwrap()), "203.0.113.0/24");
    assert_eq!(cut_address("2001:db8:1:2:3:4:5:6".parse().unwrap()), "2001:db8:1::/48");
}

#[test]
fn of_a_query_only_campaign_parameters_are_kept() {
    assert_eq!(clean_url("/a?key=wc_order_1&utm_id=5&campaign_id=12&ad_id=x&gclid=q"), "/a?utm_id=5&campaign_id=12");
    assert_eq!(
        clean_url("https://jo:pw@shop.example/mail/jo%2540x.example/off?utm_term=jo@x"),
        "https://shop.example/mail/-/off?utm_term=-"
    );
    assert_eq!(clean_url(""), "");
}

proptest! {
    #[test]
    fn no_mailbox_survives_in_a_url(
        before in "(https?://[a-z.]{1,9})?(/[a-z%/]{0,9})?", name in "(utm_source|utm_[a-z]{1,5}|email|)", host in "[a-z]{1,8}\\.example",
        rounds in 0_usize..4, glue in prop_oneof![Just("?"), Just("&"), Just("#"), Just("/"), Just("?x=1&"), Just("")],
    ) {
        let at = (0..rounds).fold("@".to_owned(), |at, round| if round == 0 { "%40".to_owned() } else { at.replace('%', "%25") });
        let url = format!("{before}{glue}{name}=jo.secret{at}{host}");
        let clean = clean_url(&url);
        prop_assert!(!clean.contains("jo.secret"), "{url} -> {clean}");
    }

    #[test]
    fn any_text_is_cleaned_without_an_at_sign(url in ".*") {
        prop_assert!(!clean_url(&url).contains('@'));
    }
}

#[test]
fn queries_go_by_type_visit_event_and_time_newest_first() {
    let ledger = Ledger::open(&settings(None)).unwrap();
    ledger.append(Record::Page(page("/")));
    ledger.append(Record::Event(event("a", NOW)));
    ledger.append(Record::Event(event("b", UnixMillis(NOW.0 + 9))));
    ledger.flush();
    let ids = |filter: Filter| ledger.query(&filter).iter().map(|found| found["event_id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(Filter { kind: Some(Kind::Event), ..Filter::default() }), ["b", "a"]);
    assert_eq!(ids(Filter { visit: Some(Uuid::from_u128(1)), ..Filter::default() }).len(), 1);
    assert_eq!(ids(Filter { event_id: Some("a".to_owned()), ..Filter::default() }), ["a"]);
    assert_eq!(ids(Filter { since: Some(UnixMillis(NOW.0 + 1)), ..Filter::default() }), ["b"]);
    assert_eq!(ids(Filter { limit: 1, ..Filter::default() }), ["b"]);
}

#[test]
fn memory_holds_the_newest_records_only() {
    let ledger = Ledger::open(&Settings { ring: 3, ..settings(None) }).unwrap();
    for n in 0..10 {
        ledger.append(Record::Event(event(&n.to_string(), NOW)));
    }
    ledger.flush();
    let found = ledger.query(&Filter::default());
    assert_eq!(found.iter().map(|found| found["event_id"].clone()).collect::<Vec<_>>(), ["9", "8", "7"]);
}

#[test]
fn files_are_rotated_bounded_and_their_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records.jsonl");
    let ledger = Ledger::open(&Settings { max_bytes: 40_000, ..settings(Some(&path)) }).unwrap();
    for n in 0..500 {
        while !ledger.append(Record::Event(event(&n.to_string(), NOW))) {}
    }
    ledger.flush();
    let mut bytes = 0;
    let mut newest = false;
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        bytes += entry.metadata().unwrap().len();
        for line in fs::read_to_string(entry.path()).unwrap().lines() {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            newest |= record["event_id"] == "499";
        }
    }
    assert!(newest && bytes <= 40_000 && bytes > 20_000, "{bytes}");
    assert_eq!(ledger.unwritten(), 0);
}

#[test]
fn finished_files_past_their_age_go() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records.jsonl");
    let ledger = Ledger::open(&settings(Some(&path))).unwrap();
    for day in [0, 8, 10] {
        ledger.append(Record::Event(event("a", UnixMillis(NOW.0 + day * 86_400_000))));
    }
    ledger.flush();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn a_line_cut_by_a_crash_does_not_spoil_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records.jsonl");
    fs::write(&path, "{\"v\":1,\"ty").unwrap();
    let ledger = Ledger::open(&settings(Some(&path))).unwrap();
    ledger.append(Record::Event(event("a", NOW)));
    ledger.flush();
    let text = fs::read_to_string(&path).unwrap();
    let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(last["event_id"], "a");
}

#[test]
fn a_file_that_cannot_be_written_costs_its_records_and_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("state");
    let ledger = Ledger::open(&Settings { max_bytes: 8, ..settings(Some(&inner.join("records.jsonl"))) }).unwrap();
    let append = |id: &str| {
        assert!(ledger.append(Record::Event(event(id, NOW))));
        ledger.flush();
    };
    append("a");
    fs::remove_dir_all(&inner).unwrap();
    append("b");
    assert_eq!((ledger.unwritten(), ledger.query(&Filter::default()).len()), (1, 2));
    fs::create_dir(&inner).unwrap();
    append("c");
    assert_eq!(ledger.unwritten(), 1);
    assert!(fs::read_to_string(inner.join("records.jsonl")).unwrap().contains("\"event_id\":\"c\""));
}

#[test]
fn the_documented_fields_are_those_that_are_written() {
    let names = |records: &[Record]| -> BTreeSet<String> {
        let lines = records.iter().map(|record| line::kept(record, false).line);
        lines
            .flat_map(|line| serde_json::from_str::<serde_json::Map<_, _>>(&line).unwrap().into_iter().map(|(name, _)| name))
            .collect()
    };
    let documented = |kind: &str| -> BTreeSet<String> {
        FIELDS
            .iter()
            .filter(|(kinds, ..)| *kinds == "all" || kinds.contains(kind))
            .map(|(_, name, _)| (*name).to_owned())
            .collect()
    };
    assert_eq!(names(&[Record::Click(page("/"))]), documented("click"));
    assert_eq!(names(&[Record::Event(event("a", NOW))]), documented("event"));
    let mut table = String::from("| in | field | says |\n|---|---|---|\n");
    for (kinds, name, says) in FIELDS {
        writeln!(table, "| {kinds} | `{name}` | {says} |").unwrap();
    }
    let page = include_str!("../../docs/records.md");
    assert!(page.contains(&table), "docs/records.md should hold this table:\n{table}");
}
