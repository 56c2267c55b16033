//! Pages as a visitor gets them: what is injected, what is left alone, what may be cached, which cookies come.

use std::collections::BTreeSet;
use std::io::Read;
use std::io::Write;

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use crate::harness::site::Site;
use crate::harness::visitor::field;
use crate::whole::inside::Inside;
pub(crate) use crate::whole::seen::chrome;
pub(crate) use crate::whole::seen::chrome_from;
pub(crate) use crate::whole::seen::cookies;
use crate::whole::seen::fields;
pub(crate) use crate::whole::seen::jar;
pub(crate) use crate::whole::seen::tag_of;

/// A site that answers by path, as a shop with validators, ranges and fragments does.
fn site() -> Site {
    Site::start(|talk, _| {
        while let Some(head) = talk.head() {
            let page = "<!doctype html><html><head><title>Mug</title></head><body>A mug.</body></html>";
            let validators = "etag: \"v1\"\r\nlast-modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
            let conditional = ["if-none-match", "if-modified-since"].iter().any(|name| field(&head, name).is_some());
            let path = head.split(' ').nth(1).unwrap().split('?').next().unwrap();
            let (status, more, body) = match path {
                _ if conditional => ("304 Not Modified", validators, Vec::new()),
                _ if field(&head, "range").is_some() => {
                    ("206 Partial Content", "content-range: bytes 0-3/80\r\n", b"<!do".to_vec())
                }
                "/nothing" => ("204 No Content", "", Vec::new()),
                "/locked" => ("200 OK", "content-security-policy: default-src 'none'\r\n", page.into()),
                "/named" => {
                    ("200 OK", "content-security-policy: script-src 'unsafe-inline' http://shop.example\r\n", page.into())
                }
                "/foreign" => ("200 OK", "content-security-policy: script-src cdn.example 'sha256-AAAA'\r\n", page.into()),
                "/amp" => ("200 OK", "", page.replace("<html>", "<html amp>").into()),
                "/packed" => ("200 OK", "content-encoding: gzip\r\n", packed(page)),
                _ => (
                    "200 OK",
                    "etag: \"v1\"\r\nlast-modified: Sun, 06 Nov 1994 08:49:37 GMT\r\ncache-control: public, max-age=600\r\n",
                    page.into(),
                ),
            };
            let length = if status.starts_with("200") || status.starts_with("206") {
                format!("content-length: {}\r\n", body.len())
            } else {
                String::new()
            };
            talk.say(format!("HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\n{more}{length}\r\n"));
            if !head.starts_with("HEAD") {
                talk.say(body);
            }
        }
    })
}

fn packed(page: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(page.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn no_two_views_share_an_id_whatever_the_visitor_has_cached() {
    let inside = Inside::start(site().address, "");
    let mut ids = BTreeSet::new();
    for more in ["", "if-none-match: \"v1\"\r\n", "if-modified-since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", "range: bytes=0-3\r\n"]
    {
        for address in ["73.162.40.19", "84.160.77.3"] {
            let page = inside.ask("GET", "/mug", &format!("{}{more}", chrome_from(address)));
            assert_eq!(page.status, 200, "{more}");
            ids.insert(tag_of(&page).expect(more).page);
            assert_eq!(page.field("cache-control"), Some("private, no-cache"), "{more}");
            for gone in ["etag", "last-modified", "age", "expires", "accept-ranges"] {
                assert_eq!(page.field(gone), None, "{more}");
            }
        }
    }
    assert_eq!(ids.len(), 8);
}

#[test]
fn what_is_no_page_view_passes_as_the_site_sent_it() {
    let inside = Inside::start(site().address, "");
    let fetch = chrome().replace("mode: navigate", "mode: cors").replace("dest: document", "dest: empty");
    for (method, path, lines, status) in [
        ("HEAD", "/mug", chrome(), 200),
        ("GET", "/nothing", chrome(), 204),
        ("GET", "/mug", format!("{fetch}if-none-match: \"v1\"\r\n"), 304),
        ("GET", "/mug", format!("{fetch}range: bytes=0-3\r\n"), 206),
        ("GET", "/mug", fetch.clone(), 200),
        ("GET", "/mug", format!("{fetch}x-requested-with: XMLHttpRequest\r\n"), 200),
    ] {
        let answer = inside.ask(method, path, &lines);
        assert_eq!(answer.status, status, "{method} {path}");
        assert!(!answer.text().contains("data-cs"), "{method} {path}");
        assert_eq!(cookies(&answer), [""; 0], "{method} {path}");
        if path == "/mug" && status != 206 {
            // A page that a GET would get with an id in it has no validator; a HEAD says the same.
            assert_eq!(answer.field("etag"), Some("\"v1\"").filter(|_| method == "GET"), "{method} {path}");
        }
    }
    let whole = inside.ask("GET", "/mug", &fetch);
    assert_eq!(whole.field("cache-control"), Some("public, max-age=600"));
}

#[test]
fn a_packed_page_stays_packed_and_a_locked_one_stays_as_it_is() {
    let inside = Inside::start(site().address, "");
    let page = inside.ask("GET", "/packed", &format!("{}accept-encoding: gzip, br\r\n", chrome()));
    assert_eq!(page.field("content-encoding"), Some("gzip"));
    let mut plain = String::new();
    MultiGzDecoder::new(page.body.as_slice()).read_to_string(&mut plain).unwrap();
    assert!(plain.contains("data-cs") && plain.ends_with("A mug.</body></html>"), "{plain}");

    let locked = inside.ask("GET", "/locked", &chrome());
    assert_eq!(locked.status, 200);
    assert!(!locked.text().contains("data-cs"));
    assert_eq!(cookies(&locked), [""; 0]);
}

#[test]
fn a_page_whose_policy_names_its_own_host_has_an_id_and_one_that_names_another_has_none() {
    let inside = Inside::start(site().address, "");
    assert!(tag_of(&inside.ask("GET", "/named", &chrome())).is_some());
    assert!(tag_of(&inside.ask("GET", "/foreign", &chrome())).is_none());
}

#[test]
fn a_page_that_a_service_worker_passes_on_is_a_page_view() {
    let inside = Inside::start(site().address, "");
    let empty = chrome().replace("dest: document", "dest: empty");
    for mode in ["navigate", "same-origin"] {
        let lines = format!("{}upgrade-insecure-requests: 1\r\n", empty.replace("mode: navigate", &format!("mode: {mode}")));
        assert!(tag_of(&inside.ask("GET", "/mug", &lines)).is_some(), "{mode}");
    }
    // A script's own fetch of the same page.
    assert!(tag_of(&inside.ask("GET", "/mug", &empty.replace("mode: navigate", "mode: cors"))).is_none());
}

#[test]
fn an_amp_page_passes_byte_by_byte() {
    let inside = Inside::start(site().address, "");
    let page = inside.ask("GET", "/amp", &chrome());
    assert_eq!(page.text(), "<!doctype html><html amp><head><title>Mug</title></head><body>A mug.</body></html>");
}

#[test]
fn cookies_are_set_once() {
    let inside = Inside::start(site().address, "");
    let click = "/mug?fbclid=IwZXh0bgNhZW0BMABhZGlkAasVg1yQ2aQBHSx_k-9Q_aem_AbCdEf0123456789";
    let first = inside.ask("GET", click, &chrome());
    assert_eq!(cookies(&first), ["_cs_v", "_fbc", "_fbp"]);
    for cookie in fields(&first, "set-cookie") {
        assert!(cookie.contains("SameSite=Lax") && cookie.contains("Path=/"), "{cookie}");
        assert_eq!(cookie.contains("HttpOnly"), cookie.starts_with("_cs_v="), "{cookie}");
    }
    let lines = format!("{}{}", chrome(), jar(&first));
    for path in [click, "/mug"] {
        assert_eq!(cookies(&inside.ask("GET", path, &lines)), [""; 0], "{path}");
    }
    // Another click is another click id, and nothing else.
    let other = click.replace("0123456789", "9876543210");
    assert_eq!(cookies(&inside.ask("GET", &other, &lines)), ["_fbc"]);
}
