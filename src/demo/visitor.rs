//! A scripted visitor over HTTP: a browser's headers, a cookie jar, and what the page's tag would do, without a browser.
//! Must not know what is expected of it.

use std::collections::BTreeMap;
use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use reqwest::Method;
use serde_json::Value;
use serde_json::json;
use url::Url;

use crate::demo::client;

/// The most that a page may unpack to.
const PAGE_LIMIT: u64 = 4 << 20;

/// What goes wrong on a visit.
#[derive(Debug, thiserror::Error)]
pub enum VisitError {
    /// The proxy did not answer.
    #[error("no answer")]
    Http(#[from] reqwest::Error),
    /// A page could not be unpacked.
    #[error("a page could not be unpacked")]
    Unpack(#[from] std::io::Error),
    /// The page carries no tag where one is needed.
    #[error("the page carries no tag")]
    NoTag,
}

/// What the markup in a page says to the tag.
#[derive(Clone, Debug)]
pub struct Tag {
    /// The page's id.
    pub page: String,
    /// The page token.
    pub token: String,
    /// The Pixel's policy.
    pub pixel: String,
    /// Where the collector lies.
    pub prefix: String,
}

/// An answer of the shop.
#[derive(Clone, Debug)]
pub struct Page {
    /// The HTTP status.
    pub status: u16,
    /// The markup.
    pub html: String,
    /// `Location`, on a redirect.
    pub location: Option<String>,
    /// `ETag`.
    pub etag: Option<String>,
    /// Its own address.
    pub url: String,
    /// When it came, in seconds since the epoch by the answer's own `Date`.
    pub seen: u64,
    /// The pixel that the page starts.
    pub pixel: String,
    /// What was injected.
    pub tag: Option<Tag>,
}

/// One visitor with a cookie jar.
pub struct Visitor {
    base: String,
    headers: Vec<(String, String)>,
    cookies: BTreeMap<String, String>,
    http: reqwest::Client,
}

impl Visitor {
    /// A visitor of the shop at `base` who sends these headers with each page.
    pub fn new(base: &str, headers: Vec<(String, String)>) -> Self {
        Self { base: base.trim_end_matches('/').to_owned(), headers, cookies: BTreeMap::new(), http: client() }
    }

    /// The headers of a Chrome 147 on Windows that navigates, in its order; `referer` is the page it comes from.
    pub fn chrome(referer: Option<&str>) -> Vec<(String, String)> {
        let agent =
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/147.0.0.0 Safari/537.36";
        let brands = "\"Google Chrome\";v=\"147\", \"Not.A/Brand\";v=\"8\", \"Chromium\";v=\"147\"";
        chromium(agent, brands, "\"Windows\"", "?0", referer)
    }

    /// The same of a headless Chrome under its own name.
    pub fn headless() -> Vec<(String, String)> {
        let agent =
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/147.0.0.0 Safari/537.36";
        let brands = "\"HeadlessChrome\";v=\"147\", \"Not.A/Brand\";v=\"8\", \"Chromium\";v=\"147\"";
        chromium(agent, brands, "\"Linux\"", "?0", None)
    }

    /// The headers of Instagram's in-app browser on an iPhone.
    pub fn instagram() -> Vec<(String, String)> {
        let agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 \
                     Instagram 384.0.0.26.108 (iPhone15,2; iOS 18_5; en_GB; en; scale=3.00; 1179x2556; 741028221)";
        [
            ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
            ("user-agent", agent),
            ("referer", "https://l.instagram.com/"),
            ("accept-language", "en-GB,en;q=0.9"),
            ("accept-encoding", "gzip, deflate, br"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    /// A header more, or another value for one.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Asks for a page; in-site steps say so in their fetch metadata as a browser does.
    pub async fn get(&mut self, path: &str) -> Result<Page, VisitError> {
        self.ask(Method::GET, path, None).await
    }

    /// Sends a form.
    pub async fn form(&mut self, path: &str, fields: &[(&str, &str)]) -> Result<Page, VisitError> {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.ask(Method::POST, path, Some(body)).await
    }

    /// What the tag would send from that page.
    pub async fn tell(&self, page: &Page, items: Vec<Value>) -> Result<Value, VisitError> {
        let tag = page.tag.as_ref().ok_or(VisitError::NoTag)?;
        let kept =
            |name: &str| name.starts_with("sec-ch-ua") || matches!(name, "user-agent" | "accept-language" | "x-forwarded-for");
        let mut request = self.http.post(format!("{}{}/e", self.base, tag.prefix)).header("accept", "*/*");
        for (name, value) in self.headers.iter().filter(|(name, _)| kept(name)) {
            request = request.header(name, value);
        }
        let request = request
            .header("content-type", "text/plain;charset=UTF-8")
            .header("origin", &self.base)
            .header("referer", &page.url)
            .header("sec-fetch-site", "same-origin")
            .header("sec-fetch-mode", "no-cors")
            .header("sec-fetch-dest", "empty")
            .header("cookie", self.jar())
            .body(json!({ "t": tag.token, "k": items }).to_string());
        Ok(request.send().await?.json().await?)
    }

    fn jar(&self) -> String {
        self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    async fn ask(&mut self, method: Method, path: &str, body: Option<String>) -> Result<Page, VisitError> {
        let url = format!("{}{path}", self.base);
        let mut request = self.http.request(method, &url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if !self.cookies.is_empty() {
            request = request.header("cookie", self.jar());
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/x-www-form-urlencoded").header("origin", &self.base).body(body);
        }
        let answer = request.send().await?;
        self.stay(&url);
        self.remember(answer.headers());
        read(answer, url).await
    }

    /// After the first page each step comes from the shop itself.
    fn stay(&mut self, url: &str) {
        let referer = Url::parse(url).map_or_else(|_| self.base.clone(), |url| url.to_string());
        if let Some((_, site)) = self.headers.iter_mut().find(|(name, _)| name == "sec-fetch-site") {
            "same-origin".clone_into(site);
            self.headers.retain(|(name, _)| name != "referer");
            self.headers.push(("referer".to_owned(), referer));
        }
    }

    fn remember(&mut self, headers: &http::HeaderMap) {
        for line in headers.get_all("set-cookie").iter().filter_map(|value| value.to_str().ok()) {
            let pair = line.split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                self.cookies.insert(name.trim().to_owned(), value.trim().to_owned());
            }
        }
    }
}

fn chromium(agent: &str, brands: &str, platform: &str, mobile: &str, referer: Option<&str>) -> Vec<(String, String)> {
    let accept = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,\
                  application/signed-exchange;v=b3;q=0.7";
    let mut headers = vec![
        ("sec-ch-ua", brands),
        ("sec-ch-ua-mobile", mobile),
        ("sec-ch-ua-platform", platform),
        ("upgrade-insecure-requests", "1"),
        ("user-agent", agent),
        ("accept", accept),
        ("sec-fetch-site", if referer.is_some() { "cross-site" } else { "none" }),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-user", "?1"),
        ("sec-fetch-dest", "document"),
    ];
    headers.extend(referer.map(|referer| ("referer", referer)));
    headers.extend([("accept-encoding", "gzip, deflate, br, zstd"), ("accept-language", "en-GB,en;q=0.9")]);
    headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

async fn read(answer: reqwest::Response, url: String) -> Result<Page, VisitError> {
    let text = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (status, location, etag) = (answer.status().as_u16(), text("location"), text("etag"));
    let seen = text("date").map_or(0, |date| seconds_of(&date));
    let packed = text("content-encoding").is_some_and(|coding| coding == "gzip");
    let bytes = answer.bytes().await?;
    let html = if packed {
        let mut plain = Vec::new();
        MultiGzDecoder::new(bytes.as_ref()).take(PAGE_LIMIT).read_to_end(&mut plain)?;
        String::from_utf8_lossy(&plain).into_owned()
    } else {
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let pixel = html.split_once("fbq('init', \"").and_then(|(_, rest)| rest.split('"').next()).unwrap_or_default().to_owned();
    let tag = tag_of(&html);
    Ok(Page { status, html, location, etag, url, seen, pixel, tag })
}

/// An HTTP date in seconds since the epoch; 0 where it is none.
fn seconds_of(date: &str) -> u64 {
    let parsed = jiff::fmt::rfc2822::parse(date).ok();
    parsed.and_then(|at| u64::try_from(at.timestamp().as_second()).ok()).unwrap_or_default()
}

/// Reads the markup's data as a browser would.
fn tag_of(html: &str) -> Option<Tag> {
    let (_, rest) = html.split_once("data-cs=")?;
    let quote = rest.chars().next().filter(|&mark| mark == '"' || mark == '\'')?;
    let text = rest.get(1..)?.split(quote).next()?;
    let plain = text
        .replace("&quot;", "\"")
        .replace("&#34;", "\"")
        .replace("&#x22;", "\"")
        .replace("&#39;", "'")
        .replace("&#x27;", "'")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    let data: Value = serde_json::from_str(&plain).ok()?;
    let field = |name: &str| data.get(name)?.as_str().map(str::to_owned);
    Some(Tag { page: field("p")?, token: field("t")?, pixel: field("x")?, prefix: field("u")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_http_date_is_read() {
        assert_eq!(seconds_of("Sun, 06 Nov 1994 08:49:37 GMT"), 784_111_777);
    }

    #[test]
    fn the_markup_is_read_whatever_its_quotes() {
        let single = r#"<script data-cs='{"p":"1","t":"a&amp;b","x":"leave","u":"/_cs"}'>"#;
        let double = single.replace('"', "&quot;").replace('\'', "\"");
        for html in [single, &double] {
            let tag = tag_of(html).unwrap();
            assert_eq!((tag.page.as_str(), tag.token.as_str(), tag.pixel.as_str()), ("1", "a&b", "leave"));
        }
        assert!(tag_of("<script>").is_none());
    }
}
