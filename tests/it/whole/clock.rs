//! A clock that jumps, as it does after a wrong time server or a suspended machine: nothing is lost but what expires, and
//! nobody spins or waits for the time to come back.

use std::time::Duration;

use clicksieve::clock::UnixMillis;
use clicksieve::demo::graph::Failure;
use clicksieve::demo::visitor::Tag;
use serde_json::json;

use crate::harness::site::Site;
use crate::whole;
use crate::whole::inside::Inside;
use crate::whole::pages::chrome_from;
use crate::whole::pages::tag_of;

const HOUR: Duration = Duration::from_hours(1);

/// Somebody at a hosting network's address, whose events wait for proof.
fn suspect() -> String {
    chrome_from("5.9.61.22")
}

/// A page of the suspect's, and a Lead of it that is held.
fn held(inside: &Inside) -> Tag {
    let tag = tag_of(&inside.ask("GET", "/mug", &suspect())).unwrap();
    let answer = inside.tell(&suspect(), &tag.token, &[whole::tag_event(&tag.page, "Lead", 1, inside.now())]);
    assert_eq!(answer.text(), r#"{"ok":true,"pixel":"gate"}"#);
    tag
}

#[test]
fn a_clock_set_back_by_an_hour_holds_nothing_up() {
    let site = Site::answers(whole::html_answer());
    let inside = Inside::moved(site.address, "");
    let time = inside.now();
    let tag = held(&inside);
    // Due, tried in vain, waiting for its next try; nothing may be tried sooner while the clock stands.
    inside.graph.fail(Failure::Throttle(30), 1);
    inside.reported(&[whole::purchase("retried", time)]);
    assert!(inside.looks(|| inside.deliveries("meta", "retried") == 1));
    inside.reported(&[whole::purchase("waits", time)]);
    assert_eq!(inside.graph.requests(), 1);

    inside.clock.set(UnixMillis(inside.clock.now().0).minus(HOUR));
    for order in ["retried", "waits"] {
        let copies = inside.arrives(&format!("o.{order}"));
        assert_eq!((copies.len(), &copies[0].event["event_time"]), (1, &json!(time)), "{order}");
    }
    // Pages and events go on, by the new time.
    assert!(tag_of(&inside.ask("GET", "/mug", &suspect())).is_some());
    let time = inside.now();
    inside.reported(&[whole::purchase("back", time)]);
    assert_eq!(inside.arrives("o.back")[0].event["event_time"], json!(time));
    assert_eq!(inside.copies(&tag.page).len(), 0);
    inside.tell(&suspect(), &tag.token, &[json!({ "k": "proof", "facts": { "webdriver": false, "interaction": true } })]);
    assert_eq!(inside.arrives(&tag.page).len(), 1);
    assert!(inside.graph.requests() <= 6, "{} requests for four events", inside.graph.requests());
}

#[test]
fn a_clock_that_jumps_eight_days_ahead_loses_only_what_expires() {
    let site = Site::answers(whole::html_answer());
    let inside = Inside::moved(site.address, "");
    let time = inside.now();
    let tag = held(&inside);
    inside.graph.fail(Failure::Throttle(30), 1);
    inside.reported(&[whole::purchase("due", time)]);
    assert!(inside.looks(|| inside.deliveries("meta", "retried") == 1));

    inside.pass(Duration::from_hours(8 * 24));
    assert!(inside.looks(|| inside.deliveries("meta", "parked") == 1), "what was due is parked");
    assert!(inside.looks(|| inside.metric("clicksieve_spool_held") == Some(0)), "the hold has ended");
    assert_eq!(inside.metric("clicksieve_spool_due"), Some(0));
    let records = inside.records("o.due");
    assert!(records.iter().any(|record| record["decision"] == "parked" && record["outcome"] == "too_old"), "{records:?}");
    // Pages and events go on, by the new time.
    let page = inside.ask("GET", "/mug", &suspect());
    assert!(tag_of(&page).is_some(), "{}", page.text());
    let time = inside.now();
    inside.reported(&[whole::purchase("ahead", time)]);
    assert_eq!(inside.arrives("o.ahead")[0].event["event_time"], json!(time));
    assert_eq!((inside.copies("o.due").len(), inside.copies(&tag.page).len()), (0, 0));
    assert_eq!(inside.graph.requests(), 2);
}
