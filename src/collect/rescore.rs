//! The visit judged anew whenever more is known of it: its page's script reports, an event comes, its page has had its time
//! to prove itself. The verdict of its landing stays on record. Must not know how the report, event or time came.

use std::sync::Arc;

use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::collect::Collector;
use crate::fact::AgentKind;
use crate::fact::Facts;
use crate::fact::NetworkKind;
use crate::fact::VisitFacts;
use crate::rules::Policy;
use crate::verdict::Band;
use crate::verdict::Class;
use crate::visits::Visit;
use crate::visits::counters::Act;
use crate::visits::counters::Counts;
use crate::visits::counters::Sighting;

/// Pages looked at in one sweep at most; the rest wait for the next one.
const AT_A_TIME: usize = 20_000;

impl Collector {
    /// All that is known of a visit without a request at hand; `page` is the page in question.
    pub(super) fn facts_of<'a>(&self, visit: &'a Visit, page: Option<Uuid>, now: UnixMillis) -> Facts<'a> {
        Facts {
            address: visit.address,
            identity: visit.identity,
            page: self.visits.page_facts(visit),
            visit: VisitFacts {
                pages: Some(visit.pages),
                page_age: self.visits.page_age(visit, page, now),
                age: Some(now.since(visit.first_seen)),
                // Whether a cookie came with the newest click, or where there is none, with the newest page.
                returning: Some(visit.clicked_at.unwrap_or(visit.last_page_at) > visit.first_seen),
            },
            behaviour: self.visits.behaviour(visit, &visit.pace, now),
            ..Facts::unknown(&visit.network, &visit.agent)
        }
    }

    /// Judges a visit by these facts and what its newest verdict knew; the visit with the verdict that it has now.
    pub(super) fn rescore(&self, policy: &Policy, visit: &Arc<Visit>, facts: &Facts<'_>) -> Arc<Visit> {
        let verdict = policy.rescore(facts, &visit.verdict);
        if verdict == *visit.verdict {
            return Arc::clone(visit);
        }
        self.visits.settle(visit.id, Arc::new(verdict)).unwrap_or_else(|| Arc::clone(visit))
    }

    /// Counts the view of a page that was fetched ahead, now that somebody looks at it; nothing where it was counted before.
    pub(super) fn looked_at(&self, policy: &Policy, visit: &Visit, now: UnixMillis) -> Counts {
        if visit.verdict.class != Class::Skip {
            return Counts::default();
        }
        let seen = Sighting {
            act: Act::View,
            now,
            visit: visit.id,
            fresh: visit.pages <= 1,
            address: visit.address,
            network: visit.network.kind,
            asn: visit.network.asn,
            user_agent: &visit.user_agent,
            ja4: "",
            click_id: visit.ad_ids.first().map(|(_, id)| id.as_str()),
            again: false,
            campaign: visit.utm.campaign.as_deref(),
        };
        self.visits.counters().count(policy.counters(), &seen)
    }

    /// Looks at the pages whose time to prove themselves is over: what a visit without a proof, or without assets, is worth
    /// is concluded here, and whether proofs come at all.
    pub fn settle_overdue(&self, now: UnixMillis) {
        let overdue = self.visits.overdue(now, AT_A_TIME);
        let found = overdue.iter().filter_map(|watched| Some((watched, self.visits.find(watched.visit)?)));
        let visits: Vec<(bool, Arc<Visit>)> =
            found.map(|(watched, visit)| (visit.proved_at.is_some_and(|proved| proved >= watched.at), visit)).collect();
        for (proven, visit) in &visits {
            if could_prove(visit) {
                // Reserved space is everybody behind a proxy that nobody named.
                let own = visit.address.filter(|_| visit.network.kind != NetworkKind::Bogon);
                self.visits.canary().saw(now, own, *proven);
            }
            self.visits.settle_assets(visit, now);
        }
        self.tell_canary(now);
        let policy = self.policy.load();
        for (_, visit) in visits.iter().filter(|(proven, visit)| !proven && visit.verdict.class == Class::Visit) {
            let visit = self.visits.find(visit.id).unwrap_or_else(|| Arc::clone(visit));
            self.rescore(&policy, &visit, &self.facts_of(&visit, None, now));
        }
    }

    fn tell_canary(&self, now: UnixMillis) {
        let (standing, is_new) = self.visits.canary().look(now);
        let ((views, proofs), (usual_views, usual_proofs)) = (standing.lately, standing.usually);
        self.metrics.provable_views.set(i64::from(views));
        self.metrics.proven_views.set(i64::from(proofs));
        self.metrics.proofs_collapsed.set(i64::from(standing.collapsed));
        self.metrics.proofs_collapsed_since.set(standing.since.map_or(0, |since| i64::try_from(since.seconds()).unwrap_or(0)));
        if !is_new {
            return;
        }
        if standing.collapsed {
            tracing::warn!(
                views,
                proofs,
                usual_views,
                usual_proofs,
                "pages have stopped proving that their script runs; until they do again, no visit is held to it"
            );
        } else {
            tracing::info!(views, proofs, "pages prove again that their script runs");
        }
    }
}

/// Whether a visit's pages belong to those whose proofs tell whether proofs come: what looks like a person's browser.
fn could_prove(visit: &Visit) -> bool {
    matches!(visit.agent.kind, AgentKind::Browser | AgentKind::InApp) && visit.first_verdict.band <= Band::Suspect
}
