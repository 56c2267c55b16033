//! Counts a day: what became of each farm's clicks and events, and which buyers were hurt. Must not know how either behaved.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use clicksieve::demo::graph::Taken;
use clicksieve::verdict::Band;
use serde_json::Value;

use crate::farms::crews::Farm;
use crate::farms::driver::Done;
use crate::farms::parameters as given;
use crate::farms::plan;
use crate::farms::plan::Plan;
use crate::farms::plan::Who;
use crate::whole::inside::Inside;

/// How many there are of each band, mildest first; what no band is known of is counted apart.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bands {
    pub(super) of: [usize; 4],
    pub(super) unknown: usize,
}

impl Bands {
    fn add(&mut self, band: Option<Band>) {
        match band.and_then(|band| Band::ALL.iter().position(|known| *known == band)) {
            Some(at) => self.of[at] += 1,
            None => self.unknown += 1,
        }
    }

    fn with(self, other: Self) -> Self {
        Self { of: std::array::from_fn(|at| self.of[at] + other.of[at]), unknown: self.unknown + other.unknown }
    }

    pub(super) fn all(&self) -> usize {
        self.of.iter().sum::<usize>() + self.unknown
    }

    /// How many are worse than that band.
    pub(super) fn above(&self, band: Band) -> usize {
        Band::ALL.iter().zip(self.of).filter(|(other, _)| **other > band).map(|(_, count)| count).sum()
    }
}

/// What became of conversion events that were none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Events {
    pub(super) bands: Bands,
    pub(super) kept_back: usize,
    /// Sent under another name or for attribution only.
    pub(super) changed: usize,
}

/// One farm's day.
pub(super) struct Count {
    pub(super) farm: Farm,
    pub(super) clicks: BTreeMap<&'static str, Bands>,
    pub(super) events: BTreeMap<&'static str, Events>,
    /// The networks that the program saw its clicks come from.
    pub(super) networks: BTreeMap<String, usize>,
    pub(super) buyers_visits: Bands,
    pub(super) paid: usize,
    /// Buyers' orders that never came to Meta as a Purchase.
    pub(super) unheard: Vec<String>,
    /// Those among them of which no decision says why, though the back end's report was taken.
    pub(super) lost: Vec<String>,
    /// Ids that came more than once under one name.
    pub(super) repeated: Vec<String>,
    pub(super) refused: BTreeMap<(Who, String), usize>,
    pub(super) requests: usize,
}

impl Count {
    /// The farm's clicks, whichever way.
    pub(super) fn all_clicks(&self) -> Bands {
        self.clicks.values().copied().reduce(Bands::with).unwrap_or_default()
    }

    /// The farm's events, whichever way.
    pub(super) fn all_events(&self) -> Events {
        let with = |one: Events, other: Events| Events {
            bands: one.bands.with(other.bands),
            kept_back: one.kept_back + other.kept_back,
            changed: one.changed + other.changed,
        };
        self.events.values().copied().reduce(with).unwrap_or_default()
    }
}

/// The process's own memory of the day.
struct Memory {
    records: Vec<Value>,
    /// The newest verdict of each visit.
    visits: BTreeMap<String, Band>,
    /// The newest of each event.
    events: BTreeMap<String, Band>,
    taken: Vec<Taken>,
}

impl Memory {
    fn of(inside: &Inside) -> Self {
        let records = inside.all_records();
        let (mut visits, mut events) = (BTreeMap::new(), BTreeMap::new());
        for record in &records {
            let Some(band) = band(record) else { continue };
            visits.extend(record["visit_id"].as_str().map(|visit| (visit.to_owned(), band)));
            let event = record["event_id"].as_str().filter(|_| record["type"] == "event");
            events.extend(event.map(|event| (event.to_owned(), band)));
        }
        for campaign in 0..given::CAMPAIGNS.len() {
            for ad in 0..given::ADS {
                let path = format!("/api/visits?limit=1000&utm_content={}", plan::ad_name(campaign, ad));
                let rows: Vec<Value> = serde_json::from_str(&inside.admin(&path)).unwrap();
                assert!(rows.len() < 1_000, "more visits of one ad than the door tells");
                for row in &rows {
                    visits.extend(band(row).map(|band| (row["visit_id"].as_str().unwrap().to_owned(), band)));
                }
            }
        }
        Self { records, visits, events, taken: inside.graph.taken() }
    }

    /// The visit of each page view.
    fn pages(&self) -> BTreeMap<&str, &str> {
        let views = self.records.iter().filter(|record| record["type"] != "event");
        views.filter_map(|record| Some((record["event_id"].as_str()?, record["visit_id"].as_str()?))).collect()
    }

    /// The kind of network that each page view came from.
    fn networks(&self) -> BTreeMap<&str, &str> {
        let views = self.records.iter().filter(|record| record["type"] != "event");
        views.filter_map(|record| Some((record["event_id"].as_str()?, record["network"].as_str()?))).collect()
    }

    /// Whether a record says that this order's report was not to be sent.
    fn was_decided_against(&self, order: &str) -> bool {
        let ids = [format!("o.{order}"), format!("backend.o.{order}")];
        let of = |record: &&Value| record["type"] == "event" && ids.iter().any(|id| record["event_id"] == *id);
        self.records.iter().filter(of).any(|record| record["decision"] == "suppress")
    }
}

fn band(record: &Value) -> Option<Band> {
    record["band"].as_str().and_then(Band::of_name)
}

/// Reads what the process remembers and compares it with what was done.
pub(super) fn day(farm: Farm, inside: &Inside, plan: &Plan, done: Done) -> Count {
    let memory = Memory::of(inside);
    let (pages, kinds) = (memory.pages(), memory.networks());
    let mut networks = BTreeMap::<String, usize>::new();
    let (mut clicks, mut events) = (BTreeMap::<_, Bands>::new(), BTreeMap::<_, Events>::new());
    let (mut buyers_visits, mut counted) = (Bands::default(), BTreeSet::new());
    for opened in &done.opened {
        let visit = pages.get(opened.page.as_str()).copied();
        let verdict = visit.and_then(|visit| memory.visits.get(visit).copied());
        match opened.who {
            Who::Farm(way) if opened.click => clicks.entry(way).or_default().add(verdict),
            Who::Buyer if visit.is_none_or(|visit| counted.insert(visit)) => buyers_visits.add(verdict),
            _ => {}
        }
    }
    for opened in done.opened.iter().filter(|opened| opened.click && opened.who != Who::Buyer) {
        let kind = kinds.get(opened.page.as_str()).copied().unwrap_or_default();
        *networks.entry(kind.to_owned()).or_default() += 1;
    }
    for told in &done.told {
        let Who::Farm(way) = told.who else { continue };
        let became = events.entry(way).or_default();
        became.bands.add(memory.events.get(&told.id).copied());
        match memory.taken.iter().find(|taken| taken.text("event_id") == told.id) {
            None => became.kept_back += 1,
            Some(taken) if taken.text("event_name") != told.name || taken.event["opt_out"] == true => became.changed += 1,
            Some(_) => {}
        }
    }
    let heard = |order: &str, name: Option<&str>| {
        let of = |taken: &&Taken| taken.event["custom_data"]["order_id"] == order;
        memory.taken.iter().filter(of).any(|taken| name.is_none_or(|name| taken.text("event_name") == name))
    };
    let unheard: Vec<String> = plan.orders.iter().filter(|order| !heard(order, Some("Purchase"))).cloned().collect();
    let lost = done.reported.iter().filter(|order| !heard(order, None) && !memory.was_decided_against(order)).cloned().collect();
    let mut seen = BTreeSet::new();
    let again = |taken: &&Taken| !seen.insert((taken.text("event_name").to_owned(), taken.text("event_id").to_owned()));
    let repeated = memory.taken.iter().filter(again).map(|taken| taken.text("event_id").to_owned()).collect();
    let paid = plan.orders.len();
    let (refused, requests) = (done.refused, done.requests);
    Count { farm, clicks, events, networks, buyers_visits, paid, unheard, lost, repeated, refused, requests }
}

/// So many of a hundred, with one decimal.
fn percent(part: usize, whole: usize) -> String {
    if whole == 0 {
        return "-".to_owned();
    }
    let tenths = (part * 1_000 + whole / 2) / whole;
    format!("{}.{} %", tenths / 10, tenths % 10)
}

fn shares(bands: &Bands) -> String {
    let each: Vec<String> = bands.of.iter().map(|count| percent(*count, bands.all())).collect();
    each.join(" | ")
}

/// All days as two Markdown tables: what became of the farms, way by way, and what became of the buyers.
pub(super) fn table(counts: &[Count]) -> String {
    let mut text =
        "| farm | way | what | number | human | suspect | likely_invalid | invalid | not forwarded | forwarded changed |\n\
                    |---|---|---|---|---|---|---|---|---|---|\n"
            .to_owned();
    for count in counts {
        let farm = count.farm.name();
        let total = [("all", count.all_clicks())];
        for (way, bands) in count.clicks.iter().map(|(way, bands)| (*way, *bands)).chain(total) {
            writeln!(text, "| {farm} | {way} | clicks | {} | {} | | |", bands.all(), shares(&bands)).unwrap();
        }
        let total = [("all", count.all_events())];
        for (way, events) in count.events.iter().map(|(way, events)| (*way, *events)).chain(total) {
            let all = events.bands.all();
            let (kept, changed) = (percent(events.kept_back, all), percent(events.changed, all));
            writeln!(text, "| {farm} | {way} | events | {all} | {} | {kept} | {changed} |", shares(&events.bands)).unwrap();
        }
    }
    text.push_str(
        "\n| beside | buyers' visits | above human | above suspect | orders paid | never at Meta as Purchase |\n|---|---|---|---|---|---|\n",
    );
    for count in counts {
        let (visits, all) = (&count.buyers_visits, count.buyers_visits.all());
        let [odd, bad] = [Band::Human, Band::Suspect].map(|band| visits.above(band));
        let (farm, unheard) = (count.farm.name(), count.unheard.len());
        writeln!(
            text,
            "| {farm} | {all} | {odd} ({}) | {bad} ({}) | {} | {unheard} |",
            percent(odd, all),
            percent(bad, all),
            count.paid
        )
        .unwrap();
    }
    text
}
