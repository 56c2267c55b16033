//! Behaviour over time through the whole process, by a clock moved by hand: visits judged anew, counted, waited for.

use std::fs;
use std::path::Path;
use std::time::Duration;

use clicksieve::rules::Policy;
use serde_json::Value;
use serde_json::json;

use crate::harness::site::Site;
use crate::whole;
use crate::whole::inside::Inside;
use crate::whole::pages::chrome_from;
use crate::whole::pages::jar;
use crate::whole::pages::tag_of;

/// At home in an access network.
const HOME: &str = "73.162.40.19";

fn inside() -> (Site, Inside) {
    let site = Site::answers(whole::html_answer());
    let inside = Inside::moved(site.address, "");
    (site, inside)
}

fn proof(webdriver: bool) -> Value {
    json!({ "k": "proof", "facts": { "webdriver": webdriver, "interaction": !webdriver, "visible": true } })
}

fn click(n: usize) -> String {
    format!("/mug?fbclid=IwZXh0bgNhZW0BMABhZGlkAasVg1yQ2aQBHSx_k-9Q_aem_AbCdEf{n:010}&utm_content=ad-7")
}

/// The only visit there is.
fn visit(inside: &Inside) -> Value {
    let mut visits: Vec<Value> = serde_json::from_str(&inside.admin("/api/visits")).unwrap();
    assert_eq!(visits.len(), 1);
    visits.remove(0)
}

fn rules(of: &Value) -> Vec<&str> {
    of["reasons"].as_array().unwrap().iter().map(|reason| reason["rule"].as_str().unwrap()).collect()
}

#[test]
fn a_late_report_of_a_driver_turns_the_next_event_and_the_landing_stays_on_record() {
    let (_site, inside) = inside();
    let lines = chrome_from(HOME);
    let tag = tag_of(&inside.ask("GET", &click(1), &lines)).unwrap();
    let answer = inside.tell(&lines, &tag.token, &[whole::tag_event(&tag.page, "ViewContent", 1, inside.now())]);
    assert_eq!(answer.text(), r#"{"ok":true,"pixel":"leave"}"#);
    inside.pass(Duration::from_mins(3));
    let answer = inside.tell(&lines, &tag.token, &[proof(true), whole::tag_event(&tag.page, "ViewContent", 2, inside.now())]);
    assert_eq!(answer.text(), r#"{"ok":true,"pixel":"withhold"}"#);
    let first = inside.records(&tag.page);
    assert_eq!((&first[0]["decision"], &first[0]["band"]), (&json!("forward"), &json!("human")), "{first:?}");
    let second = &inside.records(&format!("{}.2", tag.page))[0];
    assert_eq!((&second["decision"], &second["band"]), (&json!("suppress"), &json!("likely_invalid")), "{second}");
    assert_eq!((&second["landing_score"], &second["landing_band"]), (&json!(0), &json!("human")), "{second}");
    assert_eq!(visit(&inside)["landing"], json!({ "class": "visit", "score": 0, "band": "human" }));
}

#[test]
fn what_a_request_showed_still_counts_when_the_visits_events_come_without_it() {
    let (_site, inside) = inside();
    // A browser that sends no languages, and says so with the page alone.
    let lines = chrome_from(HOME).replace("accept-language: en-GB,en;q=0.9\r\n", "");
    let page = inside.ask("GET", &click(1), &lines);
    let tag = tag_of(&page).unwrap();
    inside.tell(&chrome_from(HOME), &tag.token, &[whole::tag_event(&tag.page, "ViewContent", 1, inside.now())]);
    assert_eq!(rules(&inside.records(&tag.page)[0]), ["http.no-language"]);
    // The next page has them.
    inside.ask("GET", "/mug", &format!("{}{}", chrome_from(HOME), jar(&page)));
    assert_eq!(rules(&visit(&inside)), [""; 0]);
}

#[test]
fn a_page_that_proves_nothing_for_twenty_seconds_is_told_until_it_does() {
    let (_site, inside) = inside();
    let lines = chrome_from(HOME);
    let tag = tag_of(&inside.ask("GET", "/mug", &lines)).unwrap();
    inside.pass(Duration::from_secs(19));
    inside.tell(&lines, &tag.token, &[whole::tag_event(&tag.page, "ViewContent", 1, inside.now())]);
    assert_eq!(rules(&inside.records(&tag.page)[0]), [""; 0]);
    inside.pass(Duration::from_secs(2));
    assert!(inside.looks(|| rules(&visit(&inside)) == ["page.no-proof"]), "{}", visit(&inside));
    inside.tell(&lines, &tag.token, &[proof(false)]);
    assert_eq!(rules(&visit(&inside)), ["trust.proof", "trust.interaction"]);
}

#[test]
fn somebody_who_compares_offers_is_left_alone_and_who_burns_through_clicks_is_not() {
    let (_site, inside) = inside();
    let mut lines = chrome_from(HOME);
    for n in 1..=8 {
        let page = inside.ask("GET", &click(n), &lines);
        if n == 1 {
            lines = format!("{lines}{}", jar(&page));
        }
        let visit = visit(&inside);
        let expected: &[&str] = match n {
            1..=3 => &[],
            4..=6 => &["click.many-ids"],
            _ => &["click.many-ids", "click.flood-of-ids"],
        };
        assert_eq!(rules(&visit), expected, "click {n}");
        assert_eq!(visit["band"], if n < 7 { "human" } else { "suspect" }, "click {n}");
        inside.pass(Duration::from_secs(7 + 11 * (n as u64 % 3)));
    }
    // It is not forgotten because the clicks are over.
    inside.pass(Duration::from_hours(1));
    inside.ask("GET", "/mug", &lines);
    assert_eq!(visit(&inside)["band"], "suspect");
}

#[test]
fn where_no_page_proves_anything_no_visit_is_held_to_it() {
    let (_site, inside) = inside();
    for n in 0..55 {
        inside.ask("GET", "/mug", &chrome_from(&format!("73.{n}.41.7")));
    }
    inside.pass(Duration::from_secs(21));
    assert!(inside.looks(|| inside.metric("clicksieve_proofs_collapsed") == Some(1)));
    assert_eq!(inside.metric("clicksieve_provable_views"), Some(55));
    let since = inside.metric("clicksieve_proofs_collapsed_since_seconds").unwrap();
    assert!(since > 0 && since <= inside.now(), "{since}");
    let told: Value = serde_json::from_str(&inside.admin("/api/proofs")).unwrap();
    assert_eq!(
        (&told["held_to"], &told["lately"]),
        (&json!(false), &json!({ "views": 55, "proven": 0, "percent": 0 })),
        "{told}"
    );
    assert!(told["off_since"].is_string(), "{told}");
    let visits: Vec<Value> = serde_json::from_str(&inside.admin("/api/visits")).unwrap();
    assert!(visits.iter().all(|visit| rules(visit).is_empty()), "{visits:?}");
}

#[test]
fn what_is_remembered_of_addresses_and_agents_is_counted() {
    let (_site, inside) = inside();
    let of = |cache: &str, result: &str| {
        inside.metric(&format!("clicksieve_cache_lookups_total{{cache=\"{cache}\",result=\"{result}\"}}")).unwrap_or(0)
    };
    let seen = |cache: &str| ["near", "shared", "miss"].map(|result| of(cache, result));
    let before = (seen("network"), seen("agent"));
    for _ in 0..10 {
        inside.ask("GET", "/mug", &chrome_from("73.162.99.1"));
    }
    for (cache, before) in [("network", before.0), ("agent", before.1)] {
        let [near, shared, miss] = seen(cache);
        // Nobody had asked before; afterwards each thread asks what all share once, and then remembers by itself.
        assert_eq!(miss, before[2] + 1, "{cache}");
        assert!(near + shared >= before[0] + before[1] + 9, "{cache}: {near} near, {shared} shared");
    }
}

#[test]
fn a_landing_without_its_pictures_is_told_once_the_shop_is_known_to_have_some() {
    let (_site, inside) = inside();
    for n in 0..60 {
        let lines = chrome_from(&format!("73.{n}.41.7"));
        let tag = tag_of(&inside.ask("GET", "/mug", &lines)).unwrap();
        let picture = lines.replace("sec-fetch-dest: document", "sec-fetch-dest: image").replace("navigate", "no-cors");
        inside.ask("GET", "/mug.png", &picture);
        inside.tell(&lines, &tag.token, &[proof(false)]);
    }
    inside.pass(Duration::from_secs(21));
    assert!(inside.looks(|| inside.metric("clicksieve_proven_views") == Some(60)));
    inside.ask("GET", "/mug", &chrome_from(HOME));
    inside.pass(Duration::from_secs(21));
    let bare = || {
        let visits: Vec<Value> = serde_json::from_str(&inside.admin("/api/visits")).unwrap();
        visits.iter().filter(|visit| rules(visit).contains(&"visit.no-assets")).count()
    };
    assert!(inside.looks(|| bare() == 1), "{}", bare());
}

#[test]
fn the_rules_in_the_documentation_of_behaviour_load_and_their_cases_hold() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/behaviour.md")).unwrap();
    let block = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let policy = Policy::parse("docs/behaviour.md", block, Path::new(".")).unwrap();
    assert_eq!((policy.run_cases().len(), policy.warnings().len(), policy.counters().len()), (0, 0, 3));
}

#[test]
fn clicks_whose_pages_were_asked_for_ahead_count_once_somebody_looks_at_them() {
    let (_site, inside) = inside();
    let mut lines = chrome_from(HOME);
    lines = format!("{lines}{}", jar(&inside.ask("GET", "/mug", &lines)));
    for n in 1..=7 {
        let page = inside.ask("GET", &click(n), &format!("{lines}sec-purpose: prefetch\r\n"));
        inside.tell(&lines, &tag_of(&page).unwrap().token, &[proof(false)]);
        inside.pass(Duration::from_secs(7 + 11 * (n as u64 % 3)));
    }
    assert!(rules(&visit(&inside)).contains(&"click.flood-of-ids"), "{}", visit(&inside));
}
