//! Lists by URL in a running process: taken into force while visitors come, refused when they are not believed, there after a
//! restart without their source; and `clicksieve lists` on the same configuration.

use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use clicksieve::clock::Clock;
use serde_json::Value;

use crate::harness::site::Site;
use crate::whole;
use crate::whole::inside::Inside;
use crate::whole::seen;

const HOME: &str = "217.0.0.1";
const HOUR: Duration = Duration::from_hours(1);

/// A publisher of one list, which can be changed.
#[derive(Clone)]
struct Publisher {
    address: SocketAddr,
    list: Arc<Mutex<String>>,
}

impl Publisher {
    fn of(list: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let publisher = Self { address: listener.local_addr().unwrap(), list: Arc::new(Mutex::new(list.to_owned())) };
        let list = Arc::clone(&publisher.list);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let (mut request, mut byte) = (Vec::new(), [0_u8; 1]);
                while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
                    request.push(byte[0]);
                }
                let body = list.lock().unwrap().clone();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                let _ = stream.write_all(format!("{head}{body}").as_bytes());
            }
        });
        publisher
    }

    fn now_says(&self, list: &str) {
        list.clone_into(&mut self.list.lock().unwrap());
    }

    fn configured(&self) -> String {
        format!("lists:\n  - {{ name: mine, kind: tor, url: \"http://{}/exits?key=secret\", every: 1h }}\n", self.address)
    }
}

fn site() -> Site {
    Site::answers(whole::html_answer())
}

/// What the operator is told of the list.
fn told(inside: &Inside) -> Value {
    let all: Value = serde_json::from_str(&inside.admin("/api/lists")).unwrap();
    all.as_array().unwrap().iter().find(|list| list["name"] == "mine").unwrap().clone()
}

/// The kind of network that a visitor from this address has now.
fn kind(inside: &Inside, address: &str) -> String {
    let page = inside.ask("GET", "/mug?fbclid=IwAR0123456789abcdefghijklmnopqrstuvwxyz", &seen::chrome_from(address));
    assert_eq!(page.status, 200);
    inside.running.records()[0]["network"].as_str().unwrap_or_default().to_owned()
}

fn looks(inside: &Inside, outcome: &str) -> u64 {
    inside.metric(&format!("clicksieve_list_refreshes_total{{list=\"mine\",outcome=\"{outcome}\"}}")).unwrap_or(0)
}

#[test]
fn a_list_by_url_is_taken_while_visitors_come_and_a_false_one_is_not() {
    let site = site();
    let publisher = Publisher::of(&format!("{HOME}\n11.0.0.1\n"));
    let inside = Inside::moved(site.address, &publisher.configured());
    assert!(inside.looks(|| told(&inside)["state"] == "fresh"), "{}", told(&inside));
    assert_eq!(kind(&inside, HOME), "tor");
    assert!(!inside.admin("/api/lists").contains("secret"));

    publisher.now_says("11.0.0.1\n11.0.0.2\n11.0.0.3\n");
    inside.pass(HOUR);
    // Every request that comes while the tables are exchanged is answered.
    assert!(inside.looks(|| kind(&inside, HOME) != "tor"));
    assert_eq!(told(&inside)["entries"], 3);

    publisher.now_says("<html>The list has moved</html>");
    inside.pass(HOUR);
    assert!(inside.looks(|| looks(&inside, "refused") > 0));
    let list = told(&inside);
    assert_eq!((&list["entries"], &list["last"]["outcome"]), (&Value::from(3), &Value::from("refused")), "{list}");
    assert!(list["last"]["says"].as_str().unwrap().contains("/exits:1:1: an HTML or XML page, not a list"), "{list}");
    assert_eq!(inside.metric("clicksieve_list_entries{list=\"mine\"}"), Some(3));

    // Its source says nothing good any more, and the last good copy outlives the process.
    let inside = inside.stopped_for(HOUR);
    let list = told(&inside);
    assert_eq!((&list["entries"], &list["state"]), (&Value::from(3), &Value::from("fresh")), "{list}");
    assert_eq!(kind(&inside, "11.0.0.2"), "tor");
    inside.pass(31 * 24 * HOUR);
    assert!(inside.looks(|| told(&inside)["state"] == "stale"));
}

/// What the command says on this configuration, and its exit code.
fn lists(folder: &Path, arguments: &[&str]) -> (String, i32) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clicksieve"));
    let done = command.arg("lists").args(arguments).arg("--config").arg(folder.join("clicksieve.yaml")).output().unwrap();
    let said = [done.stdout, done.stderr].concat();
    (String::from_utf8(said).unwrap(), done.status.code().unwrap())
}

#[test]
fn the_lists_command_fetches_shows_looks_up_and_checks() {
    let folder = tempfile::tempdir().unwrap();
    let publisher = Publisher::of(&format!("{HOME}\n11.0.0.0/24\n"));
    let own = "  - { name: own, kind: vpn, file: own.txt }\n";
    let text = format!("upstream: http://127.0.0.1:9\nstate: state\n{}{own}", publisher.configured());
    std::fs::write(folder.path().join("clicksieve.yaml"), text).unwrap();
    std::fs::write(folder.path().join("own.txt"), "# mine\n12.0.0.0/24\n").unwrap();
    let run = |arguments: &[&str]| lists(folder.path(), arguments);

    let (said, code) = run(&["status"]);
    assert!(code == 1 && said.lines().any(|line| line.starts_with("mine ") && line.contains("missing")), "{said}");
    assert_eq!(run(&["pull"]), ("mine: taken: 2 entries\n".to_owned(), 0));
    assert_eq!(run(&["pull", "mine"]), ("mine: unchanged\n".to_owned(), 0));
    let (said, _) = run(&["status"]);
    assert!(said.lines().any(|line| line.starts_with("mine ") && line.contains(" 2 ") && line.contains("fresh")), "{said}");

    let (said, code) = run(&["lookup", HOME]);
    assert!(code == 0 && said.contains("kind: tor") && said.contains("on mine: kind tor") && !said.contains("secret"), "{said}");
    let (said, _) = run(&["lookup", "--json", "66.249.66.1"]);
    let found: Value = serde_json::from_str(&said).unwrap();
    let googlebot = found["lists"].as_array().unwrap().iter().find(|list| list["name"] == "googlebot").unwrap();
    assert_eq!(
        (&found["identity"], &googlebot["identity"], &googlebot["source"]),
        (&"google".into(), &"google".into(), &"shipped".into())
    );
    assert!(run(&["lookup", "AS21928"]).0.contains("on carrier_asn: kind mobile_carrier"));
    assert!(run(&["lookup", "python-requests/2.31"]).0.contains("kind: library"));

    assert_eq!(run(&["verify"]).1, 0);
    std::fs::write(folder.path().join("own.txt"), "12.0.0.0/24\n66.249.66.0/24\n").unwrap();
    let (said, code) = run(&["verify"]);
    assert!(code == 1 && said.contains("own: 1 entries hit protected ranges") && said.contains("`66.249.66.0/24`"), "{said}");
    std::fs::write(folder.path().join("own.txt"), "12.0.0.0/24\nnonsense\n").unwrap();
    let (said, code) = run(&["verify"]);
    assert!(code == 1 && said.contains("own.txt:2:1: `nonsense` is no network"), "{said}");

    publisher.now_says("<html></html>");
    let (said, code) = run(&["pull"]);
    assert!(code == 1 && said.contains("mine: refused: ") && said.contains("an HTML or XML page"), "{said}");
    assert_eq!(
        run(&["pull", "mien"]),
        ("no list named `mien` is configured with a `url`\nhint: did you mean `mine`?\n".to_owned(), 2)
    );
}

#[test]
fn a_configured_file_with_faults_stops_the_start_and_a_later_fault_changes_nothing() {
    let site = site();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.txt");
    std::fs::write(&file, format!("{HOME}\n")).unwrap();
    let more = format!("lists:\n  - {{ name: own, kind: tor, file: {} }}\n", file.display());
    let inside = Inside::with(Clock::system(), site.address, |text| text.replace("\ngraph:", &format!("\n{more}graph:")));
    assert_eq!(kind(&inside, HOME), "tor");
    std::fs::write(&file, "217.0.0.1/24\n").unwrap();
    let done = inside.running.reload();
    assert!(done.faults.iter().any(|fault| fault.contains("own.txt:1:1: `217.0.0.1/24` has bits set")), "{done:?}");
    assert_eq!(kind(&inside, HOME), "tor");
    std::fs::write(&file, "217.0.0.2\n").unwrap();
    assert!(inside.running.reload().faults.is_empty());
    assert_ne!(kind(&inside, HOME), "tor");
}
