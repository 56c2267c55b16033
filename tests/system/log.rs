//! A log that nobody reads: whoever writes to it must not stand still with its reader.

use std::io::BufRead;
use std::io::BufReader;
use std::net::SocketAddr;
use std::process::ChildStderr;

use clicksieve::clock::Clock;
use clicksieve::demo::graph::Taken;
use serde_json::Value;

use crate::harness::site::Site;
use crate::harness::visitor::Visitor;
use crate::whole;
use crate::whole::process;
use crate::whole::seen;

const POISONED: usize = 500;

/// Reads the log up to the line that names the listeners; the rest is left in the pipe.
fn listening(log: &mut BufReader<ChildStderr>) -> [SocketAddr; 3] {
    loop {
        let mut line = String::new();
        assert!(log.read_line(&mut line).unwrap() > 0, "it ended");
        if line.contains(": started ") || line.contains(" started shop=") {
            let address = |key: &str| line.split_once(key).unwrap().1.split_whitespace().next().unwrap().parse().unwrap();
            return ["shop=", "graph=", "admin="].map(address);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_nobody_reads_holds_up_neither_pages_nor_events_nor_the_stop() {
    let graph = whole::mock(Clock::system()).await;
    let site = Site::answers(whole::html_answer());
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("clicksieve.yaml");
    std::fs::write(&config, whole::configuration(site.address, &graph.url(), whole::ADMIN)).unwrap();
    // Everything is told, which is far more than pipe and queue hold.
    let mut program = process::command(&config).env("RUST_LOG", "trace").spawn().unwrap();
    let mut log = BufReader::with_capacity(64, program.stderr.take().unwrap());
    let [shop, door, admin] = listening(&mut log);

    let (client, time) = (whole::client(), Clock::system().now().seconds());
    for batch in 0..POISONED / 100 {
        let orders: Vec<String> = (0..100).map(|order| format!("bad-{batch}-{order}")).collect();
        for order in &orders {
            graph.poison(&format!("o.{order}"));
        }
        let events: Vec<Value> = orders.iter().map(|order| whole::purchase(order, time)).collect();
        assert_eq!(whole::report(&client, door, &events).await.unwrap().status(), 200);
    }
    assert_eq!(whole::report(&client, door, &[whole::purchase("good", time)]).await.unwrap().status(), 200);
    let came = |all: &[Taken]| all.iter().any(|taken| taken.text("event_id") == "o.good");
    assert!(graph.until(came, whole::ARRIVAL).await, "delivery stands still after {} requests", graph.requests());

    let ended = tokio::task::spawn_blocking(move || {
        let page = format!("GET /mug HTTP/1.1\r\nhost: shop.example\r\n{}\r\n", seen::chrome());
        assert!(seen::tag_of(&Visitor::connect(shop).ask(&page)).is_some());
        let token = std::fs::read_to_string(folder.path().join("state/admin.token")).unwrap();
        let lines = format!("host: localhost\r\nauthorization: Bearer {}\r\n", token.trim());
        let metrics = Visitor::connect(admin).ask(&format!("GET /metrics HTTP/1.1\r\n{lines}\r\n"));
        let dropped = metrics.text().lines().find_map(|line| line.strip_prefix("clicksieve_log_lines_dropped "));
        assert!(dropped.is_some_and(|lines| lines.parse::<u64>().unwrap() > 0), "{dropped:?}");
        assert!(std::process::Command::new("kill").arg(program.id().to_string()).status().unwrap().success());
        program.wait().unwrap()
    });
    assert_eq!(ended.await.unwrap().code(), Some(0));
    drop(log);
}
