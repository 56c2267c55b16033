//! Decision records: JSON Lines on disk and the newest in memory. Appending never waits: what the writer cannot take is
//! dropped and said so; a full disk costs records, never traffic. Records hold no contact data: addresses are cut, URLs
//! cleaned. Must not know who decides.

mod access;
mod clean;
mod file;
mod line;
mod record;
mod ring;
mod writer;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

pub use self::access::Access;
pub use self::access::Line;
pub use self::access::To;
pub use self::clean::clean_url;
pub use self::clean::cut_address;
pub use self::line::FIELDS;
pub use self::record::EventRecord;
pub use self::record::PageRecord;
pub use self::record::Record;
pub use self::ring::Filter;
pub use self::ring::Kind;
use self::ring::Ring;
use self::writer::Job;

/// Where records go and how many are kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The file being written; finished ones stand beside it as `<stem>.<milliseconds>.jsonl`. `None`: memory only.
    pub path: Option<PathBuf>,
    /// The most bytes of all files together. 1 GiB is about a million records.
    pub max_bytes: u64,
    /// The age at which a finished file goes, by its newest record.
    pub keep: Duration,
    /// Records that wait for the writer at most. 8,192: a second of a disk that hangs, at 8,000 pages a second.
    pub queue: usize,
    /// Records kept in memory for queries. 1,000 cost about a megabyte.
    pub ring: usize,
    /// Whether records hold addresses in full instead of the /24 or /48.
    pub full_address: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            path: Some(PathBuf::from("state/records.jsonl")),
            max_bytes: 1 << 30,
            keep: Duration::from_hours(7 * 24),
            queue: 8_192,
            ring: 1_000,
            full_address: false,
        }
    }
}

/// Why the ledger could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file or its folder could not be made.
    #[error("cannot write records to `{}`", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// A handle of the ledger; clones share it. The writer ends, all written, when the last handle is dropped.
#[derive(Clone, Debug)]
pub struct Ledger {
    jobs: SyncSender<Job>,
    ring: Arc<Mutex<Ring>>,
    unwritten: Arc<AtomicU64>,
}

impl Ledger {
    /// Opens the file for appending and starts the writer.
    ///
    /// # Errors
    ///
    /// [`LedgerError::File`] where the file cannot be opened now; later trouble is only counted.
    pub fn open(settings: &Settings) -> Result<Self, LedgerError> {
        let file = settings.path.as_deref().map(|path| file::File::open(path, settings)).transpose()?;
        let (jobs, queue) = sync_channel(settings.queue.max(1));
        let ring = Arc::new(Mutex::new(Ring::new(settings.ring)));
        let unwritten = Arc::new(AtomicU64::new(0));
        writer::start(queue, file, Arc::clone(&ring), Arc::clone(&unwritten), settings.full_address)?;
        Ok(Self { jobs, ring, unwritten })
    }

    /// Hands a record to the writer without waiting; `false` says that it was dropped because too many wait.
    pub fn append(&self, record: Record) -> bool {
        self.jobs.try_send(Job::Append(Box::new(record))).is_ok()
    }

    /// Keeps records by other settings from now on: how many bytes, how long, and how much of an address.
    pub fn keep(&self, settings: &Settings) {
        // Without a writer there is nothing to keep.
        let _ = self.jobs.send(Job::Keep(Box::new(settings.clone())));
    }

    /// The newest records that a filter lets through, newest first, at most [`Filter::limit`], from memory only.
    pub fn query(&self, filter: &Filter) -> Vec<serde_json::Value> {
        let lines = self.ring.lock().unwrap_or_else(PoisonError::into_inner).find(filter);
        lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits until all records appended before are written and can be queried. Blocks; not for a request.
    pub fn flush(&self) {
        let (said, done) = sync_channel(1);
        if self.jobs.send(Job::Flush(said)).is_ok() {
            // An error means that the writer has ended; then nothing is left to wait for.
            let _ = done.recv();
        }
    }

    /// Records that could not be written to the file since the start (disk full, file gone).
    pub fn unwritten(&self) -> u64 {
        self.unwritten.load(Ordering::Relaxed)
    }
}
