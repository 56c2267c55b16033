//! Counts over time windows, for rules: how many of what each client, address, click or campaign brought lately. Bounded
//! in memory: what was not touched for longest goes first, and is counted. Keys are keyed hashes whose key changes every
//! day; no address, agent or identifier is kept. Works on the time it is handed. Must not know rules.
//!
//! A window is a ring of ten buckets: what is counted is never older than the window, and what is younger than nine
//! tenths of it is always counted. Distinct values are exact up to 64, beyond it estimated with a standard error
//! of 1.6 %.

mod burst;
mod keys;
mod set;
mod sketch;
mod table;
mod tally;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::Duration;

use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::fact::Counter;
use crate::fact::Distinct;
use crate::fact::NetworkKind;
use crate::fact::counting::Counted;
use crate::fact::counting::MOST_COUNTERS;
use crate::fact::counting::What;
use crate::fact::counting::stands_for_few;

use self::burst::Burst;
use self::keys::Hashed;
use self::keys::Keys;
use self::keys::Mark;
use self::table::Table;
use self::tally::Tally;

/// The buckets of a window.
const BUCKETS: u32 = 10;
/// What bursts are counted by.
const BURST_SLOT: Duration = Duration::from_mins(10);
/// How far repeats of an event look back.
const REPEATS: Duration = Duration::from_hours(1);
/// Marks the keys of bursts, and of repeats, among those of counters.
const BURSTS: u64 = 0x6275_7273_7473;
const REPEATED: u64 = 0x7265_7065_6174;

/// The values of a policy's counters, in their order; those beyond its counters are never known.
pub type Counts = [Option<u32>; MOST_COUNTERS];

/// What somebody did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act<'a> {
    /// Asked for a page.
    View,
    /// Converted.
    Event {
        /// The event's name.
        name: &'a str,
        /// Its id, by which copies are recognised.
        id: &'a str,
    },
}

/// Who did something, and what came with it.
#[derive(Clone, Copy, Debug)]
pub struct Sighting<'a> {
    /// What was done.
    pub act: Act<'a>,
    /// When.
    pub now: UnixMillis,
    /// The visit.
    pub visit: Uuid,
    /// Whether the visit began with this, so that no cookie tells who it is.
    pub fresh: bool,
    /// The client's address.
    pub address: Option<IpAddr>,
    /// What kind of network it belongs to.
    pub network: NetworkKind,
    /// The number of the autonomous system that announces it.
    pub asn: Option<u32>,
    /// The `User-Agent` field.
    pub user_agent: &'a str,
    /// JA4 of the handshake; empty where it is not known.
    pub ja4: &'a str,
    /// The click identifier that came with it.
    pub click_id: Option<&'a str>,
    /// Whether the visit had this identifier already: a page shown again is not another client's click.
    pub again: bool,
    /// `utm_campaign` of its URL.
    pub campaign: Option<&'a str>,
}

impl Sighting<'_> {
    fn by_address(&self) -> Option<IpAddr> {
        self.address.filter(|_| stands_for_few(self.network))
    }
}

/// All counts. Shared by all threads.
#[derive(Debug)]
pub struct Counters {
    table: Table,
    keys: Keys,
}

impl Counters {
    /// Counters that hold at most so many bytes.
    pub fn new(max_bytes: u64) -> Self {
        Self { table: Table::new(max_bytes), keys: Keys::new() }
    }

    /// Counts what was seen, and says what each counter that counted stands at now. A counter to which this adds nothing is
    /// not known, nor is one by address where an address stands for many.
    pub fn count(&self, counters: &[Counted], seen: &Sighting<'_>) -> Counts {
        let mut counts = [None; MOST_COUNTERS];
        if counters.is_empty() {
            return counts;
        }
        let marks = Marks::of(&self.keys, seen);
        for (counter, count) in counters.iter().zip(&mut counts) {
            *count = self.one(counter, seen, &marks);
        }
        counts
    }

    fn one(&self, counter: &Counted, seen: &Sighting<'_>, marks: &Marks) -> Option<u32> {
        let element = match (&counter.what, seen.act) {
            (What::Views, Act::View) => None,
            (What::Events(wanted), Act::Event { name, .. }) => {
                let fits = wanted.as_ref().is_none_or(|wanted| name.to_lowercase() == **wanted);
                Some(marks.event.filter(|_| fits)?)
            }
            (What::Distinct(distinct), Act::View) => Some(marks.element(*distinct)?),
            _ => return None,
        };
        // The visit that begins is counted under its cookie too, so that the next page goes on from there.
        if let (Counter::Client, true) = (counter.by, seen.fresh) {
            self.add(counter, marks.visit, element, seen);
        }
        let count = self.add(counter, marks.key(counter.by)?, element, seen);
        // Without a cookie a client is little more than its address.
        let told = counter.by != Counter::Client || !seen.fresh || stands_for_few(seen.network);
        told.then_some(count)
    }

    fn add(&self, counter: &Counted, key: Hashed, element: Option<Hashed>, seen: &Sighting<'_>) -> u32 {
        let slot = slot(seen.now, counter.window);
        let key = key.of(counter.id);
        match element {
            None => self.table.with(key, seen.now, Tally::ring, |tally| tally.add(slot)),
            Some(element) => self.table.with(key, seen.now, Tally::set, |tally| tally.put(slot, element.element())),
        }
    }

    /// Counts a landing for its campaign and network; says how far the last ten minutes stand above what is usual.
    pub fn burst(&self, now: UnixMillis, campaign: &str, asn: u32) -> Option<i64> {
        let key = self.keys.of(now, &Mark::CampaignAsn(campaign, asn)).of(BURSTS);
        let slot = u32::try_from(now.0 / millis(BURST_SLOT)).unwrap_or(u32::MAX);
        self.table.with(key, now, || Tally::Burst(Burst::default()), |tally| tally.burst(slot))
    }

    /// Counts an event of a visit; says how many others of the name it had lately. Copies of one event count once.
    pub fn repeats(&self, now: UnixMillis, visit: Uuid, name: &str, id: &str) -> u32 {
        let key = self.keys.of(now, &Mark::Named(visit, name)).of(REPEATED);
        let element = self.keys.of(now, &Mark::Event(id)).element();
        self.table.with(key, now, Tally::set, |tally| tally.put(slot(now, REPEATS), element)).saturating_sub(1)
    }

    /// Entries that had to go for want of room since the start.
    pub fn evicted(&self) -> u64 {
        self.table.evicted()
    }

    /// Bytes in use, at most.
    pub fn bytes(&self) -> u64 {
        self.table.bytes()
    }
}

/// What a sighting can be counted by and as, hashed once for all counters.
struct Marks {
    client: Hashed,
    visit: Hashed,
    address: Option<Hashed>,
    prefix: Option<Hashed>,
    click: Option<Hashed>,
    again: bool,
    campaign: Option<Hashed>,
    campaign_asn: Option<Hashed>,
    event: Option<Hashed>,
}

impl Marks {
    fn of(keys: &Keys, seen: &Sighting<'_>) -> Self {
        let of = |mark: Mark<'_>| keys.of(seen.now, &mark);
        let visit = of(Mark::Visit(seen.visit));
        let shape = || of(Mark::Shape(seen.address.map(prefix), bounded(seen.user_agent), seen.ja4));
        Self {
            client: if seen.fresh { shape() } else { visit },
            visit,
            address: seen.by_address().map(|address| of(Mark::Address(address))),
            prefix: seen.by_address().map(|address| of(Mark::Prefix(prefix(address)))),
            click: seen.click_id.map(|id| of(Mark::Click(bounded(id)))),
            again: seen.again,
            campaign: seen.campaign.map(|campaign| of(Mark::Campaign(bounded(campaign)))),
            campaign_asn: seen.campaign.zip(seen.asn).map(|(campaign, asn)| of(Mark::CampaignAsn(bounded(campaign), asn))),
            event: match seen.act {
                Act::Event { id, .. } => Some(of(Mark::Event(bounded(id)))),
                Act::View => None,
            },
        }
    }

    fn key(&self, by: Counter) -> Option<Hashed> {
        match by {
            Counter::Client => Some(self.client),
            Counter::Address => self.address,
            Counter::Prefix => self.prefix,
            Counter::ClickId => self.click,
            Counter::CampaignAsn => self.campaign_asn,
            Counter::Visit => Some(self.visit),
        }
    }

    fn element(&self, distinct: Distinct) -> Option<Hashed> {
        match distinct {
            Distinct::ClickId => self.click,
            Distinct::Client => Some(self.client).filter(|_| !self.again),
            Distinct::Address => self.address,
            Distinct::Prefix => self.prefix,
            Distinct::Campaign => self.campaign,
        }
    }
}

/// The bucket of a moment.
fn slot(now: UnixMillis, window: Duration) -> u32 {
    let width = (millis(window) / u64::from(BUCKETS)).max(1);
    u32::try_from(now.0 / width).unwrap_or(u32::MAX)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The /24 or /48 of an address.
pub fn prefix(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4((u32::from(address) & 0xffff_ff00).into()),
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & (u128::MAX << 80)).into()),
    }
}

/// The beginning of a text: enough to tell texts apart, and no more to hash where somebody sends endless ones.
fn bounded(text: &str) -> &str {
    text.get(..text.floor_char_boundary(512)).unwrap_or(text)
}
