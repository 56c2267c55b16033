//! What a page sees of the browsers of these tests, and what looking costs.

use serde_json::Value;

use crate::driver::Browser;
use crate::driver::Make;
use crate::front::Front;
use crate::front::Wish;
use crate::stand::Page;
use crate::stand::Stand;

/// All that a page told of its browser, later values above earlier ones.
fn told(stand: &Stand) -> Value {
    let mut all = Value::Object(serde_json::Map::new());
    for item in stand.items().iter().filter(|item| item["k"] == "proof") {
        for (name, value) in item["facts"].as_object().unwrap() {
            all[name] = value.clone();
        }
    }
    all
}

#[tokio::test]
async fn a_driven_browser_shows_its_driver_and_nothing_that_it_does_not_have() {
    for make in Make::ALL {
        let (stand, browser) = (Stand::start().await, Browser::of(make).await);
        browser.open(&stand.page("seen", Page { body: "<p id=here>here</p>".into(), ..Page::default() })).await;
        browser.click("#here").await;
        stand.until("all facts", |stand| told(stand)["visible"] == true && told(stand)["moves"].is_u64()).await;
        let told = told(&stand);
        assert_eq!((&told["webdriver"], told["driver"].as_bool()), (&true.into(), Some(make == Make::Chromium)), "{told:#}");
        for quiet in ["odd", "gone", "patched", "worker"] {
            assert_eq!(told[quiet], false, "{quiet}: {told:#}");
        }
        assert!(told["moves"].as_u64().unwrap() < 3, "{told:#}");
        assert!(told["platform"].as_str().unwrap().starts_with("Linux") && told["zone"].is_string(), "{told:#}");
        assert_eq!(told["agent"], browser.run("return navigator.userAgent").await);
        assert!(told.get("untrusted").is_none() && told.get("form").is_none(), "{told:#}");
        let cost = browser.run("return __cs.ms").await.as_f64().unwrap();
        println!("{make:?}: looking took {cost:.1} ms of the page's thread");
        browser.close().await;
    }
}

#[tokio::test]
async fn a_page_that_hides_its_driver_shows_that_it_hides_something() {
    let (stand, browser) = (Stand::start().await, Browser::ordinary().await);
    let disguise = "Object.defineProperty(Navigator.prototype,'webdriver',{get:()=>false,configurable:true});\
                    Object.defineProperty(navigator,'platform',{get:()=>'Win32'});\
                    Function.prototype.toString=new Proxy(Function.prototype.toString,{apply:(t,s,a)=>t.apply(s,a)});";
    browser.before_each_page(disguise).await;
    browser.open(&stand.page("hidden", Page::default())).await;
    stand.until("all facts", |stand| told(stand)["visible"] == true).await;
    let told = told(&stand);
    for mark in ["odd", "patched", "worker"] {
        assert_eq!(told[mark], true, "{mark}: {told:#}");
    }
    assert_eq!((&told["webdriver"], &told["platform"]), (&false.into(), &"Win32".into()));
    browser.close().await;
}

#[tokio::test]
async fn events_that_a_script_made_are_told_apart_until_a_person_does_something() {
    for make in Make::ALL {
        let (stand, browser) = (Stand::start().await, Browser::of(make).await);
        browser.open(&stand.page("made", Page { body: "<p id=here>here</p>".into(), ..Page::default() })).await;
        browser.run("document.body.dispatchEvent(new PointerEvent('pointerdown',{bubbles:true}))").await;
        stand.until("a made event", |stand| told(stand)["untrusted"] == true).await;
        assert_eq!(told(&stand)["interaction"], false);
        browser.click("#here").await;
        stand.until("a true one", |stand| told(stand)["interaction"] == true).await;
        browser.close().await;
    }
}

#[tokio::test]
async fn a_field_that_nobody_sees_is_told_when_filled_and_never_sent() {
    for make in Make::ALL {
        let (stand, browser) = (Stand::start().await, Browser::of(make).await);
        let form = "<form method=post action=/nowhere onsubmit='window.sent=[...new FormData(this).keys()].join();return false'>\
                    <input name=mail><button id=go>go</button></form>";
        browser.open(&stand.page("form", Page { body: form.into(), ..Page::default() })).await;
        stand.until("all facts", |stand| told(stand)["visible"] == true).await;
        browser.click("#go").await;
        stand.until("a click", |stand| told(stand)["interaction"] == true).await;
        assert!(told(&stand).get("form").is_none());
        browser.run("for (let field of document.forms[0].elements) field.value = 'x'").await;
        browser.click("#go").await;
        stand.until("a filled field", |stand| told(stand)["form"] == true).await;
        assert_eq!(browser.run("return window.sent").await, "mail");
        browser.close().await;
    }
}

#[tokio::test]
async fn nothing_but_its_driver_speaks_against_a_driven_browser() {
    for make in Make::ALL {
        let front = Front::start(Wish::default()).await;
        let browser = Browser::of(make).await;
        browser.open(&front.url).await;
        // That script ran and whether a driver shows, and then all the rest.
        front.told(2).await;
        browser.open(&format!("{}/product/mug?fbclid=x", front.url)).await;
        let record = front.records().into_iter().find(|record| record["type"] == "click").unwrap();
        let rules: Vec<&str> =
            record["reasons"].as_array().unwrap().iter().filter_map(|reason| reason["rule"].as_str()).collect();
        let allowed = ["page.webdriver", "page.driver", "page.software-gl", "page.window", "page.pointer", "trust.proof"];
        let of_page = rules.iter().filter(|rule| rule.starts_with("page.") || rule.starts_with("trap."));
        assert!(rules.contains(&"page.webdriver"), "{rules:?}");
        assert!(of_page.clone().all(|rule| allowed.contains(rule)), "{rules:?}");
        println!("{make:?}: {rules:?}");
        browser.close().await;
    }
}
