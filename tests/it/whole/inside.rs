//! The whole process inside a test: its clock moved by hand where the test wants it, its records at hand.

use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use clicksieve::app;
use clicksieve::app::Running;
use clicksieve::clock::Clock;
use clicksieve::clock::UnixMillis;
use clicksieve::config::Config;
use clicksieve::demo::graph::Graph;
use clicksieve::demo::graph::Taken;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::harness::visitor;
use crate::harness::visitor::Answer;
use crate::whole;

/// How long one look at the mock waits before the clock is moved on.
const LOOK: Duration = Duration::from_millis(1_500);
/// How often the clock is moved at most.
const LOOKS: usize = 60;

/// A running process with the mock behind it.
pub(crate) struct Inside {
    // First, so that it is stopped before what it speaks to.
    pub(crate) running: Running,
    pub(crate) graph: Graph,
    pub(crate) clock: Clock,
    pub(crate) runtime: Runtime,
    folder: TempDir,
    text: String,
}

impl Inside {
    /// By the system's clock.
    pub(crate) fn start(site: SocketAddr, more: &str) -> Self {
        Self::with(Clock::system(), site, |text| text.replace("\ngraph:", &format!("\n{more}graph:")))
    }

    /// By a clock that stands at now until it is moved.
    pub(crate) fn moved(site: SocketAddr, more: &str) -> Self {
        let clock = Clock::moved(Clock::system().now());
        Self::with(clock, site, |text| text.replace("\ngraph:", &format!("\n{more}graph:")))
    }

    /// With the configuration changed in any way.
    pub(crate) fn with(clock: Clock, site: SocketAddr, change: impl FnOnce(String) -> String) -> Self {
        let runtime = Runtime::new().unwrap();
        let graph = runtime.block_on(whole::mock(clock.clone()));
        let folder = tempfile::tempdir().unwrap();
        let text = change(whole::configuration(site, &graph.url(), whole::ADMIN));
        let running = started(&text, folder.path(), &clock);
        Self { running, graph, clock, runtime, folder, text }
    }

    /// Stops the process, lets so much time pass, and starts it on the same state.
    pub(crate) fn stopped_for(self, time: Duration) -> Self {
        let Self { running, graph, clock, runtime, folder, text } = self;
        running.stop();
        clock.set(clock.now().plus(time));
        let running = started(&text, folder.path(), &clock);
        Self { running, graph, clock, runtime, folder, text }
    }

    /// The time of the process in seconds.
    pub(crate) fn now(&self) -> u64 {
        self.clock.now().seconds()
    }

    /// Moves the clock on.
    pub(crate) fn pass(&self, time: Duration) {
        self.clock.set(UnixMillis(self.clock.now().0).plus(time));
    }

    /// Reports events by the Graph-compatible door; status, `Retry-After` and body of the answer.
    pub(crate) fn report(&self, events: &[Value]) -> (u16, Option<String>, Value) {
        self.runtime.block_on(async {
            let answer = whole::report(&whole::client(), self.running.graph(), events).await.unwrap();
            let after = answer.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
            (answer.status().as_u16(), after, answer.json().await.unwrap())
        })
    }

    /// Reports events that must be taken.
    pub(crate) fn reported(&self, events: &[Value]) {
        let (status, _, body) = self.report(events);
        assert_eq!(status, 200, "{body}");
    }

    /// Waits until an event of that id is at the mock; all its copies.
    pub(crate) fn arrives(&self, id: &str) -> Vec<Taken> {
        let came = |all: &[Taken]| all.iter().any(|taken| taken.text("event_id") == id);
        let came = self.runtime.block_on(self.graph.until(came, whole::ARRIVAL));
        assert!(came, "`{id}` never came; {} others did", self.graph.taken().len());
        self.copies(id)
    }

    /// Moves the clock on by `step` again and again until the mock has what is wanted; says whether it came to that.
    pub(crate) fn moves_until(&self, step: Duration, wanted: impl Fn(&[Taken]) -> bool) -> bool {
        (0..LOOKS).any(|_| {
            let came = self.runtime.block_on(self.graph.until(&wanted, LOOK));
            if !came {
                self.pass(step);
            }
            came
        })
    }

    /// The same until an event of that id is at the mock; all its copies.
    pub(crate) fn arrives_after(&self, id: &str, step: Duration) -> Vec<Taken> {
        let came = self.moves_until(step, |all| all.iter().any(|taken| taken.text("event_id") == id));
        assert!(came, "`{id}` never came; {} others did", self.graph.taken().len());
        self.copies(id)
    }

    /// What the mock has of that id now.
    pub(crate) fn copies(&self, id: &str) -> Vec<Taken> {
        self.graph.taken().into_iter().filter(|taken| taken.text("event_id") == id).collect()
    }

    /// Asks the shop with these header lines, each ended by CRLF.
    pub(crate) fn ask(&self, method: &str, path: &str, lines: &str) -> Answer {
        let request = format!("{method} {path} HTTP/1.1\r\nhost: shop.example\r\n{lines}\r\n");
        visitor::Visitor::connect(self.running.shop()).ask(&request)
    }

    /// Posts to the collector as the tag does.
    pub(crate) fn tell(&self, lines: &str, token: &str, items: &[Value]) -> Answer {
        let body = serde_json::json!({ "t": token, "k": items }).to_string();
        let lines = format!("content-type: text/plain;charset=UTF-8\r\ncontent-length: {}\r\n{lines}", body.len());
        let request = format!("POST /_cs/e HTTP/1.1\r\nhost: shop.example\r\n{lines}\r\n{body}");
        visitor::Visitor::connect(self.running.shop()).ask(&request)
    }

    /// What the operator's door answers.
    pub(crate) fn admin(&self, path: &str) -> String {
        let token = std::fs::read_to_string(self.folder.path().join("state/admin.token")).unwrap();
        let lines = format!("host: localhost\r\nauthorization: Bearer {}\r\n", token.trim());
        let answer = visitor::Visitor::connect(self.running.admin()).ask(&format!("GET {path} HTTP/1.1\r\n{lines}\r\n"));
        assert_eq!(answer.status, 200, "{path}");
        answer.text().to_owned()
    }

    /// The value of a metric, with its labels as they are exposed; nothing where it was never counted.
    pub(crate) fn metric(&self, name: &str) -> Option<u64> {
        let metrics = self.admin("/metrics");
        metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    /// How many events of a destination had this outcome.
    pub(crate) fn deliveries(&self, destination: &str, outcome: &str) -> u64 {
        let name = format!("clicksieve_deliveries_total{{destination=\"{destination}\",outcome=\"{outcome}\"}}");
        self.metric(&name).unwrap_or(0)
    }

    /// Looks again and again until something holds, for as long as events may take; says whether it did.
    pub(crate) fn looks(&self, holds: impl Fn() -> bool) -> bool {
        self.looks_so_often(LOOKS, &holds)
    }

    /// The same, and moves the clock on by `step` up to two times where nothing comes of it: a rest that began only after the
    /// clock had moved ends so much later.
    pub(crate) fn looks_and_moves(&self, step: Duration, holds: impl Fn() -> bool) -> bool {
        (0..3).any(|_| {
            let held = self.looks_so_often(LOOKS / 6, &holds);
            if !held {
                self.pass(step);
            }
            held
        })
    }

    fn looks_so_often(&self, looks: usize, holds: &impl Fn() -> bool) -> bool {
        (0..looks).any(|_| holds() || self.runtime.block_on(self.graph.until(|_| holds(), LOOK)))
    }

    /// All records in the state folder, oldest first.
    pub(crate) fn all_records(&self) -> Vec<Value> {
        // Blocks until they are written.
        self.running.records();
        let files = std::fs::read_dir(self.folder.path().join("state")).unwrap().map(|entry| entry.unwrap().path());
        let named = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with("records.") && name.ends_with(".jsonl")
        };
        let mut files: Vec<PathBuf> = files.filter(named).collect();
        // `records.<milliseconds>.jsonl` are finished; `records.jsonl`, which sorts after them, is the newest.
        files.sort();
        files.iter().flat_map(|path| lines_of(path)).collect()
    }

    /// The records of an event, oldest first.
    pub(crate) fn records(&self, id: &str) -> Vec<Value> {
        let mut found: Vec<Value> = self.running.records();
        found.retain(|record| record["event_id"] == id && record["type"] == "event");
        found.reverse();
        found
    }
}

/// The lines of a file of records, oldest first.
fn lines_of(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn started(text: &str, folder: &Path, clock: &Clock) -> Running {
    let options = app::Options { clock: clock.clone(), ..app::Options::default() };
    app::start(&parse(text, folder), options).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn parse(text: &str, folder: &Path) -> Config {
    let environment = |name: &str| match name {
        "META_TOKEN" => Some(whole::TOKEN.to_owned()),
        "GRAPH_KEY" => Some(whole::KEY.to_owned()),
        _ => None,
    };
    Config::parse("clicksieve.yaml", text.as_bytes(), folder, &environment)
        .unwrap_or_else(|faults| panic!("{}\n{text}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")))
}
