//! What a browser sends, and what it sees of an answer: the tag in a page, and cookies.

use clicksieve::demo::visitor::Tag;
use serde_json::Value;

use crate::harness::visitor::Answer;

/// The header lines of a Chrome that navigates from `address`.
pub(crate) fn chrome_from(address: &str) -> String {
    "user-agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/147.0.0.0 Safari/537.36\r\n\
     accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7\r\naccept-language: en-GB,en;q=0.9\r\n\
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

/// The values of a field that may come more than once.
pub(crate) fn fields<'a>(answer: &'a Answer, name: &str) -> Vec<&'a str> {
    let pairs = answer.head.lines().filter_map(|line| line.split_once(": "));
    pairs.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
}

/// The names of the cookies that an answer sets.
pub(crate) fn cookies(answer: &Answer) -> Vec<&str> {
    let mut names: Vec<&str> =
        fields(answer, "set-cookie").iter().filter_map(|cookie| cookie.split_once('=')).map(|(name, _)| name).collect();
    names.sort_unstable();
    names
}

/// A `Cookie` line with everything that an answer sets.
pub(crate) fn jar(answer: &Answer) -> String {
    let pairs: Vec<&str> = fields(answer, "set-cookie").iter().filter_map(|cookie| cookie.split(';').next()).collect();
    if pairs.is_empty() { String::new() } else { format!("cookie: {}\r\n", pairs.join("; ")) }
}
