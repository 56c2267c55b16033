//! The whole product between a browser and the demo: the real proxy with real engines, the shop (or a site of the test's
//! own) behind it, the Pixel stand-in and the mock Graph API beside it.

use std::fs;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clicksieve::app;
use clicksieve::app::Running;
use clicksieve::clock::Clock;
use clicksieve::demo::Places;
use clicksieve::demo::Scenery;
use clicksieve::demo::front;
use clicksieve::demo::graph::Taken;
use clicksieve::verdict::Mode;
use serde_json::Value;

/// How long an event may take to the other end.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
const SHIPPED: &str = include_str!("../../rules/default.yaml");
/// The first line of the shipped rules' `signals:`.
const SIGNALS: &str = "\nsignals:\n";

/// Shop, mock and board on free ports.
pub(crate) async fn scenery() -> Scenery {
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let places = Places { shop: free, graph: free, board: free };
    Scenery::start(places, front::account(), Arc::new(Vec::new), Clock::system()).await.unwrap()
}

/// The shipped rules in which remote control, and what goes with it, is noted but adds nothing, so that a driven browser may pass for a person's.
pub(crate) fn driven() -> String {
    let shown = ["page.webdriver", "page.driver", "page.click-moves", "page.window", "page.pointer", "page.software-gl"];
    shown.iter().fold(SHIPPED.to_owned(), |rules, id| {
        let signal = format!("  - id: {id}\n");
        assert_eq!(rules.matches(&signal).count(), 1, "the shipped rules name {id} once");
        rules.replace(&signal, &format!("{signal}    mode: shadow\n"))
    })
}

/// The same, and each ordinary browser is a suspect.
pub(crate) fn suspicious() -> String {
    let signal = "  - { id: test.suspect, title: Every browser, match: { ua.kind: browser }, points: 35, group: network, \
                  category: givt.datacenter, why: A test wants a suspect., \
                  cases: [{ hit: { ua.kind: browser } }, { miss: { ua.kind: headless } }] }\n";
    driven().replacen(SIGNALS, &format!("{SIGNALS}{signal}"), 1)
}

/// What a test wishes for.
#[derive(Default)]
pub(crate) struct Wish {
    /// A rule file's text; the shipped rules without one.
    pub(crate) rules: Option<String>,
    /// The site behind the proxy; the shop without one.
    pub(crate) site: Option<String>,
    /// Further lines of the configuration.
    pub(crate) more: &'static str,
    /// The rules' click actions take effect.
    pub(crate) strict: bool,
}

/// The running whole. It stops when dropped, after the browser was closed.
pub(crate) struct Front {
    pub(crate) scenery: Scenery,
    /// The shop through the proxy.
    pub(crate) url: String,
    running: Option<Running>,
    folder: tempfile::TempDir,
}

impl Front {
    pub(crate) async fn start(wish: Wish) -> Self {
        Self::before(scenery().await, wish).await
    }

    /// Puts the proxy before what stands already.
    pub(crate) async fn before(scenery: Scenery, wish: Wish) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let rules = wish.rules.map(|text| {
            let path = folder.path().join("rules.yaml");
            fs::write(&path, text).unwrap();
            path
        });
        let front = front::Front {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            site: &wish.site.unwrap_or_else(|| scenery.shop.url()),
            graph: &scenery.graph.url(),
            state: &folder.path().join("state"),
            rules: rules.as_deref(),
            more: wish.more,
        };
        let mut config = front.config().unwrap();
        if wish.strict {
            config.mode = Mode::Strict;
        }
        let starting = tokio::task::spawn_blocking(move || app::start(&config, app::Options::default()));
        let running = starting.await.unwrap().unwrap_or_else(|error| panic!("{error}"));
        scenery.shop.report_to(front::backend(&format!("http://{}", running.graph())));
        let url = format!("http://{}", running.shop());
        Self { scenery, url, running: Some(running), folder }
    }

    /// Waits until pages have told the collector so much of themselves. Several may come in one post.
    pub(crate) async fn told(&self, proofs: u32) {
        let token = fs::read_to_string(self.folder.path().join("state/admin.token")).unwrap();
        let metrics = format!("http://{}/metrics", self.running.as_ref().unwrap().admin());
        let waiting = async {
            loop {
                let answer = crate::client().get(&metrics).bearer_auth(token.trim()).send().await.unwrap();
                let text = answer.error_for_status().unwrap().text().await.unwrap();
                let told = text.lines().find_map(|line| line.strip_prefix("clicksieve_proofs_total "));
                if told.unwrap().parse::<u32>().unwrap() >= proofs {
                    return;
                }
            }
        };
        assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "{:#?}", self.records());
    }

    /// Waits until an event of that name was decided, and gives its records, newest first.
    pub(crate) async fn decided(&self, name: &str) -> Vec<Value> {
        let waiting = async {
            loop {
                let decisions = self.decisions(name);
                if !decisions.is_empty() {
                    return decisions;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("no {name}; records {:#?}", self.records()))
    }

    /// The decision records, newest first.
    pub(crate) fn records(&self) -> Vec<Value> {
        self.running.as_ref().unwrap().records()
    }

    /// The records of events of that name, newest first.
    pub(crate) fn decisions(&self, name: &str) -> Vec<Value> {
        self.records().into_iter().filter(|record| record["type"] == "event" && record["event_name"] == name).collect()
    }

    /// What the Pixel stand-in heard: names and ids, sorted.
    pub(crate) fn pixel_half(&self) -> Vec<(String, String)> {
        let hits = self.scenery.board.hits().into_iter();
        let mut half: Vec<_> = hits.map(|hit| (hit.event, hit.event_id.unwrap_or_default())).collect();
        half.sort();
        half
    }

    /// What the mock accepted: names and ids, sorted.
    pub(crate) fn server_half(&self) -> Vec<(String, String)> {
        let taken = self.scenery.graph.taken();
        let mut half: Vec<_> =
            taken.iter().map(|taken| (taken.text("event_name").to_owned(), taken.text("event_id").to_owned())).collect();
        half.sort();
        half
    }

    /// Waits until both halves hold so many events, then says that they are exactly these, in any order, each with one id
    /// that nothing else of its name has.
    pub(crate) async fn both_halves_hold(&self, names: &[&str]) {
        let told = || format!("Pixel {:#?}\nserver {:#?}", self.pixel_half(), self.server_half());
        assert!(self.scenery.board.until(|hits| hits.len() >= names.len(), PATIENCE).await, "{}", told());
        assert!(self.scenery.graph.until(|taken| taken.len() >= names.len(), PATIENCE).await, "{}", told());
        let (pixel, server) = (self.pixel_half(), self.server_half());
        assert_eq!(pixel, server);
        let mut wanted = names.to_vec();
        wanted.sort_unstable();
        assert_eq!(pixel.iter().map(|event| event.0.as_str()).collect::<Vec<_>>(), wanted);
        assert!(pixel.windows(2).all(|pair| pair[0] != pair[1]), "an id was used twice: {pixel:#?}");
        assert!(pixel.iter().all(|event| !event.1.is_empty()), "{pixel:#?}");
    }

    /// Waits for an event of that name at the mock.
    pub(crate) async fn accepted(&self, name: &str) -> Taken {
        let found = |taken: &[Taken]| taken.iter().any(|taken| taken.text("event_name") == name);
        assert!(self.scenery.graph.until(found, PATIENCE).await, "no {name}; records {:#?}", self.records());
        self.scenery.graph.taken().into_iter().find(|taken| taken.text("event_name") == name).unwrap()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        // The process's own runtimes may not end inside of the test's.
        if let Some(running) = self.running.take() {
            drop(std::thread::spawn(move || running.stop()).join());
        }
    }
}
