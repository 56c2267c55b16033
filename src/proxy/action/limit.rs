//! How many requests a client has left: token buckets in a table of bounded size. A client that carries a visit's cookie is
//! known by it; any other one by its address and agent. Since an agent is changed in no time, an address as a whole has a
//! bucket as well: many times as large, as many may stand behind it.
//! Promises: where the table is full, who is new in it is served. Must not know what becomes of a request that finds none left.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::verdict::Rate;

const SHARDS: usize = 16;
/// Clients and addresses that one shard counts; all of them together take about two megabytes.
const MOST: usize = 4_096;
/// How often a full shard is looked through at most, in milliseconds.
const SWEEP: u64 = 1_000;

/// How many clients' worth of requests an address has at once, as long as none of them comes with a cookie. Each person
/// needs one such request, the first; more of them in one while are a household, a school or a client that changes its agent.
const NEWCOMERS: u32 = 10;
/// The same where all carry cookies, or where the address is known to be shared by many.
const NEIGHBOURS: u32 = 100;

/// Whose request it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client<'a> {
    /// Where it comes from.
    pub(super) address: IpAddr,
    /// The address is known to be one of many people: of a carrier, a relay, an office, a proxy in front.
    pub(super) shared: bool,
    /// Its agent.
    pub(super) agent: &'a [u8],
    /// The visit whose cookie it carries.
    pub(super) visit: Option<Uuid>,
}

/// The buckets of all clients, shared by all threads.
#[derive(Debug)]
pub(super) struct Limits {
    // Keyed anew in each process, so that nobody can aim at somebody else's bucket.
    hash: RandomState,
    shards: [Mutex<Shard>; SHARDS],
}

/// For each client the microsecond at which its bucket is full again (GCRA, as ATM Forum traffic management has it).
#[derive(Debug, Default)]
struct Shard {
    full_at: HashMap<u64, u64>,
    swept: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { hash: RandomState::new(), shards: std::array::from_fn(|_| Mutex::default()) }
    }
}

impl Limits {
    /// Takes one request of a client; where it has none left, how long until it has. Rows of the same rate count together.
    pub(super) fn take(&self, client: &Client<'_>, rate: Rate, now: UnixMillis) -> Result<(), Duration> {
        let Client { address, shared, agent, visit } = *client;
        let (of, place) = ((rate.per, rate.requests), network(address));
        // People behind one carrier have the same few phones; by its cookie each is known.
        let (own, requests) = match visit {
            Some(visit) => (self.hash.hash_one((visit, of)), 1),
            None => (self.hash.hash_one((place, agent, of)), if shared { NEWCOMERS } else { 1 }),
        };
        let own = Bucket { key: own, rate, times: requests };
        let whole = match (shared, visit) {
            (true, Some(_)) => None,
            (false, None) => Some(NEWCOMERS),
            _ => Some(NEIGHBOURS),
        };
        let whole = whole.map(|times| Bucket { key: self.hash.hash_one((place, of)), rate, times });
        // Who has none left takes nothing from its neighbours.
        if let Some(whole) = &whole {
            self.draw(whole, now, false)?;
        }
        self.draw(&own, now, true)?;
        whole.map_or(Ok(()), |whole| self.draw(&whole, now, true))
    }

    fn draw(&self, bucket: &Bucket, now: UnixMillis, takes: bool) -> Result<(), Duration> {
        let Bucket { key, rate, times } = *bucket;
        let place = usize::try_from(key % 16).unwrap_or(0);
        let Some(shard) = self.shards.get(place) else { return Ok(()) };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now.0.saturating_mul(1_000);
        let whole = u64::try_from(rate.per.as_micros()).unwrap_or(u64::MAX);
        let full_at = shard.full_at.get(&key).copied().unwrap_or(0).max(now);
        // A clock that was set back must not lock anybody out.
        let full_at = full_at.min(now.saturating_add(whole));
        let one = whole / u64::from(rate.requests.max(1)).saturating_mul(u64::from(times));
        let after = full_at.saturating_add(one);
        if after.saturating_sub(now) > whole {
            return Err(Duration::from_micros(after.saturating_sub(now).saturating_sub(whole)));
        }
        if takes && shard.has_room(key, now) {
            shard.full_at.insert(key, after);
        }
        Ok(())
    }
}

/// What is left of some requests; of a larger one, each takes a smaller part.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    key: u64,
    rate: Rate,
    /// How many times the rate it holds.
    times: u32,
}

impl Shard {
    fn has_room(&mut self, key: u64, now: u64) -> bool {
        if self.full_at.len() >= MOST && !self.full_at.contains_key(&key) && now.abs_diff(self.swept) >= SWEEP * 1_000 {
            self.swept = now;
            self.full_at.retain(|_, full_at| *full_at > now);
        }
        self.full_at.len() < MOST || self.full_at.contains_key(&key)
    }
}

/// One address of IPv4, a household's worth of IPv6 (RFC 6177): whoever has one of the latter has them all.
fn network(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits() >> 64 << 64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per: Duration::from_mins(1), requests: 3 };

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn stranger(address: IpAddr, agent: &[u8]) -> Client<'_> {
        Client { address, shared: false, agent, visit: None }
    }

    /// Takes one request of a client without a cookie.
    fn take(limits: &Limits, address: IpAddr, agent: &[u8], now: UnixMillis) -> Result<(), Duration> {
        limits.take(&stranger(address, agent), RATE, now)
    }

    #[test]
    fn a_client_has_its_requests_at_once_and_then_one_in_each_part_of_the_time() {
        let (limits, one, now) = (Limits::default(), address("192.0.2.7"), UnixMillis(5_000_000));
        for _ in 0..3 {
            assert_eq!(take(&limits, one, b"a", now), Ok(()));
        }
        assert_eq!(take(&limits, one, b"a", now), Err(Duration::from_secs(20)));
        assert_eq!(take(&limits, one, b"b", now), Ok(()));
        assert_eq!(take(&limits, address("192.0.2.8"), b"a", now), Ok(()));
        let later = now.plus(Duration::from_secs(20));
        assert_eq!(take(&limits, one, b"a", later), Ok(()));
        assert_eq!(take(&limits, one, b"a", later), Err(Duration::from_secs(20)));
        // Set back by a day.
        let before = UnixMillis(now.0 - 4_000_000);
        assert!(take(&limits, one, b"a", before).is_err_and(|wait| wait <= Duration::from_secs(20)));
    }

    #[test]
    fn addresses_of_one_household_count_together() {
        let (limits, now) = (Limits::default(), UnixMillis(5_000_000));
        for address in ["2001:db8::1", "2001:db8::2", "2001:db8::3"].map(address) {
            assert_eq!(take(&limits, address, b"a", now), Ok(()));
        }
        assert!(take(&limits, address("2001:db8::4"), b"a", now).is_err());
        assert_eq!(take(&limits, address("2001:db8:0:1::4"), b"a", now), Ok(()));
    }

    #[test]
    fn who_changes_its_agent_has_ten_times_the_requests_and_takes_none_of_those_who_are_known() {
        let (limits, one, now) = (Limits::default(), address("192.0.2.7"), UnixMillis(5_000_000));
        let agents: Vec<String> = (0..1_000).map(|n| format!("agent {n}")).collect();
        let served = agents.iter().filter(|agent| take(&limits, one, agent.as_bytes(), now).is_ok()).count();
        assert_eq!(served, 30);
        // One that stays with its agent has no more for it.
        assert!(take(&limits, one, b"a", now).is_err_and(|wait| wait == Duration::from_secs(2)));
        let visit = |n: u128| Client { visit: Some(Uuid::from_u128(n)), ..stranger(one, b"a") };
        assert!(limits.take(&visit(1), RATE, now).is_err());
        let later = now.plus(Duration::from_mins(1));
        let served = (0..1_000).filter(|n| limits.take(&visit(*n), RATE, later).is_ok()).count();
        assert_eq!(served, 300);
    }

    #[test]
    fn a_visit_has_its_requests_wherever_it_is_and_whatever_it_calls_itself() {
        let (limits, now) = (Limits::default(), UnixMillis(5_000_000));
        let at = |text, agent| Client { visit: Some(Uuid::from_u128(7)), ..stranger(address(text), agent) };
        for client in [at("192.0.2.7", &b"a"[..]), at("2001:db8::1", b"b"), at("192.0.2.8", b"c")] {
            assert_eq!(limits.take(&client, RATE, now), Ok(()));
        }
        assert!(limits.take(&at("192.0.2.9", b"d"), RATE, now).is_err());
    }

    #[test]
    fn a_client_without_requests_takes_none_of_its_neighbours() {
        let (limits, one, now) = (Limits::default(), address("192.0.2.7"), UnixMillis(5_000_000));
        assert_eq!((0..1_000).filter(|_| take(&limits, one, b"noisy", now).is_ok()).count(), 3);
        let others: Vec<String> = (0..27).map(|n| format!("agent {n}")).collect();
        assert!(others.iter().all(|agent| take(&limits, one, agent.as_bytes(), now).is_ok()));
    }

    #[test]
    fn behind_one_carrier_there_is_room_for_a_hundred_and_for_all_who_are_known() {
        let (limits, now) = (Limits::default(), UnixMillis(5_000_000));
        let carrier = Client { shared: true, ..stranger(address("192.0.2.7"), b"the same phone") };
        assert_eq!((0..1_000).filter(|_| limits.take(&carrier, RATE, now).is_ok()).count(), 30);
        let phones: Vec<String> = (0..1_000).map(|n| format!("phone {n}")).collect();
        let served = phones.iter().filter(|phone| limits.take(&Client { agent: phone.as_bytes(), ..carrier }, RATE, now).is_ok());
        assert_eq!(served.count(), 270);
        let known = |n| Client { visit: Some(Uuid::from_u128(n)), ..carrier };
        assert!((0..1_000).all(|n| limits.take(&known(n), RATE, now).is_ok()));
    }

    #[test]
    fn the_table_is_bounded_and_lets_go_of_who_has_all_requests_again() {
        let (limits, now) = (Limits::default(), UnixMillis(5_000_000));
        let held = || limits.shards.iter().map(|shard| shard.lock().unwrap().full_at.len()).sum::<usize>();
        for n in 0..200_000_u32 {
            assert_eq!(take(&limits, IpAddr::V4(n.into()), b"a", now), Ok(()));
        }
        assert_eq!(held(), SHARDS * MOST);
        let later = now.plus(Duration::from_mins(2));
        for n in 0..1_000_u32 {
            assert_eq!(take(&limits, IpAddr::V4((n + 500_000).into()), b"a", later), Ok(()));
        }
        assert!(held() <= 2_000, "{}", held());
    }
}
