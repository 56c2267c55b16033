//! What the site is told of a request: `x-clicksieve-*` fields. Must not know how a verdict is reached.

use http::HeaderMap;
use http::HeaderValue;
use http::header::HeaderName;
use uuid::Uuid;

use crate::seal::PageToken;
use crate::verdict::Class;
use crate::verdict::Score;
use crate::verdict::Verdict;

const SCORE: HeaderName = HeaderName::from_static("x-clicksieve-score");
const BAND: HeaderName = HeaderName::from_static("x-clicksieve-band");
const REASONS: HeaderName = HeaderName::from_static("x-clicksieve-reasons");
const EVENT_ID: HeaderName = HeaderName::from_static("x-clicksieve-event-id");
const VISIT_ID: HeaderName = HeaderName::from_static("x-clicksieve-visit-id");

/// Tells score, band and reasons.
pub(super) fn tell(headers: &mut HeaderMap, verdict: &Verdict, reasons: Option<HeaderValue>) {
    headers.insert(SCORE, score_field(verdict.score));
    headers.insert(BAND, HeaderValue::from_static(if verdict.class == Class::Skip { "skip" } else { verdict.band.name() }));
    if let Some(reasons) = reasons {
        headers.insert(REASONS, reasons);
    }
}

/// Tells all that is known of a page view.
pub(super) fn tell_page(headers: &mut HeaderMap, verdict: &Verdict, token: &PageToken) {
    tell(headers, verdict, reasons_field(verdict));
    let field = |id: Uuid| HeaderValue::from_str(id.simple().encode_lower(&mut Uuid::encode_buffer())).ok();
    for (name, id) in [(EVENT_ID, token.page), (VISIT_ID, token.visit)] {
        if let Some(value) = field(id) {
            headers.insert(name, value);
        }
    }
}

/// The score as a field value without an allocation: it has 101 values.
fn score_field(score: Score) -> HeaderValue {
    const TENS: [&str; 10] = ["0", "10", "20", "30", "40", "50", "60", "70", "80", "90"];
    let points = score.points();
    match TENS.get(usize::from(points / 10)) {
        Some(tens) if points.is_multiple_of(10) => HeaderValue::from_static(tens),
        _ => HeaderValue::from(u16::from(points)),
    }
}

/// The ids of the rules that spoke, heaviest first.
pub(super) fn reasons_field(verdict: &Verdict) -> Option<HeaderValue> {
    let ids: Vec<&str> = verdict.reasons.iter().map(|reason| &*reason.rule).collect();
    if ids.is_empty() { None } else { HeaderValue::from_str(&ids.join(",")).ok() }
}
