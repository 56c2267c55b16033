//! What only the kernel can tell: the program under strace. Needs strace, so it runs with the feature `system` alone, which
//! `tests/run` turns on.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, also in its helpers"
)]

mod trace;

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use clicksieve::clock::Clock;
use clicksieve::demo::graph::Account;
use clicksieve::demo::graph::Graph;
use secrecy::SecretString;
use serde_json::json;

use crate::trace::Trace;

const PIXEL: &str = "100200300400500";
const TOKEN: &str = "test-access-token";
const KEY: &str = "test-back-end-key";
const EVENTS: usize = 20;

/// The program under strace; dropping it ends both.
struct Traced {
    strace: Child,
    graph: SocketAddr,
}

impl Traced {
    fn start(config: &Path, trace: &Path) -> Self {
        let mut strace = Command::new("strace")
            .args(["-f", "-tt", "-y", "-s", "8192", "-e", "trace=fsync,fdatasync,pwrite64,write,sendto,sendmsg,writev", "-o"])
            .arg(trace)
            .arg(env!("CARGO_BIN_EXE_clicksieve"))
            .args(["run", "--config"])
            .arg(config)
            .env("META_TOKEN", TOKEN)
            .env("GRAPH_KEY", KEY)
            .env("RUST_LOG", "info")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("strace is installed");
        let mut log = BufReader::new(strace.stderr.take().unwrap());
        let mut said = String::new();
        loop {
            let mut line = String::new();
            assert!(log.read_line(&mut line).unwrap() > 0, "it ended:\n{said}");
            said.push_str(&line);
            let Some((_, rest)) = line.split_once("started").and_then(|_| line.split_once("graph=")) else { continue };
            let graph = rest.split_whitespace().next().unwrap().parse().unwrap();
            std::thread::spawn(move || log.read_to_end(&mut Vec::new()));
            return Self { strace, graph };
        }
    }

    /// Tells the program to stop and waits until strace has written everything.
    fn stop(&mut self) {
        let id = self.strace.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        let program = children.split_whitespace().next().expect("the program runs");
        assert!(Command::new("kill").args(["-TERM", program]).status().unwrap().success());
        self.strace.wait().unwrap();
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        let _ = self.strace.kill();
        let _ = self.strace.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_on_the_disk_before_its_answer_is_sent() {
    let _stands = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let account = Account { pixel: PIXEL.to_owned(), token: SecretString::from(TOKEN) };
    let graph = Graph::start("127.0.0.1:0".parse().unwrap(), vec![account], Clock::system()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (config, trace) = (folder.path().join("clicksieve.yaml"), folder.path().join("trace"));
    let text = format!(
        "listen: 127.0.0.1:0\nupstream: http://127.0.0.1:9\nmode: warn\ncores: 1\nstate: state\n\
         destinations:\n  - {{ pixel_id: \"{PIXEL}\", access_token: \"${{META_TOKEN}}\", key: \"${{GRAPH_KEY}}\", host: \"{}\" }}\n\
         graph: {{ listen: \"127.0.0.1:0\" }}\nadmin: {{ listen: \"127.0.0.1:0\" }}\n",
        graph.url()
    );
    std::fs::write(&config, text).unwrap();
    let mut program = Traced::start(&config, &trace);

    let client = reqwest::Client::new();
    let now = Clock::system().now().seconds();
    let address = format!("http://{}/v26.0/{PIXEL}/events", program.graph);
    for event in 0..EVENTS {
        let data = json!([{
            "event_name": "Purchase", "event_time": now, "action_source": "website",
            "event_source_url": "https://shop.example/thanks",
            "user_data": {
                "em": ["973dfe463ec85785f5f95af5ba3906eedb2d931c24e69824a89ea65dba4e813b"],
                "client_ip_address": "203.0.113.9", "client_user_agent": "Mozilla/5.0",
            },
            "custom_data": { "value": 11.5, "currency": "EUR", "order_id": order(event) },
        }]);
        let answer = client.post(&address).json(&json!({ "data": data, "access_token": KEY })).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
        // Read whole, so that the next one goes over the same connection.
        answer.bytes().await.unwrap();
    }
    program.stop();

    let trace = Trace::read(&std::fs::read_to_string(&trace).unwrap());
    let answers = trace.answers();
    assert_eq!(answers.len(), EVENTS, "answers in the trace");
    for (event, answer) in answers.into_iter().enumerate() {
        let order = order(event);
        let written = trace.written(&order).unwrap_or_else(|| panic!("`{order}` was never written to the log"));
        assert!(written < answer, "`{order}` was answered in line {answer} and written in line {written}");
        let synced = trace.synced_between(written, answer);
        assert!(synced, "`{order}` was written in line {written}, answered in line {answer}, and not synced between");
    }
}

fn order(event: usize) -> String {
    format!("traced-{event:04}")
}
