//! A table of every way in which a destination fails: what becomes of the event that meets it, and that nobody else's
//! events wait for it.

use std::time::Duration;

use clicksieve::clock::Clock;
use clicksieve::demo::graph::Account;
use clicksieve::demo::graph::Failure;
use clicksieve::demo::graph::Graph;
use secrecy::SecretString;
use serde_json::Value;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::harness::site::Site;
use crate::whole;
use crate::whole::inside::Inside;

const STEP: Duration = Duration::from_mins(20);
const HOUR: Duration = Duration::from_hours(1);

/// A way to fail, and what the event that met it goes through.
struct Case {
    name: &'static str,
    failure: Failure,
    /// The metric's outcome of the failure, and the reason in the record; a pause leaves no record of an event.
    outcome: (&'static str, Option<&'static str>),
    /// Copies at the destination in the end.
    copies: usize,
}

const fn retried(name: &'static str, failure: Failure, reason: &'static str) -> Case {
    Case { name, failure, outcome: ("retried", Some(reason)), copies: 1 }
}

const fn paused(name: &'static str, failure: Failure) -> Case {
    Case { name, failure, outcome: ("paused", None), copies: 1 }
}

const CASES: [Case; 17] = [
    retried("html-500", Failure::ServerError, "http_500"),
    retried("html-502", Failure::BadGateway, "http_502"),
    retried("html-200", Failure::NoJson, "unreadable_answer"),
    retried("silence", Failure::TimeOut, "timeout"),
    retried("drip", Failure::Drip, "timeout"),
    retried("truncated", Failure::Truncated, "broken_off"),
    retried("huge", Failure::Huge, "unreadable_answer"),
    retried("redirect", Failure::Redirect, "http_307"),
    retried("reset", Failure::Reset, "broken_off"),
    Case { name: "lost", failure: Failure::LostAnswer, outcome: ("retried", Some("broken_off")), copies: 2 },
    retried("throttle-80004", Failure::Throttle(5), "80004/2446079"),
    retried("limit-613", Failure::Code(613), "613"),
    retried("limit-4", Failure::Code(4), "4"),
    retried("service-2", Failure::Code(2), "2"),
    paused("blocked-368", Failure::Code(368)),
    paused("permission-200", Failure::Code(200)),
    paused("token-190", Failure::DeadToken),
];

fn pixel(case: usize) -> String {
    format!("7000000{case:04}")
}

/// A destination of its own for every case, and one more that is well.
fn stand(clock: &Clock) -> (Runtime, Vec<Graph>, Inside) {
    let runtime = Runtime::new().unwrap();
    let mock = |case| {
        let account = Account { pixel: pixel(case), token: SecretString::from(whole::TOKEN) };
        Graph::start("127.0.0.1:0".parse().unwrap(), vec![account], clock.clone())
    };
    let mocks: Vec<Graph> = (0..CASES.len()).map(|case| runtime.block_on(mock(case)).unwrap()).collect();
    let destination = |(case, mock): (usize, &Graph)| {
        format!(
            "  - {{ name: {}, pixel_id: \"{}\", access_token: \"${{META_TOKEN}}\", key: \"${{GRAPH_KEY}}\", host: \"{}\" }}\n",
            CASES[case].name,
            pixel(case),
            mock.url()
        )
    };
    let destinations = mocks.iter().enumerate().map(destination).collect::<Vec<_>>().concat();
    let inside =
        Inside::with(clock.clone(), Site::nobody(), |text| text.replace("graph: {", &format!("{destinations}graph: {{")));
    (runtime, mocks, inside)
}

/// Reports one paid order for a case's destination.
fn report(inside: &Inside, case: usize, time: u64) {
    let body = json!({ "data": [whole::purchase(CASES[case].name, time)], "access_token": whole::KEY });
    let url = format!("http://{}/v26.0/{}/events", inside.running.graph(), pixel(case));
    let status = inside.runtime.block_on(async { whole::client().post(url).json(&body).send().await.unwrap().status() });
    assert_eq!(status, 200, "{}", CASES[case].name);
}

#[test]
fn whatever_a_destination_does_its_event_arrives_as_it_was_and_no_other_waits() {
    let clock = Clock::moved(Clock::system().now());
    let (_runtime, mocks, inside) = stand(&clock);
    let time = inside.now();
    for (case, mock) in mocks.iter().enumerate() {
        mock.fail(CASES[case].failure, 1);
        report(&inside, case, time);
    }
    assert!(inside.looks(|| mocks.iter().all(|mock| mock.requests() == 1)), "each destination was asked once");
    // The clock stands still, so all of them wait; the one that is well does not.
    inside.reported(&[whole::purchase("well", time)]);
    assert_eq!(inside.arrives("o.well").len(), 1);

    let arrived = |case: &Case, mock: &Graph| mock.taken().len() >= case.copies;
    let all = |_: &[_]| CASES.iter().zip(&mocks).all(|(case, mock)| arrived(case, mock));
    assert!(inside.moves_until(STEP, all), "missing: {:?}", missing(&mocks));
    for (case, mock) in CASES.iter().zip(&mocks) {
        assert!(inside.looks(|| inside.deliveries(case.name, "delivered") == 1), "{}", case.name);
        let taken = mock.taken();
        assert_eq!(taken.len(), case.copies, "{}", case.name);
        for copy in &taken {
            assert_eq!(copy.event, taken[0].event, "{}", case.name);
            assert_eq!((copy.text("event_id"), &copy.event["event_time"]), (&*format!("o.{}", case.name), &json!(time)));
        }
        assert_eq!((mock.requests(), mock.refused()), (2, vec![]), "{}: one try failed, the next did not", case.name);
        let (outcome, reason) = case.outcome;
        assert_eq!(inside.deliveries(case.name, outcome), 1, "{}", case.name);
        assert_eq!(inside.deliveries(case.name, "parked"), 0, "{}", case.name);
        if let Some(reason) = reason {
            let records = inside.records(&format!("o.{}", case.name));
            let tries: Vec<&Value> = records.iter().filter(|record| record["decision"] == "retried").collect();
            assert_eq!(tries.iter().map(|record| &record["outcome"]).collect::<Vec<_>>(), [reason], "{}", case.name);
        }
    }
    assert_eq!(inside.metric("clicksieve_spool_due"), Some(0));
}

fn missing(mocks: &[Graph]) -> Vec<&'static str> {
    CASES.iter().zip(mocks).filter(|(case, mock)| mock.taken().len() < case.copies).map(|(case, _)| case.name).collect()
}

#[test]
fn one_poisoned_event_among_a_thousand_is_parked_and_the_others_arrive_once() {
    let inside = Inside::moved(Site::nobody(), "");
    let time = inside.now();
    inside.graph.poison("o.637");
    let events: Vec<Value> = (0..1_000).map(|order| whole::purchase(&order.to_string(), time)).collect();
    inside.reported(&events);
    assert!(inside.looks(|| inside.deliveries("meta", "delivered") == 999 && inside.deliveries("meta", "parked") == 1));
    let mut ids: Vec<String> = inside.graph.taken().iter().map(|taken| taken.text("event_id").to_owned()).collect();
    assert_eq!(ids.len(), 999);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 999, "none came twice");
    assert!(!ids.iter().any(|id| id == "o.637"));
    let records = inside.records("o.637");
    let parked = records.iter().find(|record| record["decision"] == "parked").expect("a record");
    assert_eq!(parked["outcome"], "100/2804009", "{parked}");
    assert_eq!(inside.metric("clicksieve_spool_parked"), Some(1));
    // Ten batches, and the halves of one.
    assert!(inside.graph.requests() <= 25, "{}", inside.graph.requests());
}

#[test]
fn a_token_that_is_dead_for_six_hours_loses_nothing_and_is_tried_with_one_event_an_hour() {
    let inside = Inside::moved(Site::nobody(), "");
    inside.graph.fail_always(Some(Failure::DeadToken));
    let mut times = Vec::new();
    for hour in 0..6_usize {
        times.push(inside.now());
        inside.reported(&[whole::purchase(&format!("hour-{hour}"), times[hour])]);
        let asked = hour as u64 + 1;
        let tried = inside.looks_and_moves(HOUR, || inside.graph.requests() == asked);
        assert!(tried, "{} requests in hour {hour}", inside.graph.requests());
        assert!(inside.looks(|| inside.deliveries("meta", "paused") == 1));
        inside.pass(HOUR);
    }
    assert!(inside.looks_and_moves(HOUR, || inside.graph.requests() == 7));
    assert_eq!((inside.graph.taken().len(), inside.metric("clicksieve_spool_due")), (0, Some(6)));
    inside.graph.fail_always(None);
    assert!(inside.moves_until(HOUR, |all| all.len() == 6));
    for (hour, time) in times.iter().enumerate() {
        let copies = inside.copies(&format!("o.hour-{hour}"));
        assert_eq!((copies.len(), &copies[0].event["event_time"]), (1, &json!(time)));
    }
}

#[test]
fn after_a_day_of_downtime_events_arrive_and_those_past_seven_days_expire_visibly() {
    let inside = Inside::moved(Site::nobody(), "");
    let time = inside.now();
    let old = time - 6 * 86_400;
    inside.graph.fail_always(Some(Failure::BadGateway));
    inside.reported(&[whole::purchase("old", old), whole::purchase("new", time)]);
    assert!(inside.looks(|| inside.deliveries("meta", "retried") == 2));
    let inside = inside.stopped_for(Duration::from_hours(12));
    assert!(inside.looks(|| inside.deliveries("meta", "retried") == 2), "it is still down");
    inside.pass(Duration::from_hours(13));
    assert!(inside.looks(|| inside.deliveries("meta", "parked") == 1), "what is too old is parked");
    assert_eq!(inside.metric("clicksieve_spool_parked"), Some(1));
    let records = inside.records("o.old");
    let parked = records.iter().find(|record| record["decision"] == "parked").expect("a record");
    assert_eq!(parked["outcome"], "too_old", "{parked}");
    inside.graph.fail_always(None);
    let copies = inside.arrives_after("o.new", STEP);
    assert_eq!((copies.len(), &copies[0].event["event_time"]), (1, &json!(time)));
    assert_eq!(inside.copies("o.old").len(), 0);
}
