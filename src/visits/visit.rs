//! A visit: what follows one landing in one browser, with what is known of it. Must not know where visits are kept.

use std::net::IpAddr;
use std::sync::Arc;

use uuid::Uuid;

use crate::click::AdIds;
use crate::click::AdNetwork;
use crate::click::Campaign;
use crate::clock::UnixMillis;
use crate::fact::Agent;
use crate::fact::Identity;
use crate::fact::Network;
use crate::fact::Page;
use crate::fact::Proof;
use crate::verdict::Consent;
use crate::verdict::Verdict;

use super::pace::Pace;
use super::pace::Walk;

/// Page views of a visit whose ids and serving times are remembered.
pub const REMEMBERED_PAGES: usize = 32;
/// Up to so many page views no room is held for further ones.
const SMALL: usize = 4;
/// Order ids, and external ids, remembered per visit.
pub const REMEMBERED_LINKS: usize = 16;

/// Bytes of texts that are kept of a visit. Heads may be large and visits are many: real agents, identifiers and campaigns are
/// shorter, and what is longer must not fill the memory.
const LONGEST_AGENT: usize = 1_024;
const LONGEST_URL: usize = 1_024;
const LONGEST_ID: usize = 512;
const LONGEST_UTM: usize = 512;
/// Identifiers of one click; a URL that was passed on has two.
const MOST_IDS: usize = 4;

/// One page view, as the proxy saw it.
#[derive(Clone, Debug)]
pub struct PageView<'a> {
    /// The visit's id.
    pub visit: Uuid,
    /// The page view's id.
    pub page: Uuid,
    /// When it was asked for.
    pub now: UnixMillis,
    /// The client's address.
    pub address: Option<IpAddr>,
    /// The `User-Agent` field; empty if missing.
    pub user_agent: &'a str,
    /// What is known of the address.
    pub network: Network,
    /// What the agent says.
    pub agent: Arc<Agent>,
    /// Who a declared crawler really is.
    pub identity: Identity,
    /// The URL asked for.
    pub url: &'a str,
    /// Ad click identifiers of the URL.
    pub ad_ids: AdIds<'a>,
    /// Campaign parameters of the URL.
    pub campaign: Campaign<'a>,
    /// The `_fbp` cookie, sent or set with this page.
    pub fbp: Option<&'a str>,
    /// The `_fbc` cookie, sent or set with this page.
    pub fbc: Option<&'a str>,
    /// The verdict of this page view.
    pub verdict: Arc<Verdict>,
    /// How far the visitor agreed.
    pub consent: Consent,
    /// Where it leads from and to.
    pub walk: Walk,
}

/// The campaign parameters of a visit, percent-encoded as sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Utm {
    /// `utm_source`.
    pub source: Option<String>,
    /// `utm_medium`.
    pub medium: Option<String>,
    /// `utm_campaign`.
    pub campaign: Option<String>,
    /// `utm_content`.
    pub content: Option<String>,
    /// `utm_term`.
    pub term: Option<String>,
    /// `utm_id`.
    pub id: Option<String>,
}

impl Utm {
    /// Keeps the parameters of a URL.
    pub fn of(campaign: &Campaign<'_>) -> Self {
        let own = |text: Option<&str>| text.map(|text| cut(text, LONGEST_UTM).to_owned());
        Self {
            source: own(campaign.source),
            medium: own(campaign.medium),
            campaign: own(campaign.campaign),
            content: own(campaign.content),
            term: own(campaign.term),
            id: own(campaign.id),
        }
    }
}

/// All that is known of one visit.
#[derive(Clone, Debug, PartialEq)]
pub struct Visit {
    /// Its id.
    pub id: Uuid,
    /// When its first page was asked for.
    pub first_seen: UnixMillis,
    /// When anything of it was seen last.
    pub last_seen: UnixMillis,
    /// When its newest page was asked for.
    pub last_page_at: UnixMillis,
    /// When its newest ad click came; `None` without one.
    pub clicked_at: Option<UnixMillis>,
    /// The client's newest address.
    pub address: Option<IpAddr>,
    /// The newest `User-Agent` field.
    pub user_agent: Arc<str>,
    /// What is known of the address.
    pub network: Network,
    /// What the agent says.
    pub agent: Arc<Agent>,
    /// Who a declared crawler really is.
    pub identity: Identity,
    /// The URL of its first page; without query once it was restored from disk.
    pub landing_url: Arc<str>,
    /// The ad click identifiers of the newest click.
    pub ad_ids: Vec<(AdNetwork, String)>,
    /// The campaign of the newest click, or of the landing.
    pub utm: Arc<Utm>,
    /// Page views so far.
    pub pages: u32,
    /// Ids of the newest page views and when each was served, oldest first; at most [`REMEMBERED_PAGES`].
    pub recent_pages: Vec<(Uuid, UnixMillis)>,
    /// The newest `_fbp`.
    pub fbp: Option<Arc<str>>,
    /// The newest `_fbc`.
    pub fbc: Option<Arc<str>>,
    /// What the page's script reported.
    pub page: Page,
    /// The verdict of its first page.
    pub first_verdict: Arc<Verdict>,
    /// The newest verdict.
    pub verdict: Arc<Verdict>,
    /// How far the visitor agreed.
    pub consent: Consent,
    /// Orders linked to it, oldest first; at most [`REMEMBERED_LINKS`].
    pub orders: Vec<Arc<str>>,
    /// Hashed external ids linked to it, oldest first; at most [`REMEMBERED_LINKS`].
    pub externals: Vec<Arc<str>>,
    /// How fast it goes from page to page; not known after a restart.
    pub pace: Pace,
    /// When its first page with the tag in it was asked for; not known after a restart.
    pub tagged_at: Option<UnixMillis>,
    /// When a page's script proved last that it ran; not known after a restart.
    pub proved_at: Option<UnixMillis>,
    /// Whether its landing was followed by its assets, once that is settled.
    pub assets: Option<bool>,
}

impl Visit {
    /// A visit as its first page view shows it.
    pub(super) fn opened(view: &PageView<'_>) -> Self {
        let mut visit = Self {
            id: view.visit,
            first_seen: view.now,
            last_seen: view.now,
            last_page_at: view.now,
            clicked_at: None,
            address: view.address,
            user_agent: agent_kept(view.user_agent).into(),
            network: view.network,
            agent: Arc::clone(&view.agent),
            identity: view.identity,
            landing_url: url_kept(view.url).into(),
            ad_ids: Vec::new(),
            utm: Arc::new(Utm::of(&view.campaign)),
            pages: 0,
            recent_pages: Vec::new(),
            fbp: None,
            fbc: None,
            page: Page::default(),
            first_verdict: Arc::clone(&view.verdict),
            verdict: Arc::clone(&view.verdict),
            consent: view.consent,
            orders: Vec::new(),
            externals: Vec::new(),
            pace: Pace::default(),
            tagged_at: None,
            proved_at: None,
            assets: None,
        };
        visit.view(view);
        visit
    }

    /// Adds a page view: the newest client, cookies and verdict count; a new click replaces the campaign.
    pub(super) fn view(&mut self, view: &PageView<'_>) {
        self.address = view.address;
        if *self.user_agent != *agent_kept(view.user_agent) {
            self.user_agent = agent_kept(view.user_agent).into();
        }
        self.network = view.network;
        self.agent = Arc::clone(&view.agent);
        self.identity = view.identity;
        if view.ad_ids.any() {
            self.clicked_at = Some(view.now);
            let ids = view.ad_ids.iter().take(MOST_IDS);
            self.ad_ids = ids.map(|(network, id)| (network, cut(id, LONGEST_ID).to_owned())).collect();
            self.ad_ids.shrink_to_fit();
            self.utm = Arc::new(Utm::of(&view.campaign));
        }
        renew_text(&mut self.fbp, view.fbp);
        renew_text(&mut self.fbc, view.fbc);
        // Most visits are judged alike from their first page to their last.
        let alike = *view.verdict == *self.first_verdict;
        self.verdict = Arc::clone(if alike { &self.first_verdict } else { &view.verdict });
        self.consent = view.consent;
        self.pace.step(view.walk, view.now, self.first_seen);
        self.serve(view.page, view.now);
    }

    /// Counts a page view and remembers its id.
    pub(super) fn serve(&mut self, page: Uuid, now: UnixMillis) {
        self.pages = self.pages.saturating_add(1);
        self.last_page_at = self.last_page_at.max(now);
        self.seen(now);
        self.recent_pages.retain(|(id, _)| *id != page);
        while self.recent_pages.len() >= REMEMBERED_PAGES {
            self.recent_pages.remove(0);
        }
        if self.recent_pages.len() < SMALL {
            // A vector would begin with room for four, and most visits have a page or two.
            self.recent_pages.reserve_exact(1);
        }
        self.recent_pages.push((page, now));
    }

    /// Merges what the page's script reports.
    pub(super) fn report(&mut self, page: &Page, now: UnixMillis) {
        if page.proof == Some(Proof::Present) {
            self.proved_at = Some(now);
        }
        self.page.merge(page);
        self.seen(now);
    }

    /// Moves the time it was seen last; never backwards.
    pub(super) fn seen(&mut self, now: UnixMillis) {
        self.last_seen = self.last_seen.max(now);
    }

    /// When a page view of this visit was served, if it is among those remembered.
    pub fn served(&self, page: Uuid) -> Option<UnixMillis> {
        self.recent_pages.iter().find(|(id, _)| *id == page).map(|(_, at)| *at)
    }

    /// Whether it has a click id or a proof: such visits have the larger pool and are kept on disk.
    pub fn is_kept(&self) -> bool {
        !self.ad_ids.is_empty() || self.page.proof == Some(Proof::Present)
    }
}

/// As much of an agent as is kept; clients are known by it, too.
pub(super) fn agent_kept(agent: &str) -> &str {
    cut(agent, LONGEST_AGENT)
}

/// A URL that is too long loses its query first.
fn url_kept(url: &str) -> &str {
    if url.len() <= LONGEST_URL { url } else { cut(url.split('?').next().unwrap_or_default(), LONGEST_URL) }
}

fn cut(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or_default()
}

/// A cookie that is longer than Meta's own is none.
fn renew_text(known: &mut Option<Arc<str>>, newer: Option<&str>) {
    if let Some(newer) = newer.filter(|newer| newer.len() <= LONGEST_ID + 64)
        && known.as_deref() != Some(newer)
    {
        *known = Some(newer.into());
    }
}
