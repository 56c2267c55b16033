//! Which visit a request goes on with. A visit cookie is sealed, but not bound to its browser: a page on a sister host of the same
//! domain can put any visit's cookie into a visitor's browser, and many browsers can be given the same one.
//! Promises: nobody is given a robot's name by a cookie that was planted. Must not know verdicts beyond their band.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;

use crate::clock::UnixMillis;
use crate::cookie;
use crate::fact::Agent;
use crate::proxy::shop::Shop;
use crate::seal::VisitCookie;
use crate::verdict::Band;
use crate::visits::Visit;
use crate::visits::counters::prefix;

/// How long a visit is kept, and so its cookie believed.
const KEPT: Duration = Duration::from_hours(7 * 24);
/// Cookies of the name that are looked at; one is set on the domain, and a browser sends those of longer paths first (RFC 6265
/// section 5.4).
const MOST: usize = 4;

impl Shop {
    /// The visit cookie, unless it is older than anything kept of a visit.
    pub(super) fn carried(&self, headers: &HeaderMap, now: UnixMillis) -> Option<VisitCookie> {
        self.all_carried(headers, now).next()
    }

    /// The visit that a client goes on with, and what is known of it.
    pub(super) fn goes_on(
        &self,
        headers: &HeaderMap,
        address: Option<IpAddr>,
        agent: &Agent,
        now: UnixMillis,
    ) -> (Option<VisitCookie>, Option<Arc<Visit>>) {
        let known = self.all_carried(headers, now).map(|carried| (carried, self.visits.find(carried.visit)));
        let mut own = known.filter(|(_, visit)| visit.as_ref().is_none_or(|visit| is_of(visit, address, agent)));
        own.next().map_or((None, None), |(carried, visit)| (Some(carried), visit))
    }

    fn all_carried(&self, headers: &HeaderMap, now: UnixMillis) -> impl Iterator<Item = VisitCookie> {
        let opened = cookie::all(headers, cookie::VISIT).take(MOST).filter_map(|text| self.keys.open_visit(text).ok());
        opened.filter(move |cookie| now.since(cookie.first_seen) <= KEPT)
    }
}

/// Whether a visit can be a client's. People change networks or browsers, rarely both at once. What was found out about a robot
/// stays with its network: from elsewhere it could come without its cookie as well, so that nothing is lost by not believing it.
fn is_of(visit: &Visit, address: Option<IpAddr>, agent: &Agent) -> bool {
    let (Some(here), Some(there)) = (address, visit.address) else { return true };
    let same_browser = visit.agent.family == agent.family && visit.agent.os == agent.os;
    prefix(here) == prefix(there) || (same_browser && visit.verdict.band <= Band::Suspect)
}
