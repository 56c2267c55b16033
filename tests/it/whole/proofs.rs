//! What a page's proof is worth: to its own visitor everything, to anybody else nothing; and what the traps tell.

use serde_json::Value;
use serde_json::json;

use crate::harness::site::Site;
use crate::whole;
use crate::whole::inside::Inside;
use crate::whole::pages::chrome_from;
use crate::whole::pages::jar;
use crate::whole::pages::tag_of;

const HOME: &str = "73.162.40.19";
const ELSEWHERE: &str = "84.160.77.3";

fn proof(more: &Value) -> Value {
    let mut facts = json!({ "webdriver": false, "interaction": true });
    facts.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "k": "proof", "facts": facts })
}

/// Another browser's header lines.
fn firefox_from(address: &str) -> String {
    format!(
        "user-agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:147.0) Gecko/20100101 Firefox/147.0\r\n\
         accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\naccept-language: en-GB,en;q=0.5\r\n\
         sec-fetch-site: none\r\nsec-fetch-mode: navigate\r\nsec-fetch-dest: document\r\nx-forwarded-for: {address}\r\n"
    )
}

/// What the next page of whoever sends these lines does with its Pixel.
fn pixel(inside: &Inside, lines: &str) -> String {
    tag_of(&inside.ask("GET", "/next", lines)).unwrap().pixel
}

#[test]
fn a_copied_proof_marks_who_sends_it_and_is_no_gain_to_anybody() {
    let site = Site::answers(whole::html_answer());
    let inside = Inside::start(site.address, "");
    let (person, thief) = (chrome_from(HOME), firefox_from(ELSEWHERE));
    let (page, own) = (inside.ask("GET", "/mug", &person), inside.ask("GET", "/mug", &thief));
    let (person, thief) = (format!("{person}{}", jar(&page)), format!("{thief}{}", jar(&own)));
    let tag = tag_of(&page).unwrap();
    let event = whole::tag_event(&tag.page, "Lead", 1, inside.now());
    let copied = inside.tell(&thief, &tag.token, &[proof(&json!({})), event]);
    assert_eq!((copied.status, copied.text()), (403, r#"{"error":"replayed","ok":false}"#));
    assert_eq!(inside.metric("clicksieve_replayed_proofs_total"), Some(1));
    assert_eq!(pixel(&inside, &thief), "withhold");

    let answer = inside.tell(&person, &tag.token, &[proof(&json!({}))]);
    assert_eq!(answer.text(), r#"{"ok":true,"pixel":"leave"}"#);
    assert_eq!(pixel(&inside, &person), "leave");
}

#[test]
fn a_page_that_some_cache_has_kept_for_everybody_makes_nobody_a_thief() {
    let site = Site::answers(whole::html_answer());
    let inside = Inside::start(site.address, "");
    let kept = tag_of(&inside.ask("GET", "/mug", &chrome_from(HOME))).unwrap();
    let customer = firefox_from(ELSEWHERE);
    let page = inside.ask("GET", "/cart", &customer);
    let customer = format!("{customer}{}", jar(&page));
    inside.tell(&customer, &tag_of(&page).unwrap().token, &[proof(&json!({}))]);
    // The next page comes out of the cache, with the token of whoever was there first.
    assert_eq!(inside.tell(&customer, &kept.token, &[proof(&json!({}))]).status, 403);
    assert_eq!(pixel(&inside, &customer), "leave");
}

#[test]
fn a_visitor_on_the_move_keeps_what_the_page_proved() {
    let site = Site::answers(whole::html_answer());
    let inside = Inside::start(site.address, "");
    let page = inside.ask("GET", "/mug", &chrome_from(HOME));
    let tag = tag_of(&page).unwrap();
    let moved = format!("{}{}", chrome_from(ELSEWHERE), jar(&page));
    let answer = inside.tell(&moved, &tag.token, &[proof(&json!({})), whole::tag_event(&tag.page, "Lead", 1, inside.now())]);
    assert_eq!(answer.text(), r#"{"ok":true,"pixel":"leave"}"#);
    assert_eq!(inside.arrives(&tag.page).len(), 1);
    assert_eq!(pixel(&inside, &moved), "leave");
}

#[test]
fn one_token_in_many_hands_is_told_although_their_agents_are_the_same() {
    let site = Site::answers(whole::html_answer());
    let inside = Inside::start(site.address, "");
    let tag = tag_of(&inside.ask("GET", "/mug", &chrome_from(HOME))).unwrap();
    let hands = ["84.160.77.3", "91.64.8.9", "79.192.3.4"].map(|address| {
        let lines = chrome_from(address);
        let page = inside.ask("GET", "/mug", &lines);
        format!("{lines}{}", jar(&page))
    });
    let told = hands.each_ref().map(|lines| inside.tell(lines, &tag.token, &[proof(&json!({}))]).status);
    // The first could be the same person without cookies, and so it is let be.
    assert_eq!(told, [200, 403, 403]);
    assert_eq!(hands.map(|lines| pixel(&inside, &lines)), ["leave", "withhold", "withhold"]);
}

#[test]
fn the_link_that_nobody_sees_marks_whose_page_it_stood_in() {
    let site = Site::answers(whole::html_answer());
    let inside = Inside::start(site.address, "");
    let lines = chrome_from(HOME);
    let page = inside.ask("GET", "/mug", &lines);
    let visitor = format!("{lines}{}", jar(&page));
    let (_, link) = page.text().split_once("hidden href=\"").unwrap();
    let link = link.split('"').next().unwrap();
    assert_eq!(link, format!("/_cs/{}", tag_of(&page).unwrap().page));
    let seen = site.heads().len();

    // Who checks links for a visitor, or fetches them ahead, is not the visitor.
    for (method, lines) in
        [("GET", firefox_from(HOME)), ("GET", format!("{visitor}sec-purpose: prefetch\r\n")), ("HEAD", visitor.clone())]
    {
        assert_eq!(inside.ask(method, link, &lines).status, 204);
    }
    assert_eq!(pixel(&inside, &visitor), "leave");

    let answer = inside.ask("GET", link, &lines);
    assert_eq!((answer.status, answer.field("x-robots-tag")), (204, Some("noindex, nofollow")));
    assert_eq!(inside.metric("clicksieve_traps_total"), Some(1));
    assert_eq!(pixel(&inside, &visitor), "withhold");
    assert!(site.heads().iter().skip(seen).all(|head| head.contains(" /next ")), "the shop heard of it");
    assert_eq!(inside.ask("GET", &format!("/_cs/{}", "0".repeat(32)), &lines).status, 204);
}

#[test]
fn what_a_page_says_of_its_browser_is_judged_and_nonsense_is_counted() {
    let site = Site::answers(whole::html_answer());
    let inside = Inside::start(site.address, "");
    let agent = chrome_from(HOME).split_once("agent: ").unwrap().1.split("\r\n").next().unwrap().to_owned();
    let whole = |more: Value| {
        let mut facts = json!({ "agent": agent, "platform": "Win32", "hint": "Windows", "touch": 0, "fine": true, "visible": true,
            "language": "en-GB", "sizes": [1920, 1080, 1936, 1056], "gone": false, "odd": false, "patched": false, "worker": false,
            "zone": "Europe/London", "moves": 40, "kind": "pointer", "first": 900 });
        facts.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        proof(&facts)
    };
    for (more, band) in [
        (json!({}), "leave"),
        (json!({ "zone": 7, "touch": -1, "sizes": "wide", "never": [] }), "leave"),
        (json!({ "moves": null, "kind": "key", "language": "de" }), "leave"),
        (json!({ "platform": "Linux x86_64", "moves": 1 }), "withhold"),
        (json!({ "driver": true }), "withhold"),
    ] {
        let page = inside.ask("GET", "/mug", &chrome_from(HOME));
        let lines = format!("{}{}", chrome_from(HOME), jar(&page));
        inside.tell(&lines, &tag_of(&page).unwrap().token, &[whole(more.clone())]);
        assert_eq!(pixel(&inside, &lines), band, "{more}");
    }
    assert_eq!(inside.metric("clicksieve_malformed_facts_total"), Some(3));
}
