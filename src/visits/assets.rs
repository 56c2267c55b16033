//! Which clients asked for a style sheet, script, image or font lately: a fixed table of atomics, so that marking costs a
//! load, and a store once a second. Where two clients share a place the newer one has it, and of the other nothing is known.
//! Must not know connections.

use std::collections::VecDeque;
use std::hash::Hash;
use std::hash::Hasher;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustc_hash::FxHasher;

use crate::clock::UnixMillis;

use super::canary::network;
use super::visit::agent_kept;

/// Places of the table: half a mebibyte.
const PLACES: usize = 1 << 16;
/// After this a landing without assets has none.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// So many of the newest proven visits tell whether the shop's assets come through here.
const LEARNT_FROM: usize = 200;
/// Before so many are known nothing is said.
const LEARNT_AT_LEAST: usize = 50;
/// So many of them may be of one network, or whoever fetches pictures, or none, on purpose would decide for all others.
const OF_ONE: usize = 10;
/// At least so many of a hundred proven visits have assets where the shop's come through here.
const SHARE: usize = 20;

/// Who asked for assets lately, and what proven visits do.
#[derive(Debug)]
pub struct Assets {
    /// High half: the client; low half: the second in which it last asked for one.
    places: Box<[AtomicU64]>,
    learnt: Mutex<Learnt>,
}

/// What of the newest proven visits is known: the network, and whether it had assets; the newest last.
#[derive(Debug, Default)]
struct Learnt {
    visits: VecDeque<(Option<IpAddr>, bool)>,
}

/// What of it outlives a restart: the newest proven visits. Who asked for what is a matter of seconds.
pub(super) type Kept = Vec<(Option<IpAddr>, bool)>;

/// A client as the table knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client(u64);

impl Client {
    /// The client of an address and agent. Unkeyed: who forges it must share the address, or spoil a mark that only helps.
    pub fn of(address: Option<IpAddr>, user_agent: &str) -> Self {
        let mut hasher = FxHasher::default();
        (address, agent_kept(user_agent)).hash(&mut hasher);
        Self(hasher.finish())
    }

    fn tag(self) -> u64 {
        self.0 & !0xffff_ffff
    }
}

impl Assets {
    pub(super) fn new() -> Self {
        Self { places: (0..PLACES).map(|_| AtomicU64::new(0)).collect(), learnt: Mutex::default() }
    }

    /// The client asked for an asset.
    pub fn mark(&self, client: Client, now: UnixMillis) {
        let Some(place) = self.place(client) else { return };
        let mark = client.tag() | (now.seconds() & 0xffff_ffff);
        if place.load(Ordering::Relaxed) != mark {
            place.store(mark, Ordering::Relaxed);
        }
    }

    /// Whether the client asked for an asset since a landing; unknown while there is time, and where another client has
    /// taken its place since.
    pub(super) fn since(&self, client: Client, landing: UnixMillis, now: UnixMillis) -> Option<bool> {
        let mark = self.place(client)?.load(Ordering::Relaxed);
        let late = (mark & 0xffff_ffff) >= landing.seconds();
        match (late, mark & !0xffff_ffff == client.tag()) {
            (true, true) => Some(true),
            (false, _) if now.since(landing) >= PATIENCE => Some(false),
            _ => None,
        }
    }

    /// A visit that proved itself, and whether it had assets. `by` is its address, where one visitor has it.
    pub(super) fn learn(&self, by: Option<IpAddr>, had: bool) {
        let mut learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        let (visits, by) = (&mut learnt.visits, by.map(network));
        let of_one = visits.iter().filter(|(known, _)| by.is_some() && *known == by).count();
        let oldest = if of_one >= OF_ONE { visits.iter().position(|(known, _)| *known == by) } else { None };
        if let Some(place) = oldest.or_else(|| (visits.len() >= LEARNT_FROM).then_some(0)) {
            visits.remove(place);
        }
        visits.push_back((by, had));
    }

    /// Whether the shop's assets come through here, as far as proven visits tell.
    pub(super) fn tell(&self) -> bool {
        let learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        let had = learnt.visits.iter().filter(|(_, had)| *had).count();
        learnt.visits.len() >= LEARNT_AT_LEAST && had * 100 >= learnt.visits.len() * SHARE
    }

    /// What a restart is to know.
    pub(super) fn kept(&self) -> Kept {
        let learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        learnt.visits.iter().copied().collect()
    }

    /// Goes on from what was kept.
    pub(super) fn restore(&self, kept: Kept) {
        for (by, had) in kept {
            self.learn(by, had);
        }
    }

    fn place(&self, client: Client) -> Option<&AtomicU64> {
        // The middle bits: the high half is compared, and those of the multiplication's lowest end vary least.
        self.places.get(usize::try_from((client.0 >> 16) & 0xffff).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANDING: UnixMillis = UnixMillis(1_774_000_000_500);

    fn client(last: u8) -> Client {
        Client::of(Some(IpAddr::from([192, 0, 2, last])), "Mozilla/5.0")
    }

    fn after(seconds: u64) -> UnixMillis {
        LANDING.plus(Duration::from_secs(seconds))
    }

    #[test]
    fn a_landing_has_assets_at_once_and_none_only_after_ten_seconds() {
        let assets = Assets::new();
        assert_eq!(assets.since(client(1), LANDING, after(9)), None);
        assert_eq!(assets.since(client(1), LANDING, after(10)), Some(false));
        assets.mark(client(1), after(2));
        assert_eq!(assets.since(client(1), LANDING, after(2)), Some(true));
        assert_eq!(assets.since(client(2), LANDING, after(10)), Some(false));
    }

    #[test]
    fn assets_from_before_the_landing_are_another_visits() {
        let assets = Assets::new();
        assets.mark(client(1), LANDING.minus(Duration::from_secs(2)));
        assert_eq!(assets.since(client(1), LANDING, after(10)), Some(false));
    }

    #[test]
    fn where_another_client_took_the_place_nothing_is_known() {
        let assets = Assets::new();
        let other = Client(client(1).0 ^ (1 << 40));
        assets.mark(client(1), after(1));
        assets.mark(other, after(2));
        assert_eq!(assets.since(client(1), LANDING, after(30)), None);
    }

    #[test]
    fn a_shop_whose_assets_come_from_elsewhere_is_learnt_from_its_proven_visits() {
        let assets = Assets::new();
        assert!(!assets.tell());
        (0..50).for_each(|_| assets.learn(None, true));
        assert!(assets.tell());
        (0..200).for_each(|n| assets.learn(None, n % 10 == 0));
        assert!(!assets.tell());
    }

    #[test]
    fn one_network_decides_for_no_other() {
        let assets = Assets::new();
        let address = |network: u8, last: u8| Some(IpAddr::from([73, network, 40, last]));
        (0..180).for_each(|network| assets.learn(address(network, 7), false));
        (0..250).for_each(|last| assets.learn(address(200, last), true));
        assert!(!assets.tell());
        assert!(assets.learnt.lock().unwrap().visits.len() <= LEARNT_FROM);
    }
}
