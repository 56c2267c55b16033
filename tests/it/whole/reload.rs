//! A configuration that changes under a running process: the next request meets the new one, also on a connection that
//! stands; a request that has begun meets the old one to its end; nobody is turned away.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use clicksieve::clock::Clock;
use serde_json::Value;

use crate::harness::site::Site;
use crate::harness::visitor;
use crate::harness::visitor::Answer;
use crate::harness::visitor::Visitor;
use crate::whole;
use crate::whole::process::Process;
use crate::whole::seen;

const NOBODY: &str = "http://127.0.0.1:9";

/// A process whose configuration is about to change.
struct Changing {
    process: Process,
    site: Site,
    folder: tempfile::TempDir,
    text: String,
}

impl Changing {
    fn of(site: Site, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = whole::configuration(site.address, NOBODY, &format!("{}{more}", whole::ADMIN));
        let config = folder.path().join("clicksieve.yaml");
        std::fs::write(&config, &text).unwrap();
        Self { process: Process::start(&config), site, folder, text }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("clicksieve.yaml")
    }

    /// What the operator's door answers to a reload with this file.
    fn reload(&self, text: &str) -> (u16, Value) {
        std::fs::write(self.file(), text).unwrap();
        let answer = self.admin("POST", "/api/reload");
        (answer.status, serde_json::from_slice(&answer.body).unwrap())
    }

    /// The same for a file that must be taken whole.
    fn taken(&self, text: &str) {
        let (status, told) = self.reload(text);
        assert_eq!(
            (status, &told["faults"], &told["after_restart"]),
            (200, &Value::from(Vec::<Value>::new()), &Value::from(Vec::<Value>::new())),
            "{told}"
        );
    }

    fn admin(&self, method: &str, path: &str) -> Answer {
        let token = std::fs::read_to_string(self.folder.path().join("state/admin.token")).unwrap();
        let lines = format!("host: localhost\r\nauthorization: Bearer {}\r\ncontent-length: 0\r\n", token.trim());
        Visitor::connect(self.process.admin).ask(&format!("{method} {path} HTTP/1.1\r\n{lines}\r\n"))
    }

    /// What the site was told last.
    fn told(&self) -> String {
        self.site.heads().pop().unwrap()
    }
}

fn page(text: &str) -> Site {
    Site::answers(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len()))
}

#[test]
fn the_next_request_on_a_kept_connection_goes_to_the_new_upstream_and_one_under_way_ends_at_the_old() {
    let (go, wait) = sync_channel::<()>(0);
    let wait = Mutex::new(wait);
    let old = Site::start(move |talk, _| {
        while let Some(head) = talk.head() {
            if head.starts_with("GET /slow ") {
                talk.say("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nold");
                wait.lock().unwrap().recv().unwrap();
                talk.say("old");
            } else {
                talk.say("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nold");
            }
        }
    });
    let new = page("new");
    let changing = Changing::of(old, "");
    let (mut kept, mut slow) = (Visitor::connect(changing.process.shop), Visitor::connect(changing.process.shop));
    assert_eq!(kept.get("/").text(), "old");
    slow.say("GET /slow HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    let head = slow.head().unwrap();
    assert!(head.contains("content-length: 6"), "{head}");

    changing.taken(&changing.text.replace(&changing.site.address.to_string(), &new.address.to_string()));
    assert_eq!(kept.get("/").text(), "new");
    go.send(()).unwrap();
    assert_eq!(slow.exactly(6), b"oldold");
    assert_eq!(slow.get("/").text(), "new", "the same connection goes on");
}

#[test]
fn each_key_that_may_change_holds_for_the_next_request_of_a_kept_connection() {
    let site = Site::answers(
        "HTTP/1.1 302 Found\r\nlocation: http://inner.example/x\r\nset-cookie: a=1; Domain=inner.example\r\ncontent-length: 0\r\n\r\n",
    );
    let changing = Changing::of(site, "");
    let upstream = changing.site.address.to_string();
    let mut kept = Visitor::connect(changing.process.shop);
    let far =
        "GET /app/x HTTP/1.1\r\nhost: shop.example\r\nx-forwarded-for: 203.0.113.9\r\ncf-connecting-ip: 198.51.100.7\r\n\r\n";
    let told = |kept: &mut Visitor, name: &str| {
        kept.ask(far);
        visitor::field(&changing.told(), name).map(str::to_owned)
    };
    assert_eq!(told(&mut kept, "host").as_deref(), Some("shop.example"));
    changing.taken(&format!("{}host: upstream\n", changing.text));
    assert_eq!(told(&mut kept, "host").as_deref(), Some(upstream.as_str()));

    assert_eq!(told(&mut kept, "x-real-ip").as_deref(), Some("203.0.113.9"));
    changing.taken(&format!("{}client_address: {{ header: cf-connecting-ip }}\n", changing.text));
    assert_eq!(told(&mut kept, "x-real-ip").as_deref(), Some("198.51.100.7"));
    changing.taken(&changing.text.replace("trusted_proxies: [127.0.0.1]", "trusted_proxies: []"));
    assert_eq!(told(&mut kept, "x-real-ip").as_deref(), Some("127.0.0.1"), "nobody is believed any more");

    changing.taken(&format!("{}cookie_domain: {{ from: inner.example, to: shop.example }}\n", changing.text));
    assert_eq!(kept.ask(far).field("set-cookie"), Some("a=1; Domain=shop.example"));

    assert!(told(&mut kept, "x-clicksieve-band").is_some());
    changing.taken(&format!("{}bypass: {{ paths: [/app] }}\n", changing.text));
    assert_eq!(told(&mut kept, "x-clicksieve-band"), None);

    changing.taken(&format!("{}prefix: /own\n", changing.text));
    assert_eq!((kept.get("/own/t.js").status, kept.get("/_cs/t.js").status), (200, 200), "pages that are open know the old one");
    let (many, long) = ("x: 1\r\n".repeat(12), format!("GET /{} HTTP/1.1\r\nhost: h\r\n\r\n", "l".repeat(2_000)));
    let many = format!("GET / HTTP/1.1\r\nhost: h\r\n{many}\r\n");
    let anew = |request: &str| Visitor::connect(changing.process.shop).ask(request).status;
    assert_eq!((anew(&many), anew(&long)), (302, 302));
    changing.taken(&format!("{}limits: {{ fields: 10, line: 1024 }}\n", changing.text));
    assert_eq!((anew(&many), anew(&long)), (431, 414));
    changing.taken(&format!("{}limits: {{ connections: 1 }}\n", changing.text));
    assert_eq!(Visitor::connect(changing.process.shop).answer(false).status, 503);
    assert_eq!(kept.get("/").status, 302);
    changing.taken(&changing.text);
    assert_eq!(Visitor::connect(changing.process.shop).get("/").status, 302);
}

#[test]
fn consent_and_mode_change_for_the_next_page() {
    let changing = Changing::of(Site::answers(whole::html_answer()), "");
    let mut kept = Visitor::connect(changing.process.shop);
    let page = format!("GET /mug HTTP/1.1\r\nhost: shop.example\r\n{}\r\n", seen::chrome());
    assert!(seen::cookies(&kept.ask(&page)).contains(&"_fbp"));
    changing.taken(&format!("{}consent: required\n", changing.text));
    assert_eq!(seen::cookies(&kept.ask(&page)), [""; 0]);
    changing.taken(&changing.text.replace("mode: warn", "mode: observe"));
    assert!(seen::cookies(&kept.ask(&page)).contains(&"_fbp"));
    let modes = || {
        let text = std::fs::read_to_string(changing.folder.path().join("state/records.jsonl")).unwrap();
        let whole = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        whole.map(|page| page["mode"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    // Records are written behind.
    while modes().len() < 3 {
        std::thread::yield_now();
    }
    assert_eq!(modes(), ["warn", "warn", "observe"]);
}

#[test]
fn deadlines_change_for_kept_connections() {
    let silent = Site::start(|talk, _| while talk.head().is_some() {});
    let changing = Changing::of(silent, "");
    let mut kept = Visitor::connect(changing.process.shop);
    assert_eq!(kept.get("/_cs/t.js").status, 200);
    changing.taken(&format!("{}deadlines: {{ first_byte: 50ms }}\n", changing.text));
    assert_eq!(kept.get("/").status, 504);
    changing.taken(&format!("{}deadlines: {{ idle: 1s }}\n", changing.text));
    assert_eq!(kept.get("/_cs/t.js").status, 200);
    assert!(kept.head().is_none(), "it is closed once it lies unused");
}

#[test]
fn a_fault_leaves_all_of_the_old_configuration_and_is_told_with_its_place() {
    let changing = Changing::of(page("page"), "");
    let mut kept = Visitor::connect(changing.process.shop);
    let text = changing.text.replace("upstream: http://", "upstream: ftp://") + "host: upstream\n";
    let (status, told) = changing.reload(&text);
    assert_eq!(status, 422);
    assert!(told["faults"][0].as_str().unwrap().contains("clicksieve.yaml:2:11: `upstream`"), "{told}");
    assert_eq!(kept.get("/").text(), "page");
    assert_eq!(visitor::field(&changing.told(), "host"), Some("shop.example"));
    // An authority that cannot be read is a fault of the configuration, too.
    let text = changing.text.replace("upstream: http://", "upstream_ca: gone.pem\nupstream: https://");
    let (status, told) = changing.reload(&text);
    assert_eq!((status, kept.get("/").text()), (422, "page"), "{told}");
}

#[test]
fn what_needs_a_restart_is_named_and_the_rest_is_taken() {
    let changing = Changing::of(page("page"), "");
    let text = changing
        .text
        .replace("cores: 1", "cores: 2")
        .replace("graph: { listen: \"127.0.0.1:0\" }", "graph: { listen: \"127.0.0.1:7\" }");
    let (status, told) = changing.reload(&format!("{text}host: upstream\n"));
    assert_eq!((status, &told["after_restart"]), (200, &serde_json::json!(["cores", "graph.listen"])), "{told}");
    changing.process.until_said("after a restart");
    Visitor::connect(changing.process.shop).get("/");
    assert_eq!(visitor::field(&changing.told(), "host"), Some(changing.site.address.to_string().as_str()));
}

#[test]
fn events_go_to_the_destinations_of_now_and_those_of_one_that_is_gone_stay() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let graph = runtime.block_on(whole::mock(Clock::system()));
    let changing = Changing::of(page("page"), "");
    let (client, now) = (whole::client(), Clock::system().now().seconds());
    let status = |order: &str| {
        let events = [whole::purchase(order, now)];
        runtime.block_on(whole::report(&client, changing.process.graph, &events)).unwrap().status().as_u16()
    };
    // Nobody is there yet to take it.
    assert_eq!(status("one"), 200);
    let other = changing.text.replace("name: meta", "name: other").replace("pixel_id: \"100", "pixel_id: \"900");
    let (_, told) = changing.reload(&other);
    assert_eq!(told["notes"][0], "`meta` is no destination any more; 1 events wait for it and stay in the spool", "{told}");
    assert_eq!(status("two"), 400);

    changing.taken(&changing.text.replace(NOBODY, &graph.url()));
    let came = graph.until(|all| all.iter().any(|taken| taken.text("event_id") == "o.one"), whole::ARRIVAL);
    assert!(runtime.block_on(came), "it never came");
}

#[test]
fn two_hundred_reloads_under_load_lose_nothing() {
    let sites = [page("one"), page("two")];
    let changing = Changing::of(page("old"), "");
    let texts = sites.each_ref().map(|site| changing.text.replace(&changing.site.address.to_string(), &site.address.to_string()));
    let (over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let shop = changing.process.shop;
    let visitors: Vec<_> = (0..4)
        .map(|number| {
            let (over, answered) = (Arc::clone(&over), Arc::clone(&answered));
            std::thread::spawn(move || {
                let mut kept = Visitor::connect(shop);
                while !over.load(Ordering::SeqCst) {
                    // Half of them come anew each time.
                    if number % 2 == 0 {
                        kept = Visitor::connect(shop);
                    }
                    let answer = kept.get("/");
                    assert_eq!(answer.status, 200, "{}", answer.head);
                    assert!(["old", "one", "two"].contains(&answer.text()), "{}", answer.text());
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    for round in 0..200 {
        changing.taken(&texts[round % 2]);
    }
    over.store(true, Ordering::SeqCst);
    for visitor in visitors {
        visitor.join().unwrap();
    }
    assert!(answered.load(Ordering::SeqCst) > 200);
    assert_eq!(Visitor::connect(shop).get("/").text(), "two");
}

#[test]
fn a_change_on_disk_is_taken_by_itself() {
    let (changing, new) = (Changing::of(page("old"), ""), page("new"));
    let text = changing.text.replace(&changing.site.address.to_string(), &new.address.to_string());
    // At once after the start: the watcher may not be at work yet.
    std::fs::write(changing.file(), text).unwrap();
    while Visitor::connect(changing.process.shop).get("/").text() != "new" {
        changing.process.until_said("what=\"configuration\"");
    }

    // Files that are named only now are watched, too.
    let rules = changing.folder.path().join("more").join("rules.yaml");
    std::fs::create_dir(rules.parent().unwrap()).unwrap();
    std::fs::write(&rules, include_str!("../../../rules/default.yaml")).unwrap();
    std::fs::write(changing.file(), format!("{}rules: more/rules.yaml\n", changing.text)).unwrap();
    changing.process.until_said("what=\"configuration\"");
    std::fs::write(&rules, "schema: clicksieve/rules/v1\nsignals: 1\n").unwrap();
    assert!(changing.process.until_said("not reloaded").contains("rules.yaml"));
}

#[test]
fn files_dated_in_the_future_are_read_once_more_and_keep_nobody_from_stopping() {
    let (folder, site) = (tempfile::tempdir().unwrap(), page("old"));
    let (config, rules) = (folder.path().join("clicksieve.yaml"), folder.path().join("rules.yaml"));
    let text = whole::configuration(site.address, NOBODY, &format!("{}rules: rules.yaml\n", whole::ADMIN));
    for (path, text) in [(&rules, include_str!("../../../rules/default.yaml")), (&config, &text)] {
        std::fs::write(path, text).unwrap();
        let later = Clock::system().now().plus(Duration::from_hours(1));
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + Duration::from_millis(later.0)).unwrap();
    }
    let mut process = Process::start(&config);
    process.until_said("what=\"configuration\"");
    process.signal("TERM");
    assert!(process.ended().success());
    let rest = process.last_words();
    assert!(rest.iter().filter(|line| line.contains("what=\"configuration\"")).count() < 3, "{rest:?}");
}
