//! The whole product in one process, with a shop behind it and the mock Graph API beside it, and the SDKs' scripts that
//! speak to it.

use std::io::Write;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use clicksieve::app;
use clicksieve::app::Running;
use clicksieve::clock::Clock;
use clicksieve::demo::front;
use clicksieve::demo::graph::Graph;
use clicksieve::demo::graph::Taken;
use secrecy::ExposeSecret;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// How long an event may take to the mock; far above what it needs, also on a busy machine.
const ARRIVAL: Duration = Duration::from_mins(2);
/// What the visitors are.
pub(crate) const AGENT: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/147.0.0.0 Safari/537.36";
/// The ad's click that brings them.
pub(crate) const CLICK: &str = "IwZXh0bgNhZW0BMABhZGlkAasVg1yQ2aQBHSx_k-9Q";
/// Where they come from.
pub(crate) const ADDRESS: &str = "73.162.40.19";

/// An SDK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sdk {
    Python,
    Node,
}

/// Somebody who has come from an ad.
pub(crate) struct Buyer {
    pub(crate) fbp: String,
    /// Their `Cookie` field from now on.
    pub(crate) cookies: String,
}

/// What a script has printed, and its exit code.
#[derive(Debug)]
pub(crate) struct Played {
    lines: Vec<Value>,
    pub(crate) code: Option<i32>,
    pub(crate) told: String,
}

impl Played {
    /// What came of a step.
    pub(crate) fn step(&self, name: &str) -> &Value {
        self.lines.iter().find(|line| line["step"] == name).unwrap_or_else(|| panic!("no step `{name}`: {self:#?}"))
    }
}

/// The running whole.
pub(crate) struct Stand {
    // First, so that it is stopped before what it speaks to.
    pub(crate) running: Running,
    pub(crate) graph: Graph,
    runtime: Runtime,
    folder: TempDir,
}

impl Stand {
    /// With further lines of the configuration.
    pub(crate) fn start(more: &str) -> Self {
        let runtime = Runtime::new().unwrap();
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (graph, site) = runtime.block_on(async {
            let graph = Graph::start(free, vec![front::account()], Clock::system()).await.unwrap();
            let site = TcpListener::bind(free).await.unwrap();
            let address = site.local_addr().unwrap();
            let page = || async { Html("<!doctype html><html><head><title>Mug</title></head><body>A mug.</body></html>") };
            tokio::spawn(async move { axum::serve(site, Router::new().route("/mug", get(page))).await });
            (graph, format!("http://{address}"))
        });
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let front = front::Front { listen: free, site: &site, graph: &graph.url(), state: &state, rules: None, more };
        let running = app::start(&front.config().unwrap(), app::Options::default()).unwrap_or_else(|error| panic!("{error}"));
        Self { running, graph, runtime, folder }
    }

    /// Somebody looks at a page.
    pub(crate) fn visited(&self) -> Buyer {
        let page = format!("http://{}/mug?fbclid={CLICK}", self.running.shop());
        let asking = client().get(page).header("user-agent", AGENT).header("x-forwarded-for", ADDRESS);
        let asking = asking.header("accept", "text/html").header("accept-language", "en").header("sec-fetch-dest", "document");
        let answer = self.runtime.block_on(asking.header("sec-fetch-mode", "navigate").send()).unwrap();
        let cookies = answer.headers().get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
        let cookies: Vec<&str> = cookies.map(|cookie| cookie.split(';').next().unwrap()).collect();
        let fbp = cookies.iter().find_map(|cookie| cookie.strip_prefix("_fbp=")).expect("the page sets `_fbp`");
        Buyer { fbp: fbp.to_owned(), cookies: cookies.join("; ") }
    }

    /// Plays these steps with an SDK.
    pub(crate) fn play(&self, sdk: Sdk, steps: &[Value]) -> Played {
        let key = front::backend("").key;
        let graph = format!("http://{}", self.running.graph());
        let plan = json!({ "graph": graph, "key": key.expose_secret(), "pixel": front::PIXEL, "steps": steps });
        let mut script = script(sdk);
        let mut child =
            script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap_or_else(|error| {
                panic!("{sdk:?} cannot be run: {error}\nhint: `tests/run` installs the SDKs");
            });
        child.stdin.take().unwrap().write_all(plan.to_string().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let (out, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let lines = out.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Played { lines, code: output.status.code(), told: format!("{out}{told}") }
    }

    /// Waits until an event of that id is at the mock; it must be there once.
    pub(crate) fn arrives(&self, id: &str) -> Taken {
        let came = |all: &[Taken]| all.iter().any(|taken| taken.text("event_id") == id);
        assert!(
            self.runtime.block_on(self.graph.until(came, ARRIVAL)),
            "`{id}` never came; records {:#?}",
            self.running.records()
        );
        let mut copies: Vec<Taken> = self.graph.taken().into_iter().filter(|taken| taken.text("event_id") == id).collect();
        assert_eq!(copies.len(), 1, "{id}");
        copies.remove(0)
    }

    /// Reports events without an SDK; the status.
    pub(crate) fn report(&self, events: &[Value]) -> u16 {
        let key = front::backend("").key;
        let url = format!("http://{}/v26.0/{}/events", self.running.graph(), front::PIXEL);
        let body = json!({ "data": events, "access_token": key.expose_secret() });
        self.runtime.block_on(client().post(url).json(&body).send()).unwrap().status().as_u16()
    }

    /// How many requests came to an edge of the door, whatever they were answered.
    pub(crate) fn requests(&self, edge: &str) -> u64 {
        let token = std::fs::read_to_string(self.folder.path().join("state/admin.token")).unwrap();
        let asking = client().get(format!("http://{}/metrics", self.running.admin())).bearer_auth(token.trim());
        let text = self.runtime.block_on(async { asking.send().await.unwrap().text().await.unwrap() });
        let prefix = format!("clicksieve_graph_requests_total{{edge=\"{edge}\"");
        let counts =
            text.lines().filter(|line| line.starts_with(&prefix)).filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        counts.sum()
    }
}

fn client() -> reqwest::Client {
    let _stands = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::new()
}

/// Where `tests/run` has installed the SDKs.
fn installed() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("sdk")
}

fn script(sdk: Sdk) -> Command {
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk/clients");
    // A script that repeats itself without end is to fail a test, not to hang it.
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", "120"]);
    match sdk {
        // It would write its compiled modules beside the sources.
        Sdk::Python => command.arg(installed().join("venv/bin/python")).arg("-B").arg(clients.join("purchases.py")),
        Sdk::Node => command.arg("node").arg(clients.join("purchases.cjs")).env("NODE_PATH", installed().join("node_modules")),
    };
    for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NODE_OPTIONS"] {
        command.env_remove(name);
    }
    command
}
