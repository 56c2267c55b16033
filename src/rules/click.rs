//! The `do:` of a click row -> what is done with the click. Must not know conditions.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use url::Url;

use crate::rules::action::named;
use crate::rules::action::unknown;
use crate::verdict::Challenge;
use crate::verdict::ClickAction;
use crate::verdict::Rate;
use crate::verdict::Redirect;
use crate::verdict::Trial;
use crate::yaml::Faults;
use crate::yaml::Node;
use crate::yaml::Section;
use crate::yaml::Value;

const CLICK: [&str; 8] = ["allow", "tag", "prove", "challenge", "block", "tarpit", "redirect", "limit"];
/// What a refusal may say: forbidden, not there, gone, too often, not now.
const STATUSES: &str = "403, 404, 410, 429 or 503";
/// About 4,000 hashes: less than half a second on a phone.
const BITS: u8 = 12;
const PASS: Duration = Duration::from_hours(1);
/// Longer passes would be shared; shorter ones would challenge people in the middle of a visit.
const PASSES: std::ops::RangeInclusive<Duration> = Duration::from_mins(5)..=Duration::from_hours(24);
const HOLD: i64 = 10;
const PERS: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24);

/// Reads a click row's action.
pub(super) fn click(node: &Node, faults: &Faults) -> Option<ClickAction> {
    let (name, at, body) = named(node, faults)?;
    // A name alone takes the action's defaults.
    let nothing = Node { value: Value::Null, ..*node };
    let section = Section::of(body.unwrap_or(&nothing), faults);
    let action = match name {
        "allow" => Some(ClickAction::Allow),
        "tag" => Some(ClickAction::Tag),
        "prove" => Some(ClickAction::Prove),
        "challenge" => Some(challenge(&section)),
        "block" => Some(ClickAction::Block(status(&section))),
        "tarpit" => Some(tarpit(&section)),
        "redirect" => redirect(&section, at),
        "limit" => limit(&section, at),
        other => return unknown(other, at, &CLICK, faults),
    };
    section.finish();
    action
}

/// Notes what loads but may surprise: a redirect to another host.
pub(super) fn warn(rows: Option<&Node>, warnings: &Faults) {
    let Some(Node { value: Value::List(rows), .. }) = rows else { return };
    let below = |node: &'_ Node, name: &str| match &node.value {
        Value::Map(entries) => entries.iter().find(|(key, _)| key.name == name).map(|(_, node)| node.clone()),
        _ => None,
    };
    for row in rows {
        let redirect = below(row, "do").and_then(|action| below(&action, "redirect"));
        let Some(allowed) = redirect.and_then(|redirect| below(&redirect, "allow_other_host")) else { continue };
        if allowed.value == Value::Bool(true) {
            let hint = "an ad that leads to another host than it names is against Meta's rules; docs/click-actions.md".to_owned();
            warnings.at(&allowed, "clicks are sent to another host", Some(hint));
        }
    }
}

fn status(section: &Section<'_>) -> StatusCode {
    let read = |text: &str| match text {
        "403" => Some(StatusCode::FORBIDDEN),
        "404" => Some(StatusCode::NOT_FOUND),
        "410" => Some(StatusCode::GONE),
        "429" => Some(StatusCode::TOO_MANY_REQUESTS),
        "503" => Some(StatusCode::SERVICE_UNAVAILABLE),
        _ => None,
    };
    section.parsed("status", STATUSES, read).unwrap_or(StatusCode::FORBIDDEN)
}

fn challenge(section: &Section<'_>) -> ClickAction {
    let trial = section.parsed("kind", "`refresh`, `js` or `pow`", Trial::of_name).unwrap_or(Trial::Js);
    let bits = section.number("bits", 8..=16).and_then(|bits| u8::try_from(bits).ok());
    if let Some(node) = section.node("bits").filter(|_| trial != Trial::Pow) {
        section.faults().at(node, "only a `pow` has `bits`", None);
    }
    let pass = within(section, "pass_for", &PASSES, "a pass can serve from `5m` to `24h`").unwrap_or(PASS);
    ClickAction::Challenge(Challenge { trial, bits: bits.unwrap_or(BITS), pass })
}

fn tarpit(section: &Section<'_>) -> ClickAction {
    let seconds = section.number("seconds", 1..=30).unwrap_or(HOLD);
    ClickAction::Tarpit { hold: Duration::from_secs(seconds.unsigned_abs()), status: status(section) }
}

fn redirect(section: &Section<'_>, at: &Node) -> Option<ClickAction> {
    let other_host = section.flag("allow_other_host").unwrap_or(false);
    // Who is sent away without having asked for it takes no identifiers along unless that is said.
    let keep_click_ids = section.flag("keep_click_ids").unwrap_or(!other_host);
    let to = section.text("to");
    let Some(place) = section.node("to") else {
        section.faults().at(at, "`redirect` does not say where to", Some("write `{ redirect: { to: /gone } }`".to_owned()));
        return None;
    };
    let to = to?;
    if is_own(&to) || (other_host && is_other(&to)) {
        return Some(ClickAction::Redirect(Arc::new(Redirect { to, keep_click_ids })));
    }
    let hint = if other_host {
        "write a whole URL, `https://…`"
    } else {
        "write a path that begins with one slash; another host takes `allow_other_host: true`"
    };
    section.faults().at(place, format!("`{to}` is no place to send clicks to"), Some(hint.to_owned()));
    None
}

/// Whether a text is a path of the own host in every reading of it: `//host` and `/\host` are hosts to a browser.
fn is_own(to: &str) -> bool {
    to.starts_with('/') && !to.starts_with("//") && visible(to) && !to.contains(['\\', '#'])
}

fn is_other(to: &str) -> bool {
    visible(to) && Url::parse(to).is_ok_and(|url| matches!(url.scheme(), "https" | "http") && url.fragment().is_none())
}

fn visible(text: &str) -> bool {
    text.len() <= 2_000 && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>'))
}

fn limit(section: &Section<'_>, at: &Node) -> Option<ClickAction> {
    section.parsed("by", "`client`", |by| (by == "client").then_some(()));
    let per = within(section, "per", &PERS, "requests can be counted per `1s` to `24h`");
    let requests = section.number("requests", 1..=1_000_000).and_then(|requests| u32::try_from(requests).ok());
    if section.node("per").is_none() || section.node("requests").is_none() {
        let hint = Some("write `{ limit: { per: 1m, requests: 60 } }`".to_owned());
        section.faults().at(at, "`limit` does not say how many requests in what time", hint);
    }
    Some(ClickAction::Limit(Rate { per: per?, requests: requests? }))
}

fn within(section: &Section<'_>, key: &'static str, range: &std::ops::RangeInclusive<Duration>, says: &str) -> Option<Duration> {
    let found = section.duration(key)?;
    if range.contains(&found) {
        return Some(found);
    }
    if let Some(node) = section.node(key) {
        section.faults().at(node, says, None);
    }
    None
}
