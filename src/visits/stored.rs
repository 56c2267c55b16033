//! The form in which a visit is stored: JSON with a fixed set of fields and no contact data. What depends on the
//! lists of one version (list places, crawler names) is left out. Must not know the database.

use std::net::IpAddr;
use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;
use uuid::Uuid;

use crate::click::AdNetwork;
use crate::clock::UnixMillis;
use crate::fact::Agent;
use crate::fact::AgentKind;
use crate::fact::Engine;
use crate::fact::Identity;
use crate::fact::InApp;
use crate::fact::Network;
use crate::fact::NetworkKind;
use crate::fact::Os;
use crate::fact::Page;
use crate::verdict::Band;
use crate::verdict::Category;
use crate::verdict::Class;
use crate::verdict::ClickAction;
use crate::verdict::Consent;
use crate::verdict::PixelAction;
use crate::verdict::Reason;
use crate::verdict::Score;
use crate::verdict::Verdict;

use super::pace::Pace;
use super::visit::Utm;
use super::visit::Visit;

#[derive(Serialize, Deserialize)]
pub(super) struct Stored {
    id: u128,
    first_seen: UnixMillis,
    last_seen: UnixMillis,
    last_page_at: UnixMillis,
    clicked_at: Option<UnixMillis>,
    address: Option<IpAddr>,
    user_agent: String,
    network: StoredNetwork,
    agent: StoredAgent,
    landing_url: String,
    ad_ids: Vec<(String, String)>,
    utm: [Option<String>; 6],
    pages: u32,
    recent_pages: Vec<(u128, UnixMillis)>,
    fbp: Option<String>,
    fbc: Option<String>,
    page: Page,
    first_verdict: StoredVerdict,
    verdict: StoredVerdict,
    consent: Consent,
    orders: Vec<String>,
    externals: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct StoredNetwork {
    kind: NetworkKind,
    asn: Option<u32>,
    country: Option<[u8; 2]>,
    #[serde(default)]
    stale: bool,
}

#[derive(Serialize, Deserialize)]
struct StoredAgent {
    kind: AgentKind,
    family: String,
    engine: Option<Engine>,
    major: Option<u32>,
    os: Option<Os>,
    mobile: bool,
    in_app: Option<InApp>,
}

#[derive(Serialize, Deserialize)]
struct StoredVerdict {
    class: Class,
    score: Score,
    band: Band,
    reasons: Vec<(String, i16, String)>,
    click: String,
    pixel: PixelAction,
}

impl Stored {
    pub(super) fn of(visit: &Visit) -> Self {
        let texts = |list: &[Arc<str>]| list.iter().map(ToString::to_string).collect();
        let utm = (*visit.utm).clone();
        Self {
            id: visit.id.as_u128(),
            first_seen: visit.first_seen,
            last_seen: visit.last_seen,
            last_page_at: visit.last_page_at,
            clicked_at: visit.clicked_at,
            address: visit.address,
            user_agent: visit.user_agent.to_string(),
            network: StoredNetwork {
                kind: visit.network.kind,
                asn: visit.network.asn,
                country: visit.network.country,
                stale: visit.network.stale,
            },
            agent: StoredAgent::of(&visit.agent),
            landing_url: bare_url(&visit.landing_url),
            ad_ids: visit.ad_ids.iter().map(|(network, id)| (network.name().to_owned(), id.clone())).collect(),
            utm: [utm.source, utm.medium, utm.campaign, utm.content, utm.term, utm.id]
                .map(|text| text.filter(|text| !contacts(text))),
            pages: visit.pages,
            recent_pages: visit.recent_pages.iter().map(|(page, at)| (page.as_u128(), *at)).collect(),
            fbp: visit.fbp.as_deref().map(str::to_owned),
            fbc: visit.fbc.as_deref().map(str::to_owned),
            page: visit.page,
            first_verdict: StoredVerdict::of(&visit.first_verdict),
            verdict: StoredVerdict::of(&visit.verdict),
            consent: visit.consent,
            orders: texts(&visit.orders),
            externals: texts(&visit.externals),
        }
    }

    pub(super) fn into_visit(self) -> Visit {
        let texts = |list: Vec<String>| list.into_iter().map(Arc::from).collect();
        let [source, medium, campaign, content, term, id] = self.utm;
        let network_of = |name: &str| AdNetwork::ALL.into_iter().find(|network| network.name() == name);
        Visit {
            id: Uuid::from_u128(self.id),
            first_seen: self.first_seen,
            last_seen: self.last_seen,
            last_page_at: self.last_page_at,
            clicked_at: self.clicked_at,
            address: self.address,
            user_agent: self.user_agent.into(),
            network: Network {
                kind: self.network.kind,
                asn: self.network.asn,
                country: self.network.country,
                stale: self.network.stale,
                ..Network::default()
            },
            agent: Arc::new(self.agent.into_agent()),
            identity: Identity::None,
            landing_url: self.landing_url.into(),
            ad_ids: self.ad_ids.into_iter().filter_map(|(name, id)| Some((network_of(&name)?, id))).collect(),
            utm: Arc::new(Utm { source, medium, campaign, content, term, id }),
            pages: self.pages,
            recent_pages: self.recent_pages.into_iter().map(|(page, at)| (Uuid::from_u128(page), at)).collect(),
            fbp: self.fbp.map(Arc::from),
            fbc: self.fbc.map(Arc::from),
            page: self.page,
            first_verdict: Arc::new(self.first_verdict.into_verdict()),
            verdict: Arc::new(self.verdict.into_verdict()),
            consent: self.consent,
            orders: texts(self.orders),
            externals: texts(self.externals),
            pace: Pace::default(),
            tagged_at: None,
            proved_at: None,
            assets: None,
        }
    }
}

impl StoredAgent {
    fn of(agent: &Agent) -> Self {
        Self {
            kind: agent.kind,
            family: agent.family.to_string(),
            engine: agent.engine,
            major: agent.major,
            os: agent.os,
            mobile: agent.mobile,
            in_app: agent.in_app,
        }
    }

    fn into_agent(self) -> Agent {
        Agent {
            kind: self.kind,
            family: self.family.into(),
            engine: self.engine,
            major: self.major,
            os: self.os,
            mobile: self.mobile,
            in_app: self.in_app,
            ..Agent::default()
        }
    }
}

impl StoredVerdict {
    fn of(verdict: &Verdict) -> Self {
        let reason = |reason: &Reason| (reason.rule.to_string(), reason.points, reason.category.name().to_owned());
        Self {
            class: verdict.class,
            score: verdict.score,
            band: verdict.band,
            reasons: verdict.reasons.iter().map(reason).collect(),
            click: verdict.click.name().to_owned(),
            pixel: verdict.pixel,
        }
    }

    fn into_verdict(self) -> Verdict {
        let reason = |(rule, points, category): (String, i16, String)| Reason {
            rule: rule.into(),
            points,
            category: Category::of_name(&category).unwrap_or(Category::Nothing),
        };
        let actions = [ClickAction::Allow, ClickAction::Tag, ClickAction::Prove];
        Verdict {
            class: self.class,
            score: self.score,
            band: self.band,
            reasons: self.reasons.into_iter().map(reason).collect(),
            click: actions.into_iter().find(|action| action.name() == self.click).unwrap_or_default(),
            pixel: self.pixel,
            // What was only tried, and for whom an action held, is of no use to a visit that is taken up again.
            shadow: self.score,
            share: None,
        }
    }
}

/// A URL without query and fragment; a path that could hold an address of a mailbox is left out too.
fn bare_url(url: &str) -> String {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let bare = url.get(..end).unwrap_or_default();
    if contacts(bare) { String::new() } else { bare.to_owned() }
}

/// Whether a text could hold an address of a mailbox: an at sign, plain or percent-encoded (once or more often).
fn contacts(text: &str) -> bool {
    text.contains('@') || text.contains("%40") || (text.contains("%25") && text.contains("40"))
}
