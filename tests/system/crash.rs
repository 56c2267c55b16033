//! Killed again and again, at moments that a seed chooses, and then stopped some times, while both doors take events: in the end everything that was
//! acknowledged is at the destination under its id and time, and nothing that was suppressed ever is.

use std::collections::HashMap;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use clicksieve::clock::Clock;
use clicksieve::demo::graph::Graph;
use clicksieve::demo::graph::Taken;
use clicksieve::demo::visitor::Page;
use clicksieve::demo::visitor::Visitor;
use rand::RngExt as _;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::Value;
use tokio::sync::Notify;

use crate::far::until;
use crate::harness::site::Site;
use crate::whole;
use crate::whole::process;
use crate::whole::process::Process;

const KILLS: usize = 50;
const STOPS: usize = 5;
/// A kill comes after at most so many answers of its round.
const ANSWERS: usize = 40;
const CLIENTS: usize = 3;
/// Set it to the seed that a failed run printed.
const SEED: &str = "CLICKSIEVE_TEST_SEED";

/// How a round ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Kill,
    /// SIGTERM, after which it ends by itself, and well.
    Stop,
}

/// What was sent, and what of it was acknowledged.
#[derive(Default)]
struct Book {
    /// Every event's time by its id, the suppressed ones aside.
    sent: Mutex<HashMap<String, u64>>,
    acknowledged: Mutex<HashSet<String>>,
    suppressed: Mutex<HashSet<String>>,
    answers: AtomicUsize,
    answered: Notify,
}

impl Book {
    fn send(&self, ids: &[String], time: u64) {
        self.sent.lock().unwrap().extend(ids.iter().map(|id| (id.clone(), time)));
    }

    fn acknowledge(&self, ids: Vec<String>) {
        self.acknowledged.lock().unwrap().extend(ids);
        self.count();
    }

    fn count(&self) {
        self.answers.fetch_add(1, Ordering::SeqCst);
        self.answered.notify_waiters();
    }

    /// Waits for so many answers since the round began.
    async fn until(&self, answers: usize) {
        loop {
            let answered = self.answered.notified();
            if self.answers.load(Ordering::SeqCst) >= answers {
                return;
            }
            answered.await;
        }
    }
}

/// A back end that reports paid orders, batch after batch, until nobody answers.
async fn reports(book: Arc<Book>, graph: SocketAddr, name: String, mut sizes: StdRng) {
    let client = whole::client();
    let time = Clock::system().now().seconds() - 60;
    for batch in 0.. {
        let orders: Vec<String> = (0..sizes.random_range(1..20)).map(|order| format!("{name}-{batch}-{order}")).collect();
        let ids: Vec<String> = orders.iter().map(|order| format!("o.{order}")).collect();
        let time = time + batch % 60;
        let events: Vec<Value> = orders.iter().map(|order| whole::purchase(order, time)).collect();
        book.send(&ids, time);
        let Ok(answer) = whole::report(&client, graph, &events).await else { return };
        let status = answer.status();
        // A head without its body is no answer yet.
        let Ok(said) = answer.text().await else { return };
        assert_eq!(status, 200, "{said}");
        book.acknowledge(ids);
    }
}

/// A page's tag that reports events until nobody answers; those of a robot's page are suppressed.
async fn tells(book: Arc<Book>, visitor: Visitor, page: Page, robot: bool) {
    let id = &page.tag.as_ref().unwrap().page;
    for n in 1.. {
        let event = whole::tag_event(id, "ViewContent", n, page.seen);
        let ids = vec![event["id"].as_str().unwrap().to_owned()];
        if robot {
            book.suppressed.lock().unwrap().extend(ids.clone());
        } else {
            book.send(&ids, page.seen);
        }
        let Ok(answer) = visitor.tell(&page, vec![event]).await else { return };
        if answer["ok"] != true {
            // Too many posts of one visitor: it comes again with another page after the next start.
            assert_eq!(answer["error"], "rate", "{answer}");
            return;
        }
        if robot {
            book.count();
        } else {
            book.acknowledge(ids);
        }
    }
}

/// Puts load on both doors and ends the process after so many answers and a little while.
async fn round(book: &Arc<Book>, process: &mut Process, number: usize, seed: &mut StdRng, end: End) {
    let base = format!("http://{}", process.shop);
    let mut load = Vec::new();
    for client in 0..CLIENTS {
        let sizes = StdRng::seed_from_u64(seed.random());
        load.push(tokio::spawn(reports(Arc::clone(book), process.graph, format!("{number}-{client}"), sizes)));
    }
    for (robot, headers) in [(false, Visitor::chrome(None)), (true, Visitor::headless())] {
        let mut visitor =
            Visitor::new(&base, headers).with("x-forwarded-for", &format!("73.162.{robot}.{number}", robot = u8::from(robot)));
        let page = visitor.get(&format!("/mug?fbclid=IwAR0crashcrashcrash{number:06}")).await.unwrap();
        load.push(tokio::spawn(tells(Arc::clone(book), visitor, page, robot)));
    }
    book.answers.store(0, Ordering::SeqCst);
    book.until(seed.random_range(0..ANSWERS)).await;
    for _ in 0..seed.random_range(0..2_000) {
        tokio::task::yield_now().await;
    }
    tokio::task::block_in_place(|| match end {
        End::Kill => process.kill(),
        End::Stop => {
            process.signal("TERM");
            assert_eq!(process.ended().code(), Some(0));
        }
    });
    for client in load {
        client.await.unwrap();
    }
}

/// A start that does not get far: recovery itself is cut off.
fn killed_while_starting(config: &Path, moments: &mut StdRng) {
    let mut started = process::command(config).spawn().unwrap();
    // It opens its files one after the other; the kill comes when one of them is open, and a little later.
    let files = format!("/proc/{}/fd", started.id());
    let opened = |wanted: usize| std::fs::read_dir(&files).is_ok_and(|files| files.count() >= wanted);
    let wanted = moments.random_range(4..20);
    until("it has opened files", || opened(wanted) || started.try_wait().unwrap().is_some());
    for _ in 0..moments.random_range(0..2_000) {
        std::thread::yield_now();
    }
    started.kill().unwrap();
    started.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_fifty_kills_and_some_stops_and_what_was_suppressed_is_never_sent() {
    let seed = std::env::var(SEED).ok().map_or_else(rand::random, |seed| seed.parse().expect("a number"));
    println!("{SEED}={seed}");
    let mut moments = StdRng::seed_from_u64(seed);
    let graph = whole::mock(Clock::system()).await;
    let site = Site::answers(whole::html_answer());
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("clicksieve.yaml");
    std::fs::write(&config, whole::configuration(site.address, &graph.url(), whole::ADMIN)).unwrap();
    let book = Arc::new(Book::default());
    for number in 0..KILLS {
        if number % 5 == 4 {
            killed_while_starting(&config, &mut moments);
        }
        round(&book, &mut Process::start(&config), number, &mut moments, End::Kill).await;
    }
    for number in KILLS..KILLS + STOPS {
        round(&book, &mut Process::start(&config), number, &mut moments, End::Stop).await;
    }
    let _last = Process::start(&config);
    arrived(&graph, &book).await;
}

/// Everything acknowledged is at the mock as it was reported, nothing suppressed is, and nothing that nobody sent.
async fn arrived(graph: &Graph, book: &Book) {
    let (sent, acknowledged) = (book.sent.lock().unwrap().clone(), book.acknowledged.lock().unwrap().clone());
    let suppressed = book.suppressed.lock().unwrap().clone();
    println!("{} events acknowledged of {}, {} suppressed", acknowledged.len(), sent.len(), suppressed.len());
    assert!(acknowledged.len() > 10 * KILLS && suppressed.len() >= KILLS, "there was load");
    let ids = |all: &[Taken]| all.iter().map(|taken| taken.text("event_id").to_owned()).collect::<HashSet<_>>();
    let all_came = graph.until(|all| all.len() >= acknowledged.len() && acknowledged.is_subset(&ids(all)), whole::ARRIVAL).await;
    let came = ids(&graph.taken());
    let missing: Vec<_> = acknowledged.difference(&came).take(5).collect();
    assert!(all_came, "{} of {} never came, such as {missing:?}", acknowledged.difference(&came).count(), acknowledged.len());
    let taken = graph.taken();
    for event in &taken {
        let id = event.text("event_id");
        assert!(!suppressed.contains(id), "`{id}` was suppressed");
        assert_eq!(event.event["event_time"].as_u64(), sent.get(id).copied(), "`{id}`");
    }
    assert_eq!(graph.refused(), []);
    println!("{} came twice or more often", taken.len() - came.len());
}
