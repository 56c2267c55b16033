//! What a page token and the request that brings it say of a visit that is not known any more. Must not know events.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderValue;
use http::header::REFERER;
use http::header::USER_AGENT;
use http::request::Parts;

use crate::click::AdIds;
use crate::click::Campaign;
use crate::collect::Collector;
use crate::cookie;
use crate::seal::PageToken;
use crate::verdict::Band;
use crate::verdict::Consent;
use crate::verdict::Verdict;
use crate::visits::PageView;
use crate::visits::Visit;
use crate::visits::Walk;

/// Opens a visit anew from its token, where a restart or a full table has forgotten it; else what it proves from now on
/// would be lost, and what it waits for would never be released.
pub(super) fn visit(room: &Collector, head: &Parts, peer: Option<IpAddr>, token: &PageToken) -> Arc<Visit> {
    let headers = &head.headers;
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let own = |name| cookie::find(headers, name).filter(|value| cookie::payload(value).is_some());
    let (network, agent) = (room.sources.network(peer), room.sources.agent(text(USER_AGENT)));
    let consent = match (room.settings.consent_required, carries_visit(room, head)) {
        (false, _) => Consent::NotRequired,
        (true, true) => Consent::Granted,
        (true, false) => Consent::Waiting,
    };
    room.visits.page(PageView {
        visit: token.visit,
        page: token.page,
        now: token.issued,
        address: peer,
        user_agent: text(USER_AGENT).unwrap_or_default(),
        network,
        identity: room.sources.identity(peer, &network, &agent),
        agent,
        url: text(REFERER).unwrap_or_default(),
        ad_ids: AdIds::default(),
        campaign: Campaign::default(),
        fbp: own(cookie::FBP),
        fbc: own(cookie::FBC),
        verdict: Arc::new(landing(token)),
        consent,
        walk: Walk::default(),
    })
}

/// What the token says of the visit.
pub(super) fn landing(token: &PageToken) -> Verdict {
    let band = band_of(token.score.points());
    Verdict { class: token.class, score: token.score, band, pixel: token.pixel, ..Verdict::default() }
}

pub(super) fn carries_visit(room: &Collector, head: &Parts) -> bool {
    cookie::find(&head.headers, cookie::VISIT).is_some_and(|text| room.keys.open_visit(text).is_ok())
}

/// The band of a token's score by the default bounds, for a visit that is no longer known.
fn band_of(points: u8) -> Band {
    match points {
        0..=29 => Band::Human,
        30..=59 => Band::Suspect,
        60..=84 => Band::LikelyInvalid,
        _ => Band::Invalid,
    }
}
