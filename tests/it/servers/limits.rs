//! Limits of servers and the queue before them: full, late, left, in turn, and held over all threads.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use clicksieve::proxy::servers::Group;
use clicksieve::proxy::servers::Queue;

use crate::door::until;
use crate::harness::PATIENCE;
use crate::harness::site::Site;
use crate::harness::visitor::Visitor;
use crate::servers::OK;
use crate::servers::Stand;
use crate::servers::limited;

const HOUR: Duration = Duration::from_hours(1);

/// Answers each request when it is let go.
fn held() -> (Site, SyncSender<()>) {
    let (go, gone): (_, Receiver<()>) = sync_channel(100);
    let gone = Mutex::new(gone);
    let site = Site::start(move |talk, _| {
        while talk.head().is_some() {
            let _ = gone.lock().unwrap().recv_timeout(PATIENCE);
            talk.say(OK);
        }
    });
    (site, go)
}

fn queue(length: usize, wait: Duration) -> Queue {
    Queue { length, wait }
}

/// A visitor who has asked and waits.
fn asking(stand: &Stand, path: &str) -> Visitor {
    let mut visitor = Visitor::connect(stand.front.address);
    visitor.say(format!("GET {path} HTTP/1.1\r\nhost: shop.example\r\n\r\n"));
    visitor
}

#[test]
fn a_request_beyond_the_limit_waits_and_is_served_in_turn() {
    let (site, go) = held();
    let stand = Stand::new(Group { queue: queue(10, HOUR), ..limited(&[&site], 1) });
    let mut visitors = Vec::new();
    for number in 0..4 {
        visitors.push(asking(&stand, &format!("/{number}")));
        until(|| stand.waiting() == number && site.heads().len() == 1);
    }
    assert_eq!(stand.report(site.address).connections, Some((1, 1)));
    for (number, visitor) in visitors.iter_mut().enumerate() {
        until(|| site.heads().len() == number + 1);
        assert!(site.heads()[number].starts_with(&format!("GET /{number} ")));
        go.send(()).unwrap();
        assert_eq!(visitor.answer(false).text(), "ok");
    }
    until(|| stand.report(site.address).connections == Some((0, 1)) && stand.waiting() == 0);
}

#[test]
fn a_full_queue_is_told_at_once_and_when_to_come_again() {
    let (site, go) = held();
    let stand = Stand::new(Group { queue: queue(1, HOUR), ..limited(&[&site], 1) });
    let mut first = asking(&stand, "/1");
    until(|| site.heads().len() == 1);
    let mut second = asking(&stand, "/2");
    until(|| stand.waiting() == 1);
    let mut third = Visitor::connect(stand.front.address);
    let answer = third.get("/3");
    assert_eq!((answer.status, answer.field("retry-after"), stand.errors("queue_full")), (503, Some("5"), 1));
    go.send(()).unwrap();
    go.send(()).unwrap();
    assert_eq!((first.answer(false).status, second.answer(false).status), (200, 200));
    go.send(()).unwrap();
    assert_eq!(third.get("/4").status, 200, "its connection stands");
}

#[test]
fn who_has_waited_too_long_is_told_so_and_the_next_is_served() {
    let (site, go) = held();
    let stand = Stand::new(Group { queue: queue(9, Duration::from_millis(50)), ..limited(&[&site], 1) });
    let mut first = asking(&stand, "/1");
    until(|| site.heads().len() == 1);
    let answer = Visitor::connect(stand.front.address).get("/2");
    assert_eq!((answer.status, answer.field("retry-after"), stand.errors("queue_late"), stand.waiting()), (503, Some("5"), 1, 0));
    go.send(()).unwrap();
    assert_eq!(first.answer(false).status, 200);
    go.send(()).unwrap();
    assert_eq!(first.get("/3").status, 200);
    assert_eq!(site.heads().len(), 2, "what was given up was never sent");
}

#[test]
fn a_visitor_who_leaves_gives_up_the_place() {
    let (site, go) = held();
    let stand = Stand::new(Group { queue: queue(9, HOUR), ..limited(&[&site], 1) });
    let mut first = asking(&stand, "/1");
    until(|| site.heads().len() == 1);
    let second = asking(&stand, "/2");
    until(|| stand.waiting() == 1);
    let mut third = asking(&stand, "/3");
    until(|| stand.waiting() == 2);
    drop(second);
    until(|| stand.waiting() == 1);
    go.send(()).unwrap();
    go.send(()).unwrap();
    assert_eq!((first.answer(false).status, third.answer(false).status), (200, 200));
    assert!(site.heads()[1].starts_with("GET /3 "), "{:?}", site.heads());
}

#[test]
fn waiting_holds_up_nobody_else() {
    let (busy, go) = held();
    let free = Site::answers(OK);
    let mut shop = crate::servers::shop(Group { queue: queue(9, HOUR), ..limited(&[&busy], 1) });
    shop.hosts = vec!["busy.example".to_owned()];
    let other = crate::servers::shop(crate::servers::group(&[(free.address, 1)]));
    let stand = Stand::of(vec![shop, other], 1);
    let ask = |number| {
        let mut visitor = Visitor::connect(stand.front.address);
        visitor.say(format!("GET /{number} HTTP/1.1\r\nhost: busy.example\r\n\r\n"));
        visitor
    };
    let mut waiting: Vec<_> = (0..5).map(ask).collect();
    until(|| stand.waiting() == 4);
    assert_eq!(Visitor::connect(stand.front.address).get("/").status, 200);
    for _ in 0..5 {
        go.send(()).unwrap();
    }
    assert!(waiting.iter_mut().all(|visitor| visitor.answer(false).status == 200));
}

#[test]
fn a_place_is_kept_until_the_answer_is_whole() {
    let (go, gone) = sync_channel::<()>(9);
    let gone = Mutex::new(gone);
    let site = Site::start(move |talk, _| {
        while talk.head().is_some() {
            talk.say("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nha");
            let _ = gone.lock().unwrap().recv_timeout(PATIENCE);
            talk.say("lf");
        }
    });
    let stand = Stand::new(Group { queue: queue(9, HOUR), ..limited(&[&site], 1) });
    let mut first = asking(&stand, "/1");
    assert!(first.head().unwrap().starts_with("HTTP/1.1 200"));
    assert_eq!(first.exactly(2), b"ha");
    let mut second = asking(&stand, "/2");
    until(|| stand.waiting() == 1);
    assert_eq!(site.heads().len(), 1);
    go.send(()).unwrap();
    go.send(()).unwrap();
    assert_eq!((first.exactly(2), second.answer(false).text()), (b"lf".to_vec(), "half"));
}

#[test]
fn a_websocket_is_a_request_for_as_long_as_it_lasts() {
    let site = Site::start(|talk, _| {
        while let Some(head) = talk.head() {
            if head.contains("upgrade: websocket") {
                talk.say("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n");
                talk.rest();
                return;
            }
            talk.say(OK);
        }
    });
    let stand = Stand::new(Group { queue: queue(0, HOUR), ..limited(&[&site], 1) });
    let mut socket = Visitor::connect(stand.front.address);
    let answer = socket.ask("GET / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n");
    assert_eq!((answer.status, stand.report(site.address).connections), (101, Some((1, 1))));
    assert_eq!(Visitor::connect(stand.front.address).get("/").status, 503);
    drop(socket);
    until(|| stand.report(site.address).connections == Some((0, 1)));
    assert_eq!(Visitor::connect(stand.front.address).get("/").status, 200);
}

#[test]
fn limits_hold_over_threads_under_load() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let start = || {
        let (now, most) = (Arc::clone(&now), Arc::clone(&most));
        Site::start(move |talk, _| {
            while talk.head().is_some() {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::yield_now();
                now.fetch_sub(1, Ordering::SeqCst);
                talk.say(OK);
            }
        })
    };
    let sites = [start(), start()];
    let group = Group { queue: queue(1_000, HOUR), ..limited(&[&sites[0], &sites[1]], 2) };
    let stand = Stand::of(vec![crate::servers::shop(group)], 3);
    std::thread::scope(|scope| {
        for _ in 0..24 {
            scope.spawn(|| {
                let mut visitor = Visitor::connect(stand.front.address);
                for _ in 0..25 {
                    assert_eq!(visitor.get("/").status, 200);
                }
            });
        }
    });
    let served: Vec<usize> = sites.iter().map(|site| site.heads().len()).collect();
    assert_eq!(served.iter().sum::<usize>(), 600);
    assert!(most.load(Ordering::SeqCst) <= 4, "{}", most.load(Ordering::SeqCst));
    until(|| sites.iter().all(|site| stand.report(site.address).connections == Some((0, 2))));
    assert_eq!(stand.waiting(), 0);
}
