//! Trouble around a running process: a full spool, a site that is gone, and every way in which the destination fails. Pages
//! are served, what was taken is delivered under its own id and time, and what cannot be kept is refused in time.

use std::time::Duration;

use clicksieve::demo::graph::Failure;
use serde_json::Value;
use serde_json::json;

use crate::harness::site::Site;
use crate::whole;
use crate::whole::inside::Inside;
use crate::whole::pages;

const TWO_HOURS: Duration = Duration::from_hours(2);

/// Reports batches, then single events, until even one of them is refused; how many were taken, and the refusal.
fn fill(inside: &Inside) -> (usize, (u16, Option<String>, Value)) {
    let (now, mut taken, mut size) = (inside.now(), 0, 50);
    for _ in 0..2_000 {
        let events: Vec<Value> = (taken..taken + size).map(|event| whole::purchase(&format!("full-{event}"), now)).collect();
        match inside.report(&events) {
            (200, ..) => taken += size,
            refusal if size == 1 => return (taken, refusal),
            _ => size = 1,
        }
    }
    panic!("the spool never filled");
}

#[test]
fn a_full_spool_refuses_events_at_both_doors_and_serves_pages() {
    let site = Site::answers(whole::html_answer());
    let inside = Inside::moved(site.address, "limits: { spool_bytes: 300KB }\n");
    let before = inside.ask("GET", "/mug", &pages::chrome());
    let tag = pages::tag_of(&before).unwrap();
    // Nothing leaves the spool while the token is dead.
    inside.graph.fail(Failure::DeadToken, 1);
    let (taken, (status, after, body)) = fill(&inside);
    assert!(taken >= 50, "{taken}");
    assert_eq!((status, body["error"]["is_transient"].as_bool()), (503, Some(true)), "{body}");
    let seconds: u32 = after.expect("Retry-After").parse().unwrap();
    assert!(seconds > 0);

    let event = whole::tag_event(&tag.page, "PageView", 1, inside.now());
    let answer = inside.tell(&pages::chrome(), &tag.token, std::slice::from_ref(&event));
    assert_eq!((answer.status, answer.field("retry-after").is_some()), (503, true), "{}", answer.text());
    let page = inside.ask("GET", "/mug", &pages::chrome());
    assert_eq!(page.status, 200);
    assert!(pages::tag_of(&page).is_some(), "{}", page.text());

    // The token works again: everything that was taken arrives, and there is room again.
    let last = inside.arrives_after(&format!("o.full-{}", taken - 1), TWO_HOURS);
    assert_eq!(last.len(), 1);
    assert!(inside.runtime.block_on(inside.graph.until(|all| all.len() >= taken, whole::ARRIVAL)));
    assert_eq!(inside.graph.taken().len(), taken);
    let answer = inside.tell(&pages::chrome(), &tag.token, &[event]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    inside.arrives(&tag.page);
}

#[test]
fn a_site_that_is_gone_is_a_502_and_events_are_still_taken_and_delivered() {
    // The first connection is answered once; all others end without an answer.
    let site = Site::start(|talk, number| {
        if number == 0 && talk.head().is_some() {
            talk.say(whole::html_answer());
        }
    });
    let inside = Inside::start(site.address, "");
    let tag = pages::tag_of(&inside.ask("GET", "/mug", &pages::chrome())).unwrap();
    let gone = inside.ask("GET", "/mug", &pages::chrome());
    assert_eq!(gone.status, 502, "{}", gone.text());
    assert!(pages::tag_of(&gone).is_none());

    let event = whole::tag_event(&tag.page, "PageView", 1, inside.now());
    let answer = inside.tell(&pages::chrome(), &tag.token, &[event]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    inside.reported(&[whole::purchase("without-a-site", inside.now())]);
    assert_eq!(inside.arrives(&tag.page).len(), 1);
    assert_eq!(inside.arrives("o.without-a-site").len(), 1);
}

#[test]
fn whatever_way_the_destination_fails_an_event_arrives_later_as_it_was() {
    let inside = Inside::moved(Site::nobody(), "");
    let failures = [
        ("error", Failure::ServerError),
        ("reset", Failure::Reset),
        ("silence", Failure::TimeOut),
        ("throttle", Failure::Throttle(5)),
        ("token", Failure::DeadToken),
    ];
    for (order, failure) in failures {
        let time = inside.now();
        inside.graph.fail(failure, 1);
        inside.reported(&[whole::purchase(order, time)]);
        let copies = inside.arrives_after(&format!("o.{order}"), TWO_HOURS);
        assert_eq!(copies.len(), 1, "{order}");
        assert_eq!(copies[0].event["event_time"], json!(time), "{order}");
    }
    assert_eq!(inside.graph.taken().len(), failures.len());
}

#[test]
fn an_answer_that_was_lost_sends_the_event_again_under_the_same_id() {
    let inside = Inside::moved(Site::nobody(), "");
    let time = inside.now();
    inside.graph.fail(Failure::LostAnswer, 1);
    inside.reported(&[whole::purchase("lost", time)]);
    assert!(inside.moves_until(TWO_HOURS, |all| all.len() == 2));
    let copies = inside.copies("o.lost");
    assert_eq!(copies.len(), 2);
    assert_eq!(copies[0].event, copies[1].event);
}
