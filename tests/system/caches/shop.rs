//! A shop that says different things about caching, with validators and ranges, as frameworks do.

use crate::harness::site::Site;
use crate::harness::visitor::field;

pub(super) const END: &str = "A mug.</body></html>";
pub(super) const STYLE: &str = "body { color: black }";
const VALIDATORS: &str = "etag: \"v1\"\r\nlast-modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

/// Pages by name, and the fields that the shop sends with them.
pub(super) const PAGES: [(&str, &str); 12] = [
    ("public", "cache-control: public, max-age=600\r\n"),
    ("s-maxage", "cache-control: s-maxage=600\r\n"),
    ("immutable", "cache-control: public, max-age=31536000, immutable\r\n"),
    ("none", ""),
    ("no-store", "cache-control: no-store\r\n"),
    ("no-cache", "cache-control: no-cache\r\n"),
    ("validators", VALIDATORS),
    ("both", "cache-control: public, max-age=600\r\netag: \"v1\"\r\nlast-modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n"),
    ("expires", "expires: Thu, 31 Dec 2037 23:55:55 GMT\r\n"),
    ("vary", "cache-control: public, max-age=600\r\nvary: accept-encoding\r\n"),
    ("surrogate", "cache-control: public, max-age=600\r\nsurrogate-control: max-age=600\r\n"),
    ("accel", "x-accel-expires: 600\r\n"),
];

/// Assets by name, the fields they are sent with, and whether both caches keep them.
pub(super) const ASSETS: [(&str, &str, bool); 5] = [
    ("public", "cache-control: public, max-age=600\r\n", true),
    ("immutable", "cache-control: public, max-age=31536000, immutable\r\n", true),
    ("none", "", true),
    ("both", "cache-control: public, max-age=600\r\netag: \"v1\"\r\n", true),
    ("no-store", "cache-control: no-store\r\n", false),
];

pub(super) fn site() -> Site {
    Site::start(|talk, _| {
        while let Some(head) = talk.head() {
            let path = head.split(' ').nth(1).unwrap();
            let path = path.split('?').next().unwrap();
            let (status, more, kind, body) = answer(path);
            let validated = more.contains("etag");
            let conditional = ["if-none-match", "if-modified-since"].iter().any(|name| field(&head, name).is_some());
            let answer = match field(&head, "range") {
                _ if validated && conditional => format!("HTTP/1.1 304 Not Modified\r\n{more}\r\n"),
                Some(_) if status.starts_with("200") => format!(
                    "HTTP/1.1 206 Partial Content\r\ncontent-type: {kind}\r\n{more}content-range: bytes 0-{}/{}\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len() - 1,
                    body.len(),
                    body.len()
                ),
                _ => format!(
                    "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\n{more}content-length: {}\r\n\r\n{}",
                    body.len(),
                    if head.starts_with("HEAD") { "" } else { &body }
                ),
            };
            talk.say(answer);
        }
    })
}

fn answer(path: &str) -> (&'static str, String, &'static str, String) {
    let html = "text/html; charset=utf-8";
    let fields = |name: &str| PAGES.iter().find(|(page, _)| *page == name).map_or("", |(_, fields)| *fields).to_owned();
    if let Some(name) = path.strip_prefix("/page/") {
        return ("200 OK", fields(name), html, format!("<!doctype html><html><head><title>Mug</title></head><body>{END}"));
    }
    if let Some(name) = path.strip_prefix("/gone/") {
        return ("302 Found", format!("location: /page/{name}\r\n{}", fields(name)), html, String::new());
    }
    let name = path.strip_prefix("/asset/").and_then(|name| name.strip_suffix(".css")).unwrap_or("none");
    let fields = ASSETS.iter().find(|(asset, ..)| *asset == name).map_or("", |(_, fields, _)| *fields);
    ("200 OK", fields.to_owned(), "text/css", STYLE.to_owned())
}
