//! How fast a visit goes from page to page. Only pages that are looked at count, not those fetched ahead; a page asked for
//! again under the same address (a status page that reloads itself) is no step. Must not know what is too fast.

use std::hash::Hash;
use std::hash::Hasher;
use std::time::Duration;

use rustc_hash::FxHasher;

use crate::clock::UnixMillis;

/// So many of the newest times are remembered.
const REMEMBERED: usize = 16;
/// A cadence takes so many times between page views.
const CADENCE_FROM: usize = 6;
/// A usual step takes so many.
const MEDIAN_FROM: usize = 4;
/// Pages closer together than this were opened at once (a window with all its tabs), not one after the other.
const AT_ONCE: u32 = 100;

/// Where one page view leads from and to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    /// The page asked for, as [`Walk::place`] names it; `None` for one that is fetched ahead.
    pub to: Option<u32>,
    /// The page it was reached from.
    pub from: Option<u32>,
}

impl Walk {
    /// What stands for path and query of a URL, or of a target without host. Unkeyed: a visitor who finds two that are the
    /// same misses a step of his own.
    pub fn place(url: &str) -> u32 {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"));
        let mut hasher = FxHasher::default();
        rest.split('#').next().unwrap_or_default().hash(&mut hasher);
        u32::try_from(hasher.finish() >> 32).unwrap_or_default()
    }
}

/// The newest steps of a visit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    last: Option<(UnixMillis, u32)>,
    /// Milliseconds between page views of different pages.
    gaps: Vec<u32>,
    /// Milliseconds from a page to one reached from it.
    steps: Vec<u32>,
    second: Option<Duration>,
}

impl Pace {
    /// Counts a page view.
    pub fn step(&mut self, walk: Walk, now: UnixMillis, first_seen: UnixMillis) {
        let Some(to) = walk.to else { return };
        if let Some((before, place)) = self.last
            && place != to
        {
            let gap = u32::try_from(now.since(before).as_millis()).unwrap_or(u32::MAX);
            push(&mut self.gaps, gap);
            if walk.from == Some(place) {
                push(&mut self.steps, gap);
            }
            self.second.get_or_insert(now.since(first_seen));
        }
        self.last = Some((now, to));
    }

    /// From the landing to the second page.
    pub fn second(&self) -> Option<Duration> {
        self.second
    }

    /// The standard deviation of the times between page views in hundredths of their mean.
    pub fn cadence(&self) -> Option<u32> {
        let gaps: Vec<u128> = self.gaps.iter().filter(|gap| **gap >= AT_ONCE).map(|gap| u128::from(*gap)).collect();
        if gaps.len() < CADENCE_FROM {
            return None;
        }
        let (count, sum) = (gaps.len() as u128, gaps.iter().sum::<u128>());
        let squares: u128 = gaps.iter().map(|gap| gap * gap).sum();
        let variance = (count * squares).saturating_sub(sum * sum);
        u32::try_from((variance * 10_000 / (sum * sum).max(1)).isqrt()).ok()
    }

    /// The shortest step.
    pub fn fastest(&self) -> Option<Duration> {
        self.steps.iter().min().map(|step| Duration::from_millis(u64::from(*step)))
    }

    /// The median step; of an even number the longer one of the two in the middle.
    pub fn median(&self) -> Option<Duration> {
        if self.steps.len() < MEDIAN_FROM {
            return None;
        }
        let mut steps = self.steps.clone();
        steps.sort_unstable();
        steps.get(steps.len() / 2).map(|step| Duration::from_millis(u64::from(*step)))
    }
}

fn push(times: &mut Vec<u32>, time: u32) {
    if times.len() >= REMEMBERED {
        times.remove(0);
    }
    times.push(time);
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: UnixMillis = UnixMillis(1_774_000_000_000);

    /// A visit that asks for these pages, each reached from the one before, so many milliseconds after it.
    fn walked(gaps: &[u64]) -> Pace {
        let mut pace = Pace::default();
        let (mut now, mut last) = (START, None);
        for (page, gap) in std::iter::once(&0).chain(gaps).enumerate() {
            now = now.plus(Duration::from_millis(*gap));
            let to = Some(Walk::place(&format!("/p/{page}")));
            pace.step(Walk { to, from: last }, now, START);
            last = to;
        }
        pace
    }

    #[test]
    fn a_machines_cadence_is_even_and_a_persons_is_not() {
        assert_eq!(walked(&[30_000; 6]).cadence(), Some(0));
        assert_eq!(walked(&[30_000; 5]).cadence(), None);
        assert!(walked(&[29_400, 30_700, 30_100, 29_900, 30_600, 29_200]).cadence().unwrap() < 10);
        assert!(walked(&[4_000, 31_000, 9_500, 62_000, 2_100, 17_000]).cadence().unwrap() > 60);
    }

    #[test]
    fn a_page_that_reloads_itself_has_no_cadence() {
        let mut pace = Pace::default();
        for n in 0..20 {
            pace.step(Walk { to: Some(7), from: Some(7) }, START.plus(Duration::from_secs(10 * n)), START);
        }
        assert_eq!((pace.cadence(), pace.fastest(), pace.second()), (None, None, None));
    }

    #[test]
    fn tabs_opened_at_once_are_neither_a_cadence_nor_steps() {
        let mut pace = Pace::default();
        for n in 0..12 {
            pace.step(Walk { to: Some(n), from: None }, START.plus(Duration::from_millis(u64::from(n) * 20)), START);
        }
        assert_eq!((pace.cadence(), pace.fastest(), pace.median()), (None, None, None));
    }

    #[test]
    fn the_usual_step_takes_four_and_one_redirect_by_script_does_not_make_it_fast() {
        assert_eq!(walked(&[100, 100, 100]).median(), None);
        let person = walked(&[60, 8_000, 12_000, 5_000, 70, 9_000]);
        assert_eq!((person.fastest(), person.median()), (Some(Duration::from_millis(60)), Some(Duration::from_secs(8))));
        assert_eq!(walked(&[150, 160, 140, 155]).median(), Some(Duration::from_millis(155)));
    }

    #[test]
    fn a_page_fetched_ahead_is_no_step() {
        let mut pace = walked(&[]);
        pace.step(Walk { to: None, from: Some(Walk::place("/p/0")) }, START.plus(Duration::from_millis(5)), START);
        assert_eq!(pace, walked(&[]));
    }

    #[test]
    fn a_referrer_and_a_target_name_the_same_place() {
        assert_eq!(Walk::place("https://shop.example/p/1?a=b"), Walk::place("/p/1?a=b"));
        assert_eq!(Walk::place("https://shop.example"), Walk::place("/"));
        assert_ne!(Walk::place("/p/1"), Walk::place("/p/2"));
    }
}
