//! Real caches in front of the program: nginx and Varnish, set up as shops set them up. Whatever the site says about
//! caching, no page id, page token or visitor's cookie is ever given to two visitors, every visitor's page has a tag, and
//! what carries no id is cached as before.

mod front;
mod shop;

use std::collections::HashMap;
use std::io::Read;

use flate2::read::MultiGzDecoder;

use crate::caches::front::Front;
use crate::caches::shop::ASSETS;
use crate::caches::shop::PAGES;
use crate::harness::site::Site;
use crate::harness::visitor::Answer;
use crate::whole;
use crate::whole::process::Process;
use crate::whole::seen;

/// Visitors of each page.
const VISITORS: usize = 5;
const CLICK: &str = "fbclid=IwZXh0bgNhZW0BMABhZGlkAasVg1yQ2aQBHSx_k-9Q_aem_AbCdEf0123456789";

/// The program between the shop and whatever stands in front of it.
struct Stand {
    process: Process,
    _site: Site,
    _folder: tempfile::TempDir,
}

impl Stand {
    fn new() -> Self {
        let site = shop::site();
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("clicksieve.yaml");
        std::fs::write(&config, whole::configuration(site.address, "http://127.0.0.1:9", whole::ADMIN)).unwrap();
        Self { process: Process::start(&config), _site: site, _folder: folder }
    }
}

/// Who was given which secret: ids, tokens, cookies.
#[derive(Default)]
struct Given(HashMap<String, String>);

impl Given {
    /// Notes what an answer carries; panics where another visitor, or the same one earlier, was given it.
    fn note(&mut self, to: &str, answer: &Answer) {
        let tag = seen::tag_of(answer);
        let ids = tag.iter().flat_map(|tag| [tag.page.clone(), tag.token.clone()]);
        let cookies = seen::fields(answer, "set-cookie").into_iter().map(|cookie| cookie.split(';').next().unwrap().to_owned());
        // `_fbc` says which click it was and when, and here it is everybody's.
        for secret in ids.chain(cookies.filter(|cookie| !cookie.starts_with("_fbc="))) {
            if let Some(first) = self.0.insert(secret.clone(), to.to_owned()) {
                panic!("`{secret}` was given to {first}, and then to {to}:\n{}", answer.head);
            }
        }
    }
}

/// Asks through the cache and unpacks what is packed.
fn ask(front: &Front, method: &str, path: &str, lines: &str) -> Answer {
    let request = format!("{method} {path} HTTP/1.1\r\nhost: shop.example\r\n{lines}\r\n");
    let mut answer = front.visitor().ask(&request);
    if answer.field("content-encoding") == Some("gzip") {
        let mut plain = Vec::new();
        MultiGzDecoder::new(answer.body.as_slice()).read_to_end(&mut plain).unwrap();
        answer.body = plain;
    }
    answer
}

/// A page view of a visitor; it must be whole and carry a tag.
fn views(front: &Front, given: &mut Given, who: &str, path: &str, lines: &str) -> Answer {
    let answer = ask(front, "GET", path, lines);
    let told = format!("{who} at {path} with {lines:?}:\n{}", answer.head);
    assert_eq!(answer.status, 200, "{told}");
    assert!(answer.text().ends_with(shop::END), "{told}\n{}", answer.text());
    assert!(seen::tag_of(&answer).is_some(), "no tag for {told}");
    given.note(who, &answer);
    answer
}

/// Everything that one visitor asks of one page, with and without what it was given before.
fn visit(front: &Front, given: &mut Given, who: &str, address: &str, path: &str) {
    let lines = seen::chrome_from(address);
    let first = views(front, given, who, path, &lines);
    let known = format!("{lines}{}", seen::jar(&first));
    for more in [
        "",
        "accept-encoding: gzip\r\n",
        "if-none-match: \"v1\"\r\n",
        "if-modified-since: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
        "cache-control: max-age=0\r\n",
        "cache-control: only-if-cached\r\n",
        "range: bytes=0-\r\n",
    ] {
        let lines = format!("{known}{more}");
        if more.starts_with("range") {
            // A cache may cut a page itself; whole or in part, it is nobody else's.
            given.note(who, &ask(front, "GET", path, &lines));
        } else {
            views(front, given, who, path, &lines);
        }
    }
    let head = ask(front, "HEAD", path, &known);
    assert_eq!(head.status, 200, "{}", head.head);
    given.note(who, &head);
}

/// All pages with many visitors, robots and fragments in between, then clicks, redirects and assets.
fn holds(front: &Front) {
    let mut given = Given::default();
    for (page, _) in PAGES {
        let path = format!("/page/{page}");
        // Who is no page view comes first, so that a cache that takes its answer would hand it to everybody.
        for other in [
            "user-agent: curl/8.14.1\r\naccept: */*\r\n",
            "sec-fetch-mode: cors\r\nsec-fetch-dest: empty\r\naccept: */*\r\n",
            "x-requested-with: XMLHttpRequest\r\naccept: text/html, */*\r\n",
            "sec-fetch-mode: navigate\r\nsec-fetch-dest: iframe\r\naccept: text/html,application/xhtml+xml\r\n",
        ] {
            for method in ["HEAD", "GET"] {
                let answer = ask(front, method, &path, other);
                assert_eq!(answer.status, 200, "{}", answer.head);
                assert!(!answer.text().contains("data-cs"), "{path} with {other:?}");
                given.note("nobody", &answer);
            }
        }
        for visitor in 0..VISITORS {
            visit(front, &mut given, &format!("visitor {visitor}"), &format!("73.162.40.{visitor}"), &path);
        }
    }
    for visitor in 0..VISITORS {
        let who = format!("clicker {visitor}");
        for path in ["/page/public", "/gone/public", "/gone/accel"] {
            let lines = seen::chrome_from(&format!("84.160.77.{visitor}"));
            let answer = ask(front, "GET", &format!("{path}?{CLICK}"), &lines);
            assert_eq!(seen::cookies(&answer), ["_cs_v", "_fbc", "_fbp"], "{path}:\n{}", answer.head);
            given.note(&who, &answer);
        }
    }
    for (asset, _, kept) in ASSETS {
        let path = format!("/asset/{asset}.css");
        let lines = "sec-fetch-mode: no-cors\r\nsec-fetch-dest: style\r\naccept: text/css\r\n";
        let answers: Vec<Answer> = (0..3).map(|_| ask(front, "GET", &path, lines)).collect();
        let states: Vec<&str> = answers.iter().map(|answer| answer.field("x-cache").unwrap()).collect();
        assert!(answers.iter().all(|answer| answer.status == 200 && answer.text() == shop::STYLE), "{path}");
        assert_eq!(states[1..] == ["HIT", "HIT"], kept, "{path}: {states:?}\n{}", answers[0].head);
    }
}

#[test]
fn nginx_that_keeps_pages_for_ten_minutes_shares_no_id() {
    let stand = Stand::new();
    let front = Front::nginx(stand.process.shop, "");
    holds(&front);
}

#[test]
fn nginx_that_is_told_to_ignore_cache_control_shares_no_id() {
    let stand = Stand::new();
    let front = Front::nginx(stand.process.shop, "proxy_ignore_headers Cache-Control Expires;");
    let mut given = Given::default();
    for visitor in 0..VISITORS {
        visit(&front, &mut given, &format!("visitor {visitor}"), &format!("73.162.40.{visitor}"), "/page/public");
    }
}

#[test]
fn varnish_as_it_comes_shares_no_id() {
    let stand = Stand::new();
    let front = Front::varnish(stand.process.shop, "");
    holds(&front);
}

#[test]
fn varnish_that_looks_pages_up_for_visitors_with_cookies_shares_no_id() {
    let stand = Stand::new();
    let lookup = "sub vcl_recv { if (req.method == \"GET\" || req.method == \"HEAD\") { return (hash); } }\n\
                  sub vcl_backend_response { set beresp.grace = 1h; set beresp.do_esi = false; }\n";
    let front = Front::varnish(stand.process.shop, lookup);
    holds(&front);
}
