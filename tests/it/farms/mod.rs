//! Three click farms among two thousand buyers, simulated over one day through the whole process: what becomes of the farms'
//! clicks and events, and which buyers are hurt. The day's numbers (`parameters`) were fixed before it first ran.

mod buyers;
mod count;
mod crews;
mod devices;
mod dice;
mod driver;
mod parameters;
mod places;
mod plan;

use std::thread;
use std::time::Duration;

use clicksieve::verdict::Band;

use crate::farms::count::Count;
use crate::farms::crews::Farm;
use crate::farms::plan::Plan;
use crate::harness::site::Site;
use crate::whole;
use crate::whole::inside::Inside;

/// How far the clock goes on at a time after the day, until no event waits any more.
const AFTERWARDS: Duration = Duration::from_hours(12);

/// A shop with pages and one picture.
fn site() -> Site {
    let page = whole::html_answer();
    Site::start(move |talk, _| {
        while let Some(head) = talk.head() {
            if head.starts_with("GET /img/") {
                talk.say("HTTP/1.1 200 OK\r\ncontent-type: image/webp\r\ncontent-length: 4\r\n\r\nRIFF");
            } else {
                talk.say(&page);
            }
        }
    })
}

/// A day with that farm in it, and the days after until all is settled.
fn day(farm: Farm, mut plan: Plan) -> Count {
    farm.joins(&mut plan);
    let plan = plan.in_order();
    let site = site();
    let inside = Inside::moved(site.address, "");
    let done = driver::plays(&inside, &plan);
    let waits = |name: &str| inside.metric(name).unwrap_or(0) > 0;
    let settled = inside.moves_until(AFTERWARDS, |_| !waits("clicksieve_spool_due") && !waits("clicksieve_spool_held"));
    assert!(settled, "events wait for ever beside {}", farm.name());
    count::day(farm, &inside, &plan, done)
}

#[test]
fn beside_no_farm_is_a_buyers_purchase_lost_or_an_event_told_twice() {
    let counts: Vec<Count> = thread::scope(|scope| {
        let days: Vec<_> = Farm::ALL.into_iter().map(|farm| scope.spawn(move || day(farm, buyers::day()))).collect();
        days.into_iter().map(|day| day.join().unwrap()).collect()
    });
    println!("{}", count::table(&counts));
    for count in &counts {
        let Count { farm, requests, networks, refused, unheard, .. } = count;
        println!("{}: {requests} requests, from {networks:?}, refused {refused:?}, unheard {unheard:?}", farm.name());
    }
    let from: Vec<&str> = counts[0].networks.keys().map(String::as_str).collect();
    assert_eq!(from, ["mobile_carrier"], "the slow farm's phones are on a carrier");
    for count in &counts {
        assert_eq!(count.lost, [""; 0], "beside {}", count.farm.name());
        assert_eq!(count.repeated, [""; 0], "beside {}", count.farm.name());
    }
}

#[test]
fn programs_under_their_own_name_are_counted_as_none_of_the_buyers() {
    let count = day(Farm::Plain, Plan::default());
    let (clicks, events) = (count.all_clicks(), count.all_events());
    assert!(clicks.all() > 100 && events.bands.all() > 5, "{clicks:?} {events:?}");
    assert_eq!(clicks.above(Band::Suspect), clicks.all(), "{clicks:?}");
    assert_eq!((events.bands.above(Band::Suspect), events.kept_back), (events.bands.all(), events.bands.all()), "{events:?}");
    assert_eq!(count.buyers_visits.all(), 0);
}
