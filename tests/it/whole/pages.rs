//! Pages as a visitor gets them: what is injected, what is left alone, what may be cached, which cookies come.

use clicksieve::demo::visitor::Tag;
use serde_json::Value;

use crate::harness::visitor::Answer;

/// The header lines of a Chrome that navigates from `address`.
pub(crate) fn chrome_from(address: &str) -> String {
    "user-agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/147.0.0.0 Safari/537.36\r\n\
     accept: text/html,application/xhtml+xml,*/*;q=0.8\r\naccept-language: en-GB,en;q=0.9\r\n\
     sec-fetch-site: none\r\nsec-fetch-mode: navigate\r\nsec-fetch-dest: document\r\nx-forwarded-for: ADDRESS\r\n"
        .replace("ADDRESS", address)
}

/// The same from a home.
pub(crate) fn chrome() -> String {
    chrome_from("73.162.40.19")
}

/// What was injected into a page.
pub(crate) fn tag_of(page: &Answer) -> Option<Tag> {
    let (_, rest) = page.text().split_once("data-cs=")?;
    let quote = rest.chars().next()?;
    let text = rest[1..].split(quote).next()?;
    let plain = text.replace("&quot;", "\"").replace("&#34;", "\"").replace("&#39;", "'").replace("&amp;", "&");
    let data: Value = serde_json::from_str(&plain).unwrap();
    let field = |name: &str| data[name].as_str().unwrap().to_owned();
    Some(Tag { page: field("p"), token: field("t"), pixel: field("x"), prefix: field("u") })
}
