//! Page views through the real proxy: no id serves twice, nothing happens before consent, a suspect waits for its proof.

use std::collections::BTreeSet;

use serde_json::json;

use crate::driver::Browser;
use crate::driver::Make;
use crate::front::Front;
use crate::front::Wish;
use crate::front::driven;
use crate::front::suspicious;

/// Waits in the page until the tag has told the collector something, and has been answered.
const TOLD: &str = "return new Promise(done=>{let look=()=>performance.getEntriesByType('resource')\
                    .some(e=>e.name.endsWith('/_cs/e')&&e.responseEnd)?done(1):setTimeout(look,20);look()})";
/// Waits in the page until it has Meta's cookies; the driver ends the wait with an error.
const COOKIES: &str = "return new Promise(done=>{let look=()=>['_fbp=fb.','_fbc=fb.'].every(c=>document.cookie.includes(c))\
                       ?done(1):setTimeout(look,20);look()})";
/// Keeps back what scripts put off by nothing at all or until the page is at rest, as the tag does with what proves that it runs,
/// until `prove()` is called.
const KEEP_BACK: &str = "(()=>{let real=setTimeout,kept=[];window.setTimeout=(f,t,...a)=>t===0?kept.push(f):real(f,t,...a);\
                         window.requestIdleCallback=f=>kept.push(f);window.prove=()=>kept.splice(0).forEach(f=>f())})()";

#[tokio::test]
async fn no_view_ever_gets_an_id_that_another_had() {
    for make in Make::ALL {
        let front = Front::start(Wish { rules: Some(driven()), ..Wish::default() }).await;
        let (first, second) = (Browser::of(make).await, Browser::of(make).await);
        let mug = format!("{}/product/mug", front.url);
        let mut names = Vec::new();
        for (browser, reloads) in [(&first, false), (&second, false), (&first, true), (&first, false)] {
            if reloads {
                browser.reload().await;
            } else {
                browser.open(&mug).await;
            }
            names.extend(["PageView", "ViewContent"]);
            front.both_halves_hold(&names).await;
        }
        // Back from another page: restored as it was or loaded again, the view is another one.
        first.run("window.here=1").await;
        first.open(&front.url).await;
        names.push("PageView");
        front.both_halves_hold(&names).await;
        first.back().await;
        let again = first.run("return window.here").await != 1;
        first.run("fbq('track','Lead')").await;
        let lead = front.accepted("Lead").await.text("event_id").to_owned();
        names.push("Lead");
        names.extend(["PageView", "ViewContent"].into_iter().filter(|_| again));
        front.both_halves_hold(&names).await;
        let views = |half: Vec<(String, String)>| half.into_iter().filter(|event| event.0 == "PageView").map(|event| event.1);
        let mut pages: BTreeSet<String> = views(front.server_half()).collect();
        assert_eq!(pages.len(), names.iter().filter(|name| **name == "PageView").count());
        assert_eq!(pages.insert(lead), !again, "the Lead belongs to the newest view");
        first.close().await;
        second.close().await;
    }
}

#[tokio::test]
async fn nothing_is_measured_before_consent_and_both_halves_after_it() {
    for make in Make::ALL {
        let front = Front::start(Wish { rules: Some(driven()), more: "consent: required\n", ..Wish::default() }).await;
        let browser = Browser::of(make).await;
        browser.open(&format!("{}/product/mug?fbclid=IwAR0abcDEF123456789_abcDEF-0123456789abcdefghij", front.url)).await;
        browser.run(TOLD).await;
        assert_eq!((front.pixel_half(), front.server_half()), (vec![], vec![]));
        assert_eq!(browser.run("return document.cookie").await, "");
        browser.run("clicksieve.consent('granted')").await;
        front.both_halves_hold(&["PageView", "ViewContent"]).await;
        // The cookies come with the collector's answer, which may be later than the event at the other end.
        browser.run(COOKIES).await;
        let cookies = browser.run("return document.cookie").await;
        let first = front.accepted("ViewContent").await.event;
        for name in ["fbp", "fbc"] {
            let sent = first["user_data"][name].as_str().unwrap_or_else(|| panic!("no {name}: {first:#}"));
            assert!(cookies.as_str().unwrap().contains(&format!("_{name}={sent}")), "{sent}; {cookies}");
        }
        // From now on the next page measures at once.
        browser.open(&format!("{}/product/kettle", front.url)).await;
        front.both_halves_hold(&["PageView", "ViewContent", "PageView", "ViewContent"]).await;
        browser.close().await;
    }
}

#[tokio::test]
async fn a_suspect_waits_in_both_halves_until_its_browser_proves_itself() {
    let front = Front::start(Wish { rules: Some(suspicious()), ..Wish::default() }).await;
    let browser = Browser::ordinary().await;
    browser.before_each_page(KEEP_BACK).await;
    browser.open(&format!("{}/product/mug", front.url)).await;
    let held = front.decided("ViewContent").await;
    assert_eq!((&held[0]["decision"], &held[0]["band"]), (&json!("hold"), &json!("suspect")));
    assert_eq!((front.pixel_half(), front.server_half()), (vec![], vec![]));
    browser.run("prove()").await;
    front.both_halves_hold(&["PageView", "ViewContent"]).await;
    browser.close().await;
}
