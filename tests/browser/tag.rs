//! The tag alone, in every browser, against a stand that plays site, injector and collector.

use serde_json::json;

use crate::driver::Browser;
use crate::driver::Make;
use crate::stand::Page;
use crate::stand::SNIPPET;
use crate::stand::Stand;

fn script(text: &str) -> String {
    format!("<script>{text}</script>")
}

/// The head of an ordinary shop's page, with these further calls.
fn shop(calls: &str) -> String {
    format!("{SNIPPET}{}", script(&format!("fbq('init','123');fbq('track','PageView');{calls}")))
}

#[tokio::test]
async fn each_event_has_one_id_in_both_halves_and_later_ones_count_on() {
    for make in Make::ALL {
        let (stand, browser) = (Stand::start().await, Browser::bare(make).await);
        let calls = "fbq('track','ViewContent',{content_ids:['a'],value:5,currency:'EUR'});fbq('track','AddToCart',{value:5});\
                 fbq('track','AddToCart',{value:6});fbq('track','Purchase',{value:11,currency:'EUR',order_id:'A-100'});\
                 fbq('trackCustom','Liked');";
        browser.open(&stand.page("all", Page { after: shop(calls), ..Page::default() })).await;
        stand.both_halves_hold(&["PageView", "ViewContent", "AddToCart", "AddToCart", "Purchase", "Liked"]).await;
        let events = stand.events();
        let ids: Vec<&str> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
        assert_eq!(ids[0], ids[1]);
        assert_eq!(ids[3], format!("{}.2", ids[2]));
        assert_eq!(ids[4], "o.A-100");
        assert!(events.iter().all(|event| event["pixel"] == "fired" && event["pixels"] == json!(["123"])));
        assert_eq!(events[1]["params"], json!({ "content_ids": ["a"], "value": 5, "currency": "EUR" }));
        browser.close().await;
    }
}

#[tokio::test]
async fn a_pixel_that_was_there_before_us_is_wrapped_too() {
    for make in Make::ALL {
        let (stand, browser) = (Stand::start().await, Browser::bare(make).await);
        let page = Page { before: shop(""), body: script("fbq('track','Lead')"), ..Page::default() };
        browser.open(&stand.page("before", page)).await;
        stand.until("the Lead in both halves", |stand| stand.hits().len() >= 2 && !stand.events().is_empty()).await;
        let lead = stand.hits().into_iter().find(|hit| hit.0 == "Lead").unwrap();
        let event = stand.events().into_iter().find(|event| event["name"] == "Lead").unwrap();
        assert_eq!(lead.1.as_deref(), event["id"].as_str());
        assert_eq!(stand.hits().len(), 2);
        browser.close().await;
    }
}

#[tokio::test]
async fn a_pixel_that_a_tag_manager_brings_late_is_wrapped() {
    for make in Make::ALL {
        let (stand, browser) = (Stand::start().await, Browser::bare(make).await);
        let inner = SNIPPET.trim_start_matches("<script>").trim_end_matches("</script>");
        let late = format!(
            "addEventListener('load',()=>setTimeout(()=>{{let s=document.createElement('script');s.text={};document.head.append(s)}},300))",
            json!(format!("{inner};fbq('init','123');fbq('track','PageView');"))
        );
        browser.open(&stand.page("late", Page { after: script("1"), body: script(&late), ..Page::default() })).await;
        stand.both_halves_hold(&["PageView"]).await;
        browser.close().await;
    }
}

#[tokio::test]
async fn a_pixel_pasted_twice_and_wrapped_by_the_page_counts_once() {
    for make in Make::ALL {
        let (stand, browser) = (Stand::start().await, Browser::bare(make).await);
        let wrapper = "var old=window.fbq;window.fbq=function(){old.apply(this,arguments)};window.fbq.queue=[];fbq('track','Search',{q:1});";
        let head = format!("{SNIPPET}{}<script src=\"/fbevents.js\"></script>{}", shop(""), script(wrapper));
        browser.open(&stand.page("twice", Page { after: head, ..Page::default() })).await;
        stand.both_halves_hold(&["PageView", "Search"]).await;
        browser.close().await;
    }
}

#[tokio::test]
async fn a_gated_pixel_waits_for_proof_and_then_fires_with_the_same_ids() {
    for make in Make::ALL {
        let (stand, browser) = (Stand::start().await, Browser::bare(make).await);
        stand.answer("gate");
        stand.leave_on_interaction();
        let page = Page {
            after: shop("fbq('track','ViewContent')"),
            body: "<p id=here>here</p>".into(),
            policy: "gate",
            ..Page::default()
        };
        browser.open(&stand.page("gate", page)).await;
        stand.until("the gated events", |stand| stand.events().len() == 2).await;
        assert_eq!(stand.hits(), []);
        assert!(stand.events().iter().all(|event| event["pixel"] == "gated"));
        browser.click("#here").await;
        stand.both_halves_hold(&["PageView", "ViewContent"]).await;
        browser.close().await;
    }
}

#[tokio::test]
async fn a_withheld_pixel_hears_nothing_and_the_collector_hears_all() {
    for make in Make::ALL {
        let (stand, browser) = (Stand::start().await, Browser::bare(make).await);
        stand.answer("withhold");
        let page = Page { after: shop("fbq('track','Purchase',{value:1,order_id:7})"), policy: "withhold", ..Page::default() };
        browser.open(&stand.page("withhold", page)).await;
        stand.until("events and proof", |stand| stand.items().len() >= 3).await;
        assert!(stand.events().iter().all(|event| event["pixel"] == "withheld"));
        assert_eq!(stand.events()[1]["id"], "o.7");
        assert_eq!(browser.run("return fbq.queue.length").await, 0);
        assert_eq!(stand.hits(), []);
        browser.close().await;
    }
}

#[tokio::test]
async fn the_proof_tells_that_a_driver_holds_the_browser_and_that_somebody_touched_the_page() {
    for make in Make::ALL {
        let (stand, browser) = (Stand::start().await, Browser::bare(make).await);
        browser.open(&stand.page("proof", Page { body: "<p id=here>here</p>".into(), ..Page::default() })).await;
        stand.until("a proof", |stand| !stand.items().is_empty()).await;
        let first = json!({ "webdriver": true, "interaction": false, "driver": make == Make::Chromium });
        assert_eq!(stand.items()[0], json!({ "k": "proof", "facts": first }));
        browser.click("#here").await;
        stand.until("a click by a jump", |stand| stand.items().iter().any(|item| item["facts"]["moves"].is_u64())).await;
        assert!(stand.items().iter().any(|item| item["facts"]["kind"] == "pointer" && item["facts"]["interaction"] == true));
        browser.close().await;
    }
}

#[tokio::test]
async fn nothing_leaves_before_consent_and_all_in_order_after_it() {
    for make in Make::ALL {
        for grant in ["clicksieve.consent('granted')", "fbq('consent','grant')"] {
            let (stand, browser) = (Stand::start().await, Browser::bare(make).await);
            let head = format!(
                "{SNIPPET}{}",
                script("fbq('consent','revoke');fbq('init','123',{em:'Jo@Shop.example'});fbq('track','PageView');")
            );
            browser.open(&stand.page("consent", Page { after: head, consent: "waiting", ..Page::default() })).await;
            stand.until("the proof", |stand| !stand.items().is_empty()).await;
            assert_eq!((stand.hits(), stand.events(), stand.matches()), (vec![], vec![], vec![]));
            browser.run(grant).await;
            stand.both_halves_hold(&["PageView"]).await;
            let kinds: Vec<_> = stand.items().iter().map(|item| item["k"].clone()).collect();
            assert_eq!(kinds, ["proof", "consent", "event"]);
            assert_eq!(stand.matches(), [json!({ "k": "match", "pixel": "123", "data": { "em": "Jo@Shop.example" } })]);
            browser.close().await;
        }
    }
}

#[tokio::test]
async fn a_refusal_drops_what_waited_and_a_later_consent_counts_from_then_on() {
    for make in Make::ALL {
        let (stand, browser) = (Stand::start().await, Browser::bare(make).await);
        browser.open(&stand.page("denied", Page { after: shop(""), consent: "waiting", ..Page::default() })).await;
        stand.until("the proof", |stand| !stand.items().is_empty()).await;
        browser
            .run("clicksieve.consent('denied');fbq('track','Lead');clicksieve.consent('granted');fbq('track','Contact')")
            .await;
        stand.both_halves_hold(&["Contact"]).await;
        browser.close().await;
    }
}

#[tokio::test]
async fn the_back_button_and_reload_never_bring_an_id_back() {
    for make in Make::ALL {
        let (stand, browser) = (Stand::start().await, Browser::bare(make).await);
        let first = stand.page("first", Page { after: shop(""), ..Page::default() });
        let second = stand.page("second", Page { after: shop(""), ..Page::default() });
        browser.open(&first).await;
        stand.both_halves_hold(&["PageView"]).await;
        browser.run("window.here=1").await;
        browser.open(&second).await;
        stand.both_halves_hold(&["PageView"; 2]).await;
        browser.back().await;
        // Restored as it was, or loaded again and then with a PageView of its own.
        let mut names = vec!["PageView"; if browser.run("return window.here").await == 1 { 2 } else { 3 }];
        browser.run("fbq('track','Lead')").await;
        names.push("Lead");
        stand.both_halves_hold(&names).await;
        assert!(stand.items().iter().any(|item| item["k"] == "renew"));
        browser.reload().await;
        names.push("PageView");
        stand.both_halves_hold(&names).await;
        browser.close().await;
    }
}

#[tokio::test]
async fn in_page_navigation_gets_a_fresh_id() {
    for make in Make::ALL {
        let (stand, browser) = (Stand::start().await, Browser::bare(make).await);
        let page = Page { after: shop("fbq.disablePushState=true;"), ..Page::default() };
        browser.open(&stand.page("spa", page)).await;
        stand.both_halves_hold(&["PageView"]).await;
        browser.run("history.pushState({},'','/p/other');fbq('track','PageView');fbq('track','PageView')").await;
        stand.both_halves_hold(&["PageView"; 3]).await;
        let ids: Vec<String> = stand.events().iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect();
        assert!(!ids[1].starts_with(&ids[0]));
        assert_eq!(ids[2], format!("{}.2", ids[1]));
        browser.close().await;
    }
}

#[tokio::test]
async fn without_our_script_the_pixel_works_as_the_shop_wrote_it() {
    for make in Make::ALL {
        let (stand, browser) = (Stand::start().await, Browser::bare(make).await);
        stand.without_script();
        browser
            .open(&stand.page("alone", Page { after: shop("fbq('track','Lead',{value:1},{eventID:'mine'})"), ..Page::default() }))
            .await;
        stand.until("the Pixel", |stand| stand.hits().len() == 2).await;
        assert_eq!(stand.hits(), [("PageView".to_owned(), None), ("Lead".to_owned(), Some("mine".to_owned()))]);
        browser.run("fbq('track','Contact')").await;
        stand.until("a later call", |stand| stand.hits().len() == 3).await;
        let held = Page { after: shop(""), policy: "gate", ..Page::default() };
        browser.open(&stand.page("gated-alone", held)).await;
        browser.run("fbq('track','Lead')").await;
        assert_eq!(browser.run("return __cs.q.length").await, 3);
        assert_eq!(stand.hits().len(), 3);
        browser.close().await;
    }
}

#[tokio::test]
async fn an_event_just_before_leaving_is_not_lost() {
    for make in Make::ALL {
        let (stand, browser) = (Stand::start().await, Browser::bare(make).await);
        let next = stand.page("next", Page::default());
        browser.open(&stand.page("leaving", Page { after: shop(""), ..Page::default() })).await;
        stand.both_halves_hold(&["PageView"]).await;
        browser.run(&format!("fbq('track','AddToCart',{{value:1}});location.href={}", json!(next))).await;
        stand.both_halves_hold(&["PageView", "AddToCart"]).await;
        browser.close().await;
    }
}

#[tokio::test]
async fn an_own_id_is_kept_and_a_single_pixel_is_told_apart() {
    for make in Make::ALL {
        let (stand, browser) = (Stand::start().await, Browser::bare(make).await);
        let calls = "fbq('init','456');fbq('track','Lead',{},{eventID:'mine-1'});fbq('trackSingle','456','Contact',{a:1});\
                 fbq('trackSingleCustom','456','Liked',{},{eventID:'mine-2'});";
        let head = format!("{SNIPPET}{}", script(&format!("fbq('init','123');{calls}")));
        browser.open(&stand.page("own", Page { after: head, ..Page::default() })).await;
        stand.until("three events", |stand| stand.events().len() == 3 && stand.hits().len() == 4).await;
        let events = stand.events();
        assert_eq!(
            (&events[0]["id"], &events[0]["own"], &events[0]["pixels"]),
            (&json!("mine-1"), &json!(true), &json!(["123", "456"]))
        );
        assert_eq!(
            (&events[1]["own"], &events[1]["pixels"], &events[1]["params"]),
            (&json!(false), &json!(["456"]), &json!({ "a": 1 }))
        );
        assert_eq!((&events[2]["id"], &events[2]["pixels"]), (&json!("mine-2"), &json!(["456"])));
        let contact = stand.hits().into_iter().find(|hit| hit.0 == "Contact").unwrap();
        assert_eq!(contact.1.as_deref(), events[1]["id"].as_str());
        browser.close().await;
    }
}

#[tokio::test]
async fn the_pages_own_call_reaches_both_halves_or_the_server_alone() {
    for make in Make::ALL {
        let (stand, browser) = (Stand::start().await, Browser::bare(make).await);
        browser
            .open(&stand.page(
                "own-call",
                Page { body: script("clicksieve.track('Lead',{value:3},{user:{em:'a@b.example'}})"), ..Page::default() },
            ))
            .await;
        stand.until("the Lead", |stand| stand.events().len() == 1).await;
        assert_eq!(stand.events()[0]["pixel"], "none");
        assert_eq!(stand.matches()[0]["data"], json!({ "em": "a@b.example" }));
        assert_eq!(stand.hits(), []);
        browser.open(&stand.page("own-call-2", Page { after: shop(""), ..Page::default() })).await;
        browser.run("clicksieve.track('Subscribe',{value:3});clicksieve.track('Liked')").await;
        stand.until("both", |stand| stand.events().len() == 4 && stand.hits().len() == 3).await;
        assert!(stand.events()[1..].iter().all(|event| event["pixel"] == "fired"));
        browser.close().await;
    }
}

#[tokio::test]
async fn a_collector_that_is_full_gets_the_events_later() {
    for make in Make::ALL {
        let (stand, browser) = (Stand::start().await, Browser::bare(make).await);
        stand.down(2);
        browser.open(&stand.page("full", Page { after: shop(""), ..Page::default() })).await;
        stand.both_halves_hold(&["PageView"]).await;
        browser.close().await;
    }
}

#[tokio::test]
async fn nothing_the_page_does_wrong_is_answered_with_an_exception() {
    for make in Make::ALL {
        let (stand, browser) = (Stand::start().await, Browser::bare(make).await);
        let odd = "window.faults=[];addEventListener('error',e=>faults.push(e.message));var loop={};loop.self=loop;\
               fbq();fbq(null);fbq('track');fbq('track','A',loop);fbq('track','B',null,null);fbq('track','C',1,2);fbq('track','D',{n:10n});\
               fbq('init');fbq('set');fbq('trackSingle');fbq.push(['track','E']);_fbq('track','F');clicksieve.track();";
        browser.open(&stand.page("odd", Page { after: format!("{SNIPPET}{}", script(odd)), ..Page::default() })).await;
        browser
            .run("clicksieve.track();clicksieve.track({});clicksieve.consent();clicksieve.consent({});fbq('track','Last')")
            .await;
        stand.until("the last event", |stand| stand.events().iter().any(|event| event["name"] == "Last")).await;
        assert_eq!(browser.run("return faults").await, json!([]));
        browser.close().await;
    }
}

#[tokio::test]
async fn without_a_fresh_id_an_event_goes_to_the_pixel_alone_and_a_purchase_still_both_ways() {
    for make in Make::ALL {
        let (stand, browser) = (Stand::start().await, Browser::bare(make).await);
        let page = Page { after: shop("fbq.disablePushState=true;"), ..Page::default() };
        browser.open(&stand.page("stale", page)).await;
        stand.both_halves_hold(&["PageView"]).await;
        stand.until("both proofs", |stand| stand.items().len() == 3).await;
        stand.down(1);
        browser.run("history.pushState({},'','/p/other');fbq('track','Lead');fbq('track','Purchase',{order_id:'A-1'})").await;
        stand.until("both events", |stand| stand.hits().len() == 3 && stand.events().len() == 2).await;
        let mut hits = stand.hits();
        hits.sort();
        assert_eq!(hits[0], ("Lead".to_owned(), None));
        assert_eq!(hits[2], ("Purchase".to_owned(), Some("o.A-1".to_owned())));
        assert_eq!(stand.events()[1]["id"], "o.A-1");
        browser.close().await;
    }
}
