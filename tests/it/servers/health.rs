//! Checks: a server that fails them is asked no more, and again when it passes them; they end with their servers.

use std::sync::Arc;
use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clicksieve::proxy::servers::Group;
use clicksieve::proxy::servers::Health;
use tokio::runtime::Runtime;

use crate::door::until;
use crate::harness::site::Site;
use crate::harness::visitor::Visitor;
use crate::servers::OK;
use crate::servers::Stand;
use crate::servers::group;
use crate::servers::shop;

/// Answers checks with the status that stands there; everything else is well.
fn checked(status: &Arc<AtomicU16>) -> Site {
    let status = Arc::clone(status);
    Site::start(move |talk, _| {
        while let Some(head) = talk.head() {
            if is_check(&head) {
                talk.say(format!("HTTP/1.1 {} Found\r\ncontent-length: 0\r\n\r\n", status.load(Ordering::SeqCst)));
            } else {
                talk.say(OK);
            }
        }
    })
}

fn often() -> Health {
    Health { every: Duration::from_millis(10), ..Health::of("/up".to_owned()) }
}

fn is_check(head: &str) -> bool {
    head.starts_with("GET /up ")
}

fn checks(site: &Site) -> usize {
    site.heads().iter().filter(|head| is_check(head)).count()
}

#[test]
fn a_server_that_fails_its_checks_is_asked_no_more_until_it_passes_them() {
    let status = Arc::new(AtomicU16::new(302));
    let (ill, well) = (checked(&status), checked(&Arc::new(AtomicU16::new(200))));
    let stand = Stand::new(Group { health: Some(often()), ..group(&[(ill.address, 1), (well.address, 1)]) });
    let runtime = Runtime::new().unwrap();
    runtime.spawn(stand.directory.watch());
    let mut visitor = Visitor::connect(stand.front.address);
    // Of one look, as the checks go on.
    let pages = |site: &Site| site.heads().iter().filter(|head| !is_check(head)).count();
    until(|| checks(&ill) > 4 && checks(&well) > 4);
    assert_eq!((stand.state(ill.address), visitor.get("/").status, visitor.get("/").status), ("in", 200, 200));
    assert_eq!((pages(&ill), pages(&well)), (1, 1));
    status.store(503, Ordering::SeqCst);
    until(|| stand.state(ill.address) == "down");
    assert_eq!(stand.report(ill.address).seen.unwrap().why.as_deref(), Some("answered 503"));
    assert!(stand.metrics.expose().contains(&format!("clicksieve_upstream_up{{server=\"{}\"}} 0", ill.address)));
    for _ in 0..4 {
        assert_eq!(visitor.get("/").status, 200);
    }
    assert_eq!((pages(&ill), pages(&well)), (1, 5));
    status.store(204, Ordering::SeqCst);
    until(|| stand.state(ill.address) == "in");
    for _ in 0..4 {
        assert_eq!(visitor.get("/").status, 200);
    }
    assert_eq!((pages(&ill), pages(&well)), (3, 7));
}

#[test]
fn one_failed_check_is_no_illness_and_one_good_one_no_health() {
    let turn = AtomicU16::new(0);
    let site = Site::start(move |talk, _| {
        talk.head();
        // Two of three fail: never three in a row, and never two good ones.
        let good = turn.fetch_add(1, Ordering::SeqCst).is_multiple_of(3);
        talk.say(format!("HTTP/1.1 {} So\r\ncontent-length: 0\r\n\r\n", if good { 200 } else { 500 }));
    });
    let stand = Stand::new(Group { health: Some(often()), ..group(&[(site.address, 1)]) });
    let runtime = Runtime::new().unwrap();
    let since = stand.report(site.address).seen.unwrap();
    runtime.spawn(stand.directory.watch());
    until(|| site.heads().len() > 12);
    assert_eq!(stand.report(site.address).seen.unwrap(), since);
}

#[test]
fn a_server_that_hangs_or_is_not_there_fails_its_checks() {
    let hangs = Site::start(|talk, _| drop(talk.rest()));
    let dead = Site::nobody();
    let health = Health { timeout: Duration::from_millis(50), ..often() };
    let stand = Stand::new(Group { health: Some(health), ..group(&[(hangs.address, 1), (dead, 1)]) });
    let runtime = Runtime::new().unwrap();
    runtime.spawn(stand.directory.watch());
    until(|| stand.state(hangs.address) == "down" && stand.state(dead) == "down");
    let why = |address| stand.report(address).seen.unwrap().why.unwrap();
    assert_eq!(why(hangs.address), "gave no answer within 50 ms");
    assert!(why(dead).starts_with("cannot be reached: "), "{}", why(dead));
}

#[test]
fn checks_say_who_asks_for_which_shop() {
    let sites = [Site::answers(OK), Site::answers(OK), Site::answers(OK)];
    let of = |site: &Site, health: Health| shop(Group { health: Some(health), ..group(&[(site.address, 1)]) });
    let mut by_host = of(&sites[1], often());
    by_host.hosts = vec!["*.shop.example".to_owned(), "shop.example".to_owned()];
    let mut told = of(&sites[2], Health { host: Some("told.example".parse().unwrap()), ..often() });
    told.hosts = vec!["other.example".to_owned()];
    let stand = Stand::of(vec![of(&sites[0], often()), by_host, told], 1);
    let runtime = Runtime::new().unwrap();
    runtime.spawn(stand.directory.watch());
    until(|| sites.iter().all(|site| !site.heads().is_empty()));
    let expected = [sites[0].address.to_string(), "shop.example".to_owned(), "told.example".to_owned()];
    for (site, host) in sites.iter().zip(expected) {
        let head = site.heads().remove(0);
        assert!(head.contains(&format!("host: {host}\r\n")) && head.contains("user-agent: clicksieve-health\r\n"), "{head}");
    }
}

#[test]
fn checks_end_when_their_servers_are_nobodys() {
    let site = Site::answers(OK);
    let Stand { front, directory, .. } = Stand::new(Group { health: Some(often()), ..group(&[(site.address, 1)]) });
    let runtime = Runtime::new().unwrap();
    let watch = runtime.spawn(directory.watch());
    until(|| site.heads().len() > 2);
    front.stop();
    front.join();
    assert!(!watch.is_finished());
    drop(directory);
    runtime.block_on(watch).unwrap();
}
