//! Visits by id, page, order, cookie and client: bounded tables in memory, those with a click id or a proof also on
//! disk, written behind. Losing the last second of them in a crash is accepted: page token and visit cookie carry
//! what matters. Must not know how visits are judged.

mod assets;
mod canary;
pub mod counters;
mod error;
mod index;
mod learnt;
mod pace;
mod proofs;
mod shared;
mod store;
mod stored;
mod table;
mod visit;
mod watch;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::fact;
use crate::fact::Behaviour;
use crate::verdict::Consent;
use crate::verdict::Verdict;

pub use self::assets::Assets;
pub use self::assets::Client;
pub use self::canary::Canary;
pub use self::canary::Standing;
use self::counters::Counters;
pub use self::error::VisitsError;
use self::index::Key;
use self::learnt::Learnt;
pub use self::pace::Pace;
pub use self::pace::Walk;
pub use self::proofs::Holder;
use self::proofs::Proofs;
pub use self::proofs::Use;
use self::store::Fill;
use self::store::Store;
use self::table::Table;
pub use self::visit::PageView;
pub use self::visit::REMEMBERED_LINKS;
pub use self::visit::REMEMBERED_PAGES;
pub use self::visit::Utm;
pub use self::visit::Visit;
use self::watch::Watch;
pub use self::watch::Watched;

/// Where visits are kept and how many.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The database file; `None` keeps visits in memory only.
    pub path: Option<PathBuf>,
    /// Visits with a click id or a proof at most. 200,000 cost about 400 MB and are a week of a large shop's clicks.
    pub max_visits: usize,
    /// Visits with neither at most, so that a flood of them cannot push out the others.
    pub max_plain: usize,
    /// How long a visit is kept after it was seen last. Seven days: Meta takes no older event.
    pub keep: Duration,
    /// Parts of the table, each with its own lock and an equal share of the bounds.
    pub shards: usize,
    /// How often changed visits are written.
    pub write_every: Duration,
    /// The most bytes of the database file.
    pub max_bytes: u64,
    /// The most bytes of counters in memory. 64 MiB hold about a million entries.
    pub counter_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            path: Some(PathBuf::from("state/visits.db")),
            max_visits: 200_000,
            max_plain: 100_000,
            keep: Duration::from_hours(7 * 24),
            shards: 64,
            write_every: Duration::from_secs(1),
            max_bytes: 1 << 30,
            counter_bytes: 64 << 20,
        }
    }
}

/// How often what visits have taught is kept.
const KEPT_EVERY: Duration = Duration::from_mins(5);

/// The visits. Shared by `Arc`.
#[derive(Debug)]
pub struct Visits {
    table: Arc<Table>,
    proofs: Proofs,
    settings: Settings,
    store: Mutex<Option<Store>>,
    watch: Watch,
    counters: Counters,
    assets: Assets,
    canary: Canary,
    /// When what they taught was kept last.
    kept_at: AtomicU64,
}

impl Visits {
    /// Opens the file, reads the visits of the newest `keep`, and starts the writer.
    ///
    /// # Errors
    ///
    /// [`VisitsError`] where the file cannot be used; later trouble costs only what a restart would have known.
    pub fn open(settings: &Settings) -> Result<Self, VisitsError> {
        let table = Arc::new(Table::new(settings));
        let mut store = match &settings.path {
            Some(path) => Some(Store::open(path, settings, &table, Fill::Whole)?),
            None => None,
        };
        let (assets, canary) = (Assets::new(), Canary::default());
        if let Some(Learnt { proofs, assets: had }) = store.as_mut().and_then(Store::learnt).and_then(|text| Learnt::of(&text)) {
            canary.restore(proofs);
            assets.restore(had);
        }
        Ok(Self {
            table,
            proofs: Proofs::new(),
            settings: settings.clone(),
            store: Mutex::new(store),
            watch: Watch::default(),
            counters: Counters::new(settings.counter_bytes),
            assets,
            canary,
            kept_at: AtomicU64::new(0),
        })
    }

    /// Writes what changed and lets go of the file; visits go on in memory. Blocks.
    pub fn leave(&self) {
        let store = self.store().take();
        if let Some(store) = store {
            store.keep(self.learnt().text());
        }
    }

    /// Takes the file again after [`Visits::leave`], if nobody else has written to it.
    ///
    /// # Errors
    ///
    /// As [`Visits::open`].
    pub fn come_back(&self) -> Result<(), VisitsError> {
        if let Some(path) = &self.settings.path {
            *self.store() = Some(Store::open(path, &self.settings, &self.table, Fill::Nothing)?);
        }
        Ok(())
    }

    fn learnt(&self) -> Learnt {
        Learnt { proofs: self.canary.kept(), assets: self.assets.kept() }
    }

    fn store(&self) -> MutexGuard<'_, Option<Store>> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a page view; opens its visit if there is none of that id.
    #[expect(clippy::needless_pass_by_value, reason = "a view is made for this call and of no use after it")]
    pub fn page(&self, view: PageView<'_>) -> Arc<Visit> {
        self.proofs.serve(view.page, Holder::of(view.address, view.user_agent), view.now);
        self.table.page(&view)
    }

    /// Counts a view that the tag reports under a fresh page id (restored, or navigated inside the page).
    pub fn renew(&self, visit: Uuid, page: Uuid, now: UnixMillis) -> Option<Arc<Visit>> {
        let renewed = self.table.change(visit, |visit| visit.serve(page, now));
        if let Some(visit) = &renewed {
            self.proofs.serve(page, Holder::of(visit.address, &visit.user_agent), now);
        }
        renewed
    }

    /// Judges a client that shows a page view's token; `carried` is the visit of its cookie where that is not the page's.
    pub fn used(&self, page: Uuid, by: Holder, carried: Option<Uuid>, now: UnixMillis) -> Use {
        self.proofs.used(page, by, carried, now)
    }

    /// Notes that somebody with the agent of the client that a page view was served to followed the link that nobody sees in
    /// it. Whoever has another agent, as who checks links for the visitor's safety, leaves no mark.
    pub fn trapped(&self, page: Uuid, by: Holder, now: UnixMillis) -> Option<Arc<Visit>> {
        let served = self.proofs.served_to(page, now)?;
        let visit = self.find_page(page).filter(|_| served.has_agent_of(&by))?;
        self.report(visit.id, fact::Page { trap_link: Some(true), ..fact::Page::default() }, now)
    }

    /// Merges what the page's script reported; `webdriver`, proof and interaction stay once they were seen.
    pub fn report(&self, visit: Uuid, page: fact::Page, now: UnixMillis) -> Option<Arc<Visit>> {
        self.table.change(visit, |visit| visit.report(&page, now))
    }

    /// Replaces the newest verdict; the first stays.
    pub fn settle(&self, visit: Uuid, verdict: Arc<Verdict>) -> Option<Arc<Visit>> {
        self.table.change(visit, |visit| visit.verdict = verdict)
    }

    /// A page of the visit goes out with the tag in it: from now on its script can prove that it ran.
    pub fn tagged(&self, visit: Uuid, at: UnixMillis) {
        self.table.touch(visit, |visit| _ = visit.tagged_at.get_or_insert(at));
        self.watch.push(Watched { visit, at });
    }

    /// The pages with the tag whose time to prove is over, each once, at most so many.
    pub fn overdue(&self, now: UnixMillis, most: usize) -> Vec<Watched> {
        self.watch.take(now, most)
    }

    /// Settles what the landing was followed by, and learns from it whether the shop's assets come through here.
    pub fn settle_assets(&self, visit: &Visit, now: UnixMillis) {
        if visit.assets.is_some() {
            return;
        }
        let Some(had) = self.assets.since(Client::of(visit.address, &visit.user_agent), visit.first_seen, now) else { return };
        self.table.touch(visit.id, |visit| visit.assets = Some(had));
        if visit.page.proof == Some(fact::Proof::Present) {
            let own = visit.address.filter(|_| visit.network.kind != fact::NetworkKind::Bogon);
            self.assets.learn(own, had);
        }
    }

    /// What a visit of this pace shows of behaviour now; counts, bursts and what concerns an event are the caller's affair.
    pub fn behaviour(&self, visit: &Visit, pace: &Pace, now: UnixMillis) -> Behaviour<'static> {
        let had = visit.assets.or_else(|| self.assets.since(Client::of(visit.address, &visit.user_agent), visit.first_seen, now));
        Behaviour {
            second_page_after: pace.second(),
            assets: had.filter(|had| *had || self.assets.tell()),
            cadence: pace.cadence(),
            fastest_step: pace.fastest(),
            median_step: pace.median(),
            ..Behaviour::default()
        }
    }

    /// What the visit's page reported; that no proof came is known where one could have come and proofs come at all.
    pub fn page_facts(&self, visit: &Visit) -> fact::Page {
        let silent = visit.page.proof.is_none() && visit.tagged_at.is_some() && self.canary.sings();
        let proof = if silent { Some(fact::Proof::Absent) } else { visit.page.proof };
        fact::Page { proof, ..visit.page }
    }

    /// How long the visit's page has had to prove itself, where it never did; else how long ago this page was served.
    pub fn page_age(&self, visit: &Visit, page: Option<Uuid>, now: UnixMillis) -> Option<Duration> {
        let since = match (self.page_facts(visit).proof, visit.tagged_at) {
            (Some(fact::Proof::Absent), Some(tagged)) => Some(tagged),
            _ => page.and_then(|page| visit.served(page)),
        };
        since.map(|since| now.since(since))
    }

    /// The counters.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Who asked for assets.
    pub fn assets(&self) -> &Assets {
        &self.assets
    }

    /// Whether proofs come.
    pub fn canary(&self) -> &Canary {
        &self.canary
    }

    /// Notes how far the visitor agreed.
    pub fn consent(&self, visit: Uuid, consent: Consent, now: UnixMillis) -> Option<Arc<Visit>> {
        self.table.change(visit, |visit| {
            visit.consent = consent;
            visit.seen(now);
        })
    }

    /// The visit of that id.
    pub fn find(&self, visit: Uuid) -> Option<Arc<Visit>> {
        self.table.find(visit)
    }

    /// The visit a page view belongs to.
    pub fn find_page(&self, page: Uuid) -> Option<Arc<Visit>> {
        self.table.find_by(&Key::Page(page))
    }

    /// The visit an order was linked to.
    pub fn find_order(&self, order: &str) -> Option<Arc<Visit>> {
        self.table.find_by(&Key::Order(order.into()))
    }

    /// The newest visit with that `_fbp`, with or without a param builder's part.
    pub fn find_fbp(&self, fbp: &str) -> Option<Arc<Visit>> {
        self.table.find_by(&Key::fbp(fbp))
    }

    /// The newest visit with that `_fbc`, with or without a param builder's part.
    pub fn find_fbc(&self, fbc: &str) -> Option<Arc<Visit>> {
        self.table.find_by(&Key::fbc(fbc))
    }

    /// The newest visit a hashed external id was linked to.
    pub fn find_external(&self, hash: &str) -> Option<Arc<Visit>> {
        self.table.find_by(&Key::External(hash.into()))
    }

    /// The newest visit from that address with that `User-Agent`.
    pub fn find_client(&self, address: IpAddr, user_agent: &str) -> Option<Arc<Visit>> {
        self.table.find_by(&Key::client(address, user_agent))
    }

    /// Links an order to a visit; the newest visit that names an order has it.
    pub fn link_order(&self, visit: Uuid, order: &str) -> Option<Arc<Visit>> {
        self.table.link(visit, &Key::Order(order.into()), |visit| link(&mut visit.orders, order))
    }

    /// Links a hashed external id to a visit; the newest visit that names it has it.
    pub fn link_external(&self, visit: Uuid, hash: &str) -> Option<Arc<Visit>> {
        self.table.link(visit, &Key::External(hash.into()), |visit| link(&mut visit.externals, hash))
    }

    /// Visits of a `utm_content` (of any, if `None`), newest seen first, at most `limit`. Walks all visits.
    pub fn query(&self, utm_content: Option<&str>, limit: usize) -> Vec<Arc<Visit>> {
        self.table.query(utm_content, limit)
    }

    /// Visits in memory.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets visits not seen for `keep`: of those in memory one part ([`Settings::shards`]), and after the last part those
    /// on disk.
    pub fn sweep(&self, now: UnixMillis) {
        let round = self.table.sweep(now);
        if let Some(store) = &*self.store() {
            if let Some(oldest) = round {
                store.forget(oldest);
            }
            if u128::from(now.0.abs_diff(self.kept_at.load(Ordering::Relaxed))) >= KEPT_EVERY.as_millis() {
                self.kept_at.store(now.0, Ordering::Relaxed);
                store.keep(self.learnt().text());
            }
        }
    }

    /// Waits until all changes made before are written. Blocks; not for a request.
    pub fn flush(&self) {
        if let Some(store) = &*self.store() {
            store.keep(self.learnt().text());
            store.flush();
        }
    }

    /// Visits that could not be written to the file since the start (disk full, file gone).
    pub fn unwritten(&self) -> u64 {
        self.store().as_ref().map_or(0, Store::unwritten)
    }
}

fn link(links: &mut Vec<Arc<str>>, text: &str) {
    links.retain(|known| **known != *text);
    while links.len() >= REMEMBERED_LINKS {
        links.remove(0);
    }
    links.push(text.into());
}
