//! The `websockets` library speaks with itself through the door, plain and over TLS: messages of all kinds and sizes, whole
//! and in pieces, pings, compression, every code of a close, and ends without a word.

use std::io::BufRead;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use crate::judges::TLS;
use crate::judges::certify;
use crate::judges::run;
use crate::whole;
use crate::whole::process::Process;

/// Every group of cases, as the script names it once all of it has passed.
const GROUPS: [&str; 10] = [
    "sizes plain",
    "fragments plain",
    "pings plain",
    "thousand plain",
    "sizes deflate",
    "fragments deflate",
    "pings deflate",
    "thousand deflate",
    "codes",
    "unclean",
];

fn script() -> Command {
    // The environment that `tests/run` makes.
    let mut command = Command::new(Path::new(env!("CARGO_TARGET_TMPDIR")).join("judges/bin/python"));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/system/judges/web_socket.py"));
    command
}

/// The library's server; it ends when its input does.
struct Echo {
    child: Child,
    address: SocketAddr,
}

impl Echo {
    fn start() -> Self {
        let mut command = script();
        command.arg("echo").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}\nhint: `tests/run` installs it"));
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, address: SocketAddr::from(([127, 0, 0, 1], line.trim().parse().unwrap())) }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn passes(tls: bool) {
    let echo = Echo::start();
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path(), "shop.example");
    let config = folder.path().join("clicksieve.yaml");
    let more = format!("{}{}", if tls { TLS } else { "" }, whole::ADMIN);
    std::fs::write(&config, whole::configuration(echo.address, "http://127.0.0.1:9", &more)).unwrap();
    let process = Process::start(&config);
    let mut visit = script();
    visit.arg("visit").arg(format!("{}://{}", if tls { "wss" } else { "ws" }, process.shop));
    if tls {
        visit.arg(folder.path().join("ca.pem"));
    }
    let output = run(&mut visit);
    let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{error}");
    assert_eq!(said.lines().collect::<Vec<_>>(), GROUPS, "{error}");
}

#[test]
fn every_case_of_a_web_socket_is_clean() {
    passes(false);
}

#[test]
fn every_case_of_a_web_socket_is_clean_over_tls() {
    passes(true);
}
