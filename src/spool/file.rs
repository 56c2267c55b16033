//! The spool's files: made with mode 0600, locked for one process, their format checked. Must not know events.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::ErrorCode;
use rusqlite::config::DbConfig;

use super::SpoolError;
use super::event::Settings;

/// The format of the file; a newer one is refused.
const FORMAT: i64 = 2;
/// What format 2 has more than format 1: whose browser spent an id.
const FROM_1: &str = "ALTER TABLE events ADD COLUMN fbp TEXT;";
/// Another process (a backup, an operator's `sqlite3`) may lock the file for a moment; longer is an error.
const PATIENCE: Duration = Duration::from_secs(5);
/// The log is cut to this size after it was written back, so that one great batch does not hold its space for good.
const LOG_BYTES: i64 = 64 << 20;
/// Pages below which the bound would leave no room for the tables themselves.
const FEWEST_PAGES: i64 = 32;

/// The one connection.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) connection: Connection,
    /// Pages beyond which no commit is taken, so that settling and sweeping still have room.
    pub(super) soft_pages: i64,
}

/// Opens or makes the file, which is locked already.
pub(super) fn open(settings: &Settings) -> Result<Opened, SpoolError> {
    let path = &settings.path;
    check_log(path)?;
    make(path).map_err(|source| SpoolError::File { path: path.clone(), source: Arc::new(source) })?;
    let refused = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            SpoolError::Damaged { path: path.clone(), source: Arc::new(error) }
        }
        _ => error.into(),
    };
    let connection = Connection::open(path).map_err(refused)?;
    connection.busy_timeout(PATIENCE)?;
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(refused)?;
    if found > FORMAT {
        return Err(SpoolError::Newer { path: path.clone(), found, known: FORMAT });
    }
    let soft_pages = prepare(&connection, settings, found).map_err(refused)?;
    Ok(Opened { connection, soft_pages })
}

/// What stands in for the file while the disk has no room to open it: empty, and full from the start.
pub(super) fn stand_in(settings: &Settings) -> Result<Opened, SpoolError> {
    let connection = Connection::open_in_memory()?;
    prepare(&connection, settings, 0)?;
    Ok(Opened { connection, soft_pages: 0 })
}

/// `SQLite` deletes a log whose file is missing or empty, and with it everything that was accepted since the log was last
/// written back. That is the operator's to decide.
fn check_log(path: &Path) -> Result<(), SpoolError> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let log = PathBuf::from(log);
    let length = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
    if length(path) == 0 && length(&log) > 0 { Err(SpoolError::Beheaded { path: path.to_owned(), log }) } else { Ok(()) }
}

/// Keeps other processes out for as long as the answer lives.
pub(super) fn lock(path: &Path) -> Result<fs::File, SpoolError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let failed = |source| SpoolError::File { path: name.clone(), source: Arc::new(source) };
    if let Some(folder) = folder_of(path) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    }
    let file = fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&name).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(SpoolError::Owned { path: path.to_owned() }),
        Err(fs::TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Makes the file itself, so that its mode depends on nobody's umask; SQLite gives `-wal` and `-shm` the same mode.
fn make(path: &Path) -> io::Result<()> {
    let file = fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.sync_all()?;
    // The name must survive a power cut as well as what stands in the file.
    fs::File::open(folder_of(path).unwrap_or(Path::new(".")))?.sync_all()
}

fn folder_of(path: &Path) -> Option<&Path> {
    path.parent().filter(|folder| !folder.as_os_str().is_empty())
}

/// Sets the connection up, makes the tables where they are missing or of the format `found`, answers the soft bound in pages. A
/// file of today's format is not written to, so that it opens on a full disk.
fn prepare(connection: &Connection, settings: &Settings, found: i64) -> Result<i64, rusqlite::Error> {
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update_and_check(None, "journal_size_limit", LOG_BYTES, |_| Ok(()))?;
    // Without it the last connection's end rewrites the file, which `close` does on purpose and a crash never does.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.set_prepared_statement_cache_capacity(64);
    let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let pages = (i64::try_from(settings.max_bytes).unwrap_or(i64::MAX) / page.max(1)).max(FEWEST_PAGES);
    connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
    let soft_pages = pages - (pages / 32).max(4);
    if found == FORMAT {
        return Ok(soft_pages);
    }
    let renewed = if found == 1 { FROM_1 } else { "" };
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE;
         {renewed}
         CREATE TABLE IF NOT EXISTS events (
             row INTEGER PRIMARY KEY AUTOINCREMENT, destination TEXT NOT NULL, name TEXT NOT NULL, id TEXT NOT NULL,
             source INTEGER NOT NULL, visit BLOB, time INTEGER NOT NULL, state INTEGER NOT NULL,
             at INTEGER NOT NULL, until INTEGER, after INTEGER, replay_on TEXT,
             attempts INTEGER NOT NULL DEFAULT 0, reason TEXT, body TEXT, fbp TEXT);
         CREATE TABLE IF NOT EXISTS marks (
             destination TEXT NOT NULL, name TEXT NOT NULL, id TEXT NOT NULL, row INTEGER NOT NULL,
             PRIMARY KEY (destination, name, id)) WITHOUT ROWID;
         CREATE INDEX IF NOT EXISTS marks_row ON marks (row);
         CREATE INDEX IF NOT EXISTS events_due ON events (destination, at, row) WHERE state = 0;
         CREATE INDEX IF NOT EXISTS events_held ON events (visit) WHERE state = 1;
         CREATE INDEX IF NOT EXISTS events_state ON events (state, at);
         PRAGMA user_version = {FORMAT};
         COMMIT;"
    ))?;
    Ok(soft_pages)
}
