//! A kill in the middle of the work: what was acknowledged is delivered under its own id and time, what was suppressed
//! never is.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use clicksieve::clock::Clock;
use clicksieve::demo::graph::Graph;
use clicksieve::demo::graph::Taken;
use clicksieve::demo::visitor::Page;
use clicksieve::demo::visitor::Visitor;
use serde_json::Value;
use serde_json::json;
use tokio::sync::Notify;

use crate::harness::site::Site;
use crate::whole;
use crate::whole::process::Process;

const BATCHES: usize = 200;
const EVENTS: usize = 100;
const CLIENTS: usize = 4;
const SUPPRESSED: usize = 10;

/// What the clients share.
struct Work {
    /// Batches that nobody has been told of yet.
    open: Mutex<Vec<usize>>,
    /// Batches that were answered with 200.
    acknowledged: Mutex<HashSet<usize>>,
    answered: AtomicUsize,
    half: Notify,
    time: u64,
}

impl Work {
    fn order(batch: usize, event: usize) -> String {
        format!("{}", batch * EVENTS + event)
    }

    fn batch(&self, batch: usize) -> Vec<Value> {
        (0..EVENTS).map(|event| whole::purchase(&Self::order(batch, event), self.time + (event as u64))).collect()
    }

    /// Sends batches until none is left or the other side is gone.
    async fn send(&self, graph: std::net::SocketAddr) {
        let client = whole::client();
        loop {
            let Some(batch) = self.open.lock().unwrap().pop() else { return };
            let Ok(answer) = whole::report(&client, graph, &self.batch(batch)).await else {
                self.open.lock().unwrap().push(batch);
                return;
            };
            assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
            self.acknowledged.lock().unwrap().insert(batch);
            if self.answered.fetch_add(1, Ordering::SeqCst) + 1 == BATCHES / 2 {
                self.half.notify_one();
            }
        }
    }
}

/// Posts events of a robot's page, from the `from`-th on; those that were answered, by id.
async fn robot(base: String, page: Page, from: usize, posts: usize, time: u64) -> Vec<String> {
    let visitor = Visitor::new(&base, Visitor::headless());
    let id = &page.tag.as_ref().unwrap().page;
    let mut taken = Vec::new();
    for post in 0..posts {
        let first = from + post * SUPPRESSED;
        let events: Vec<Value> = (first..first + SUPPRESSED).map(|n| whole::tag_event(id, "Lead", n, time)).collect();
        let ids = events.iter().map(|event| event["id"].as_str().unwrap().to_owned());
        match visitor.tell(&page, events.clone()).await {
            Ok(answer) if answer["ok"] == true => taken.extend(ids),
            Ok(answer) => panic!("{answer}"),
            Err(_) => return taken,
        }
    }
    taken
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_before_a_kill_arrives_and_what_was_suppressed_never_does() {
    let graph = whole::mock(Clock::system()).await;
    let site = Site::answers(whole::html_answer());
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("clicksieve.yaml");
    std::fs::write(&config, whole::configuration(site.address, &graph.url(), whole::ADMIN)).unwrap();
    let mut process = Process::start(&config);
    let base = format!("http://{}", process.shop);

    let page = Visitor::new(&base, Visitor::headless()).get("/mug?fbclid=IwAR0robot").await.unwrap();
    let time = page.seen - 600;
    let work = Arc::new(Work {
        // One is held back, so that there is work left however late the kill comes.
        open: Mutex::new((1..BATCHES).rev().collect()),
        acknowledged: Mutex::default(),
        answered: AtomicUsize::new(0),
        half: Notify::new(),
        time,
    });
    let clients = |address| -> Vec<_> {
        (0..CLIENTS).map(|_| Arc::clone(&work)).map(|work| tokio::spawn(async move { work.send(address).await })).collect()
    };

    let running = clients(process.graph);
    let robots = tokio::spawn(robot(base, page.clone(), 1, 20, page.seen));
    work.half.notified().await;
    process.kill();
    for client in running {
        client.await.unwrap();
    }
    let mut suppressed = robots.await.unwrap();
    work.open.lock().unwrap().push(0);
    let before = work.acknowledged.lock().unwrap().len();
    assert!((BATCHES / 2..BATCHES).contains(&before), "killed after {before} of {BATCHES} batches");

    let process = Process::start(&config);
    let base = format!("http://{}", process.shop);
    let robots = tokio::spawn(robot(base, page.clone(), 1_000, 20, page.seen));
    for client in clients(process.graph) {
        client.await.unwrap();
    }
    suppressed.extend(robots.await.unwrap());
    assert_eq!(work.acknowledged.lock().unwrap().len(), BATCHES);
    assert!(suppressed.len() >= 200, "{}", suppressed.len());

    arrived(&graph, time, &suppressed).await;
}

/// Every event is at the mock under its own id and time, none of the suppressed ones is, and nothing else.
async fn arrived(graph: &Graph, time: u64, suppressed: &[String]) {
    let expected: HashMap<String, Value> = (0..BATCHES)
        .flat_map(|batch| (0..EVENTS).map(move |event| (format!("o.{}", Work::order(batch, event)), event as u64)))
        .map(|(id, event)| (id, json!(time + event)))
        .collect();
    let ids = |all: &[Taken]| all.iter().map(|taken| taken.text("event_id").to_owned()).collect::<HashSet<_>>().len();
    let all_came = graph.until(|all| all.len() >= expected.len() && ids(all) >= expected.len(), whole::ARRIVAL).await;
    let taken = graph.taken();
    assert!(all_came, "{} of {} ids arrived", ids(&taken), expected.len());
    let mut copies: HashMap<&str, usize> = HashMap::new();
    for event in &taken {
        let id = event.text("event_id");
        assert!(!suppressed.iter().any(|other| other == id), "`{id}` was suppressed");
        assert_eq!(Some(&event.event["event_time"]), expected.get(id), "`{id}`");
        *copies.entry(id).or_default() += 1;
    }
    assert_eq!(graph.refused(), []);
    let twice = copies.values().filter(|&&count| count > 1).count();
    // A batch that was under way when the process died may come again, under the same ids; no more than that.
    assert!(twice <= EVENTS, "{twice} ids arrived twice");
    assert!(copies.values().all(|&count| count <= 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_held_when_it_was_killed_is_released_by_a_proof_after_the_restart() {
    let graph = whole::mock(Clock::system()).await;
    let site = Site::answers(whole::html_answer());
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("clicksieve.yaml");
    std::fs::write(&config, whole::configuration(site.address, &graph.url(), whole::ADMIN)).unwrap();
    let mut process = Process::start(&config);
    let suspect = |process: &Process| {
        Visitor::new(&format!("http://{}", process.shop), Visitor::chrome(None)).with("x-forwarded-for", "5.9.61.22")
    };
    let mut visitor = suspect(&process);
    let page = visitor.get("/mug").await.unwrap();
    let id = page.tag.as_ref().unwrap().page.clone();
    let answer = visitor.tell(&page, vec![whole::tag_event(&id, "Lead", 1, page.seen)]).await.unwrap();
    assert_eq!(answer, json!({ "ok": true, "pixel": "gate" }));
    process.kill();

    let process = Process::start(&config);
    let proof = json!({ "k": "proof", "facts": { "webdriver": false, "interaction": true } });
    let answer = suspect(&process).tell(&page, vec![proof]).await.unwrap();
    assert_eq!(answer, json!({ "ok": true, "pixel": "leave" }));
    let held = |all: &[Taken]| all.iter().any(|taken| taken.text("event_id") == id);
    assert!(graph.until(held, whole::ARRIVAL).await, "the held event never came");
    // Nor does it forget that proof.
    suspect(&process).tell(&page, vec![whole::tag_event(&id, "Lead", 2, page.seen)]).await.unwrap();
    let second = |all: &[Taken]| all.iter().any(|taken| taken.text("event_id") == format!("{id}.2"));
    assert!(graph.until(second, whole::ARRIVAL).await, "the next event never came");
}
