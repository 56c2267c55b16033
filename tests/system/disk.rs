//! A disk that fills up: the state folder is a small file system of its own, mounted where only the process sees it.
//! Events are refused at both doors while it is full, pages are served, and afterwards everything goes on.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use clicksieve::clock::Clock;
use clicksieve::demo::graph::Failure;
use clicksieve::demo::graph::Graph;
use serde_json::Value;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::far::Far;
use crate::far::until;
use crate::harness::site::Site;
use crate::harness::visitor::Answer;
use crate::harness::visitor::Visitor;
use crate::whole;
use crate::whole::process;
use crate::whole::process::Process;
use crate::whole::seen;

/// Room for the files of an empty state, and a little more.
const SIZE: &str = "8m";

/// How a file system can be mounted where nobody else sees it: as root, or as root of a user's own namespace.
fn unshare() -> &'static [&'static str] {
    let ways: [&[&str]; 2] = [&["--mount"], &["--mount", "--map-root-user"]];
    let works = |way: &&[&str]| {
        let tried = Command::new("unshare").args(*way).args(["mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output();
        tried.is_ok_and(|tried| tried.status.success())
    };
    ways.into_iter().find(works).expect(
        "no file system can be mounted here\n\
         hint: run this test as root with CAP_SYS_ADMIN (`docker run --cap-add SYS_ADMIN`), or allow user namespaces",
    )
}

/// The program with a small disk under its state folder; `first` is run there before it starts.
fn command(config: &Path, first: &str) -> Command {
    let state = config.with_file_name("state");
    std::fs::create_dir_all(&state).unwrap();
    let program = process::command(config);
    let script = format!("mount -t tmpfs -o size={SIZE},mode=700 tmpfs \"$0\" && {first} exec \"$@\"");
    let mut command = Command::new("unshare");
    command.args(unshare()).args(["sh", "-c", &script]).arg(state).arg(program.get_program()).args(program.get_args());
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
    command
}

struct Stand {
    far: Far,
    /// The state folder as the process sees it.
    state: PathBuf,
    graph: Graph,
    runtime: Runtime,
}

impl Stand {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let graph = runtime.block_on(whole::mock(Clock::system()));
        let site = Site::answers(whole::html_answer());
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("clicksieve.yaml");
        std::fs::write(&config, whole::configuration(site.address, &graph.url(), whole::ADMIN)).unwrap();
        let process = Process::try_run(command(&config, "")).unwrap_or_else(|(status, said)| panic!("{status}:\n{said}"));
        let inside = format!("/proc/{}/root{}", process.id(), folder.path().join("state").display());
        let state = PathBuf::from(inside);
        let far = Far::with(process, site, state.clone(), folder);
        Self { far, state, graph, runtime }
    }

    /// Takes all the room there is, to the last byte.
    fn fill(&self) {
        let mut ballast = File::options().create(true).append(true).open(self.state.join("ballast")).unwrap();
        for size in [1 << 16, 1 << 12, 1] {
            while ballast.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.state.join("ballast")).unwrap();
    }

    /// Reports one batch; status, `Retry-After` and body.
    fn report(&self, orders: &[String], time: u64) -> (u16, Option<String>, Value) {
        let events: Vec<Value> = orders.iter().map(|order| whole::purchase(order, time)).collect();
        self.runtime.block_on(async {
            let answer = whole::report(&whole::client(), self.far.process.graph, &events).await.unwrap();
            let after = answer.headers().get("retry-after").map(|after| after.to_str().unwrap().to_owned());
            (answer.status().as_u16(), after, answer.json().await.unwrap())
        })
    }

    fn view(&self, address: &str, path: &str) -> Answer {
        let lines = seen::chrome_from(address);
        let answer = Visitor::connect(self.far.shop()).ask(&format!("GET {path} HTTP/1.1\r\nhost: shop.example\r\n{lines}\r\n"));
        assert_eq!(answer.status, 200, "{}", answer.head);
        answer
    }

    /// What the tag of a page posts.
    fn tell(&self, page: &Answer, n: usize) -> Answer {
        let tag = seen::tag_of(page).expect("a tag");
        let event = whole::tag_event(&tag.page, "Lead", n, Clock::system().now().seconds());
        let body = json!({ "t": tag.token, "k": [event] }).to_string();
        let lines = seen::chrome();
        Visitor::connect(self.far.shop()).ask(&format!(
            "POST /_cs/e HTTP/1.1\r\nhost: shop.example\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n{lines}\r\n{body}",
            body.len()
        ))
    }
}

#[test]
fn a_full_disk_refuses_events_serves_pages_and_loses_nothing() {
    let stand = Stand::new();
    let time = Clock::system().now().seconds();
    let page = stand.view("73.162.40.19", "/mug");
    // What is taken stays in the spool until the end.
    stand.graph.fail_always(Some(Failure::BadGateway));
    let mut taken: Vec<String> = (0..10).map(|order| format!("before-{order}")).collect();
    assert_eq!(stand.report(&taken, time).0, 200);

    stand.fill();
    let mut refused = Vec::new();
    until("events are refused", || {
        let orders: Vec<String> = (0..20).map(|order| format!("full-{}-{order}", taken.len())).collect();
        let (status, after, body) = stand.report(&orders, time);
        if status == 200 {
            taken.extend(orders);
            return false;
        }
        assert_eq!((status, body["error"]["is_transient"].as_bool()), (503, Some(true)), "{body}");
        assert!(after.expect("Retry-After").parse::<u32>().unwrap() > 0);
        refused = orders;
        true
    });
    let told = stand.tell(&page, 1);
    assert_eq!((told.status, told.field("retry-after").is_some()), (503, true), "{}", told.text());
    // Pages are served and scored; what cannot be written of them is counted and holds nothing up.
    until("records and visits are counted as unwritten", || {
        let click = stand.view("84.160.77.3", "/mug?fbclid=IwAR0full-0123456789-0123456789-0123456789_aem");
        assert!(seen::tag_of(&click).is_some(), "{}", click.text());
        stand.far.metric("clicksieve_records_unwritten") > 0 && stand.far.metric("clicksieve_visits_unwritten") > 0
    });
    assert_eq!(stand.far.metric("clicksieve_records_dropped_total"), 0);

    stand.free();
    until("events are taken again", || {
        let (status, ..) = stand.report(&["after".to_owned()], time);
        status == 200
    });
    assert_eq!(stand.tell(&page, 2).status, 200);
    stand.graph.fail_always(None);
    let mut expected: HashSet<String> = taken.iter().map(|order| format!("o.{order}")).collect();
    expected.insert("o.after".to_owned());
    expected.insert(format!("{}.2", seen::tag_of(&page).unwrap().page));
    let ids = || stand.graph.taken().iter().map(|taken| taken.text("event_id").to_owned()).collect::<HashSet<_>>();
    let all = stand.runtime.block_on(stand.graph.until(|_| ids().is_superset(&expected), whole::ARRIVAL));
    assert!(all, "{} of {} came", ids().len(), expected.len());
    // Nothing of what was refused was taken by halves.
    assert_eq!(ids(), expected);
    assert!(refused.iter().all(|order| !ids().contains(&format!("o.{order}"))));
    until("records are written again", || records(&stand.state).iter().any(|record| record["event_id"] == "o.after"));
}

/// The whole lines of the file of records; a line that the full disk cut is the only one that may be none.
fn records(state: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(state.join("records.jsonl")).unwrap();
    let lines: Vec<_> = text.lines().map(serde_json::from_str).collect();
    assert!(lines.iter().filter(|line| line.is_err()).count() <= 2, "{text}");
    lines.into_iter().flatten().collect()
}

#[test]
fn a_first_start_on_a_full_disk_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("clicksieve.yaml");
    std::fs::write(&config, whole::configuration(Site::nobody(), "http://127.0.0.1:9", whole::ADMIN)).unwrap();
    let full = "{ dd if=/dev/zero of=\"$0/ballast\" bs=4096 2>/dev/null; true; } &&";
    let (status, said) = Process::try_run(command(&config, full)).err().expect("it cannot start");
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(said.contains("cannot be opened: ") && said.contains("\nhint: "), "{said}");
}

#[test]
fn a_restart_on_a_full_disk_serves_pages_and_takes_events_once_there_is_room() {
    for killed in [true, false] {
        let runtime = Runtime::new().unwrap();
        let graph = runtime.block_on(whole::mock(Clock::system()));
        let site = Site::answers(whole::html_answer());
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("clicksieve.yaml");
        let text = whole::configuration(site.address, &graph.url(), whole::ADMIN);
        std::fs::write(&config, text.replace("state: state", "state: state-before")).unwrap();
        let time = Clock::system().now().seconds();
        let mut before = Process::start(&config);
        let status = runtime.block_on(async {
            graph.fail_always(Some(Failure::BadGateway));
            whole::report(&whole::client(), before.graph, &[whole::purchase("before", time)]).await.unwrap().status()
        });
        assert_eq!(status, 200);
        if killed {
            before.kill();
        } else {
            before.signal("TERM");
            before.ended();
        }
        graph.fail_always(None);
        std::fs::write(&config, text).unwrap();
        let full = "cp -a \"$0-before/.\" \"$0\" && { dd if=/dev/zero of=\"$0/ballast\" bs=4096 2>/dev/null; true; } &&";
        let process =
            Process::try_run(command(&config, full)).unwrap_or_else(|(status, said)| panic!("{killed} {status}:\n{said}"));
        let inside = format!("/proc/{}/root{}", process.id(), folder.path().join("state").display());
        let state = PathBuf::from(inside);
        let far = Far::with(process, site, state.clone(), folder);
        let stand = Stand { far, state, graph, runtime };
        assert!(seen::tag_of(&stand.view("73.162.40.19", "/mug")).is_some());
        assert_eq!(stand.report(&["full".to_owned()], time).0, 503);
        stand.free();
        until("events are taken again", || stand.report(&["after".to_owned()], time).0 == 200);
        for id in ["o.before", "o.after"] {
            let came = |all: &[clicksieve::demo::graph::Taken]| all.iter().any(|taken| taken.text("event_id") == id);
            assert!(stand.runtime.block_on(stand.graph.until(came, whole::ARRIVAL)), "{id}");
        }
    }
}
