//! Challenges in real browsers: who comes by an ad gets through to the shop unasked, with address and fragment
//! as they were, and the shop is told the page that led there.

use crate::driver::Browser;
use crate::driver::Make;
use crate::front::Front;
use crate::front::Wish;
use crate::harness::site::Site;
use crate::harness::visitor::field;

const RULES: &str = "
schema: clicksieve/rules/v1
policy:
  click:
    - { id: c.refresh, match: { http.path: /refresh }, do: { challenge: { kind: refresh } } }
    - { id: c.js, match: { http.path: /js }, do: { challenge: { kind: js } } }
    - { id: c.pow, match: { http.path: /pow }, do: { challenge: { kind: pow } } }
    - { id: c.rest, do: tag }
  pixel: [{ id: p.rest, do: leave }]
  event: { \"*\": [{ id: e.rest, do: forward }] }
";
const CLICK: &str = "fbclid=IwZXh0bgNhZW0BMABhZGlkAasVg1yQ2aQBHSx_k-9Q_aem_AbCdEf0123456789";

fn html(body: &str) -> String {
    let page = format!("<!doctype html><html><head><title>A page</title></head><body>{body}</body></html>");
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\n\r\n{page}", page.len())
}

/// Clicks an ad on another origin that leads to `path`; gives what the shop was asked, and the browser on its page.
async fn clicked(make: Make, path: &str) -> (Browser, Front, Site, String, String) {
    let shop = Site::answers(html("<h1 id=\"mug\">A mug.</h1>"));
    let wish =
        Wish { rules: Some(RULES.to_owned()), site: Some(format!("http://{}", shop.address)), strict: true, ..Wish::default() };
    let front = Front::start(wish).await;
    let ads = Site::answers(html(&format!("<a id=\"ad\" href=\"{}{path}\">An ad</a>", front.url)));
    let browser = Browser::of(make).await;
    let from = format!("http://localhost:{}/", ads.address.port());
    browser.open(&format!("{from}feed?user=7")).await;
    browser.click("#ad").await;
    assert_eq!(browser.text("#mug").await, "A mug.");
    let head = shop.heads().into_iter().find(|head| head.starts_with(&format!("GET {}", path.split('#').next().unwrap())));
    let head = head.unwrap_or_else(|| panic!("{:?}", shop.heads()));
    (browser, front, shop, head, from)
}

async fn gets_through(make: Make, kind: &str) {
    let path = format!("/{kind}?a=1&{CLICK}&b=%20#size=xl");
    let (browser, front, shop, head, from) = clicked(make, &path).await;
    assert_eq!(field(&head, "referer"), Some(from.as_str()), "{make:?} {kind}: {head}");
    assert_eq!(browser.run("return location.href").await, format!("{}{path}", front.url), "{make:?} {kind}");
    // To scripts a page that was reloaded by a script comes from the page before it, which says nothing of itself.
    let seen = browser.run("return document.referrer").await;
    assert!(seen == "" || seen == from, "{make:?} {kind}: {seen}");
    let asked = shop.heads().iter().filter(|head| head.starts_with(&format!("GET /{kind}?"))).count();
    assert_eq!(asked, 1, "{make:?} {kind}: the challenge itself never reached the shop");
    let newest = |action: &str| front.records().iter().any(|record| record["type"] == "click" && record["action"] == action);
    assert!(newest("challenge") && newest("prove"), "{:#?}", front.records());
    // One visit, and a shop without further questions.
    let visits: Vec<_> =
        front.records().iter().filter(|record| record["type"] == "click").map(|record| record["visit_id"].clone()).collect();
    assert!(visits.len() == 2 && visits[0] == visits[1], "{visits:?}");
    browser.open(&format!("{}/{kind}?again=1", front.url)).await;
    assert_eq!(browser.run("return document.querySelector('#mug').textContent").await, "A mug.");
    browser.close().await;
}

#[tokio::test]
async fn a_browser_passes_a_script_challenge_by_itself() {
    for make in Make::ALL {
        gets_through(make, "js").await;
    }
}

#[tokio::test]
async fn a_browser_passes_a_proof_of_work_by_itself() {
    for make in Make::ALL {
        gets_through(make, "pow").await;
    }
}

#[tokio::test]
async fn a_browser_passes_a_refresh_by_itself() {
    for make in Make::ALL {
        gets_through(make, "refresh").await;
    }
}
