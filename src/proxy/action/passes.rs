//! From where passes of solved challenges were shown: a pass is a cookie, and whoever copies it, with agent and handshake, has
//! it. A person is in few places while one lasts; a farm is in as many as it has machines.
//! Promises: each pass serves from [`PLACES`] places, a bounded number of passes is remembered, and of one that is not it is as if
//! it were new. Must not know challenges.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::clock::UnixMillis;

/// Places that one pass serves from: home and phone, each by IPv4 and IPv6, and as many again on the way.
pub(super) const PLACES: usize = 8;
const SHARDS: usize = 16;
/// Passes that one shard remembers; all of them together take about seven megabytes.
const MOST: usize = 4_096;

/// The passes that were shown, shared by all threads.
#[derive(Debug)]
pub(super) struct Passes {
    // Keyed anew in each process, so that nobody finds a place that is taken for another.
    hash: RandomState,
    shards: [Mutex<Shard>; SHARDS],
}

/// A pass or the puzzle that earns it, told by the client it was given to and when it ends: the same for all copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Of {
    pub(super) client: u64,
    pub(super) until: UnixMillis,
}

#[derive(Debug, Default)]
struct Shard {
    /// The places of each pass; 0 is none.
    seen: HashMap<Of, [u64; PLACES]>,
    oldest: VecDeque<Of>,
}

impl Default for Passes {
    fn default() -> Self {
        Self { hash: RandomState::new(), shards: std::array::from_fn(|_| Mutex::default()) }
    }
}

impl Passes {
    /// Whether a pass serves from an address; one that is `of_many` is a carrier's, a relay's or an office's, which give
    /// another one to each connection.
    pub(super) fn serve(&self, pass: Of, address: IpAddr, of_many: bool, now: UnixMillis) -> bool {
        let place = self.hash.hash_one(place(address, of_many)).max(1);
        let shard = usize::try_from(self.hash.hash_one(pass) % 16).unwrap_or(0);
        let Some(shard) = self.shards.get(shard) else { return true };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if !shard.seen.contains_key(&pass) {
            shard.make_room(now);
            shard.oldest.push_back(pass);
        }
        let places = shard.seen.entry(pass).or_default();
        let found = places.iter_mut().find(|known| **known == place || **known == 0);
        found.map(|known| *known = place).is_some()
    }
}

impl Shard {
    fn make_room(&mut self, now: UnixMillis) {
        while let Some(oldest) = self.oldest.front().copied()
            && (oldest.until <= now || self.oldest.len() >= MOST)
        {
            self.oldest.pop_front();
            self.seen.remove(&oldest);
        }
    }
}

/// One address of IPv4 or a household's worth of IPv6; of those of many, a network's.
fn place(address: IpAddr, of_many: bool) -> u128 {
    let (four, six) = if of_many { (16, 96) } else { (0, 64) };
    match address.to_canonical() {
        IpAddr::V4(address) => u128::from(address.to_bits() >> four << four) | 0xffff << 32,
        IpAddr::V6(address) => address.to_bits() >> six << six,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::time::Duration;

    const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

    fn pass(client: u64) -> Of {
        Of { client, until: NOW.plus(Duration::from_hours(1)) }
    }

    fn serves(passes: &Passes, pass: Of, address: u32, of_many: bool) -> bool {
        passes.serve(pass, Ipv4Addr::from_bits(address).into(), of_many, NOW)
    }

    #[test]
    fn a_pass_serves_from_eight_places_for_as_long_as_it_lasts() {
        let passes = Passes::default();
        let served: Vec<u32> = (0..1_000).filter(|n| serves(&passes, pass(1), *n, false)).collect();
        assert_eq!(served, (0..8).collect::<Vec<_>>());
        assert!(serves(&passes, pass(1), 3, false) && serves(&passes, pass(2), 9, false));
    }

    #[test]
    fn a_household_is_one_place_and_so_is_a_carriers_network() {
        let passes = Passes::default();
        assert!((0..1_000).all(|n| serves(&passes, pass(1), 0x6440_0000 + n, true)));
        let household = |n: u128| IpAddr::V6((0x2001_0db8 << 96 | n).into());
        assert!((0..1_000).all(|n| passes.serve(pass(2), household(n), false, NOW)));
        assert_eq!((0..1_000).filter(|n| passes.serve(pass(2), household(n << 64), false, NOW)).count(), 8);
    }

    #[test]
    fn a_flood_of_passes_costs_no_memory_and_those_that_are_over_make_room() {
        let passes = Passes::default();
        let held = || passes.shards.iter().map(|shard| shard.lock().unwrap().seen.len()).sum::<usize>();
        assert!((0..200_000).all(|client| serves(&passes, pass(client), 1, false)));
        assert!(held() <= SHARDS * MOST, "{}", held());
        let later = NOW.plus(Duration::from_hours(2));
        let fresh = |client| Of { client, until: later.plus(Duration::from_hours(1)) };
        assert!((0..1_000).all(|client| passes.serve(fresh(client), Ipv4Addr::LOCALHOST.into(), false, later)));
        assert_eq!(held(), 1_000);
    }
}
