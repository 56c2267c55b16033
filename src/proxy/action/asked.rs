//! What actions ask of the shop's engines: verdicts of what opens no visit, who a client is, what became of its visit and its
//! challenge. Must not know answers.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use http::Method;
use http::header;
use http::request::Parts;
use uuid::Uuid;

use crate::click::Click;
use crate::click::Purpose;
use crate::clock::UnixMillis;
use crate::fact::Agent;
use crate::fact::ChallengeFacts;
use crate::fact::Coherence;
use crate::fact::FactName;
use crate::fact::Network;
use crate::facts;
use crate::inject;
use crate::proxy::action::trial;
use crate::proxy::seen::Seen;
use crate::proxy::shop::Asked;
use crate::proxy::shop::Shop;
use crate::proxy::shop::message;
use crate::proxy::shop::visit_facts;
use crate::rules::Policy;
use crate::verdict::ClickAction;
use crate::verdict::Verdict;

impl Shop {
    /// The verdict that a page view would get, without a visit being opened; a page that is asked for ahead counts as viewed.
    pub(super) fn judged(&self, asked: Asked<'_>, head: &Parts) -> Verdict {
        let now = self.clock.now();
        let policy = self.policy.load();
        let (path, query) = (head.uri.path(), head.uri.query().unwrap_or(""));
        let click = Click::read(asked.address, asked.scheme, path, query, &head.headers);
        let (network, agent) = self.client(asked.address, click.user_agent());
        let (carried, before) = self.goes_on(&head.headers, asked.address, &agent, now);
        let seen = Seen::of(asked, head, &policy);
        let mut facts = facts::gather(&click, &network, &agent);
        facts.purpose = Some(Purpose::View);
        facts.identity = self.sources.identity(asked.address, &network, &agent);
        let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
        facts.signed = Some(self.sources.signed(&message(head, asked.scheme, host), now));
        facts.shown = seen.facts();
        facts.visit = visit_facts(carried, before.as_deref(), now);
        facts.page = before.as_ref().map(|visit| self.visits.page_facts(visit)).unwrap_or_default();
        // The fields of a picture or a fetch differ from a page's. Where its visit was opened by a page, that one was looked at.
        let is_whole = before.is_none() || inject::is_navigation(&Method::GET, &head.headers);
        if is_whole && Coherence::NAMES.iter().any(|name| policy.asks(*name)) {
            facts.coherence = facts::coherence(&facts);
        }
        facts.challenge = self.challenge(asked, &head.headers, &policy);
        before.map_or_else(|| policy.score(&facts), |before| policy.rescore(&facts, &before.verdict))
    }

    /// What is known of an address and an agent.
    pub(super) fn client(&self, address: Option<IpAddr>, agent: Option<&str>) -> (Network, Arc<Agent>) {
        (self.sources.network(address), self.sources.agent(agent))
    }

    /// Whether a visit's newest page was refused by its verdict; nothing where no visit of that id is known. Who was challenged
    /// and shows a page's pictures has passed.
    pub(super) fn was_refused(&self, visit: Uuid) -> Option<bool> {
        let refused = |action: &ClickAction| matches!(action, ClickAction::Block(_) | ClickAction::Tarpit { .. });
        self.visits.find(visit).map(|visit| refused(&visit.verdict.click))
    }

    /// The time.
    pub(super) fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// Looked at only where somebody may ask.
    pub(in crate::proxy) fn challenge(&self, asked: Asked<'_>, headers: &HeaderMap, policy: &Policy) -> ChallengeFacts {
        let wanted = policy.asks(FactName::ClientChallenge);
        ChallengeFacts { passed: wanted.then(|| trial::has_passed(self, asked, headers)) }
    }
}
