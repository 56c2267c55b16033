//! That an event is on the disk before its answer is sent: only the kernel can tell, so the program runs under strace.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use clicksieve::clock::Clock;

use crate::harness::site::Site;
use crate::trace::Trace;
use crate::whole;

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
            .env("META_TOKEN", whole::TOKEN)
            .env("GRAPH_KEY", whole::KEY)
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
    let graph = whole::mock(Clock::system()).await;
    let folder = tempfile::tempdir().unwrap();
    let (config, trace) = (folder.path().join("clicksieve.yaml"), folder.path().join("trace"));
    let text = whole::configuration(Site::nobody(), &graph.url(), whole::ADMIN);
    std::fs::write(&config, text).unwrap();
    let mut program = Traced::start(&config, &trace);

    let client = whole::client();
    let now = Clock::system().now().seconds();
    for event in 0..EVENTS {
        let answer = whole::report(&client, program.graph, &[whole::purchase(&order(event), now)]).await.unwrap();
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
