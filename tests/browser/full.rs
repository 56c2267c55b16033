//! The demo's shop in a browser: the same walk serves for the shop by itself and for the shop behind the proxy.

use std::time::Duration;

use clicksieve::demo::front;
use clicksieve::demo::visitor::Visitor;
use serde_json::Value;
use serde_json::json;
use sha2::Digest as _;
use sha2::Sha256;

use crate::driver::Browser;
use crate::driver::Make;
use crate::front::Front;
use crate::front::Wish;
use crate::front::driven;
use crate::front::scenery;

const PATIENCE: Duration = Duration::from_mins(1);
/// What the Pixel hears on the walk.
const WALK: [&str; 8] =
    ["PageView", "PageView", "ViewContent", "AddToCart", "PageView", "InitiateCheckout", "PageView", "Purchase"];
/// An ad click's identifier with the shape of Meta's.
const CLICK: &str = "IwY2xjawEx4mPlEaAgAR0abcDEF123456789_abcDEF-0123456789abcdefghij_aem_XyZ0123456789abcd";
/// As the buyer types it, and as it is to be hashed.
const TYPED: &str = "Jo@Example.com";
const NORMAL: &str = "jo@example.com";

/// Lands, looks at a mug, puts it in the cart and buys it; gives the order's number.
pub(crate) async fn buy(browser: &Browser, base: &str, query: &str) -> String {
    browser.open(&format!("{base}/{query}")).await;
    browser.click("a[href='/product/mug']").await;
    browser.click("#add").await;
    browser.fill("#email", TYPED).await;
    browser.click("#pay").await;
    browser.text("#order").await
}

#[tokio::test]
async fn the_shop_by_itself_is_an_ordinary_shop_with_a_pixel() {
    let (scenery, browser) = (scenery().await, Browser::ordinary().await);
    let order = buy(&browser, &scenery.shop.url(), "?fbclid=IwAR0").await;
    assert!(scenery.board.until(|hits| hits.len() >= WALK.len(), PATIENCE).await, "{:?}", scenery.board.hits());
    let hits = scenery.board.hits();
    let mut names: Vec<&str> = hits.iter().map(|hit| hit.event.as_str()).collect();
    let mut wanted = WALK.to_vec();
    names.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(names, wanted);
    assert!(hits.iter().all(|hit| hit.event_id.is_none() && hit.pixel == front::PIXEL));
    let purchase = hits.iter().find(|hit| hit.event == "Purchase").unwrap();
    assert_eq!((&purchase.params["order_id"], &purchase.params["value"]), (&json!(order), &json!(16)));
    assert_eq!(purchase.user, ["em"]);
    browser.close().await;
}

#[tokio::test]
async fn the_board_shows_what_the_pixel_reports_without_breaking_its_own_policy() {
    let (scenery, browser) = (scenery().await, Browser::ordinary().await);
    buy(&browser, &scenery.shop.url(), "").await;
    assert!(scenery.board.until(|hits| hits.len() >= WALK.len(), PATIENCE).await);
    browser.open(&scenery.board.url()).await;
    let rows = "return new Promise(done=>{let look=()=>{let n=document.querySelectorAll('#events tr').length;\
                n>=8?done(n):setTimeout(look,50)};look()})";
    assert_eq!(browser.run(rows).await, 8);
    assert_eq!(browser.run("return document.getElementById('n-pixel').textContent").await, "8");
    browser.close().await;
}

#[tokio::test]
async fn a_purchase_through_the_proxy_counts_once_in_both_halves() {
    for make in Make::ALL {
        let front = Front::start(Wish { rules: Some(driven()), ..Wish::default() }).await;
        let browser = Browser::of(make).await;
        let order = buy(&browser, &front.url, &format!("?fbclid={CLICK}&utm_content=walk")).await;
        front.both_halves_hold(&WALK).await;
        let purchase = front.accepted("Purchase").await;
        assert_eq!(purchase.text("event_id"), format!("o.{order}"));
        assert_eq!(purchase.event["custom_data"]["order_id"], json!(order));
        has_its_buyer(&browser, &purchase.event["user_data"]).await;
        let url = purchase.text("event_source_url");
        assert!(url.ends_with(&format!("/thanks/{order}")), "{url}");

        // The back end reports the same payment, then somebody looks at the shop again.
        browser.click("button.quiet").await;
        let answer: Value = serde_json::from_str(&browser.text("pre").await).unwrap();
        assert_eq!(answer["events_received"], 1);
        browser.open(&format!("{}/product/kettle", front.url)).await;
        let mut names = WALK.to_vec();
        names.extend(["PageView", "ViewContent"]);
        front.both_halves_hold(&names).await;
        let decided: Vec<Value> = front.decisions("Purchase").iter().map(|record| record["decision"].clone()).collect();
        assert!(decided.contains(&json!("copy")) && decided.contains(&json!("forward")), "{decided:?}");
        assert_eq!(front.scenery.graph.refused().len(), 0);
        browser.close().await;
    }
}

/// The mock knows the buyer by hash, cookies, address and agent, and by nothing plain.
async fn has_its_buyer(browser: &Browser, user: &Value) {
    let hash = Sha256::digest(NORMAL).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    assert!(user["em"] == json!(hash) || user["em"] == json!([hash]), "{user:#}");
    let cookie = |name: &str| format!("return (document.cookie.match(/(?:^|; ){name}=([^;]*)/)||[])[1]||''");
    for (field, name) in [("fbp", "_fbp"), ("fbc", "_fbc")] {
        let stored = browser.run(&cookie(name)).await;
        assert!(stored.as_str().is_some_and(|text| text.starts_with("fb.")), "{name}: {stored}");
        assert_eq!(user[field], stored);
    }
    assert!(user["fbc"].as_str().unwrap().ends_with(&format!(".{CLICK}")), "{user:#}");
    assert_eq!(user["client_ip_address"], "127.0.0.1");
    assert_eq!(user["client_user_agent"], browser.run("return navigator.userAgent").await);
    assert!(!user.to_string().to_ascii_lowercase().contains(NORMAL));
}

#[tokio::test]
async fn a_headless_browser_is_served_and_neither_half_hears_of_it() {
    let front = Front::start(Wish::default()).await;
    let headless = Browser::start(None).await;
    let order = buy(&headless, &front.url, &format!("?fbclid={CLICK}")).await;
    assert!(order.starts_with("AP-"), "{order}");
    // All that it did was told, decided and recorded; the Pixel's calls ended in the tag.
    let all = "return new Promise(done=>{let look=()=>performance.getEntriesByType('resource').some(e=>e.name.endsWith('/_cs/e'))\
               ?done(__cs.t):setTimeout(look,20);look()})";
    assert_eq!(headless.run(all).await, 1);
    assert_eq!(headless.run("return fbq.queue.length").await, 0);
    headless.close().await;

    // A person's event that comes later is delivered, so nothing of the robot's still waits in the queue.
    let person = tell_as_a_person(&front).await;
    assert_eq!(front.accepted("PageView").await.text("event_id"), person);
    assert_eq!(front.server_half(), [("PageView".to_owned(), person)]);
    assert_eq!(front.pixel_half(), []);
    let records = front.records();
    let click = records.iter().find(|record| record["type"] == "click").unwrap();
    assert!(["likely_invalid", "invalid"].contains(&click["band"].as_str().unwrap()), "{click:#}");
    assert_eq!((&click["pixel"], &click["ad_network"]), (&json!("withhold"), &json!("meta")));
    let reasons = |record: &Value| record["reasons"].as_array().unwrap().iter().any(|reason| reason["rule"] == "ua.headless");
    assert!(reasons(click), "{click:#}");
    let purchase = &front.decided("Purchase").await[0];
    assert_eq!((&purchase["decision"], &purchase["rule"]), (&json!("suppress"), &json!("event.invalid")));
    assert!(reasons(purchase) && purchase["leaked"] == json!(false), "{purchase:#}");
}

/// A scripted person's `PageView`, told to the collector alone; gives its id.
async fn tell_as_a_person(front: &Front) -> String {
    let mut person = Visitor::new(&front.url, Visitor::chrome(None)).with("x-forwarded-for", "73.162.40.18");
    let page = person.get("/").await.unwrap();
    let id = page.tag.clone().unwrap().page;
    let event = json!({ "k": "event", "name": "PageView", "id": id, "n": 1, "own": false, "time": page.seen, "url": page.url,
                        "params": {}, "pixel": "fired", "pixels": [front::PIXEL] });
    let proof = json!({ "k": "proof", "facts": { "webdriver": false, "interaction": true } });
    assert_eq!(person.tell(&page, vec![proof, event]).await.unwrap()["ok"], true);
    id
}
