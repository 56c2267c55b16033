//! What a test of the whole process is given: a configuration, a mock of Meta's API, a client, and events as either door takes them.

use std::net::SocketAddr;
use std::time::Duration;

use clicksieve::clock::Clock;
use clicksieve::demo::graph::Account;
use clicksieve::demo::graph::Graph;
use secrecy::SecretString;
use serde_json::Value;
use serde_json::json;

pub(crate) const PIXEL: &str = "100200300400500";
pub(crate) const TOKEN: &str = "test-access-token";
pub(crate) const KEY: &str = "test-back-end-key";
/// How long events may take to the mock; far above what they need, also on a busy machine.
pub(crate) const ARRIVAL: Duration = Duration::from_mins(3);

/// A page of the fake site, as bytes of an answer.
pub(crate) fn html_answer() -> String {
    let page = "<!doctype html><html><head><title>Mug</title></head><body>A mug.</body></html>";
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\n\r\n{page}", page.len())
}

/// The configuration in `warn` mode with every listener on a free port; `more` is put at its end.
pub(crate) fn configuration(site: SocketAddr, graph: &str, more: &str) -> String {
    format!(
        "listen: 127.0.0.1:0\nupstream: http://{site}\nmode: warn\ncores: 1\nstate: state\ntrusted_proxies: [127.0.0.1]\n\
         destinations:\n  - name: meta\n    pixel_id: \"{PIXEL}\"\n    access_token: ${{META_TOKEN}}\n    key: ${{GRAPH_KEY}}\n    host: {graph}\n\
         graph: {{ listen: \"127.0.0.1:0\" }}\n{more}"
    )
}

/// The rest that most configurations end with.
pub(crate) const ADMIN: &str = "admin: { listen: \"127.0.0.1:0\" }\nrecords: { pages: true }\n";

/// A mock of Meta's API that lives as long as the runtime it is called in.
pub(crate) async fn mock(clock: Clock) -> Graph {
    let account = Account { pixel: PIXEL.to_owned(), token: SecretString::from(TOKEN) };
    Graph::start(SocketAddr::from(([127, 0, 0, 1], 0)), vec![account], clock).await.unwrap()
}

/// A client that keeps its connections.
pub(crate) fn client() -> reqwest::Client {
    let _stands = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

/// A paid order as the shop's back end reports it.
pub(crate) fn purchase(order: &str, time: u64) -> Value {
    json!({
        "event_name": "Purchase", "event_time": time, "action_source": "website",
        "event_source_url": "https://shop.example/thanks",
        "user_data": {
            "em": ["973dfe463ec85785f5f95af5ba3906eedb2d931c24e69824a89ea65dba4e813b"],
            "client_ip_address": "203.0.113.9",
            "client_user_agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/147.0.0.0 Safari/537.36",
        },
        "custom_data": { "value": 11.5, "currency": "EUR", "order_id": order },
    })
}

/// Posts events to the Graph-compatible endpoint.
pub(crate) async fn report(client: &reqwest::Client, graph: SocketAddr, events: &[Value]) -> reqwest::Result<reqwest::Response> {
    let body = json!({ "data": events, "access_token": KEY });
    client.post(format!("http://{graph}/v26.0/{PIXEL}/events")).json(&body).send().await
}

/// An event as the tag reports it, the `n`-th of its name on its page.
pub(crate) fn tag_event(page: &str, name: &str, n: usize, time: u64) -> Value {
    let id = if n == 1 { page.to_owned() } else { format!("{page}.{n}") };
    json!({
        "k": "event", "name": name, "id": id, "n": n, "own": false, "time": time, "url": "https://shop.example/mug",
        "params": {}, "pixel": "gated", "pixels": [PIXEL],
    })
}
