//! Whether proofs still come: the share of page views whose script proved that it ran, lately and usually. When it
//! collapses, a broken script is likelier than a sudden flood of robots that look like browsers, and that no proof came
//! says nothing until it recovers. One network alone cannot bring that about, or a robot that opens pages and proves nothing
//! would excuse itself and all others. Must not know what follows from it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use serde::Deserialize;
use serde::Serialize;

use crate::clock::UnixMillis;

/// A bucket of five minutes.
const BUCKET: u64 = 300_000;
/// Buckets of a day.
const DAY: usize = 288;
/// The newest buckets that are compared: fifteen minutes.
const LATELY: u64 = 3;
/// Page views that it takes to compare.
const ENOUGH: u32 = 50;
/// Proofs among the last fifty by which a script that had fallen silent is believed again.
const AGAIN: u32 = 5;

/// Views of one network that count in a bucket.
const OF_ONE: u8 = 5;
/// Networks told apart in a bucket; those beyond do not count.
const NETWORKS: usize = 4_096;

/// How proofs stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Page views of the last fifteen minutes, and those of them that were proven.
    pub lately: (u32, u32),
    /// The same of the day before.
    pub usually: (u32, u32),
    /// Whether their share has collapsed.
    pub collapsed: bool,
    /// Since when it has.
    pub since: Option<UnixMillis>,
}

/// The canary.
#[derive(Debug, Default)]
pub struct Canary {
    collapsed: AtomicBool,
    seen: Mutex<Seen>,
    /// As it was looked at last.
    last: Mutex<Standing>,
}

/// What of it outlives a restart. How often each network was seen in the running bucket does not: a few of its views may count
/// once more.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    buckets: Vec<(u64, u32, u32)>,
    last: u64,
    views: u32,
    /// Since when proofs have collapsed.
    since: Option<UnixMillis>,
}

#[derive(Debug)]
struct Seen {
    /// Number, views and proofs of each bucket; those of other days are overwritten.
    buckets: Box<[(u64, u32, u32)]>,
    /// The last fifty views, proven or not; newest lowest.
    last: u64,
    views: u32,
    /// The bucket that runs, and how many views of each network it has.
    networks: (u64, HashMap<IpAddr, u8>),
}

impl Default for Seen {
    fn default() -> Self {
        Self { buckets: vec![(0, 0, 0); DAY].into(), last: u64::MAX, views: 0, networks: Default::default() }
    }
}

impl Canary {
    /// A page view that could prove itself has had its time. `by` is its visitor's address, where one visitor has it.
    pub fn saw(&self, now: UnixMillis, by: Option<IpAddr>, proven: bool) {
        let mut seen = self.seen();
        let bucket = now.0 / BUCKET;
        if by.is_some_and(|address| !seen.has_room(bucket, address)) {
            return;
        }
        let place = usize::try_from(bucket % DAY as u64).unwrap_or_default();
        if let Some((of, views, proofs)) = seen.buckets.get_mut(place) {
            if *of != bucket {
                (*of, *views, *proofs) = (bucket, 0, 0);
            }
            *views = views.saturating_add(1);
            *proofs = proofs.saturating_add(u32::from(proven));
        }
        seen.last = (seen.last << 1) | u64::from(proven);
        seen.views = seen.views.saturating_add(1);
    }

    /// Looks at how proofs stand, and whether that has changed since the last look.
    pub fn look(&self, now: UnixMillis) -> (Standing, bool) {
        let found = self.found(now);
        let mut last = self.last();
        let since = found.collapsed.then(|| last.since.unwrap_or(now));
        let (standing, before) = (Standing { since, ..found }, last.collapsed);
        *last = standing;
        self.collapsed.store(standing.collapsed, Ordering::Relaxed);
        (standing, before != standing.collapsed)
    }

    /// How proofs stood at the last look.
    pub fn standing(&self) -> Standing {
        *self.last()
    }

    /// What a restart is to know.
    pub(super) fn kept(&self) -> Kept {
        let since = self.last().since;
        let seen = self.seen();
        let buckets = seen.buckets.iter().filter(|(of, ..)| *of != 0).copied().collect();
        Kept { buckets, last: seen.last, views: seen.views, since }
    }

    /// Goes on from what was kept.
    pub(super) fn restore(&self, kept: Kept) {
        let Kept { buckets, last, views, since } = kept;
        let mut seen = self.seen();
        for bucket in buckets {
            let place = usize::try_from(bucket.0 % DAY as u64).unwrap_or_default();
            seen.buckets.get_mut(place).into_iter().for_each(|at| *at = bucket);
        }
        (seen.last, seen.views) = (last, views);
        drop(seen);
        let collapsed = since.is_some();
        self.collapsed.store(collapsed, Ordering::Relaxed);
        *self.last() = Standing { collapsed, since, ..Standing::default() };
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last(&self) -> MutexGuard<'_, Standing> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether proofs can be believed to come where a script runs.
    pub fn sings(&self) -> bool {
        !self.collapsed.load(Ordering::Relaxed)
    }

    fn found(&self, now: UnixMillis) -> Standing {
        let seen = self.seen();
        let bucket = now.0 / BUCKET;
        let (mut lately, mut usually) = ((0, 0), (0, 0));
        for (of, views, proofs) in &seen.buckets {
            let age = bucket.saturating_sub(*of);
            let sum: &mut (u32, u32) = match age {
                _ if *of == 0 => continue,
                0..=LATELY => &mut lately,
                age if age < DAY as u64 => &mut usually,
                _ => continue,
            };
            (sum.0, sum.1) = (sum.0.saturating_add(*views), sum.1.saturating_add(*proofs));
        }
        let fifty = (seen.last & ((1 << ENOUGH) - 1)).count_ones();
        let was = self.collapsed.load(Ordering::Relaxed);
        let silent = seen.views >= ENOUGH && if was { fifty < AGAIN } else { fifty == 0 };
        // lately.1 / lately.0 < usually.1 / usually.0 / 2, without a division.
        let (now, then) = (u64::from(lately.1) * u64::from(usually.0) * 2, u64::from(usually.1) * u64::from(lately.0));
        let fallen = lately.0 >= ENOUGH && usually.0 >= ENOUGH && now < then;
        Standing { lately, usually, collapsed: silent || fallen, since: None }
    }
}

impl Seen {
    /// Whether one more view of an address's network counts.
    fn has_room(&mut self, bucket: u64, address: IpAddr) -> bool {
        if self.networks.0 != bucket {
            self.networks = (bucket, HashMap::new());
        }
        let (known, network) = (self.networks.1.len(), network(address));
        if known >= NETWORKS && !self.networks.1.contains_key(&network) {
            return false;
        }
        let views = self.networks.1.entry(network).or_default();
        *views = views.saturating_add(1);
        *views <= OF_ONE
    }
}

/// The /16 or /32: coarse, as few views are enough, and whoever has one address of a host's has others beside it.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4((u32::from(address) & 0xffff_0000).into()),
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & (u128::MAX << 96)).into()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const START: UnixMillis = UnixMillis(1_774_000_000_000);

    /// Views of which one in so many is proven, spread over so many minutes.
    fn views(canary: &Canary, from: UnixMillis, minutes: u64, views: u64, one_in: u64) -> UnixMillis {
        for n in 0..views {
            let now = from.plus(Duration::from_millis(n * minutes * 60_000 / views));
            canary.saw(now, None, one_in > 0 && n % one_in == 0);
            canary.look(now);
        }
        from.plus(Duration::from_mins(minutes))
    }

    #[test]
    fn a_script_that_falls_silent_is_told_after_fifty_views_and_believed_again_after_five_proofs() {
        let canary = Canary::default();
        let now = views(&canary, START, 60, 200, 1);
        assert!(canary.sings());
        views(&canary, now, 1, 49, 0);
        assert!(canary.sings());
        let now = views(&canary, now, 2, 51, 0);
        assert!(!canary.sings());
        // An hour later what was before is no longer compared.
        let now = now.plus(Duration::from_hours(30));
        views(&canary, now, 1, 4, 1);
        assert!(!canary.sings());
        views(&canary, now, 1, 5, 1);
        assert!(canary.sings());
    }

    #[test]
    fn a_share_below_half_of_the_days_is_a_collapse_and_above_it_is_none() {
        for (one_in, sings) in [(1, true), (2, true), (3, false)] {
            let canary = Canary::default();
            let now = views(&canary, START, 600, 1_000, 1).plus(Duration::from_mins(20));
            views(&canary, now, 15, 300, one_in);
            assert_eq!(canary.sings(), sings, "one in {one_in}");
        }
    }

    #[test]
    fn a_shop_where_few_ever_prove_themselves_is_its_own_measure() {
        let canary = Canary::default();
        let now = views(&canary, START, 600, 1_000, 8).plus(Duration::from_mins(20));
        views(&canary, now, 15, 300, 10);
        assert!(canary.sings());
    }

    #[test]
    fn a_robot_that_proves_nothing_excuses_itself_by_no_number_of_views_from_one_network() {
        let address = |network: u8, last: u8| Some(IpAddr::from([73, network, 40, last]));
        let (canary, robot) = (Canary::default(), |n: u64| address(1, u8::try_from(n % 256).unwrap_or_default()));
        let mut now = START;
        for n in 0..400_u64 {
            now = START.plus(Duration::from_secs(n * 30));
            canary.saw(now, address(u8::try_from(n % 200).unwrap_or_default() + 2, 7), true);
            for one in 0..50 {
                canary.saw(now, robot(one), false);
                assert!(!canary.look(now).0.collapsed, "view {n}");
            }
        }
        // A script that breaks is told all the same.
        for n in 0..60 {
            canary.saw(now, address(100 + n, 8), false);
        }
        assert!(canary.look(now).0.collapsed);
    }

    #[test]
    fn a_flood_of_networks_costs_no_memory() {
        let canary = Canary::default();
        for n in 0..100_000_u32 {
            canary.saw(START, Some(IpAddr::from((n << 15).to_be_bytes())), true);
        }
        assert!(canary.seen.lock().unwrap().networks.1.len() <= NETWORKS);
    }

    #[test]
    fn the_change_is_told_once() {
        let canary = Canary::default();
        (0..60).for_each(|_| canary.saw(START, None, false));
        let standing = Standing { lately: (60, 0), usually: (0, 0), collapsed: true, since: Some(START) };
        let later = START.plus(Duration::from_secs(1));
        assert_eq!((canary.look(START), canary.look(later)), ((standing, true), (standing, false)));
        assert_eq!(canary.standing(), standing);
        (0..50).for_each(|_| canary.saw(later, None, true));
        canary.look(later);
        assert_eq!((canary.standing().collapsed, canary.standing().since), (false, None));
    }
}
