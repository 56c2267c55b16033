//! Which server a request goes to, and where it goes when that one fails it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clicksieve::proxy::HostField;
use clicksieve::proxy::servers::Group;

use crate::door::until;
use crate::harness::site::Site;
use crate::harness::visitor::Visitor;
use crate::servers::OK;
use crate::servers::POST;
use crate::servers::Stand;
use crate::servers::group;
use crate::servers::shop;

/// Reads a request with its body and closes without a word.
fn breaks_off() -> Site {
    Site::start(|talk, _| {
        let head = talk.head().unwrap_or_default();
        talk.body(if head.starts_with("POST") { 3 } else { 0 });
    })
}

/// Answers `GET` and `POST`, the latter with three bytes of body.
fn answers() -> Site {
    Site::start(|talk, _| {
        while let Some(head) = talk.head() {
            talk.body(if head.starts_with("POST") { 3 } else { 0 });
            talk.say(OK);
        }
    })
}

#[test]
fn weights_give_the_share_exactly_and_spread_it() {
    let sites = [answers(), answers(), answers()];
    let stand = Stand::new(group(&[(sites[0].address, 5), (sites[1].address, 1), (sites[2].address, 2)]));
    let mut visitor = Visitor::connect(stand.front.address);
    for round in 1..=10 {
        for _ in 0..8 {
            assert_eq!(visitor.get("/").status, 200);
        }
        assert_eq!(sites.each_ref().map(|site| site.heads().len()), [5 * round, round, 2 * round]);
    }
}

#[test]
fn a_dead_server_takes_no_request_down_and_rests_after_three() {
    let (site, dead) = (answers(), Site::nobody());
    let stand = Stand::new(group(&[(dead, 1), (site.address, 1)]));
    let mut visitor = Visitor::connect(stand.front.address);
    for _ in 0..10 {
        assert_eq!((visitor.get("/").status, visitor.ask(POST).status), (200, 200));
    }
    assert_eq!((site.heads().len(), stand.state(dead), stand.state(site.address)), (20, "resting", "in"));
    assert_eq!((stand.metrics.upstream_retries.get(), stand.report(dead).seen.unwrap().why.as_deref()), (3, Some("unreachable")));
    let text = stand.metrics.expose();
    assert!(text.contains(&format!("clicksieve_upstream_up{{server=\"{dead}\"}} 0")), "{text}");
    assert!(text.contains(&format!("clicksieve_upstream_up{{server=\"{}\"}} 1", site.address)), "{text}");
}

#[test]
fn a_safe_request_whose_connection_breaks_unanswered_goes_to_another_server() {
    let (site, broken) = (answers(), breaks_off());
    let stand = Stand::new(group(&[(broken.address, 1), (site.address, 1)]));
    let mut visitor = Visitor::connect(stand.front.address);
    for _ in 0..10 {
        assert_eq!(visitor.get("/").status, 200);
    }
    assert_eq!((site.heads().len(), broken.heads().len(), stand.state(broken.address)), (10, 3, "resting"));
}

#[test]
fn a_post_that_may_have_been_sent_is_never_sent_again() {
    let (site, broken) = (answers(), breaks_off());
    let stand = Stand::new(Group { failures: 100, ..group(&[(broken.address, 1), (site.address, 1)]) });
    let mut visitor = Visitor::connect(stand.front.address);
    let statuses: Vec<u16> = (0..6).map(|_| visitor.ask(POST).status).collect();
    assert_eq!(statuses, [502, 200, 502, 200, 502, 200]);
    assert_eq!((site.heads().len(), broken.heads().len(), stand.metrics.upstream_retries.get()), (3, 3, 0));
}

#[test]
fn a_server_that_stops_while_its_connections_are_kept_is_unseen() {
    let site = answers();
    let stopped = Arc::new(AtomicBool::new(false));
    let stops = {
        let stopped = Arc::clone(&stopped);
        Site::start(move |talk, _| {
            while !stopped.load(Ordering::SeqCst) && talk.head().is_some() && !stopped.load(Ordering::SeqCst) {
                talk.say(OK);
            }
        })
    };
    let stand = Stand::new(group(&[(stops.address, 1), (site.address, 1)]));
    let mut visitor = Visitor::connect(stand.front.address);
    for round in 0..20 {
        stopped.store(round >= 10, Ordering::SeqCst);
        assert_eq!(visitor.get("/").status, 200, "{round}");
    }
    assert_eq!((stand.state(stops.address), stand.errors("broken")), ("resting", 0));
}

#[test]
fn the_last_server_is_asked_however_it_stands() {
    let site = Site::start(|talk, number| {
        talk.head();
        if number > 1 {
            talk.say(OK);
        }
    });
    let dead = Site::nobody();
    let stand = Stand::new(Group { failures: 1, ..group(&[(site.address, 1), (dead, 1)]) });
    let mut visitor = Visitor::connect(stand.front.address);
    // Broken once by each, so that both rest for an hour.
    assert_eq!(visitor.get("/").status, 502);
    assert_eq!((stand.state(site.address), stand.state(dead)), ("resting", "resting"));
    let statuses: Vec<u16> = (0..3).map(|_| visitor.get("/").status).collect();
    assert!(statuses.contains(&200), "{statuses:?}");
    assert_eq!(stand.state(site.address), "in");
}

#[test]
fn a_request_is_sent_to_four_servers_at_most() {
    let dead: Vec<_> = (0..6).map(|_| (Site::nobody(), 1)).collect();
    let stand = Stand::new(Group { failures: 100, ..group(&dead) });
    assert_eq!(Visitor::connect(stand.front.address).get("/").status, 502);
    assert_eq!((stand.metrics.upstream_retries.get(), stand.errors("unreachable")), (3, 1));
}

#[test]
fn a_rested_server_is_tried_by_one_request_and_back_when_it_answers() {
    let well = Arc::new(AtomicBool::new(false));
    let (site, ill) = (answers(), {
        let well = Arc::clone(&well);
        Site::start(move |talk, _| {
            while talk.head().is_some() && well.load(Ordering::SeqCst) {
                talk.say(OK);
            }
        })
    });
    let group = Group { failures: 1, rest: Duration::from_millis(20), ..group(&[(ill.address, 1), (site.address, 1)]) };
    let stand = Stand::new(group);
    let mut visitor = Visitor::connect(stand.front.address);
    assert_eq!((visitor.get("/").status, stand.state(ill.address)), (200, "resting"));
    well.store(true, Ordering::SeqCst);
    until(|| visitor.get("/").status == 200 && stand.state(ill.address) == "in");
    assert_eq!(stand.report(ill.address).seen.unwrap().why, None);
}

#[test]
fn a_websocket_opens_at_another_server_where_one_is_dead() {
    let site = Site::start(|talk, _| {
        talk.head();
        talk.say("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\nhello");
        talk.rest();
    });
    let stand = Stand::new(group(&[(Site::nobody(), 1), (site.address, 1)]));
    let mut visitor = Visitor::connect(stand.front.address);
    let answer = visitor.ask("GET / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n");
    assert_eq!((answer.status, &visitor.exactly(5)[..]), (101, &b"hello"[..]));
}

#[test]
fn each_server_is_told_its_own_name_where_that_is_wanted() {
    let sites = [answers(), answers()];
    let mut shop = shop(group(&[(sites[0].address, 1), (sites[1].address, 1)]));
    shop.host = HostField::Upstream;
    let stand = Stand::of(vec![shop], 1);
    let mut visitor = Visitor::connect(stand.front.address);
    for _ in 0..4 {
        assert_eq!(visitor.get("/").status, 200);
    }
    for site in &sites {
        let heads = site.heads();
        assert!(heads.len() == 2 && heads.iter().all(|head| head.contains(&format!("host: {}\r\n", site.address))), "{heads:?}");
        assert!(heads.iter().all(|head| head.contains("x-forwarded-host: shop.example\r\n")), "{heads:?}");
    }
}
