//! Visits by id, page, order, cookie and client: bounded tables in memory, those with a click id or a proof also on
//! disk, written behind. Losing the last second of them in a crash is accepted: page token and visit cookie carry
//! what matters. Must not know how visits are judged.

mod index;
mod store;
mod stored;
mod table;
mod visit;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::fact;
use crate::verdict::Consent;
use crate::verdict::Verdict;

use self::index::Key;
use self::store::Fill;
use self::store::Store;
use self::table::Table;
pub use self::visit::PageView;
pub use self::visit::REMEMBERED_LINKS;
pub use self::visit::REMEMBERED_PAGES;
pub use self::visit::Utm;
pub use self::visit::Visit;

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
        }
    }
}

/// Why visits could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum VisitsError {
    /// A newer version of the program wrote the file.
    #[error("`{}` has format {found}, this version knows up to {known}\nhint: start the newer version again", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format known here.
        known: i64,
    },
    /// A file or folder could not be made or read.
    #[error("cannot use `{}`", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is no database of ours any more.
    #[error(
        "`{}` is damaged\nhint: nothing was changed: put a backup in its place, or move it and its `-wal` file away; open visits then go by their cookies alone",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the database says.
        #[source]
        source: rusqlite::Error,
    },
    /// The database refused.
    #[error("cannot use the visits in `{}`\nhint: is another process using it?", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
}

/// The visits. Shared by `Arc`.
#[derive(Debug)]
pub struct Visits {
    table: Arc<Table>,
    settings: Settings,
    store: Mutex<Option<Store>>,
}

impl Visits {
    /// Opens the file, reads the visits of the newest `keep`, and starts the writer.
    ///
    /// # Errors
    ///
    /// [`VisitsError`] where the file cannot be used; later trouble costs only what a restart would have known.
    pub fn open(settings: &Settings) -> Result<Self, VisitsError> {
        let table = Arc::new(Table::new(settings));
        let store = match &settings.path {
            Some(path) => Some(Store::open(path, settings, &table, Fill::Whole)?),
            None => None,
        };
        Ok(Self { table, settings: settings.clone(), store: Mutex::new(store) })
    }

    /// Writes what changed and lets go of the file; visits go on in memory. Blocks.
    pub fn leave(&self) {
        drop(self.store().take());
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

    fn store(&self) -> MutexGuard<'_, Option<Store>> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a page view; opens its visit if there is none of that id.
    #[expect(clippy::needless_pass_by_value, reason = "a view is made for this call and of no use after it")]
    pub fn page(&self, view: PageView<'_>) -> Arc<Visit> {
        self.table.page(&view)
    }

    /// Counts a view that the tag reports under a fresh page id (restored, or navigated inside the page).
    pub fn renew(&self, visit: Uuid, page: Uuid, now: UnixMillis) -> Option<Arc<Visit>> {
        self.table.change(visit, |visit| visit.serve(page, now))
    }

    /// Merges what the page's script reported; `webdriver`, proof and interaction stay once they were seen.
    pub fn report(&self, visit: Uuid, page: fact::Page, now: UnixMillis) -> Option<Arc<Visit>> {
        self.table.change(visit, |visit| visit.report(page, now))
    }

    /// Replaces the newest verdict; the first stays.
    pub fn settle(&self, visit: Uuid, verdict: Arc<Verdict>) -> Option<Arc<Visit>> {
        self.table.change(visit, |visit| visit.verdict = verdict)
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
        self.table.link(visit, Key::Order(order.into()), |visit| link(&mut visit.orders, order))
    }

    /// Links a hashed external id to a visit; the newest visit that names it has it.
    pub fn link_external(&self, visit: Uuid, hash: &str) -> Option<Arc<Visit>> {
        self.table.link(visit, Key::External(hash.into()), |visit| link(&mut visit.externals, hash))
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

    /// Forgets visits not seen for `keep`, in memory and on disk.
    pub fn sweep(&self, now: UnixMillis) {
        let oldest = self.table.sweep(now);
        if let Some(store) = &*self.store() {
            store.forget(oldest);
        }
    }

    /// Waits until all changes made before are written. Blocks; not for a request.
    pub fn flush(&self) {
        if let Some(store) = &*self.store() {
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
