//! One process follows another on the same sockets: under load, when the new one fails, and as systemd has it, which is also
//! told how things stand.

use std::net::SocketAddr;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use clicksieve::clock::Clock;
use clicksieve::demo::graph::Graph;
use tokio::runtime::Runtime;

use crate::far::until;
use crate::harness::PATIENCE;
use crate::harness::site::Site;
use crate::harness::visitor::Visitor;
use crate::whole;
use crate::whole::process;
use crate::whole::process::Process;

/// A process in front of a site and a mock, which others may succeed.
struct Line {
    process: Process,
    graph: Graph,
    runtime: Runtime,
    config: PathBuf,
    heirs: Vec<String>,
    folder: tempfile::TempDir,
    _site: Site,
}

impl Line {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let graph = runtime.block_on(whole::mock(Clock::system()));
        let site = Site::answers(whole::html_answer());
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("clicksieve.yaml");
        // Two threads, so that there are two queues to lose connections in.
        let text = whole::configuration(site.address, &graph.url(), whole::ADMIN).replace("cores: 1", "cores: 2");
        std::fs::write(&config, text).unwrap();
        Self { process: Process::start(&config), graph, runtime, config, heirs: Vec::new(), folder, _site: site }
    }

    /// Tells the newest process to hand over; the gap in milliseconds.
    fn hand_over(&mut self) -> u64 {
        match self.heirs.last() {
            None => self.process.signal("USR2"),
            Some(heir) => kill("USR2", heir),
        }
        let line = self.process.until_said("handed over");
        let value = |key: &str| line.split_once(key).unwrap().1.split_whitespace().next().unwrap().to_owned();
        self.heirs.push(value("pid="));
        value("gap_ms=").parse().unwrap()
    }

    fn report(&self, order: &str) -> u16 {
        let events = [whole::purchase(order, Clock::system().now().seconds())];
        self.runtime.block_on(whole::report(&whole::client(), self.process.graph, &events)).unwrap().status().as_u16()
    }

    fn arrives(&self, order: &str) {
        let id = format!("o.{order}");
        let came = self.graph.until(|all| all.iter().any(|taken| taken.text("event_id") == id), whole::ARRIVAL);
        assert!(self.runtime.block_on(came), "{order} never came");
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // The last process is nobody's child here.
        if let Some(heir) = self.heirs.last() {
            let _ = Command::new("kill").arg("-KILL").arg(heir).status();
        }
    }
}

fn kill(signal: &str, process: &str) {
    assert!(Command::new("kill").arg(format!("-{signal}")).arg(process).status().unwrap().success());
}

/// Asks for pages until it is over, each by a connection of its own or by one that is kept for as long as it may be.
fn visits(shop: SocketAddr, keeps: bool, over: &AtomicBool, answered: &AtomicUsize) {
    let mut kept = Visitor::connect(shop);
    while !over.load(Ordering::SeqCst) {
        let answer = kept.get("/");
        assert_eq!(answer.status, 200, "{}", answer.head);
        answered.fetch_add(1, Ordering::SeqCst);
        if !keeps || answer.field("connection") == Some("close") {
            kept = Visitor::connect(shop);
        }
    }
}

#[test]
fn three_processes_follow_each_other_under_load_and_no_request_fails() {
    let mut line = Line::new();
    let (over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let shop = line.process.shop;
    let visitors: Vec<_> = (0..6)
        .map(|number| {
            let (over, answered) = (Arc::clone(&over), Arc::clone(&answered));
            std::thread::spawn(move || visits(shop, number % 2 == 0, &over, &answered))
        })
        .collect();
    until("the load is on", || answered.load(Ordering::SeqCst) > 100);
    let mut gaps = Vec::new();
    for round in 0..3 {
        assert_eq!(line.report(&format!("before-{round}")), 200);
        gaps.push(line.hand_over());
        let before = answered.load(Ordering::SeqCst);
        until("the new one answers", || answered.load(Ordering::SeqCst) > before + 100);
        assert_eq!(line.report(&format!("after-{round}")), 200);
        if round == 0 {
            assert_eq!(line.process.ended().code(), Some(0));
            let ready = Visitor::connect(line.process.admin).ask("GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n");
            assert_eq!(ready.status, 200, "{}", ready.text());
        }
    }
    over.store(true, Ordering::SeqCst);
    for visitor in visitors {
        visitor.join().unwrap();
    }
    for round in 0..3 {
        line.arrives(&format!("before-{round}"));
        line.arrives(&format!("after-{round}"));
    }
    println!("{} pages, state without an owner for {gaps:?} ms", answered.load(Ordering::SeqCst));
}

#[test]
fn a_new_process_that_finds_faults_leaves_the_old_one_as_it_was() {
    let mut line = Line::new();
    let good = std::fs::read_to_string(&line.config).unwrap();
    std::fs::write(&line.config, good.replace("mode: warn", "mode: wran")).unwrap();
    line.process.signal("USR2");
    line.process.until_said("not handed over");
    assert_eq!((Visitor::connect(line.process.shop).get("/").status, line.report("one")), (200, 200));
    line.arrives("one");
    std::fs::write(&line.config, good).unwrap();
    line.hand_over();
    assert_eq!((Visitor::connect(line.process.shop).get("/").status, line.report("two")), (200, 200));
    line.arrives("two");
}

#[test]
fn a_new_process_that_fails_with_the_state_in_its_hands_gives_it_back() {
    let mut line = Line::new();
    let keys = line.folder.path().join("state/keys");
    let good = std::fs::read(&keys).unwrap();
    std::fs::write(&keys, "no keys").unwrap();
    line.process.signal("USR2");
    line.process.until_said("not handed over");
    assert_eq!((Visitor::connect(line.process.shop).get("/").status, line.report("one")), (200, 200));
    line.arrives("one");
    std::fs::write(&keys, good).unwrap();
    line.hand_over();
    assert_eq!(line.report("two"), 200);
    line.arrives("two");
}

/// The command of a process, behind a shell that does first what systemd would do.
fn by_shell(config: &Path, first: &str) -> Command {
    let plain = process::command(config);
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{first} exec \"$0\" \"$@\"")).arg(plain.get_program()).args(plain.get_args());
    for (name, value) in plain.get_envs() {
        command.env(name, value.unwrap());
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn alone(site: &Site) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("clicksieve.yaml");
    std::fs::write(&config, whole::configuration(site.address, "http://127.0.0.1:9", whole::ADMIN)).unwrap();
    (folder, config)
}

#[test]
fn sockets_from_systemd_are_served_also_what_waited_in_them() {
    let site = Site::answers(whole::html_answer());
    let (_folder, config) = alone(&site);
    let (shop, admin) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let (shop_address, admin_address) = (shop.local_addr().unwrap(), admin.local_addr().unwrap());
    // It comes before anybody accepts.
    let mut early = Visitor::connect(shop_address);
    early.say("GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    let mut command = by_shell(&config, "exec 3<&0 4<&1 0</dev/null 1>&2; LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=shop:admin");
    command.stdin(Stdio::from(OwnedFd::from(shop))).stdout(Stdio::from(OwnedFd::from(admin)));
    let process = Process::try_run(command).unwrap_or_else(|(status, said)| panic!("{status}: {said}"));
    assert_eq!((process.shop, process.admin), (shop_address, admin_address));
    assert_eq!(early.answer(false).status, 200);
    assert_eq!(Visitor::connect(admin_address).ask("GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n").status, 200);
}

#[test]
fn systemd_is_told_when_it_is_ready_reloads_lives_hands_over_and_stops() {
    let site = Site::answers(whole::html_answer());
    let (folder, config) = alone(&site);
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let until_told = |wanted: &[&str]| loop {
        let mut message = [0; 4_096];
        let length = manager.recv(&mut message).unwrap_or_else(|_| panic!("it never told {wanted:?}"));
        let said = String::from_utf8_lossy(&message[..length]).into_owned();
        if wanted.iter().all(|wanted| said.contains(wanted)) {
            return said;
        }
    };
    let mut command = by_shell(&config, "WATCHDOG_PID=$$ WATCHDOG_USEC=20000000");
    command.env("NOTIFY_SOCKET", &path);
    let mut process = Process::try_run(command).unwrap_or_else(|(status, said)| panic!("{status}: {said}"));
    until_told(&["READY=1", "STATUS=serving"]);
    until_told(&["WATCHDOG=1"]);
    process.signal("HUP");
    until_told(&["RELOADING=1", "MONOTONIC_USEC="]);
    until_told(&["READY=1"]);
    process.signal("USR2");
    let said = until_told(&["MAINPID="]);
    let heir = said.split_once("MAINPID=").unwrap().1.lines().next().unwrap().to_owned();
    assert_eq!(process.ended().code(), Some(0));
    until_told(&["WATCHDOG=1"]);
    kill("TERM", &heir);
    until_told(&["STOPPING=1"]);
}
