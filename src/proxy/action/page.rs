//! The pages of our own that click actions answer with. Promises: nothing from outside is asked for or stands in them
//! unescaped, no cache keeps one, and none says which rule spoke. Must not know rules or tokens.

use http::HeaderName;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header;

use crate::proxy::action::words::Words;
use crate::proxy::body::ProxyBody;
use crate::verdict::Trial;

const SCRIPT: &str = include_str!("challenge.js");
const STYLE: &str = "html{color-scheme:light dark}body{font:1.125rem/1.5 system-ui,sans-serif;max-width:36rem;margin:18vh auto 0;\
                     padding:0 1.5rem}h1{font-size:1.5rem;line-height:1.25;margin:0 0 .5rem}p{margin:0 0 1rem}";

/// What a page says; its head says who may keep it: nobody.
#[derive(Debug)]
pub(super) struct Page {
    status: StatusCode,
    nonce: String,
    html: String,
}

/// What a challenge's page carries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given<'a> {
    pub(super) sealed: &'a str,
    pub(super) trial: Trial,
    pub(super) bits: u8,
    /// Where a visitor without scripts comes back to.
    pub(super) marked: &'a str,
}

/// The page that puts a challenge. By 403, since caches keep no such answer by themselves (RFC 9110 section 15.1), no crawler
/// puts one into an index, and no load balancer takes it for a fault of ours as it may take a 503.
pub(super) fn challenge(words: &Words, given: Given<'_>) -> Page {
    let nonce = nonce();
    let Words { moment, checking, script, cookies, allow, .. } = words;
    let Given { sealed, trial, bits, marked } = given;
    let (refresh, without) = match trial {
        Trial::Refresh => {
            let head = format!("<noscript><meta http-equiv=\"refresh\" content=\"1;url={}\"></noscript>", escaped(marked));
            (head, String::new())
        }
        Trial::Js | Trial::Pow => (String::new(), format!("<noscript><p role=\"alert\">{script}</p></noscript>")),
    };
    let kind = trial.name();
    let body = format!(
        "<div id=\"wait\"><h1>{moment}</h1><p role=\"status\">{checking}</p>{without}</div>\
         <div id=\"cookies\" role=\"alert\" hidden><h1>{cookies}</h1><p>{allow}</p></div>\
         <script nonce=\"{nonce}\" data-k=\"{kind}\" data-b=\"{bits}\" data-s=\"{sealed}\">{SCRIPT}</script>"
    );
    let html = document(words, moment, &nonce, &refresh, &body);
    Page { status: StatusCode::FORBIDDEN, nonce, html }
}

/// The page that says that cookies are needed; `back` is the address that was asked for.
pub(super) fn cookies(words: &Words, back: &str) -> Page {
    let nonce = nonce();
    let Words { cookies, allow, again, .. } = words;
    let body = format!("<h1>{cookies}</h1><p>{allow}</p><p><a href=\"{}\">{again}</a></p>", escaped(back));
    let html = document(words, cookies, &nonce, "", &body);
    Page { status: StatusCode::FORBIDDEN, nonce, html }
}

/// The page of a refusal.
pub(super) fn refusal(words: &Words, status: StatusCode) -> Page {
    let nonce = nonce();
    let Words { closed, sorry, .. } = words;
    let html = document(words, closed, &nonce, "", &format!("<h1>{closed}</h1><p>{sorry}</p>"));
    Page { status, nonce, html }
}

fn document(words: &Words, title: &str, nonce: &str, head: &str, body: &str) -> String {
    let tag = words.tag;
    format!(
        "<!doctype html><html lang=\"{tag}\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width,initial-scale=1\"><meta name=\"robots\" content=\"noindex\"><title>{title}</title>{head}\
         <style nonce=\"{nonce}\">{STYLE}</style></head><body><main>{body}</main></body></html>\n"
    )
}

impl Page {
    /// The answer with this page.
    pub(super) fn answer(self) -> Response<ProxyBody> {
        let Self { status, nonce, html } = self;
        let mut response = Response::new(ProxyBody::Empty);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(html.len()));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        // To the shop's scripts nobody is to come from a page of ours.
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex"));
        kept_by_nobody(&mut response);
        let policy = format!(
            "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'"
        );
        if let Ok(policy) = HeaderValue::from_str(&policy) {
            response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        *response.body_mut() = ProxyBody::full(html);
        response
    }
}

/// Says so to every cache, nginx in its own words.
pub(super) fn kept_by_nobody(response: &mut Response<ProxyBody>) {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    response.headers_mut().insert(HeaderName::from_static("x-accel-expires"), HeaderValue::from_static("0"));
}

fn nonce() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// Text for an attribute in double quotes.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
}
