//! What clients do to get pages that click actions keep from them: a page asked for as something else, passes handed on, an
//! agent changed at each request; and that what people's browsers do beside opening pages goes on as before.

use std::net::SocketAddr;

use aws_lc_rs::signature::Ed25519KeyPair;
use aws_lc_rs::signature::KeyPair;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use clicksieve::clock::Clock;

use crate::harness::site::Site;
use crate::harness::visitor::Answer;
use crate::harness::visitor::Visitor;
use crate::harness::visitor::field;
use crate::whole::html_answer;
use crate::whole::inside::Inside;
use crate::whole::pages::chrome;
use crate::whole::pages::chrome_from;
use crate::whole::pages::jar;
use crate::whole::pages::tag_of;
use crate::whole::seen::fields;

const RULES: &str = "
schema: clicksieve/rules/v1
classify:
  - { id: signed, match: { agent.signed: verified }, as: skip, category: givt.known_crawler }
policy:
  click:
    - { id: c.skip, class: skip, do: allow }
    - { id: c.block, match: { http.path: /block }, do: { block: { status: 410 } } }
    - { id: c.redirect, match: { http.path: /redirect }, do: { redirect: { to: /elsewhere } } }
    - { id: c.limit, match: { http.path: /limit }, do: { limit: { per: 1m, requests: 2, by: client } } }
    - { id: c.all, match: { ua.family: firefox }, do: { limit: { per: 1m, requests: 4, by: client } } }
    - { id: c.refresh, match: { http.path: /refresh }, do: { challenge: { kind: refresh } } }
    - { id: c.rest, do: tag }
  pixel: [{ id: p.rest, do: leave }]
  event: { \"*\": [{ id: e.rest, do: forward }] }
";
const CLICK: &str = "fbclid=IwZXh0bgNhZW0BMABhZGlkAasVg1yQ2aQBHSx_k-9Q_aem_AbCdEf0123456789";
/// What a request can be for besides a page that is opened (Fetch section 2.2.5), and what it never is.
const DESTINATIONS: [&str; 14] = [
    "image", "script", "style", "font", "audio", "video", "track", "empty", "iframe", "frame", "object", "worker", "manifest",
    "anything",
];

fn started(site: SocketAddr, mode: &str) -> Inside {
    with(site, mode, "")
}

fn with(site: SocketAddr, mode: &str, lines: &str) -> Inside {
    let folder = tempfile::tempdir().unwrap().keep();
    let file = folder.join("rules.yaml");
    std::fs::write(&file, RULES).unwrap();
    let clock = Clock::moved(Clock::system().now());
    Inside::with(clock, site, |text| {
        let text = text.replace("mode: warn", &format!("mode: {mode}"));
        text.replace("\ngraph:", &format!("\nrules: {}\n{lines}graph:", file.display()))
    })
}

/// A shop of pages, with a picture, data, a page that is not there, and one that leads elsewhere.
pub(crate) fn shop() -> Site {
    Site::start(|talk, _| {
        while let Some(head) = talk.head() {
            let page = "<!doctype html><html><head><title>Mug</title></head><body>A mug.</body></html>";
            let target = head.split(' ').nth(1).unwrap();
            let (status, kind) = match target.rsplit(['/', '?']).next().unwrap() {
                "mug.png" => ("200 OK", "image/png"),
                "data" => ("200 OK", "application/json"),
                "missing" => ("404 Not Found", "text/html"),
                "moved" => ("302 Found\r\nlocation: /", "text/html"),
                "part" => ("206 Partial Content", "text/html"),
                "strict" => ("200 OK", "Application/XHTML+XML"),
                _ => ("200 OK", "text/html; charset=utf-8"),
            };
            talk.say(format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{page}", page.len()));
        }
    })
}

fn as_if_for(destination: &str) -> String {
    chrome().replace("sec-fetch-dest: document", &format!("sec-fetch-dest: {destination}"))
}

fn is_shops(answer: &Answer) -> bool {
    answer.text().contains("A mug.")
}

#[test]
fn a_page_that_is_asked_for_as_something_else_is_a_page_all_the_same() {
    let site = shop();
    let inside = started(site.address, "strict");
    assert_eq!(inside.ask("GET", "/block", &chrome()).status, 410);
    let mut disguises: Vec<String> = DESTINATIONS.into_iter().map(as_if_for).collect();
    let plain = chrome().replace("sec-fetch-dest: document\r\n", "");
    let accept = plain.lines().find(|line| line.starts_with("accept: ")).unwrap().to_owned();
    disguises.push(plain.replace(&accept, "accept: */*"));
    disguises.push(format!("{plain}x-requested-with: XMLHttpRequest\r\n"));
    disguises.push(format!("{}sec-purpose: prefetch\r\n", as_if_for("empty").replace(&accept, "accept: */*")));
    for lines in disguises {
        let lines = lines.replace("upgrade-insecure-requests: 1\r\n", "");
        for (path, status) in [("block", 410), ("redirect", 302), ("refresh", 403)] {
            let answer = inside.ask("GET", &format!("/{path}"), &lines);
            assert!(answer.status == status && !is_shops(&answer), "{path} {} {lines}", answer.status);
            assert!(answer.field("cache-control").unwrap().contains("no-store"), "{path} {lines}");
        }
    }
    let done = |action: &str| inside.metric(&format!("clicksieve_click_actions_total{{action=\"{action}\",mode=\"strict\"}}"));
    assert_eq!(done("block"), Some(1 + DESTINATIONS.len() as u64 + 3));
}

#[test]
fn neither_an_offered_upgrade_nor_a_part_nor_a_click_that_asks_for_anything_opens_a_page() {
    let site = shop();
    let inside = started(site.address, "strict");
    let upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n";
    let upgraded = inside.ask("GET", "/block", &format!("{}{upgrade}", chrome().replace("connection: keep-alive\r\n", "")));
    assert!(upgraded.status == 410 && !is_shops(&upgraded), "{}", upgraded.text());
    let open = inside.ask("GET", "/", &format!("{}{upgrade}", chrome().replace("connection: keep-alive\r\n", "")));
    assert!(open.status == 200 && is_shops(&open));
    for path in ["/block?part", "/block?strict"] {
        assert_eq!(inside.ask("GET", path, &as_if_for("image")).status, 410, "{path}");
    }
    let click = "user-agent: Mozilla/5.0 (X11; Linux x86_64)\r\naccept: */*\r\nx-forwarded-for: 73.162.40.19\r\n";
    let challenged = inside.ask("GET", &format!("/refresh?{CLICK}"), click);
    assert!(challenged.status == 403 && !is_shops(&challenged), "{}", challenged.text());
    let records = inside.running.records();
    assert_eq!(records.iter().find(|record| record["type"] == "click").unwrap()["action"], "challenge");
    // Whoever takes the trouble gets the page, as ever.
    assert_eq!(inside.ask("GET", &format!("/refresh?{CLICK}"), &format!("{click}{}", jar(&challenged))).status, 200);
}

#[test]
fn what_a_page_shows_and_fetches_is_served_wherever_the_page_would_be() {
    let site = shop();
    let inside = started(site.address, "strict");
    for destination in DESTINATIONS {
        let lines = as_if_for(destination);
        // Nothing of this is a page that somebody could read.
        for (name, status) in [("mug.png", 200), ("data", 200), ("missing", 404), ("moved", 302)] {
            assert_eq!(inside.ask("GET", &format!("/block?{name}"), &lines).status, status, "{destination} {name}");
        }
        // A part of a page that the shop's script fetches, a frame, a picture that is said to be a page.
        let part = inside.ask("GET", "/cart/drawer", &lines);
        assert!(part.status == 200 && is_shops(&part) && tag_of(&part).is_none(), "{destination}");
        assert_eq!(fields(&part, "set-cookie"), Vec::<String>::new(), "{destination}");
    }
    // Who has passed the page's challenge gets its parts.
    let page = inside.ask("GET", "/refresh", &chrome());
    let passed = inside.ask("GET", "/refresh", &format!("{}{}", chrome(), jar(&page)));
    for destination in DESTINATIONS {
        let part = inside.ask("GET", "/refresh?part=2", &format!("{}{}", as_if_for(destination), jar(&passed)));
        assert!(part.status == 200 && is_shops(&part), "{destination}");
    }
    // What a form sends is never held back: its answer may be an order's.
    let posted = Visitor::connect(inside.running.shop())
        .ask(&format!("POST /block HTTP/1.1\r\nhost: shop.example\r\n{}content-length: 0\r\n\r\n", chrome()));
    assert!(posted.status == 200 && is_shops(&posted));
    // Nor from a crawler whose address says who it is.
    let crawler = "user-agent: facebookexternalhit/1.1\r\naccept: */*\r\nx-forwarded-for: 66.220.149.5\r\n";
    assert_eq!(inside.ask("GET", "/block", crawler).status, 200);
}

#[test]
fn pages_in_disguise_count_for_a_limit_once_each() {
    let site = shop();
    let inside = started(site.address, "strict");
    let statuses = |path: &str, lines: &str| (0..5).map(|_| inside.ask("GET", path, lines).status).collect::<Vec<_>>();
    assert_eq!(statuses("/limit", &as_if_for("image")), [200, 200, 429, 429, 429]);
    assert_eq!(inside.ask("GET", "/limit", &chrome()).status, 429);
    // A row that speaks for every request of a client has counted the request already.
    let firefox = "user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\naccept: */*\r\nsec-fetch-dest: empty\r\nx-forwarded-for: 84.160.77.3\r\n";
    assert_eq!(statuses("/any", firefox), [200, 200, 200, 200, 429]);
}

#[test]
fn where_pages_are_served_to_everybody_they_are_served_as_anything() {
    for mode in ["observe", "warn"] {
        let site = shop();
        let inside = started(site.address, mode);
        for destination in DESTINATIONS {
            let answer = inside.ask("GET", "/block", &as_if_for(destination));
            assert!(answer.status == 200 && is_shops(&answer), "{mode} {destination}");
        }
    }
}

#[test]
fn a_pass_that_is_handed_on_serves_few_and_a_person_on_the_move_is_among_them() {
    let site = shop();
    let inside = started(site.address, "strict");
    let page = inside.ask("GET", "/refresh", &chrome());
    let passed = inside.ask("GET", "/refresh", &format!("{}{}", chrome(), jar(&page)));
    assert_eq!(passed.status, 200);
    let machines: Vec<String> = (1..=100).map(|n| format!("84.160.{n}.3")).collect();
    let served = |cookies: &str| {
        let asked = machines.iter().map(|machine| inside.ask("GET", "/refresh", &format!("{}{cookies}", chrome_from(machine))));
        asked.filter(is_shops).count()
    };
    // The pass, and the answer that it was given for: one and the same, and the first place is its owner's.
    assert_eq!(served(&jar(&passed)), 7);
    assert_eq!(served(&jar(&page)), 7);
    assert_eq!(inside.ask("GET", "/refresh", &format!("{}{}", chrome(), jar(&passed))).status, 200);
    // The addresses of a relay change with each connection.
    let relayed: Vec<u16> = (1..=50)
        .map(|n| inside.ask("GET", "/refresh", &format!("{}{}", chrome_from(&format!("104.28.28.{n}")), jar(&passed))).status)
        .collect();
    assert_eq!(relayed.iter().filter(|status| **status == 403).count(), 50, "{relayed:?}");
    // Who is one too many is challenged as anybody, and gets a pass of its own.
    inside.pass(std::time::Duration::from_secs(1));
    let last = chrome_from("84.160.100.3");
    let again = inside.ask("GET", "/refresh", &format!("{last}{}", jar(&passed)));
    assert_eq!(again.status, 403);
    let own = inside.ask("GET", "/refresh", &format!("{last}{}", jar(&again)));
    assert!(own.status == 200 && is_shops(&own));
    let relayed = |n: u32| chrome_from(&format!("104.28.28.{n}"));
    assert!((1..=50).all(|n| inside.ask("GET", "/refresh", &format!("{}{}", relayed(n), jar(&own))).status == 200));
}

#[test]
fn who_changes_its_agent_at_each_request_is_limited_and_people_behind_one_address_are_not() {
    let site = shop();
    let inside = started(site.address, "strict");
    let robot = |n: u32| chrome().replace("Chrome/147", &format!("Chrome/{n}"));
    let served = (1..=200).filter(|n| inside.ask("GET", "/limit", &robot(*n)).status == 200).count();
    assert_eq!(served, 20);
    // Nor by one cookie with many agents.
    let landed = inside.ask("GET", "/", &chrome_from("84.160.77.3"));
    let known = |n: u32| format!("{}{}", chrome_from("84.160.77.3").replace("Chrome/147", &format!("Chrome/{n}")), jar(&landed));
    assert_eq!((1..=50).filter(|n| inside.ask("GET", "/limit", &known(*n)).status == 200).count(), 2);
    // People with the same telephone behind one address: each has requests of its own once it has come.
    let phone = chrome_from("84.160.78.3");
    let people: Vec<String> = (0..50).map(|_| format!("{phone}{}", jar(&inside.ask("GET", "/", &phone)))).collect();
    for person in &people {
        let statuses = (0..3).map(|_| inside.ask("GET", "/limit", person).status).collect::<Vec<_>>();
        assert_eq!(statuses, [200, 200, 429]);
    }
}

#[test]
fn a_request_that_was_signed_for_another_host_is_nobodys_here() {
    let site = shop();
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let key = BASE64_URL_SAFE_NO_PAD.encode(pair.public_key());
    let jwk = format!("{{ kty: OKP, crv: Ed25519, x: {key}, kid: agent }}");
    let inside = with(site.address, "strict", &format!("web_bot_auth: {{ hosts: [shop.example], keys: [{jwk}] }}\n"));
    let now = inside.now();
    let signed = |host: &str| {
        let params = format!("(\"@authority\");created={now};expires={};keyid=\"agent\";tag=\"web-bot-auth\"", now + 300);
        let base = format!("\"@authority\": {host}\n\"@signature-params\": {params}");
        let signature = BASE64_STANDARD.encode(pair.sign(base.as_bytes()));
        format!("signature-input: sig={params}\r\nsignature: sig=:{signature}:\r\n")
    };
    let ask = |host: &str, lines: &str, more: &str| {
        let request = format!("GET /block HTTP/1.1\r\nhost: {host}\r\n{lines}{more}\r\n");
        Visitor::connect(inside.running.shop()).ask(&request).status
    };
    for lines in [chrome(), as_if_for("image")] {
        assert_eq!(ask("shop.example", &lines, &signed("shop.example")), 200, "{lines}");
        // Its `Host` is what the client says it is.
        assert_eq!(ask("agents-own.example", &lines, &signed("agents-own.example")), 410, "{lines}");
        assert_eq!(ask("shop.example", &lines, &signed("agents-own.example")), 410, "{lines}");
    }
}

/// Visit and band of the page that the site was asked for last.
fn told(site: &Site) -> (String, String) {
    let heads = site.heads();
    let told = |name: &str| field(heads.last().unwrap(), name).unwrap().to_owned();
    (told("x-clicksieve-visit-id"), told("x-clicksieve-band"))
}

#[test]
fn a_cookie_that_a_sister_host_planted_gives_nobody_a_robots_name() {
    let site = Site::answers(html_answer());
    let inside = Inside::start(site.address, "");
    let headless = |address: &str| chrome_from(address).replace(" Chrome/", " HeadlessChrome/");
    let robots = jar(&inside.ask("GET", "/", &headless("84.160.77.3")));
    let (robot, band) = told(&site);
    assert!(band != "human" && band != "suspect", "{band}");
    // In its own network it stays what it is, whatever it calls itself.
    inside.ask("GET", "/", &format!("{}{robots}", chrome_from("84.160.77.9")));
    assert_eq!(told(&site), (robot.clone(), band));
    let landing = inside.ask("GET", "/", &format!("{}{robots}", chrome()));
    let (person, band) = told(&site);
    assert!(person != robot && band == "human", "{band}");
    // A browser sends the cookie of the longer path first, and so perhaps the planted one.
    let both = format!("{}; {}", robots.trim_end(), jar(&landing).trim_start_matches("cookie: "));
    inside.ask("GET", "/cart", &format!("{}{both}", chrome()));
    assert_eq!(told(&site), (person, "human".to_owned()));
}

#[test]
fn a_visit_goes_on_from_another_network_or_in_another_browser_but_not_both() {
    let site = Site::answers(html_answer());
    let inside = Inside::start(site.address, "");
    let own = jar(&inside.ask("GET", "/", &chrome()));
    let visit = told(&site).0;
    let ask = |lines: String| {
        inside.ask("GET", "/", &format!("{lines}{own}"));
        told(&site).0
    };
    let phone = "user-agent: Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1\r\naccept: text/html\r\n";
    assert_eq!(ask(format!("{phone}x-forwarded-for: 73.162.40.19\r\n")), visit);
    assert_eq!(ask(chrome()), visit);
    // On the move, and with a browser that was updated meanwhile.
    assert_eq!(ask(chrome_from("84.160.77.3").replace("Chrome/147", "Chrome/148")), visit);
    assert_ne!(ask(format!("{phone}x-forwarded-for: 93.200.1.1\r\n")), visit);
}
