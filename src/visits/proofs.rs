//! Whom each page view was served to, so that its token is of use to nobody else: an exact table, bounded and expiring.
//! Addresses of phones change while a page is open and agents change where a page is shown as for a desktop, so a client is
//! another one only where both changed, or where it carries another visit's cookie and is not the first to do so.
//! What is no longer known here accuses nobody. Must not know what a replay is worth.

use std::collections::VecDeque;
use std::hash::Hash;
use std::hash::Hasher;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use rustc_hash::FxHashMap;
use rustc_hash::FxHasher;
use uuid::Uuid;

use crate::clock::UnixMillis;

use super::visit::agent_kept;

/// Page views remembered, of all visits: 120 bytes each, so 16 MB. More than a day of a large shop; older ones accuse nobody.
const MOST: usize = 131_072;
/// How long a page token proves its view.
const LIFE: Duration = Duration::from_hours(24);
const SHARDS: usize = 16;

/// Who sends or asks for something, as coarse as it takes to tell two clients apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// A hash of the agent. Unkeyed: who forges it gains nothing, as an agent can simply be copied.
    agent: u64,
    /// The /24 or /48 of the address.
    network: Option<u128>,
}

impl Holder {
    /// The client with that address and `User-Agent` field.
    pub fn of(address: Option<IpAddr>, user_agent: &str) -> Self {
        let mut hasher = FxHasher::default();
        agent_kept(user_agent).hash(&mut hasher);
        Self { agent: hasher.finish(), network: address.map(network) }
    }

    /// Whether both have the same agent.
    pub fn has_agent_of(&self, other: &Self) -> bool {
        self.agent == other.agent
    }

    /// Whether both are in the same network; an address that is not known may be any.
    fn is_near(&self, other: &Self) -> bool {
        self.network.is_none() || other.network.is_none() || self.network == other.network
    }
}

fn network(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits() >> 8,
        IpAddr::V6(address) => (Ipv6Addr::to_bits(address) >> 80) << 80,
    }
}

/// Whose page token somebody shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Its own, or nobody can say.
    Own,
    /// One that came with another cookie from another network: perhaps a visitor on the move who dropped the cookies. It
    /// proves nothing.
    Doubtful,
    /// Another client's.
    Replayed,
}

/// Page views and whom they were served to.
#[derive(Debug)]
pub(super) struct Proofs {
    shards: Vec<Mutex<Shard>>,
    bound: usize,
}

#[derive(Debug, Default)]
struct Shard {
    /// Page ids are random and sealed on their way, so nobody can choose some that collide.
    pages: FxHashMap<Uuid, Served>,
    oldest: VecDeque<(Uuid, UnixMillis)>,
}

#[derive(Debug)]
struct Served {
    to: Holder,
    /// The first other visit whose cookie came with the token.
    doubted: Option<Uuid>,
}

impl Proofs {
    pub(super) fn new() -> Self {
        Self::bounded(MOST)
    }

    fn bounded(most: usize) -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), bound: (most / SHARDS).max(1) }
    }

    /// Remembers whom a page view was served to.
    pub(super) fn serve(&self, page: Uuid, to: Holder, now: UnixMillis) {
        let Some(mut shard) = self.shard(page) else { return };
        shard.expire(now);
        if shard.oldest.len() >= self.bound
            && let Some((oldest, _)) = shard.oldest.pop_front()
        {
            shard.pages.remove(&oldest);
        }
        if shard.pages.insert(page, Served { to, doubted: None }).is_none() {
            shard.oldest.push_back((page, now));
        }
    }

    /// Whom a page view was served to, while it is remembered.
    pub(super) fn served_to(&self, page: Uuid, now: UnixMillis) -> Option<Holder> {
        let mut shard = self.shard(page)?;
        shard.expire(now);
        shard.pages.get(&page).map(|served| served.to)
    }

    /// Judges a client that shows a page view's token; `carried` is the visit of its cookie where that is not the page's.
    pub(super) fn used(&self, page: Uuid, by: Holder, carried: Option<Uuid>, now: UnixMillis) -> Use {
        let Some(mut shard) = self.shard(page) else { return Use::Own };
        shard.expire(now);
        let Some(served) = shard.pages.get_mut(&page) else { return Use::Own };
        if by.is_near(&served.to) {
            return Use::Own;
        }
        if !by.has_agent_of(&served.to) {
            return Use::Replayed;
        }
        match (carried, served.doubted) {
            (None, _) => Use::Own,
            (Some(other), Some(first)) if first != other => Use::Replayed,
            (Some(other), _) => {
                served.doubted = Some(other);
                Use::Doubtful
            }
        }
    }

    fn shard(&self, page: Uuid) -> Option<MutexGuard<'_, Shard>> {
        let mut hasher = FxHasher::default();
        page.hash(&mut hasher);
        let place = usize::try_from(hasher.finish() >> 48).unwrap_or(0) % SHARDS;
        Some(self.shards.get(place)?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap().pages.len()).sum()
    }
}

impl Shard {
    fn expire(&mut self, now: UnixMillis) {
        while let Some((page, at)) = self.oldest.front().copied()
            && now.since(at) > LIFE
        {
            self.oldest.pop_front();
            self.pages.remove(&page);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_790_000_000_000);
    const PAGE: Uuid = Uuid::from_u128(7);

    fn client(address: &str, agent: &str) -> Holder {
        Holder::of(Some(address.parse().unwrap()), agent)
    }

    fn served() -> Proofs {
        let proofs = Proofs::new();
        proofs.serve(PAGE, client("203.0.113.7", "phone"), NOW);
        proofs
    }

    #[test]
    fn a_visitor_may_change_address_or_agent_but_not_both() {
        let proofs = served();
        let used = |address, agent| proofs.used(PAGE, client(address, agent), None, NOW);
        assert_eq!(used("203.0.113.200", "phone"), Use::Own);
        assert_eq!(used("2001:db8::1", "phone"), Use::Own);
        assert_eq!(used("203.0.113.7", "desktop"), Use::Own);
        assert_eq!(used("198.51.100.9", "desktop"), Use::Replayed);
        assert_eq!(proofs.used(PAGE, Holder::of(None, "desktop"), None, NOW), Use::Own);
    }

    #[test]
    fn other_visits_cookies_from_elsewhere_are_a_doubt_once_and_a_replay_twice() {
        let proofs = served();
        let used = |address, visit| proofs.used(PAGE, client(address, "phone"), Some(Uuid::from_u128(visit)), NOW);
        assert_eq!(used("203.0.113.8", 1), Use::Own);
        assert_eq!(used("198.51.100.9", 2), Use::Doubtful);
        assert_eq!(used("192.0.2.9", 2), Use::Doubtful);
        assert_eq!(used("192.0.2.9", 3), Use::Replayed);
    }

    #[test]
    fn what_is_not_known_or_too_old_accuses_nobody() {
        let proofs = served();
        let foreign = client("198.51.100.9", "desktop");
        assert_eq!(proofs.used(Uuid::from_u128(8), foreign, None, NOW), Use::Own);
        assert_eq!(proofs.used(PAGE, foreign, None, NOW.plus(LIFE + Duration::from_secs(1))), Use::Own);
        assert_eq!(proofs.len(), 0);
    }

    #[test]
    fn a_flood_of_pages_costs_no_memory_and_the_newest_are_known() {
        let proofs = Proofs::bounded(64);
        for page in 0..10_000 {
            proofs.serve(Uuid::from_u128(page), client("203.0.113.7", "phone"), NOW);
        }
        assert!(proofs.len() <= 64);
        assert!(proofs.served_to(Uuid::from_u128(9_999), NOW).is_some() && proofs.served_to(Uuid::from_u128(0), NOW).is_none());
    }
}
