//! What caches are told: for each way in which a site speaks to them, exactly the fields that a visitor gets for a page with
//! an id, for the same page without one, and for an asset.

use std::net::SocketAddr;

use crate::harness::site::Site;
use crate::whole::inside::Inside;
use crate::whole::pages::chrome;
use crate::whole::pages::cookies;
use crate::whole::pages::jar;
use crate::whole::pages::tag_of;

const MODIFIED: &str = "last-modified: Sun, 06 Nov 1994 08:49:37 GMT";
const EXPIRES: &str = "expires: Thu, 01 Dec 2094 16:00:00 GMT";
const PRIVATE: &str = "cache-control: private, no-cache";
const NO_STORE: &str = "cache-control: private, no-cache, no-store";

/// An ad click's identifier with the shape of Meta's.
const CLICK: &str = "IwZXh0bgNhZW0BMABhZGlkAasVg1yQ2aQBHSx_k-9Q_aem_AbCdEf0123456789";

/// Said of every page with an id, to nginx.
const NGINX: &str = "x-accel-expires: 0";

/// What the site says, and what of it a page with an id says beside [`NGINX`].
const TABLE: &[(&[&str], &[&str])] = &[
    (&[], &[PRIVATE]),
    (&["cache-control: public, max-age=600"], &[PRIVATE]),
    (&["cache-control: max-age=60, s-maxage=3600"], &[PRIVATE]),
    (&["cache-control: public, max-age=31536000, immutable"], &[PRIVATE]),
    (&["cache-control: max-age=60, stale-while-revalidate=86400, stale-if-error=86400"], &[PRIVATE]),
    (&["cache-control: private, max-age=60"], &[PRIVATE]),
    (&["cache-control: no-cache"], &[PRIVATE]),
    (&["cache-control: must-revalidate, proxy-revalidate"], &[PRIVATE]),
    (&["cache-control: no-store"], &[NO_STORE]),
    (&["cache-control: public", "cache-control: max-age=5,No-Store"], &[NO_STORE]),
    (&["cache-control: private=\"set-cookie\", max-age=60"], &[PRIVATE]),
    (&[EXPIRES], &[PRIVATE]),
    (&["expires: 0", "pragma: no-cache"], &[PRIVATE]),
    (&["age: 120", "cache-control: max-age=600"], &[PRIVATE]),
    (&["etag: \"v1\"", MODIFIED], &[PRIVATE]),
    (&["etag: W/\"v1\"", "accept-ranges: bytes"], &[PRIVATE]),
    (&["vary: accept-encoding, cookie"], &[PRIVATE, "vary: accept-encoding, cookie"]),
    (&["vary: *"], &[PRIVATE, "vary: *"]),
    (&["surrogate-control: max-age=3600", "surrogate-key: mug"], &[PRIVATE, "surrogate-key: mug"]),
    (&["cdn-cache-control: max-age=3600", "cache-control: no-store"], &[NO_STORE]),
    (&["cloudflare-cdn-cache-control: max-age=3600"], &[PRIVATE]),
    (&["netlify-cdn-cache-control: public, durable, s-maxage=3600", "netlify-cdn-cache-control: x"], &[PRIVATE]),
    (&["vercel-cdn-cache-control: max-age=3600"], &[PRIVATE]),
    (&["x-litespeed-cache-control: public, max-age=300"], &[PRIVATE]),
    (&["x-accel-expires: 3600"], &[PRIVATE]),
    (&["edge-control: cache-maxage=1h"], &[PRIVATE]),
    (&["content-md5: Q2hlY2sgSW50ZWdyaXR5IQ==", "digest: sha-256=AAAA", "repr-digest: sha-256=:AAAA:"], &[PRIVATE]),
];

/// A site that puts the fields of the numbered row on a page, an asset and a redirect.
fn site() -> SocketAddr {
    Site::start(|talk, _| {
        while let Some(head) = talk.head() {
            let path = head.split(' ').nth(1).unwrap();
            let (kind, row) = path.split('?').next().unwrap().trim_start_matches('/').split_once('/').unwrap();
            let fields = TABLE[row.parse::<usize>().unwrap()].0.iter().flat_map(|line| [*line, "\r\n"]).collect::<String>();
            let (status, content, body) = match kind {
                "page" | "locked" => ("200 OK", "text/html; charset=utf-8", "<!doctype html><title>Mug</title>A mug."),
                "asset" => ("200 OK", "text/css", "p{}"),
                _ => ("302 Found", "text/plain", "Over there."),
            };
            let more = if kind == "locked" { "content-security-policy: default-src 'none'\r\n" } else { "" };
            let length = body.len();
            talk.say(format!(
                "HTTP/1.1 {status}\r\ncontent-type: {content}\r\n{more}{fields}content-length: {length}\r\n\r\n{body}"
            ));
        }
    })
    .address
}

/// The lines of a head without the status and what has nothing to do with caches.
fn told(head: &str) -> Vec<String> {
    let beside = ["date:", "content-type:", "content-length:", "content-security-policy:", "set-cookie:"];
    let lines = head.lines().skip(1).map(str::to_ascii_lowercase);
    let mut lines: Vec<String> =
        lines.filter(|line| !line.is_empty() && !beside.iter().any(|name| line.starts_with(name))).collect();
    lines.sort_unstable();
    lines
}

fn sorted(lines: &[&str]) -> Vec<String> {
    let mut lines: Vec<String> = lines.iter().map(|line| line.to_ascii_lowercase()).collect();
    lines.sort_unstable();
    lines
}

#[test]
fn a_page_with_an_id_is_kept_by_no_shared_cache_whatever_the_site_says() {
    let inside = Inside::start(site(), "");
    for (number, (said, wanted)) in TABLE.iter().enumerate() {
        // A visitor who gets cookies with it, and the same one on his next page.
        let first = inside.ask("GET", &format!("/page/{number}"), &chrome());
        let lines = format!("{}{}", chrome(), jar(&first));
        let next = inside.ask("GET", &format!("/page/{number}"), &lines);
        assert_eq!((cookies(&first).len(), cookies(&next).len()), (2, 0), "{said:?}");
        for page in [first, next] {
            assert!(tag_of(&page).is_some(), "{said:?}");
            assert_eq!(told(&page.head), sorted(&[*wanted, &[NGINX]].concat()), "{said:?}");
        }
    }
}

#[test]
fn assets_and_pages_without_an_id_keep_what_the_site_says() {
    let inside = Inside::start(site(), "");
    let fetch = chrome().replace("mode: navigate", "mode: no-cors").replace("dest: document", "dest: style");
    for (number, (said, _)) in TABLE.iter().enumerate() {
        for (kind, lines) in [("asset", &fetch), ("asset", &chrome()), ("page", &fetch), ("locked", &chrome())] {
            let answer = inside.ask("GET", &format!("/{kind}/{number}"), lines);
            assert_eq!(answer.status, 200, "{kind} {said:?}");
            // A page for no navigation must not be given to one by a cache.
            let more: &[&str] = if kind == "page" { &["vary: accept, sec-fetch-dest, x-requested-with"] } else { &[] };
            assert_eq!(told(&answer.head), sorted(&[said, more].concat()), "{kind} {said:?}");
            assert!(tag_of(&answer).is_none() && cookies(&answer).is_empty(), "{kind} {said:?}");
        }
    }
}

#[test]
fn a_redirect_that_sets_a_clicks_cookies_is_kept_by_no_shared_cache() {
    let inside = Inside::start(site(), "");
    for (number, (said, _)) in TABLE.iter().enumerate() {
        let plain = inside.ask("GET", &format!("/over/{number}"), &chrome());
        assert_eq!((plain.status, told(&plain.head)), (302, sorted(said)), "{said:?}");
    }
    // Validators and digests are true of a redirect's own bytes and may stay.
    let stays = ["etag:", "last-modified:", "accept-ranges:", "content-md5:", "digest:", "repr-digest:"];
    for (number, (said, wanted)) in TABLE.iter().enumerate() {
        let click = inside.ask("GET", &format!("/over/{number}?fbclid={CLICK}"), &chrome());
        assert_eq!((click.status, cookies(&click)), (302, vec!["_cs_v", "_fbc", "_fbp"]), "{said:?}");
        let mut wanted = sorted(&[*wanted, &[NGINX]].concat());
        wanted.extend(sorted(said).into_iter().filter(|line| stays.iter().any(|name| line.starts_with(name))));
        wanted.sort_unstable();
        assert_eq!(told(&click.head), wanted, "{said:?}");
    }
}
