//! What a request adds to what is known of behaviour over time: a page view is counted and is a step of its visit, an asset
//! is marked. Must not know how counts are kept.

use std::sync::Arc;

use http::header::ACCEPT;
use http::request::Parts;
use uuid::Uuid;

use crate::click::Click;
use crate::click::Field;
use crate::click::Purpose;
use crate::clock::UnixMillis;
use crate::fact::Behaviour;
use crate::fact::FactName;
use crate::fact::Facts;
use crate::fact::Identity;
use crate::fact::Page;
use crate::fact::counting::MOST_COUNTERS;
use crate::rules::Policy;
use crate::verdict::Verdict;
use crate::visits::Pace;
use crate::visits::Visit;
use crate::visits::Visits;
use crate::visits::Walk;
use crate::visits::counters::Act;
use crate::visits::counters::Counts;
use crate::visits::counters::Sighting;

/// What browsers fetch for a page that they show (Fetch section 2.2.5, destinations).
const SHOWING: [&[u8]; 4] = [b"style", b"script", b"image", b"font"];
/// What the names of such files end with, for those who send no fetch metadata: older browsers, and all over plain HTTP.
const ENDINGS: [&str; 14] =
    ["css", "js", "mjs", "png", "jpg", "jpeg", "gif", "webp", "avif", "svg", "ico", "woff", "woff2", "ttf"];

/// Whose page view it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visitor<'a> {
    pub(super) visit: Uuid,
    /// No cookie came.
    pub(super) fresh: bool,
    pub(super) before: Option<&'a Visit>,
    pub(super) walk: Walk,
    pub(super) now: UnixMillis,
}

/// What is known of behaviour with this page view.
#[derive(Debug)]
pub(super) struct Acted {
    counts: Counts,
    behaviour: Behaviour<'static>,
    page: Page,
    /// The visit has a click that this page view is not: what is known of its identifiers is the click's.
    clicked_before: bool,
}

impl Acted {
    /// Counts a page view. Nobody's views count: crawlers, and pages fetched ahead, of which the click is yet to come.
    pub(super) fn view(visits: &Visits, policy: &Policy, facts: &Facts<'_>, known: Visitor<'_>, agent: Option<&str>) -> Self {
        let Visitor { visit, fresh, before, walk, now } = known;
        let mut acted = Self {
            counts: [None; MOST_COUNTERS],
            behaviour: Behaviour::default(),
            page: before.map(|visit| visits.page_facts(visit)).unwrap_or_default(),
            clicked_before: facts.click_id.is_none() && before.is_some_and(|visit| !visit.ad_ids.is_empty()),
        };
        if let Some(before) = before {
            let mut pace = Pace::clone(&before.pace);
            pace.step(walk, now, before.first_seen);
            acted.behaviour = visits.behaviour(before, &pace, now);
        }
        if facts.purpose != Some(Purpose::View) || matches!(facts.identity, Identity::Verified(_)) {
            return acted;
        }
        let click_id = facts.click_id.map(|(_, id)| id);
        let tls = facts.shown.tls;
        let seen = Sighting {
            act: Act::View,
            now,
            visit,
            fresh,
            address: facts.address,
            network: facts.network.kind,
            asn: facts.network.asn,
            user_agent: agent.unwrap_or_default(),
            ja4: tls.map(|tls| tls.ja4_stable.as_deref().unwrap_or(&tls.ja4)).unwrap_or_default(),
            click_id,
            again: before.is_some_and(|visit| visit.ad_ids.iter().any(|(_, id)| Some(id.as_str()) == click_id)),
            campaign: facts.utm_campaign,
        };
        acted.counts = visits.counters().count(policy.counters(), &seen);
        if let (Some(campaign), Some(asn), true) = (seen.campaign, seen.asn, policy.asks(FactName::BurstCampaignAsn)) {
            acted.behaviour.burst = visits.counters().burst(now, campaign, asn);
        }
        acted
    }

    /// Adds it to the facts of the page view, and judges by them: a visit that is known goes on from its verdict.
    pub(super) fn judge<'a>(&'a self, policy: &Policy, facts: &mut Facts<'a>, before: Option<&Visit>) -> Arc<Verdict> {
        facts.behaviour = Behaviour { counts: &self.counts, ..self.behaviour };
        facts.page = self.page;
        if self.clicked_before {
            (facts.fbclid, facts.gclid) = (None, None);
        }
        Arc::new(match before {
            Some(before) => policy.rescore(facts, &before.verdict),
            None => policy.score(facts),
        })
    }
}

/// Where a page view leads from and to.
pub(super) fn walk(click: &Click<'_>, target: &str) -> Walk {
    let referrer = click.sent.text(Field::Referer);
    Walk { to: (click.purpose == Purpose::View).then(|| Walk::place(target)), from: referrer.map(Walk::place) }
}

/// Whether a request asks for what a page shows.
pub(super) fn is_asset(parts: &Parts) -> bool {
    if let Some(destination) = parts.headers.get("sec-fetch-dest") {
        return SHOWING.contains(&destination.as_bytes());
    }
    let ending = parts.uri.path().rsplit_once('.').map_or("", |(_, ending)| ending);
    let shown = |accept: &[u8]| accept.starts_with(b"image/") || accept.starts_with(b"text/css");
    ENDINGS.contains(&ending) || parts.headers.get(ACCEPT).is_some_and(|accept| shown(accept.as_bytes()))
}
