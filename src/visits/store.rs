//! The visits on disk: a database that is written behind, each `write_every`, by a thread of its own. What cannot be
//! written is counted and left to the visit's next change. Must not know what visits are looked up by.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::ErrorCode;
use rusqlite::params;

use crate::clock::UnixMillis;

use super::Settings;
use super::VisitsError;
use super::stored::Stored;
use super::table::Table;
use super::visit::Visit;

/// The format of the file; a newer one is refused.
const FORMAT: i64 = 1;
/// Orders to the writer that wait at most; there is one `flush` or `forget` at a time.
const QUEUE: usize = 16;

/// What the table is to learn from the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fill {
    /// All that is young enough.
    Whole,
    /// Nothing: it knows as much.
    Nothing,
}

#[derive(Debug)]
enum Job {
    Flush(SyncSender<()>),
    Forget(UnixMillis),
    Keep(String),
}

/// A handle of the writer; dropping it lets the writer write what changed and end.
#[derive(Debug)]
pub(super) struct Store {
    jobs: Option<SyncSender<Job>>,
    writer: Option<thread::JoinHandle<()>>,
    unwritten: Arc<AtomicU64>,
    learnt: Option<String>,
}

impl Store {
    /// Opens the file, fills the table from it and starts the writer.
    pub(super) fn open(path: &Path, settings: &Settings, table: &Arc<Table>, fill: Fill) -> Result<Self, VisitsError> {
        let database = |source: rusqlite::Error| match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => VisitsError::Damaged { path: path.to_owned(), source },
            _ => VisitsError::Database { path: path.to_owned(), source },
        };
        make_file(path).map_err(|source| VisitsError::File { path: path.to_owned(), source })?;
        let connection = Connection::open(path).map_err(database)?;
        let found = prepare(&connection, settings).map_err(database)?;
        if found > FORMAT {
            return Err(VisitsError::Newer { path: path.to_owned(), found, known: FORMAT });
        }
        let mut learnt = None;
        if fill == Fill::Whole {
            load(&connection, settings, table).map_err(database)?;
            // A file in which nothing was kept yet has no such table.
            learnt = connection.query_row("SELECT body FROM learnt", [], |row| row.get(0)).ok();
        }
        let (jobs, queue) = sync_channel(QUEUE);
        let unwritten = Arc::new(AtomicU64::new(0));
        let writer = Writer {
            connection,
            table: Arc::clone(table),
            unwritten: Arc::clone(&unwritten),
            most: i64::try_from(settings.max_visits).unwrap_or(i64::MAX),
        };
        let every = settings.write_every;
        let writer = thread::Builder::new()
            .name("visits".to_owned())
            .spawn(move || writer.run(&queue, every))
            .map_err(|source| VisitsError::File { path: path.to_owned(), source })?;
        Ok(Self { jobs: Some(jobs), writer: Some(writer), unwritten, learnt })
    }

    /// What an earlier process kept with [`Store::keep`]; once.
    pub(super) fn learnt(&mut self) -> Option<String> {
        self.learnt.take()
    }

    /// Keeps what visits have taught, in place of what was kept before.
    pub(super) fn keep(&self, learnt: String) {
        // Where the writer is behind, the next one is as good.
        let _ = self.jobs.as_ref().map(|jobs| jobs.try_send(Job::Keep(learnt)));
    }

    pub(super) fn flush(&self) {
        let (said, done) = sync_channel(1);
        if self.jobs.as_ref().is_some_and(|jobs| jobs.send(Job::Flush(said)).is_ok()) {
            // An error means that the writer has ended, all written.
            let _ = done.recv();
        }
    }

    pub(super) fn forget(&self, oldest: UnixMillis) {
        // Where the writer is behind, the next round of sweeps forgets the same rows.
        let _ = self.jobs.as_ref().map(|jobs| jobs.try_send(Job::Forget(oldest)));
    }

    pub(super) fn unwritten(&self) -> u64 {
        self.unwritten.load(Ordering::Relaxed)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.jobs = None;
        // A writer that panicked has nothing left to write.
        let _ = self.writer.take().map(thread::JoinHandle::join);
    }
}

struct Writer {
    connection: Connection,
    table: Arc<Table>,
    unwritten: Arc<AtomicU64>,
    most: i64,
}

impl Writer {
    fn run(mut self, queue: &Receiver<Job>, every: Duration) {
        loop {
            let job = queue.recv_timeout(every);
            let visits = self.table.take_dirty();
            if self.write(&visits).is_err() {
                self.unwritten.fetch_add(visits.len() as u64, Ordering::Relaxed);
            }
            match job {
                // The caller of a flush may have gone.
                Ok(Job::Flush(said)) => drop(said.send(())),
                Ok(Job::Forget(oldest)) => self.count(&self.forget(oldest)),
                Ok(Job::Keep(learnt)) => self.count(&self.keep(&learnt)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn count(&self, done: &rusqlite::Result<()>) {
        self.unwritten.fetch_add(u64::from(done.is_err()), Ordering::Relaxed);
    }

    fn write(&mut self, visits: &[Arc<Visit>]) -> rusqlite::Result<()> {
        if visits.is_empty() {
            return Ok(());
        }
        let transaction = self.connection.transaction()?;
        {
            let mut put = transaction.prepare_cached("INSERT OR REPLACE INTO visits (id, seen, body) VALUES (?1, ?2, ?3)")?;
            for visit in visits {
                let Ok(body) = serde_json::to_string(&Stored::of(visit)) else { continue };
                put.execute(params![visit.id.as_bytes().as_slice(), millis(visit.last_seen), body])?;
            }
        }
        transaction.commit()
    }

    /// The table came later than the format, which an older version reads as well.
    fn keep(&self, learnt: &str) -> rusqlite::Result<()> {
        self.connection
            .execute("CREATE TABLE IF NOT EXISTS learnt (one INTEGER PRIMARY KEY CHECK (one = 1), body TEXT NOT NULL)", [])?;
        self.connection.execute("INSERT OR REPLACE INTO learnt (one, body) VALUES (1, ?1)", [learnt])?;
        Ok(())
    }

    fn forget(&self, oldest: UnixMillis) -> rusqlite::Result<()> {
        self.connection.execute("DELETE FROM visits WHERE seen < ?1", [millis(oldest)])?;
        // Visits evicted from memory stay here until they are too many.
        self.connection.execute(
            "DELETE FROM visits WHERE id IN (SELECT id FROM visits ORDER BY seen DESC LIMIT -1 OFFSET ?1)",
            [self.most],
        )?;
        Ok(())
    }
}

fn make_file(path: &Path) -> std::io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    // SQLite gives its `-wal` and `-shm` files the mode of the file itself.
    fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}

/// Sets the connection up; answers the file's format. Makes the tables only where the file is fresh.
fn prepare(connection: &Connection, settings: &Settings) -> rusqlite::Result<i64> {
    connection.busy_timeout(Duration::from_secs(1))?;
    // Exclusive: a second process is told so at once instead of writing into the same file. Said before the first look
    // into the file, it needs no `-shm` file, for which a full disk would have no room.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > FORMAT {
        return Ok(found);
    }
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let pages = i64::try_from(settings.max_bytes).unwrap_or(i64::MAX) / page.max(1);
    connection.pragma_update_and_check(None, "max_page_count", pages.max(16), |_| Ok(()))?;
    if found == FORMAT {
        // Not written to, so that it opens on a full disk.
        return Ok(found);
    }
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE;
         CREATE TABLE IF NOT EXISTS visits (id BLOB PRIMARY KEY, seen INTEGER NOT NULL, body TEXT NOT NULL) WITHOUT ROWID;
         CREATE INDEX IF NOT EXISTS visits_seen ON visits (seen);
         PRAGMA user_version = {FORMAT};
         COMMIT;"
    ))?;
    Ok(FORMAT)
}

/// Fills the table with the visits of the newest `keep`, counted from the newest of all: no clock is needed for it.
/// A row that cannot be read is left out.
fn load(connection: &Connection, settings: &Settings, table: &Table) -> rusqlite::Result<()> {
    let newest: Option<i64> = connection.query_row("SELECT max(seen) FROM visits", [], |row| row.get(0))?;
    let newest = UnixMillis(u64::try_from(newest.unwrap_or(0)).unwrap_or(0));
    let most = i64::try_from(settings.max_visits).unwrap_or(i64::MAX);
    let mut rows = connection
        .prepare("SELECT body FROM (SELECT body, seen FROM visits WHERE seen >= ?1 ORDER BY seen DESC LIMIT ?2) ORDER BY seen")?;
    for body in rows.query_map(params![millis(newest.minus(settings.keep)), most], |row| row.get::<_, String>(0))? {
        if let Ok(stored) = serde_json::from_str::<Stored>(&body?) {
            table.restore(stored.into_visit());
        }
    }
    Ok(())
}

fn millis(at: UnixMillis) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}
