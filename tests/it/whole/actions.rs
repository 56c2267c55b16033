//! What is done with clicks: each action in each mode, what the visitor gets, what the site was asked, what the records say;
//! who is never touched; what comes of tokens that are not the visitor's own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clicksieve::clock::Clock;
use http::Request;
use sha2::Digest as _;
use sha2::Sha256;

use crate::door::Authority;
use crate::door::http2::Line;
use crate::door::http2::runtime;
use crate::door::until;
use crate::harness::site::Site;
use crate::harness::visitor::Answer;
use crate::harness::visitor::Visitor;
use crate::harness::visitor::field;
use crate::whole::evaded::shop;
use crate::whole::html_answer;
use crate::whole::inside::Inside;
use crate::whole::pages::chrome;
use crate::whole::pages::chrome_from;
use crate::whole::pages::cookies;
use crate::whole::pages::jar;
use crate::whole::pages::tag_of;
use crate::whole::seen::fields;

/// One row for each path; a library by its agent alone.
const RULES: &str = "
schema: clicksieve/rules/v1
classify:
  - { id: ahead, match: { http.purpose: { any_of: [prefetch, prerender, preview] } }, as: skip, category: givt.prefetch }
policy:
  click:
    - { id: c.skip, class: skip, do: allow }
    - { id: secret-library-row, match: { ua.kind: library }, do: { block: { status: 404 } } }
    - { id: secret-block-row, match: { http.path: /block }, do: { block: { status: 410 } } }
    - { id: c.tarpit, match: { http.path: /tarpit }, do: { tarpit: { seconds: 30, status: 429 } } }
    - { id: c.redirect, match: { http.path: /redirect }, do: { redirect: { to: /elsewhere } } }
    - { id: c.there, match: { http.path: /elsewhere }, do: { redirect: { to: /elsewhere } } }
    - { id: c.limit, match: { http.path: /limit }, do: { limit: { per: 1m, requests: 2, by: client } } }
    - { id: c.refresh, match: { http.path: /refresh }, do: { challenge: { kind: refresh } } }
    - { id: c.js, match: { http.path: /js }, do: { challenge: { kind: js } } }
    - { id: c.pow, match: { http.path: /pow }, do: { challenge: { kind: pow, bits: 8 } } }
    - { id: c.asked, match: { http.path: /asked, client.challenge: passed }, do: { block: { status: 410 } } }
    - { id: c.rest, do: tag }
  pixel: [{ id: p.rest, do: leave }]
  event: { \"*\": [{ id: e.rest, do: forward }] }
";
const CLICK: &str = "fbclid=IwZXh0bgNhZW0BMABhZGlkAasVg1yQ2aQBHSx_k-9Q_aem_AbCdEf0123456789";
const CURL: &str = "user-agent: python-requests/2.32.3\r\naccept: */*\r\nx-forwarded-for: 73.162.40.19\r\n";
const FACEBOOK: &str =
    "user-agent: facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)\r\naccept: text/html\r\n";
/// An address that Meta publishes as its crawlers'.
const META: &str = "x-forwarded-for: 66.220.149.5\r\n";

fn started(site: SocketAddr, mode: &str, lines: &str) -> Inside {
    with_rules(site, mode, lines, RULES)
}

fn with_rules(site: SocketAddr, mode: &str, lines: &str, rules: &str) -> Inside {
    let folder = tempfile::tempdir().unwrap().keep();
    let file = folder.join("rules.yaml");
    std::fs::write(&file, rules).unwrap();
    let clock = Clock::moved(Clock::system().now());
    Inside::with(clock, site, |text| {
        let text = text.replace("mode: warn", &format!("mode: {mode}"));
        text.replace("\ngraph:", &format!("\nrules: {}\n{lines}graph:", file.display()))
    })
}

/// The newest record of a page view.
fn recorded(inside: &Inside) -> (String, serde_json::Value) {
    let records = inside.running.records();
    let newest = records.iter().find(|record| record["type"] == "click").unwrap();
    (newest["action"].as_str().unwrap().to_owned(), newest["action_shadow"].clone())
}

fn done(inside: &Inside, action: &str, mode: &str) -> u64 {
    inside.metric(&format!("clicksieve_click_actions_total{{action=\"{action}\",mode=\"{mode}\"}}")).unwrap_or(0)
}

/// The attribute of the challenge's script.
fn given<'a>(page: &'a Answer, name: &str) -> &'a str {
    let (_, rest) = page.text().split_once(&format!(" data-{name}=\"")).unwrap_or_else(|| panic!("{}", page.text()));
    rest.split('"').next().unwrap()
}

/// The cookie that the page's script would set.
fn solved(page: &Answer) -> String {
    let (sealed, tail) = (given(page, "s"), &given(page, "s")[given(page, "s").len() - 24..]);
    let answer = match given(page, "k") {
        "js" => tail.chars().rev().collect::<String>(),
        "pow" => {
            assert_eq!(given(page, "b"), "8");
            (0..=u32::MAX).find(|n| Sha256::digest(format!("{tail}:{n}"))[0] == 0).unwrap().to_string()
        }
        _ => "r".to_owned(),
    };
    format!("cookie: _cs_a={sealed}.{answer}\r\n")
}

/// That a page of ours stays with the one who got it and asks nobody for anything.
fn is_our_page(page: &Answer) {
    assert_eq!(page.field("cache-control"), Some("private, no-store"));
    assert_eq!(page.field("x-robots-tag"), Some("noindex"));
    let policy = page.field("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'nonce-"), "{policy}");
    for not in ["http://", "https://", "src=", "-row", "c.rest", "clicksieve"] {
        assert!(!page.text().contains(not), "{not}: {}", page.text());
    }
    assert_eq!(page.field("content-length").unwrap(), page.body.len().to_string());
}

#[test]
fn only_strict_does_it_and_the_other_modes_record_what_it_would_have_done() {
    for (mode, gentle) in [("observe", "tag"), ("warn", "prove")] {
        let site = Site::answers(html_answer());
        let inside = started(site.address, mode, "");
        for (path, action) in
            [("block", "block"), ("tarpit", "tarpit"), ("redirect", "redirect"), ("refresh", "challenge"), ("pow", "challenge")]
        {
            let page = inside.ask("GET", &format!("/{path}?{CLICK}"), &chrome());
            assert!(page.status == 200 && tag_of(&page).is_some(), "{mode} {path}");
            assert_eq!(recorded(&inside), (gentle.to_owned(), action.into()), "{mode} {path}");
        }
        let limited = (0..4).map(|_| inside.ask("GET", &format!("/limit?{CLICK}"), &chrome()).status).collect::<Vec<_>>();
        assert_eq!(limited, [200; 4], "{mode}");
        assert_eq!(recorded(&inside), ("tag".to_owned(), "limit".into()), "{mode}");
        assert_eq!(inside.ask("POST", "/order", CURL).status, 200, "{mode}");
        assert_eq!(done(&inside, gentle, mode) + done(&inside, "tag", mode) * u64::from(gentle != "tag"), 9, "{mode}");
        assert_eq!(site.heads().len(), 10, "{mode}");
    }
}

#[test]
fn a_blocked_click_never_reaches_the_site_is_told_nothing_and_counts_all_the_same() {
    let site = Site::answers(html_answer());
    let inside = started(site.address, "strict", "");
    let page = inside.ask("GET", &format!("/block?{CLICK}"), &chrome());
    assert_eq!((page.status, cookies(&page).len()), (410, 0));
    is_our_page(&page);
    assert!(page.text().contains("<html lang=\"en\">") && page.text().contains("This page cannot be shown"), "{}", page.text());
    assert_eq!(recorded(&inside), ("block".to_owned(), serde_json::Value::Null));
    assert_eq!(inside.metric("clicksieve_clicks_total{class=\"visit\",band=\"human\"}"), Some(1));
    assert_eq!(done(&inside, "block", "strict"), 1);

    let german = inside.ask("GET", "/block", &chrome().replace("en-GB,en;q=0.9", "de-AT, en;q=0.3"));
    assert!(german.text().contains("<html lang=\"de\">"), "{}", german.text());

    let head = inside.ask("HEAD", "/block", &chrome());
    assert_eq!((head.status, head.field("content-length")), (410, page.field("content-length")));
    assert_eq!(site.heads().len(), 0);
}

#[test]
fn what_is_no_page_view_is_refused_by_address_and_agent_and_never_challenged() {
    let site = Site::answers("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let inside = started(site.address, "strict", "");
    for (method, status) in [("GET", 404), ("POST", 404), ("PUT", 404), ("DELETE", 404), ("OPTIONS", 404)] {
        let refused = inside.ask(method, "/api/cart", CURL);
        assert_eq!(refused.status, status, "{method}");
        is_our_page(&refused);
    }
    assert_eq!((site.heads().len(), done(&inside, "block", "strict")), (0, 5));
    // Webhooks and the like are nobody's to refuse.
    for path in ["/webhooks/orders", "/.well-known/security.txt", "/paypal/ipn", "/wc-api/x"] {
        assert_eq!(inside.ask("POST", path, CURL).text(), "ok", "{path}");
    }
    // The rows name paths, and of these requests only address and agent count.
    let form = "content-length: 7\r\ncontent-type: application/x-www-form-urlencoded\r\nsec-fetch-dest: document\r\n";
    let image = chrome().replace("dest: document", "dest: image").replace("mode: navigate", "mode: no-cors");
    for path in ["/js", "/pow", "/redirect", "/block"] {
        let request = format!("POST {path} HTTP/1.1\r\nhost: shop.example\r\n{}{form}\r\nitem=42", chrome());
        let posted = Visitor::connect(inside.running.shop()).ask(&request.replacen("sec-fetch-dest: document\r\n", "", 1));
        assert_eq!(posted.text(), "ok", "{path}");
        assert_eq!(inside.ask("GET", path, &image).text(), "ok", "{path}");
    }
}

#[test]
fn a_page_that_was_served_gets_its_pictures() {
    let site = shop();
    // The agent alone is blocked; who asks for a page as a browser does is not.
    let open = "    - { id: c.page, match: { http.path: /page }, do: tag }\n    - { id: secret-library-row,";
    let inside = with_rules(site.address, "strict", "", &RULES.replace("    - { id: secret-library-row,", open));
    let page = inside.ask("GET", "/page", &CURL.replace("*/*", "text/html"));
    assert_eq!((page.status, inside.ask("GET", "/mug.png", CURL).status), (200, 404));
    assert_eq!(inside.ask("GET", "/mug.png", &format!("{CURL}{}", jar(&page))).status, 200);
    let refused = inside.ask("GET", "/other", &format!("{}{}", CURL.replace("*/*", "text/html"), jar(&page)));
    assert_eq!(refused.status, 404);
    assert_eq!(inside.ask("GET", "/mug.png", &format!("{CURL}{}", jar(&page))).status, 404);
}

#[test]
fn who_is_verified_to_be_a_crawler_is_served_whatever_the_rules_say() {
    let site = Site::answers(html_answer());
    let inside = started(site.address, "strict", "");
    let everywhere = ["/block", "/tarpit", "/redirect", "/limit", "/limit", "/limit", "/refresh", "/js", "/pow"];
    for path in everywhere {
        // Also where a reviewer looks like anybody, but comes from where Meta's reviewers come from.
        for agent in [format!("{FACEBOOK}{META}"), chrome_from("66.220.149.5"), format!("user-agent: curl/8\r\n{META}")] {
            for method in ["GET", "HEAD", "POST"] {
                assert_eq!(inside.ask(method, path, &agent).status, 200, "{method} {path} {agent}");
            }
        }
    }
    assert_eq!(site.heads().len(), everywhere.len() * 9);
    // Who only says so is not.
    let impostor = inside.ask("GET", "/block", &format!("{FACEBOOK}x-forwarded-for: 73.162.40.19\r\n"));
    assert_eq!(impostor.status, 410);
}

#[test]
fn nobody_opens_by_asking_ahead_of_time_what_a_view_would_not() {
    let site = Site::answers(html_answer());
    let inside = started(site.address, "strict", "");
    let ahead = format!("{}sec-purpose: prefetch\r\n", chrome());
    for (path, status) in [("/block", 410), ("/js", 503), ("/refresh", 503), ("/redirect", 503), ("/tarpit-not", 200)] {
        let answer = inside.ask("GET", &format!("{path}?{CLICK}"), &ahead);
        assert_eq!(answer.status, status, "{path}");
        assert!(status == 200 || answer.field("cache-control").unwrap().contains("no-store"), "{path}");
    }
    assert_eq!(site.heads().len(), 1);
    let statuses: Vec<u16> = (0..3).map(|_| inside.ask("GET", &format!("/limit?{CLICK}"), &ahead).status).collect();
    assert_eq!(statuses, [200, 200, 429]);
    // A crawler that fetches ahead is a crawler.
    let crawler = format!("{FACEBOOK}{META}sec-purpose: prefetch\r\n");
    assert_eq!(inside.ask("GET", &format!("/block?{CLICK}"), &crawler).status, 200);
}

#[test]
fn a_redirect_keeps_the_click_ids_stays_on_the_host_and_never_runs_in_a_circle() {
    let site = Site::answers(html_answer());
    let inside = started(site.address, "strict", "");
    let led = inside.ask("GET", &format!("/redirect?a=1&{CLICK}&utm_source=ig&b=2"), &chrome());
    assert_eq!((led.status, led.field("location").unwrap()), (302, &*format!("/elsewhere?{CLICK}&utm_source=ig")));
    assert_eq!(led.field("cache-control"), Some("private, no-store"));
    assert_eq!((recorded(&inside).0.as_str(), site.heads().len()), ("redirect", 0));
    assert_eq!(inside.ask("HEAD", "/redirect", &chrome()).field("location"), Some("/elsewhere"));
    assert_eq!(inside.ask("GET", "/elsewhere?x=1", &chrome()).status, 200);
}

#[test]
fn a_limit_serves_so_many_requests_of_a_client_and_says_when_there_are_more() {
    let site = Site::answers(html_answer());
    let inside = started(site.address, "strict", "");
    let statuses = || (0..3).map(|_| inside.ask("GET", "/limit", &chrome()).status).collect::<Vec<_>>();
    assert_eq!(statuses(), [200, 200, 429]);
    let refused = inside.ask("GET", "/limit", &chrome());
    assert_eq!((refused.status, refused.field("retry-after")), (429, Some("30")));
    is_our_page(&refused);
    assert_eq!(inside.ask("GET", "/limit", &chrome_from("84.160.77.3")).status, 200);
    assert_eq!(inside.ask("GET", "/", &chrome()).status, 200);
    inside.pass(Duration::from_secs(30));
    assert_eq!(statuses(), [200, 429, 429]);
}

#[test]
fn a_tarpit_holds_so_many_refuses_the_rest_at_once_and_lets_go_when_the_process_stops() {
    let site = Site::answers(html_answer());
    let inside = started(site.address, "strict", "limits: { held_clicks: 2 }\n");
    let request = format!("GET /tarpit HTTP/1.1\r\nhost: shop.example\r\n{}\r\n", chrome());
    let mut held: Vec<Visitor> = (0..2).map(|_| Visitor::connect(inside.running.shop())).collect();
    for visitor in &mut held {
        visitor.say(&request);
    }
    until(|| inside.metric("clicksieve_held_clicks") == Some(2));
    let beyond = inside.ask("GET", "/tarpit", &chrome());
    assert_eq!((beyond.status, beyond.field("retry-after")), (429, Some("60")));
    assert_eq!((done(&inside, "tarpit", "strict"), done(&inside, "block", "strict")), (2, 1));
    // Who leaves makes room.
    let gone = held.pop().unwrap();
    gone.into_inner().shutdown(std::net::Shutdown::Both).unwrap();
    until(|| inside.metric("clicksieve_held_clicks") == Some(1));
    let Inside { running, .. } = inside;
    running.stop();
    let let_go = held.pop().unwrap().answer(false);
    assert_eq!(let_go.status, 429);
    is_our_page(&let_go);
    assert_eq!(site.heads().len(), 0);
}

#[test]
fn each_challenge_lets_its_solver_through_with_address_and_referrer_as_they_were() {
    let referer = "https://l.facebook.com/l.php?u=shop";
    for kind in ["refresh", "js", "pow"] {
        let site = Site::answers(html_answer());
        let inside = started(site.address, "strict", "");
        let host = if kind == "pow" { "127.0.0.1:1" } else { "shop.example" };
        let ask = |path: &str, lines: &str| {
            let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n{}{lines}\r\n", chrome());
            Visitor::connect(inside.running.shop()).ask(&request)
        };
        let target = format!("/{kind}?{CLICK}&utm_content=a%20b");
        let page = ask(&target, &format!("referer: {referer}\r\n"));
        assert_eq!((page.status, given(&page, "k")), (403, kind));
        is_our_page(&page);
        assert!(!page.text().contains("facebook"), "the referrer is sealed");
        let set = if kind == "refresh" { vec!["_cs_a", "_cs_v", "_fbc", "_fbp"] } else { vec!["_cs_v", "_fbc", "_fbp"] };
        assert_eq!((cookies(&page), recorded(&inside).0.as_str()), (set, "challenge"));
        assert_eq!(site.heads().len(), 0);

        // The reload, as a browser does it that forgot where it came from.
        let passed = ask(&target, &format!("{}referer: http://shop.example{target}\r\n", solved(&page)));
        assert!(passed.status == 200 && tag_of(&passed).is_some(), "{kind}: {}", passed.text());
        assert_eq!(passed.field("cache-control"), Some("private, no-cache"));
        let set = fields(&passed, "set-cookie");
        let pass = set.iter().find(|cookie| cookie.starts_with("_cs_p=")).unwrap();
        assert!(pass.contains("; Max-Age=3600; Path=/; SameSite=Lax; HttpOnly") && !pass.contains("Domain"), "{pass}");
        assert!(set.iter().any(|cookie| cookie.starts_with("_cs_a=; Max-Age=0")), "{set:?}");
        let heads = site.heads();
        assert!(heads[0].starts_with(&format!("GET {target} HTTP/1.1")), "{heads:?}");
        assert_eq!(field(&heads[0], "referer"), Some(referer));
        assert_eq!(recorded(&inside).0, "prove");

        // The pass serves for an hour, and for every address on the host.
        let pass = format!("cookie: {}\r\n", pass.split(';').next().unwrap());
        assert_eq!(ask(&format!("/{kind}"), &pass).status, 200);
        inside.pass(Duration::from_mins(61));
        assert_eq!(ask(&format!("/{kind}"), &pass).status, 403);
        let outcome = |outcome: &str| {
            let name = format!("clicksieve_challenges_total{{kind=\"{kind}\",outcome=\"{outcome}\"}}");
            inside.metric(&name).unwrap_or(0)
        };
        assert_eq!((outcome("issued"), outcome("passed"), outcome("failed")), (2, 1, 0), "{kind}");
    }
}

#[test]
fn a_visitor_who_came_from_nowhere_comes_from_nowhere_after_the_challenge() {
    let site = Site::answers(html_answer());
    let inside = started(site.address, "strict", "");
    let page = inside.ask("GET", "/js", &chrome());
    let own = "referer: http://shop.example/js\r\n";
    assert_eq!(inside.ask("GET", "/js", &format!("{}{}{own}", chrome(), solved(&page))).status, 200);
    assert_eq!(field(&site.heads()[0], "referer"), None);
}

#[test]
fn without_scripts_a_refresh_passes_by_a_marked_address_that_the_site_never_sees() {
    let site = Site::answers(html_answer());
    let inside = started(site.address, "strict", "");
    let page = inside.ask("GET", "/refresh?a=%22&b=2", &format!("{}referer: https://ads.example/\r\n", chrome()));
    let marked = "/refresh?a=%22&amp;b=2&amp;_cs_n=1";
    assert!(page.text().contains(&format!("<noscript><meta http-equiv=\"refresh\" content=\"1;url={marked}\"></noscript>")));
    let led = inside.ask("GET", "/refresh?a=%22&b=2&_cs_n=1", &format!("{}{}", chrome(), jar(&page)));
    assert_eq!((led.status, led.field("location")), (302, Some("/refresh?a=%22&b=2")));
    let both = format!("{}; {}", jar(&page).trim_end(), jar(&led).trim_start_matches("cookie: "));
    let passed = inside.ask("GET", "/refresh?a=%22&b=2", &format!("{}{both}", chrome()));
    assert_eq!(passed.status, 200);
    assert_eq!(site.heads().len(), 1);
    assert_eq!(field(&site.heads()[0], "referer"), Some("https://ads.example/"));
    // `//host` would be another host.
    let inside = with_rules(site.address, "strict", "", &RULES.replace("/refresh }", "//evil.example/p }"));
    let page = inside.ask("GET", "//evil.example/p", &chrome());
    let led = inside.ask("GET", "//evil.example/p?_cs_n=1", &format!("{}{}", chrome(), jar(&page)));
    assert_eq!(led.field("location"), Some("/.//evil.example/p"), "{}", page.text());
}

#[test]
fn nobody_is_challenged_for_ever() {
    let site = Site::answers(html_answer());
    let inside = started(site.address, "strict", "");
    // No cookies, no scripts: the address counts.
    for mark in ["", "?_cs_n=1", "?_cs_n=2"] {
        let page = inside.ask("GET", &format!("/refresh{mark}"), &chrome());
        assert_eq!(given(&page, "k"), "refresh", "{mark}");
    }
    let told = inside.ask("GET", "/refresh?_cs_n=3", &chrome());
    assert!(told.status == 403 && told.text().contains("Cookies are needed here"), "{}", told.text());
    assert!(told.text().contains("<a href=\"/refresh\">Try again</a>"), "{}", told.text());
    assert!(!told.text().contains("http-equiv"), "{}", told.text());
    is_our_page(&told);
    // Cookies, but never the right answer: the puzzle counts.
    let mut lines = chrome();
    for _ in 0..3 {
        let page = inside.ask("GET", "/js", &lines);
        lines = format!("{}cookie: _cs_a={}.wrong\r\n", chrome(), given(&page, "s"));
    }
    let told = inside.ask("GET", "/js", &lines);
    assert!(told.text().contains("Cookies are needed here"), "{}", told.text());
    assert!(fields(&told, "set-cookie").iter().any(|cookie| cookie.starts_with("_cs_a=; Max-Age=0")));
    assert_eq!(inside.metric("clicksieve_challenges_total{kind=\"js\",outcome=\"failed\"}"), Some(2));
    assert_eq!(inside.metric("clicksieve_challenges_total{kind=\"js\",outcome=\"gave_up\"}"), Some(1));
    assert_eq!(site.heads().len(), 0);
}

#[test]
fn tokens_of_others_of_yesterday_and_of_nobody_open_nothing() {
    let site = Site::answers(html_answer());
    let inside = started(site.address, "strict", "");
    let other = chrome().replace("Chrome/147", "Chrome/146");
    let page = inside.ask("GET", "/js", &chrome());
    let answer = solved(&page);
    assert_eq!(inside.ask("GET", "/js", &format!("{other}{answer}")).status, 403, "another agent's answer");
    let passed = inside.ask("GET", "/js", &format!("{}{answer}", chrome()));
    let pass = fields(&passed, "set-cookie").into_iter().find(|cookie| cookie.starts_with("_cs_p=")).unwrap();
    let pass = format!("cookie: {}\r\n", pass.split(';').next().unwrap());
    assert_eq!(inside.ask("GET", "/js", &format!("{other}{pass}")).status, 403, "another agent's pass");
    // Addresses change in the middle of a visit.
    assert_eq!(inside.ask("GET", "/js", &format!("{}{pass}", chrome_from("2a02:3100:1::7"))).status, 200);
    // A milder challenge is no pass for a harder one.
    let easy = inside.ask("GET", "/refresh", &chrome());
    assert_eq!(inside.ask("GET", "/js", &format!("{}{}", chrome(), solved(&easy))).status, 403);
    assert_eq!(inside.ask("GET", "/refresh", &format!("{}{pass}", chrome())).status, 200);

    let long = format!("cookie: _cs_a={}.x\r\n", "A".repeat(6_000));
    let visit = jar(&passed).replace("_cs_v=", "_cs_p=");
    for garbage in ["cookie: _cs_p=AAAA; _cs_a=BBBB.1\r\n", "cookie: _cs_a=..; _cs_p=\r\n", "cookie: _cs_a=\r\n", &long, &visit] {
        assert_eq!(inside.ask("GET", "/js", &format!("{}{garbage}", chrome())).status, 403, "{garbage}");
    }
    inside.pass(Duration::from_mins(11));
    assert_eq!(inside.ask("GET", "/js", &format!("{}{answer}", chrome())).status, 403, "an answer of eleven minutes ago");
    inside.pass(Duration::from_mins(50));
    assert_eq!(inside.ask("GET", "/js", &format!("{}{pass}", chrome())).status, 403, "a pass of an hour ago");
}

#[test]
fn rules_can_ask_whether_a_challenge_was_passed() {
    let site = Site::answers(html_answer());
    let inside = started(site.address, "strict", "");
    let page = inside.ask("GET", "/js", &chrome());
    assert_eq!(inside.ask("GET", "/asked", &chrome()).status, 200);
    assert_eq!(inside.ask("GET", "/asked", &format!("{}{}", chrome(), solved(&page))).status, 410);
    let passed = inside.ask("GET", "/js", &format!("{}{}", chrome(), solved(&page)));
    let pass = fields(&passed, "set-cookie").into_iter().find(|cookie| cookie.starts_with("_cs_p=")).unwrap();
    let pass = format!("cookie: {}\r\n", pass.split(';').next().unwrap());
    assert_eq!(inside.ask("GET", "/asked", &format!("{}{pass}", chrome())).status, 410);
}

#[test]
fn over_http2_it_is_the_same_and_one_held_stream_holds_no_other() {
    let site = Site::answers(html_answer());
    let authority = Authority::new();
    let files = authority.issues("shop", &["shop.example"]);
    let tls =
        format!("tls: {{ certificates: [{{ certificate: {}, key: {} }}] }}\n", files.certificate.display(), files.key.display());
    let inside = started(site.address, "strict", &tls);
    let get = |path: &str, cookie: &str| {
        let mut request = Request::builder().uri(format!("https://shop.example{path}"));
        for line in chrome().lines() {
            let (name, value) = line.split_once(": ").unwrap();
            request = request.header(name, value);
        }
        let cookie = cookie.trim().trim_start_matches("cookie: ").to_owned();
        if cookie.is_empty() { request } else { request.header("cookie", cookie) }.body(()).unwrap()
    };
    runtime().block_on(async {
        let mut line = Line::open(inside.running.shop(), Arc::clone(&authority.client(&["h2"]))).await;
        let (waits, _stream) = line.begin(get("/tarpit", "")).await;
        for (path, status) in [("/block", 410), ("/redirect", 302), ("/", 200)] {
            assert_eq!(line.ask(get(path, "")).await.unwrap().0.status(), status, "{path}");
        }
        let (head, body) = line.ask(get("/pow", "")).await.unwrap();
        let page = Answer { status: head.status().as_u16(), head: String::new(), body };
        // By TLS a browser can hash.
        assert_eq!((page.status, given(&page, "k")), (403, "pow"));
        let passed = line.ask(get("/pow", &solved(&page))).await.unwrap().0;
        assert_eq!(passed.status(), 200);
        let pass = passed.headers().get_all("set-cookie").iter().any(|cookie| {
            let cookie = cookie.to_str().unwrap();
            cookie.starts_with("_cs_p=") && cookie.contains("; Secure")
        });
        assert!(pass, "{passed:?}");
        drop(waits);
    });
}
