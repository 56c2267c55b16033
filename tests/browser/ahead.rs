//! A page that the browser renders ahead of time: it is counted when somebody sees it, under a fresh id, and not before.

use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::response::Html;
use axum::routing::get;
use clicksieve::demo::front;
use clicksieve::demo::pages;
use serde_json::Value;
use serde_json::json;
use tokio::sync::Notify;

use crate::driver::Browser;
use crate::front::Front;
use crate::front::PATIENCE;
use crate::front::Wish;
use crate::front::driven;
use crate::front::scenery;
use crate::stand::SNIPPET;

/// Asks for `/ran` once the tag runs in the page.
const SAYS_SO: &str =
    "<script>let wait=setInterval(()=>{if(window.__cs&&__cs.t){clearInterval(wait);fetch('/ran')}},10)</script>";
const RULES: &str = "<script type=speculationrules>{\"prerender\":[{\"urls\":[\"/next\"],\"eagerness\":\"immediate\"}]}</script>";

/// A site of two pages, of which the first lets the browser render the second ahead of time.
async fn site(report: String, ran: Arc<Notify>) -> String {
    let page = |rest: &str| {
        let calls = format!("fbq('init','{}');fbq('track','PageView')", front::PIXEL);
        let html = format!("<!doctype html><html><head>{SNIPPET}<script>{calls}</script></head><body>{rest}</body></html>");
        get(move || async move { Html(html) })
    };
    let script = pages::pixel_script(&report);
    let router = Router::new()
        .route("/", page(&format!("<a id=go href=/next>Next</a>{RULES}")))
        .route("/next", page(SAYS_SO))
        .route("/fbevents.js", get(move || async move { ([(header::CONTENT_TYPE, "text/javascript")], script) }))
        .route("/ran", get(move || async move { ran.notify_one() }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

#[tokio::test]
async fn a_page_rendered_ahead_counts_once_it_is_seen_and_under_a_fresh_id() {
    let (scenery, ran) = (scenery().await, Arc::new(Notify::new()));
    let site = site(scenery.board.pixel_url(), Arc::clone(&ran)).await;
    let front = Front::before(scenery, Wish { rules: Some(driven()), site: Some(site), ..Wish::default() }).await;
    let browser = Browser::ordinary().await;
    browser.open(&front.url).await;
    tokio::time::timeout(PATIENCE, ran.notified()).await.expect("the browser renders the next page ahead");
    front.both_halves_hold(&["PageView"]).await;
    browser.click("#go").await;
    front.both_halves_hold(&["PageView", "PageView"]).await;
    let seen =
        "let view=performance.getEntriesByType('navigation')[0];return [location.pathname,view.activationStart>0,__cs.j.p]";
    let seen = browser.run(seen).await;
    assert_eq!((&seen[0], &seen[1]), (&json!("/next"), &json!(true)));
    assert!(front.server_half().iter().all(|event| seen[2] != event.1.as_str()), "the id of the page nobody saw: {seen}");
    let fetched = |record: &&Value| record["event_id"] == seen[2] && record["type"] == "page";
    let record = front.records().iter().find(fetched).cloned().unwrap();
    assert_eq!((&record["class"], &record["category"]), (&json!("skip"), &json!("givt.prefetch")));
    browser.close().await;
}
