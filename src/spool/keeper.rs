//! The work inside a transaction: claims, settling, holds, sweeping, counting; taking stands in `commit`.
//! Must not know threads or who asks.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::ErrorCode;
use rusqlite::params;
use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::verdict::AfterHold;
use crate::verdict::Until;

use super::SpoolError;
use super::event::DueEvent;
use super::event::Expired;
use super::event::Outcome;
use super::event::Release;
use super::event::Settings;
use super::event::Status;
use super::event::Swept;
use super::file;
use super::file::Opened;
use super::writer::Stop;

/// `events.state`. `events.at` means: due since or not before; held at most until; else the time the state was reached.
/// 4 is parked.
pub(super) const DUE: i64 = 0;
pub(super) const HELD: i64 = 1;
pub(super) const SUPPRESSED: i64 = 2;
pub(super) const DELIVERED: i64 = 3;

/// Why an event older than Meta takes is parked.
const TOO_OLD: &str = "too_old";
/// Bytes of bodies that a page of the file holds, at least.
const PAGE: usize = 4_000;
/// Rows forgotten by one sweep at most, so that a sweep never holds up commits for long.
const FORGOTTEN_AT_ONCE: i64 = 5_000;
/// Calls bring their moments out of order by far less; a moment further back than this tells of a clock that was set.
const DISORDER: Duration = Duration::from_mins(1);

/// The connection and what is known beside it.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) connection: Connection,
    /// Rows handed out for delivery, and until when nobody else gets them.
    pub(super) claims: HashMap<i64, UnixMillis>,
    fresh: Vec<i64>,
    settings: Settings,
    soft_pages: i64,
    broken: Option<SpoolError>,
    woken: bool,
    stop: Option<Stop>,
    /// The latest moment that a commit or a claim has brought.
    latest: UnixMillis,
}

impl Keeper {
    pub(super) fn new(opened: Opened, settings: &Settings) -> Self {
        let Opened { connection, soft_pages } = opened;
        Self {
            connection,
            claims: HashMap::new(),
            fresh: Vec::new(),
            settings: settings.clone(),
            soft_pages,
            broken: None,
            woken: false,
            stop: None,
            latest: UnixMillis(0),
        }
    }

    pub(super) fn begin(&mut self) {
        self.fresh.clear();
        self.woken = false;
        self.broken = self.connection.execute_batch("BEGIN IMMEDIATE").err().map(SpoolError::from);
    }

    /// Commits; after any failure nothing of the turn was taken and the connection is ready for the next.
    pub(super) fn end(&mut self) -> Result<(), SpoolError> {
        let ended = match self.broken.take() {
            Some(broken) => Err(broken),
            None => self.connection.execute_batch("COMMIT").map_err(SpoolError::from),
        };
        if ended.is_err() {
            if !self.connection.is_autocommit() {
                // It fails only where SQLite has rolled back already.
                let _ = self.connection.execute_batch("ROLLBACK");
            }
            for row in &self.fresh {
                self.claims.remove(row);
            }
        }
        ended
    }

    /// Runs one call so that its failure undoes itself alone.
    pub(super) fn apart<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, SpoolError>) -> Result<T, SpoolError> {
        if let Some(broken) = &self.broken {
            return Err(broken.clone());
        }
        self.connection.prepare_cached("SAVEPOINT call")?.execute([])?;
        let result = work(self);
        if self.connection.is_autocommit() {
            // A full disk can make SQLite roll the whole transaction back; then nobody's call was taken.
            let error = result.err().unwrap_or(SpoolError::Full(None));
            self.broken = Some(error.clone());
            return Err(error);
        }
        if result.is_err() {
            self.connection.prepare_cached("ROLLBACK TO call")?.execute([])?;
        }
        self.connection.prepare_cached("RELEASE call")?.execute([])?;
        result
    }

    pub(super) fn stop(&mut self, stop: Stop) {
        self.stop = Some(stop);
    }

    pub(super) fn stopping(&mut self) -> Option<Stop> {
        self.stop.take()
    }

    pub(super) fn wake(&mut self) {
        self.woken = true;
    }

    pub(super) fn take_woken(&mut self) -> bool {
        std::mem::take(&mut self.woken)
    }

    /// Writes the log back into the file. Whether it works does not matter: the log holds all of it.
    pub(super) fn close(self) {
        let _ = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    }

    /// Refuses bodies of so many bytes where they would reach into the reserve. Seen before writing, since SQLite answers
    /// a full file by rolling back the whole transaction, and with it the calls of others.
    pub(super) fn check_room(&self, bytes: usize) -> Result<(), SpoolError> {
        let wanted = i64::try_from(bytes / PAGE).unwrap_or(i64::MAX);
        if self.used_pages()?.saturating_add(wanted) >= self.soft_pages { Err(SpoolError::Full(None)) } else { Ok(()) }
    }

    /// Refuses what changes events that are not at hand, as something stands in for the file.
    fn check_file(&self) -> Result<(), SpoolError> {
        if self.soft_pages == file::NO_ROOM { Err(SpoolError::Full(None)) } else { Ok(()) }
    }

    pub(super) fn claim(&mut self, destination: &Arc<str>, now: UnixMillis, limit: usize) -> Result<Vec<DueEvent>, SpoolError> {
        self.follow_clock(now)?;
        self.claims.retain(|_, until| *until > now);
        let oldest = seconds(now.minus(self.settings.oldest));
        let mut due = Vec::new();
        {
            let mut query = self.connection.prepare_cached(
                "SELECT row, name, id, time, attempts, body FROM events
                 WHERE state = 0 AND destination = ?1 AND at <= ?2 ORDER BY at, row",
            )?;
            let mut rows = query.query(params![destination, millis(now)])?;
            while due.len() < limit
                && let Some(row) = rows.next()?
            {
                let id: i64 = row.get(0)?;
                let time: i64 = row.get(3)?;
                if self.claims.contains_key(&id) || time < oldest {
                    continue;
                }
                due.push(DueEvent {
                    row: id,
                    destination: Arc::clone(destination),
                    name: row.get(1)?,
                    id: row.get(2)?,
                    time: u64::try_from(time).unwrap_or(0),
                    attempts: row.get(4)?,
                    body: row.get(5)?,
                });
            }
        }
        for event in &due {
            self.claims.insert(event.row, now.plus(self.settings.lease));
            self.fresh.push(event.row);
        }
        Ok(due)
    }

    /// Remembers the latest moment seen; where the clock was set back, what is due does not wait for it to catch up.
    fn follow_clock(&mut self, now: UnixMillis) -> Result<(), SpoolError> {
        if now.plus(DISORDER) < self.latest {
            self.run("UPDATE events SET at = ?1 WHERE state = 0 AND at > ?1", params![millis(now)])?;
            self.latest = now;
        }
        self.saw(now);
        Ok(())
    }

    /// Notes a moment that a call has brought.
    pub(super) fn saw(&mut self, now: UnixMillis) {
        self.latest = self.latest.max(now);
    }

    pub(super) fn settle(&mut self, now: UnixMillis, outcomes: &[(i64, Outcome)]) -> Result<(), SpoolError> {
        for (row, outcome) in outcomes {
            match outcome {
                Outcome::Delivered => {
                    self.run(
                        "UPDATE events SET state = 3, at = ?2, attempts = attempts + 1, body = NULL WHERE row = ?1 AND state = 0",
                        params![row, millis(now)],
                    )?;
                }
                Outcome::RetryAt(at) => {
                    self.run(
                        "UPDATE events SET at = ?2, attempts = attempts + 1 WHERE row = ?1 AND state = 0",
                        params![row, millis(*at)],
                    )?;
                }
                Outcome::Parked(reason) => self.park(*row, reason, now)?,
                Outcome::Replace(body) => {
                    self.run(
                        "UPDATE events SET at = ?2, attempts = attempts + 1, body = ?3 WHERE row = ?1 AND state = 0",
                        params![row, millis(now), body],
                    )?;
                    self.wake();
                }
            }
            self.claims.remove(row);
        }
        Ok(())
    }

    pub(super) fn release(&mut self, visit: Uuid, what: &Release, now: UnixMillis) -> Result<u32, SpoolError> {
        self.check_file()?;
        let visit = visit.as_bytes().as_slice();
        let released = match what {
            Release::Proof | Release::Consent => self.run(
                "UPDATE events SET state = 0, at = ?2 WHERE state = 1 AND visit = ?1 AND until = ?3",
                params![visit, millis(now), until_code(if *what == Release::Proof { Until::JsProof } else { Until::Consent })],
            )?,
            Release::Event(name) => self.run(
                "UPDATE events SET state = 0, at = ?2 WHERE state = 1 AND visit = ?1 AND replay_on = ?3 AND until <> ?4",
                params![visit, millis(now), name, until_code(Until::Consent)],
            )?,
        };
        self.woken |= released > 0;
        Ok(released)
    }

    pub(super) fn suppress_held(&mut self, visit: Uuid, now: UnixMillis) -> Result<u32, SpoolError> {
        self.check_file()?;
        self.run(
            "UPDATE events SET state = 2, at = ?2, body = NULL WHERE state = 1 AND visit = ?1",
            params![visit.as_bytes().as_slice(), millis(now)],
        )
    }

    pub(super) fn sweep(&mut self, now: UnixMillis) -> Result<Swept, SpoolError> {
        let at = millis(now);
        let forwarded = self.run(
            "UPDATE events SET state = 0, at = ?1 WHERE state = 1 AND at <= ?1 AND after = ?2",
            params![at, after_code(AfterHold::Forward)],
        )?;
        let suppressed = self.run(
            "UPDATE events SET state = 2, at = ?1, body = NULL WHERE state = 1 AND at <= ?1 AND after = ?2",
            params![at, after_code(AfterHold::Suppress)],
        )?;
        let expired = self.park_old(now)?;
        let gone = millis(now.minus(self.settings.keep));
        let chosen = "SELECT row FROM events WHERE state IN (2, 3, 4) AND at < ?1 ORDER BY row LIMIT ?2";
        self.run(&format!("DELETE FROM marks WHERE row IN ({chosen})"), params![gone, FORGOTTEN_AT_ONCE])?;
        let forgotten = self.run(&format!("DELETE FROM events WHERE row IN ({chosen})"), params![gone, FORGOTTEN_AT_ONCE])?;
        self.woken |= forwarded > 0;
        Ok(Swept { forwarded, suppressed, expired, forgotten })
    }

    pub(super) fn status(&mut self) -> Result<Status, SpoolError> {
        let count = |sql: &str| -> Result<u64, rusqlite::Error> {
            let rows: i64 = self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
            Ok(u64::try_from(rows).unwrap_or(0))
        };
        let page: i64 = self.connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        Ok(Status {
            due: count("SELECT count(*) FROM events WHERE state = 0")?,
            held: count("SELECT count(*) FROM events WHERE state = 1")?,
            parked: count("SELECT count(*) FROM events WHERE state = 4")?,
            marks: count("SELECT count(*) FROM marks")?,
            bytes: u64::try_from(self.used_pages()?.saturating_mul(page)).unwrap_or(0),
        })
    }

    pub(super) fn waiting(&mut self, destination: &str) -> Result<u64, SpoolError> {
        let sql = "SELECT count(*) FROM events WHERE state IN (0, 1) AND destination = ?1";
        let rows: i64 = self.connection.prepare_cached(sql)?.query_row([destination], |row| row.get(0))?;
        Ok(u64::try_from(rows).unwrap_or(0))
    }

    pub(super) fn replay_parked(&mut self, destination: &str, now: UnixMillis) -> Result<u32, SpoolError> {
        self.check_file()?;
        let replayed = self.run(
            "UPDATE events SET state = 0, at = ?2, reason = NULL WHERE state = 4 AND destination = ?1",
            params![destination, millis(now)],
        )?;
        self.woken |= replayed > 0;
        Ok(replayed)
    }

    /// Parks due events that nobody may send any more: their destination was down, dead or gone for too long.
    fn park_old(&mut self, now: UnixMillis) -> Result<Vec<Expired>, SpoolError> {
        let oldest = seconds(now.minus(self.settings.oldest));
        let mut old: Vec<(i64, Expired)> = {
            let mut query = self.connection.prepare_cached(
                "SELECT row, destination, name, id, attempts FROM events WHERE state = 0 AND time < ?1 LIMIT ?2",
            )?;
            let expired = |row: &rusqlite::Row<'_>| {
                let destination: String = row.get(1)?;
                let event =
                    Expired { destination: destination.into(), name: row.get(2)?, id: row.get(3)?, attempts: row.get(4)? };
                Ok((row.get(0)?, event))
            };
            query.query_map(params![oldest, FORGOTTEN_AT_ONCE], expired)?.collect::<Result<_, _>>()?
        };
        // What a worker holds is its own to settle.
        old.retain(|(row, _)| self.claims.get(row).is_none_or(|until| *until <= now));
        for (row, _) in &old {
            self.park(*row, TOO_OLD, now)?;
        }
        Ok(old.into_iter().map(|(_, event)| event).collect())
    }

    fn park(&mut self, row: i64, reason: &str, now: UnixMillis) -> Result<(), SpoolError> {
        self.run(
            "UPDATE events SET state = 4, at = ?2, reason = ?3 WHERE row = ?1 AND state = 0",
            params![row, millis(now), reason],
        )?;
        Ok(())
    }

    pub(super) fn run(&self, sql: &str, values: impl rusqlite::Params) -> Result<u32, SpoolError> {
        let changed = self.connection.prepare_cached(sql)?.execute(values)?;
        Ok(u32::try_from(changed).unwrap_or(u32::MAX))
    }

    fn used_pages(&self) -> Result<i64, rusqlite::Error> {
        let ask = |sql: &str| self.connection.prepare_cached(sql)?.query_row([], |row| row.get::<_, i64>(0));
        Ok(ask("PRAGMA page_count")? - ask("PRAGMA freelist_count")?)
    }
}

/// Full and failing disks pass; everything else is a fault of ours.
impl From<rusqlite::Error> for SpoolError {
    fn from(error: rusqlite::Error) -> Self {
        let code = error.sqlite_error_code();
        let error = Arc::new(error);
        match code {
            Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::ReadOnly) => {
                Self::Full(Some(error))
            }
            _ => Self::Database(error),
        }
    }
}

pub(super) fn millis(at: UnixMillis) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

fn seconds(at: UnixMillis) -> i64 {
    i64::try_from(at.seconds()).unwrap_or(i64::MAX)
}

pub(super) fn until_code(until: Until) -> i64 {
    match until {
        Until::JsProof => 0,
        Until::Consent => 1,
    }
}

pub(super) fn after_code(after: AfterHold) -> i64 {
    match after {
        AfterHold::Forward => 0,
        AfterHold::Suppress => 1,
    }
}
