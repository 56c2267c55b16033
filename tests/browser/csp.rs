//! Pages that say which scripts may run: the tag runs under the page's own policy, and both halves have equal ids.

use std::net::SocketAddr;

use axum::Router;
use axum::http::header;
use axum::response::Html;
use axum::routing::get;
use clicksieve::demo::front;
use clicksieve::demo::pages;

use crate::driver::Browser;
use crate::front::Front;
use crate::front::Wish;
use crate::front::driven;
use crate::front::scenery;
use crate::stand::SNIPPET;

const NONCE: &str = "c2lldmU9";

/// A site of one page under that policy, which goes on with what the page must be allowed beside its scripts. `head` is the
/// markup that loads the Pixel; `/shop.js` has the same as a file.
async fn site(policy: String, head: String, report: String) -> SocketAddr {
    let calls = format!("{};{}", SNIPPET.trim_start_matches("<script>").trim_end_matches("</script>"), calls());
    let file = move |text: String| get(move || async move { ([(header::CONTENT_TYPE, "text/javascript")], text) });
    let html =
        format!("<!doctype html><html><head><meta charset=utf-8><title>Strict</title>{head}</head><body>Strict</body></html>");
    let router = Router::new()
        .route("/", get(move || async move { ([(header::CONTENT_SECURITY_POLICY, policy)], Html(html)) }))
        .route("/shop.js", file(calls))
        .route("/fbevents.js", file(pages::pixel_script(&report)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn calls() -> String {
    format!("fbq('init','{}');fbq('track','PageView');fbq('track','Lead')", front::PIXEL)
}

/// Opens the page and expects both halves; gives how many of our scripts with that ending the page has.
async fn runs_under(scripts: &str, head: String, ending: &str) {
    let scenery = scenery().await;
    let board = scenery.board.url();
    let policy = format!("default-src 'none'; script-src {scripts}; connect-src 'self' {}", board.trim_end_matches('/'));
    let site = site(policy, head, scenery.board.pixel_url()).await;
    let wish = Wish { rules: Some(driven()), site: Some(format!("http://{site}")), ..Wish::default() };
    let (front, browser) = (Front::before(scenery, wish).await, Browser::ordinary().await);
    browser.open(&front.url).await;
    front.both_halves_hold(&["PageView", "Lead"]).await;
    let ours = format!("return [...document.scripts].filter(s=>s.src.includes('/_cs/{ending}?v=')).length");
    assert_eq!(browser.run(&ours).await, 1);
    browser.close().await;
}

#[tokio::test]
async fn the_tag_runs_under_the_pages_own_nonce() {
    let snippet = SNIPPET.replace("<script>", &format!("<script nonce=\"{NONCE}\">"));
    let head = format!("{snippet}<script nonce=\"{NONCE}\">{}</script>", calls());
    runs_under(&format!("'nonce-{NONCE}' 'strict-dynamic'"), head, "t.js").await;
}

#[tokio::test]
async fn without_inline_scripts_the_tag_comes_as_one_blocking_file() {
    runs_under("'self'", "<script src=/shop.js></script>".to_owned(), "s.js").await;
}
