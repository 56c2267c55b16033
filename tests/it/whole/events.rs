//! The way of an event through the whole process: observed, held, released, suppressed, renamed, merged, waiting for consent.

use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use crate::harness::site::Site;
use crate::whole;
use crate::whole::inside::Inside;
use crate::whole::pages::chrome;
use crate::whole::pages::chrome_from;
use crate::whole::pages::cookies;
use crate::whole::pages::jar;
use crate::whole::pages::tag_of;

const CLICK: &str = "/mug?fbclid=IwZXh0bgNhZW0BMABhZGlkAasVg1yQ2aQBHSx_k-9Q_aem_AbCdEf0123456789&utm_content=ad-7";

fn site() -> Site {
    Site::answers(whole::html_answer())
}

fn proof(webdriver: bool) -> Value {
    json!({ "k": "proof", "facts": { "webdriver": webdriver, "interaction": !webdriver } })
}

fn order(tag_page: &str, order: &str, time: u64) -> Value {
    let mut event = whole::tag_event(tag_page, "Purchase", 1, time);
    event["id"] = json!(format!("o.{order}"));
    event["params"] = json!({ "value": 11.5, "currency": "EUR", "order_id": order });
    event
}

/// A headless browser's header lines.
fn headless() -> String {
    chrome().replace(" Chrome/", " HeadlessChrome/")
}

/// Somebody at a hosting network's address (30 points, a suspect) with a browser's fields.
fn suspect() -> String {
    chrome_from("5.9.61.22")
}

/// Told in order, this one is at the mock only after everything due before it.
fn settle(inside: &Inside, order: &str) {
    inside.reported(&[whole::purchase(order, inside.now())]);
    inside.arrives(&format!("o.{order}"));
}

#[test]
fn observing_changes_nothing_and_records_what_would_have_been() {
    let clock = clicksieve::clock::Clock::system();
    let site = site();
    let inside = Inside::with(clock, site.address, |text| text.replace("mode: warn", "mode: observe"));
    let tag = tag_of(&inside.ask("GET", CLICK, &headless())).unwrap();
    assert_eq!(tag.pixel, "leave");
    let event = whole::tag_event(&tag.page, "Lead", 1, inside.now());
    let answer = inside.tell(&headless(), &tag.token, &[proof(true), event]);
    assert_eq!(answer.text(), r#"{"ok":true,"pixel":"leave"}"#);
    assert_eq!(inside.arrives(&tag.page).len(), 1);
    // The attempt to deliver may be recorded before the decision.
    let decided = inside.records(&tag.page).into_iter().find(|record| record["score"].is_number()).unwrap();
    assert_eq!((&decided["decision"], &decided["shadow"]), (&json!("forward"), &json!("suppress")), "{decided}");
}

#[test]
fn a_suspects_events_wait_for_proof_and_leave_under_the_same_id() {
    let site = site();
    let inside = Inside::start(site.address, "");
    let tag = tag_of(&inside.ask("GET", CLICK, &suspect())).unwrap();
    assert_eq!(tag.pixel, "gate");
    let time = inside.now();
    let answer = inside.tell(&suspect(), &tag.token, &[whole::tag_event(&tag.page, "Lead", 1, time)]);
    assert_eq!(answer.text(), r#"{"ok":true,"pixel":"gate"}"#);
    settle(&inside, "before-proof");
    assert_eq!(inside.copies(&tag.page).len(), 0);
    assert_eq!(inside.records(&tag.page)[0]["decision"], "hold");

    let answer = inside.tell(&suspect(), &tag.token, &[proof(false)]);
    assert_eq!(answer.text(), r#"{"ok":true,"pixel":"leave"}"#);
    let copies = inside.arrives(&tag.page);
    assert_eq!((copies.len(), &copies[0].event["event_time"]), (1, &json!(time)));
}

#[test]
fn a_suspect_who_never_proves_anything_converts_nothing() {
    let site = site();
    let inside = Inside::moved(site.address, "");
    let tag = tag_of(&inside.ask("GET", CLICK, &suspect())).unwrap();
    inside.tell(&suspect(), &tag.token, &[whole::tag_event(&tag.page, "Lead", 1, inside.now())]);
    inside.pass(Duration::from_mins(16));
    // The sweep ends the hold; from then on proof comes too late.
    let over = || inside.admin("/metrics").lines().any(|line| line == "clicksieve_spool_held 0");
    assert!(inside.looks(over), "it is held still");
    inside.tell(&suspect(), &tag.token, &[proof(false)]);
    settle(&inside, "after-the-hold");
    assert_eq!(inside.copies(&tag.page).len(), 0);
}

#[test]
fn a_page_fetched_ahead_becomes_a_visit_when_its_script_runs() {
    let site = site();
    let inside = Inside::start(site.address, "");
    let ahead = format!("{}sec-purpose: prefetch\r\n", chrome());
    let page = inside.ask("GET", CLICK, &ahead);
    assert_eq!(cookies(&page), [""; 0]);
    let tag = tag_of(&page).unwrap();
    assert_eq!(tag.pixel, "gate");
    let answer = inside.tell(&chrome(), &tag.token, &[proof(false), whole::tag_event(&tag.page, "PageView", 1, inside.now())]);
    assert_eq!(answer.text(), r#"{"ok":true,"pixel":"leave"}"#);
    assert_eq!(inside.arrives(&tag.page).len(), 1);
}

#[test]
fn a_robot_sheds_nothing_by_asking_for_its_page_ahead_of_time() {
    let site = site();
    let inside = Inside::start(site.address, "");
    // Chrome never opens a page so: not a navigation, without languages, with another's hints.
    let lines =
        chrome().replace("sec-fetch-mode: navigate", "sec-fetch-mode: cors").replace("accept-language: en-GB,en;q=0.9\r\n", "");
    let plainly = tag_of(&inside.ask("GET", CLICK, &lines)).unwrap();
    let ahead = tag_of(&inside.ask("GET", CLICK, &format!("{lines}sec-purpose: prefetch\r\n"))).unwrap();
    for tag in [&plainly, &ahead] {
        inside.tell(&lines, &tag.token, &[proof(false), whole::tag_event(&tag.page, "PageView", 1, inside.now())]);
    }
    // An attempt to deliver may be recorded before the decision.
    let score = |records: Vec<Value>| records.into_iter().find_map(|record| record["score"].as_u64());
    let [plainly, ahead] = [plainly, ahead].map(|tag| score(inside.records(&tag.page)));
    assert!(plainly.is_some_and(|score| score >= 15), "{plainly:?}");
    assert_eq!(plainly, ahead);
}

#[test]
fn a_robots_paid_order_is_renamed_and_its_other_events_are_never_sent() {
    let site = site();
    let inside = Inside::start(site.address, "");
    let tag = tag_of(&inside.ask("GET", CLICK, &headless())).unwrap();
    assert_eq!(tag.pixel, "withhold");
    let now = inside.now();
    let items = [proof(true), whole::tag_event(&tag.page, "Lead", 1, now), order(&tag.page, "robot-1", now)];
    inside.tell(&headless(), &tag.token, &items);
    let mut paid = whole::purchase("robot-1", now);
    paid["user_data"]["client_ip_address"] = json!("73.162.40.19");
    inside.reported(&[paid]);
    let copies = inside.arrives("o.robot-1");
    assert_eq!(copies.len(), 1);
    let event = &copies[0].event;
    assert_eq!(event["event_name"], "PurchaseUnverified", "{event}");
    assert!(event["user_data"].get("fbc").is_none(), "{event}");
    assert!(event["custom_data"]["traffic_quality"].is_string(), "{event}");
    settle(&inside, "after-the-robot");
    assert_eq!(inside.copies(&tag.page).len(), 0);
    assert_eq!(inside.copies("o.robot-1").len(), 1);
}

#[test]
fn two_halves_of_one_order_are_one_event_whichever_comes_first() {
    let site = site();
    let inside = Inside::start(site.address, "");
    let tag = tag_of(&inside.ask("GET", CLICK, &chrome())).unwrap();
    let now = inside.now();
    inside.tell(&chrome(), &tag.token, &[proof(false), order(&tag.page, "both-1", now)]);
    inside.reported(&[whole::purchase("both-1", now)]);
    inside.reported(&[whole::purchase("both-2", now)]);
    inside.tell(&chrome(), &tag.token, &[order(&tag.page, "both-2", now)]);
    inside.arrives("o.both-1");
    inside.arrives("o.both-2");
    settle(&inside, "after-both");
    assert_eq!((inside.copies("o.both-1").len(), inside.copies("o.both-2").len()), (1, 1));
    let decisions: Vec<Value> = inside.records("o.both-1").iter().map(|record| record["decision"].clone()).collect();
    assert!(decisions.contains(&json!("copy")), "{decisions:?}");
}

#[test]
fn nothing_is_measured_before_the_visitor_agrees() {
    let site = site();
    let inside = Inside::start(site.address, "consent: required\n");
    let page = inside.ask("GET", CLICK, &chrome());
    assert_eq!(cookies(&page), [""; 0]);
    assert!(page.text().replace("&quot;", "\"").contains("\"c\":\"waiting\""), "{}", page.text());
    let tag = tag_of(&page).unwrap();
    let now = inside.now();
    let answer = inside.tell(&chrome(), &tag.token, &[proof(false), whole::tag_event(&tag.page, "PageView", 1, now)]);
    assert_eq!(cookies(&answer), [""; 0]);
    settle(&inside, "before-consent");
    assert_eq!(inside.copies(&tag.page).len(), 0);

    let granted = inside.tell(&chrome(), &tag.token, &[json!({ "k": "consent", "state": "granted" })]);
    assert_eq!(cookies(&granted), ["_cs_v", "_fbc", "_fbp"]);
    let lines = format!("{}{}", chrome(), jar(&granted));
    inside.tell(&lines, &tag.token, &[whole::tag_event(&tag.page, "Lead", 1, now)]);
    let copies = inside.arrives(&tag.page);
    assert_eq!((copies.len(), copies[0].text("event_name")), (1, "Lead"));
    assert!(copies[0].event["user_data"]["fbp"].is_string() && copies[0].event["user_data"]["fbc"].is_string());

    // The next page knows it by the cookie.
    let next = inside.ask("GET", "/mug", &lines);
    assert!(next.text().replace("&quot;", "\"").contains("\"c\":\"granted\""), "{}", next.text());
    let tag = tag_of(&next).unwrap();
    inside.tell(&lines, &tag.token, &[whole::tag_event(&tag.page, "PageView", 1, now)]);
    inside.arrives(&tag.page);
}

#[test]
fn global_privacy_control_limits_what_meta_may_do() {
    let site = site();
    let inside = Inside::start(site.address, "");
    let lines = format!("{}sec-gpc: 1\r\n", chrome());
    let tag = tag_of(&inside.ask("GET", CLICK, &lines)).unwrap();
    inside.tell(&lines, &tag.token, &[whole::tag_event(&tag.page, "PageView", 1, inside.now())]);
    let event = inside.arrives(&tag.page).remove(0).event;
    assert_eq!(event["data_processing_options"], json!(["LDU"]));
    assert_eq!((&event["data_processing_options_country"], &event["data_processing_options_state"]), (&json!(0), &json!(0)));
}

#[test]
fn a_page_fetched_ahead_converts_nothing_without_its_script() {
    let site = site();
    let inside = Inside::start(site.address, "");
    let ahead = format!("{}sec-purpose: prefetch\r\n", chrome());
    let tag = tag_of(&inside.ask("GET", CLICK, &ahead)).unwrap();
    inside.tell(&chrome(), &tag.token, &[whole::tag_event(&tag.page, "PageView", 1, inside.now())]);
    settle(&inside, "after-the-prefetch");
    assert_eq!(inside.copies(&tag.page).len(), 0);
    assert_eq!(inside.records(&tag.page)[0]["decision"], "suppress");
}

#[test]
fn a_paid_order_vouches_for_what_its_visit_did_before() {
    let site = site();
    let inside = Inside::start(site.address, "");
    let tag = tag_of(&inside.ask("GET", CLICK, &suspect())).unwrap();
    let now = inside.now();
    inside.tell(&suspect(), &tag.token, &[whole::tag_event(&tag.page, "Lead", 1, now), order(&tag.page, "paid-1", now)]);
    settle(&inside, "before-the-payment");
    assert_eq!((inside.copies(&tag.page).len(), inside.copies("o.paid-1").len()), (0, 0));
    inside.reported(&[whole::purchase("paid-1", now)]);
    assert_eq!(inside.arrives("o.paid-1").len(), 1);
    assert_eq!(inside.arrives(&tag.page).len(), 1);
}

#[test]
fn a_script_that_admits_a_robot_ends_what_was_held() {
    let site = site();
    let inside = Inside::start(site.address, "");
    let tag = tag_of(&inside.ask("GET", CLICK, &suspect())).unwrap();
    let now = inside.now();
    inside.tell(&suspect(), &tag.token, &[whole::tag_event(&tag.page, "Lead", 1, now)]);
    let answer = inside.tell(&suspect(), &tag.token, &[proof(true)]);
    assert_eq!(answer.text(), r#"{"ok":true,"pixel":"withhold"}"#);
    // What it claims later changes nothing.
    inside.tell(&suspect(), &tag.token, &[proof(false), whole::tag_event(&tag.page, "Lead", 2, now)]);
    settle(&inside, "after-the-robot");
    let second = format!("{}.2", tag.page);
    assert_eq!((inside.copies(&tag.page).len(), inside.copies(&second).len()), (0, 0));
}
