//! The demo's shop in a browser: the same walk serves for the shop by itself and for the shop behind the proxy.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clicksieve::clock::Clock;
use clicksieve::demo::Places;
use clicksieve::demo::Scenery;
use clicksieve::demo::graph::Account;
use clicksieve::demo::shop::Backend;
use secrecy::SecretString;
use serde_json::json;

use crate::driver::Browser;
use crate::driver::ORDINARY;

const PATIENCE: Duration = Duration::from_secs(20);
/// What the Pixel hears on the walk.
const WALK: [&str; 8] =
    ["PageView", "PageView", "ViewContent", "AddToCart", "PageView", "InitiateCheckout", "PageView", "Purchase"];

/// Shop, mock and board on free ports, for the pixel 1234567890.
pub(crate) async fn scenery() -> Scenery {
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    let account = Account { pixel: "1234567890".to_owned(), token: SecretString::from("token") };
    let places = Places { shop: free, graph: free, board: free };
    Scenery::start(places, account, Arc::new(Vec::new), Clock::system()).await.unwrap()
}

/// Lands, looks at a mug, puts it in the cart and buys it; gives the order's number.
pub(crate) async fn buy(browser: &Browser, base: &str, query: &str) -> String {
    browser.open(&format!("{base}/{query}")).await;
    browser.click("a[href='/product/mug']").await;
    browser.click("#add").await;
    browser.fill("#email", "Jo@Example.com").await;
    browser.click("#pay").await;
    browser.text("#order").await
}

#[tokio::test]
async fn the_shop_by_itself_is_an_ordinary_shop_with_a_pixel() {
    let (scenery, browser) = (scenery().await, Browser::start(Some(ORDINARY)).await);
    let order = buy(&browser, &scenery.shop.url(), "?fbclid=IwAR0").await;
    assert!(scenery.board.until(|hits| hits.len() >= WALK.len(), PATIENCE).await, "{:?}", scenery.board.hits());
    let hits = scenery.board.hits();
    let mut names: Vec<&str> = hits.iter().map(|hit| hit.event.as_str()).collect();
    let mut wanted = WALK.to_vec();
    names.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(names, wanted);
    assert!(hits.iter().all(|hit| hit.event_id.is_none() && hit.pixel == "1234567890"));
    let purchase = hits.iter().find(|hit| hit.event == "Purchase").unwrap();
    assert_eq!((&purchase.params["order_id"], &purchase.params["value"]), (&json!(order), &json!(16)));
    assert_eq!(purchase.user, ["em"]);
    browser.close().await;
}

#[tokio::test]
async fn the_board_shows_what_the_pixel_reports_without_breaking_its_own_policy() {
    let (scenery, browser) = (scenery().await, Browser::start(Some(ORDINARY)).await);
    scenery.shop.report_to(Backend { endpoint: scenery.graph.url(), key: SecretString::from("token") });
    buy(&browser, &scenery.shop.url(), "").await;
    assert!(scenery.board.until(|hits| hits.len() >= WALK.len(), PATIENCE).await);
    browser.open(&scenery.board.url()).await;
    let rows = "return new Promise(done=>{let look=()=>{let n=document.querySelectorAll('#events tr').length;\
                n>=8?done(n):setTimeout(look,50)};look()})";
    assert_eq!(browser.run(rows).await, 8);
    assert_eq!(browser.run("return document.getElementById('n-pixel').textContent").await, "8");
    browser.close().await;
}
