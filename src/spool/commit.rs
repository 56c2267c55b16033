//! Taking an event: mark and row together, or the answer that it is a copy. Must not know delivery.

use std::sync::Arc;

use rusqlite::OptionalExtension;
use rusqlite::params;
use serde_json::Map;
use serde_json::Value;
use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::event::EventId;
use crate::event::REQUEST;
use crate::event::Source;

use super::SpoolError;
use super::event::CopyOf;
use super::event::NewEvent;
use super::event::NewState;
use super::event::Taken;
use super::keeper::DELIVERED;
use super::keeper::DUE;
use super::keeper::HELD;
use super::keeper::Keeper;
use super::keeper::SUPPRESSED;
use super::keeper::after_code;
use super::keeper::millis;
use super::keeper::until_code;

/// What is known of the event a copy came of.
struct First {
    row: i64,
    state: i64,
    source: i64,
    attempts: u32,
    fbp: Option<String>,
}

/// Whom a new event meets under its ids.
enum Met {
    Nobody,
    /// The event it is a copy of.
    First(First),
    /// Only what another browser reported; the id to be taken under.
    Stranger(EventId),
}

/// The columns that the state of a new event fills.
struct Columns<'a> {
    state: i64,
    at: i64,
    until: Option<i64>,
    after: Option<i64>,
    replay_on: Option<&'a str>,
    body: Option<&'a str>,
}

impl Keeper {
    pub(super) fn commit(&mut self, now: UnixMillis, events: &[NewEvent]) -> Result<Vec<Taken>, SpoolError> {
        self.saw(now);
        self.check_room(events.iter().map(|event| event.body.len()).sum())?;
        events.iter().map(|event| self.take(now, event)).collect()
    }

    fn take(&mut self, now: UnixMillis, event: &NewEvent) -> Result<Taken, SpoolError> {
        let first = match self.meet(event)? {
            Met::First(first) => first,
            Met::Nobody => {
                let row = self.insert(now, event)?;
                self.mark(event, row)?;
                return Ok(Taken::New);
            }
            Met::Stranger(id) => return self.take_apart(now, event, id),
        };
        let from_backend = event.source == Source::Backend && first.source == source_code(Source::Browser);
        let wanted = event.state != NewState::Suppressed;
        self.mark(event, first.row)?;
        if from_backend && first.fbp.is_some() {
            // From now on a back end stands for it too: whoever comes later, it is no stranger's.
            self.run("UPDATE events SET fbp = NULL WHERE row = ?1", params![first.row])?;
        }
        if from_backend && wanted {
            if first.state == SUPPRESSED {
                self.overtake(now, event, first.row)?;
                return Ok(Taken::New);
            }
            self.enrich(now, event, &first)?;
        }
        Ok(Taken::Copy(match first.state {
            DUE => CopyOf::Due,
            HELD => CopyOf::Held,
            SUPPRESSED => CopyOf::Suppressed,
            DELIVERED => CopyOf::Delivered,
            _ => CopyOf::Parked,
        }))
    }

    /// Takes a back end's event whose id another browser has spent, under its id apart. Its other ids stay as they are.
    fn take_apart(&mut self, now: UnixMillis, event: &NewEvent, id: EventId) -> Result<Taken, SpoolError> {
        let body = renamed(&event.body, id.text()).unwrap_or_else(|| event.body.clone());
        let event = NewEvent { id: id.clone(), body, ..event.clone() };
        let row = self.insert(now, &event)?;
        self.mark(&event, row)?;
        Ok(Taken::Apart(id))
    }

    /// Looks for an event that has one of this one's ids; its own id before its aliases. What a browser reported whose
    /// `_fbp` is not the one that the back end names is another's: whoever guesses an order's number can spend its id. Then
    /// the id apart counts, under which the back end may have reported it before.
    fn meet(&self, event: &NewEvent) -> Result<Met, SpoolError> {
        let mut spent = None;
        for id in std::iter::once(&event.id).chain(&event.aliases) {
            match self.marked(event, id)? {
                Some(first) if event.apart.is_some() && is_strangers(&first, event) => spent = event.apart.as_ref(),
                Some(first) => return Ok(Met::First(first)),
                None => {}
            }
        }
        let Some(apart) = spent else { return Ok(Met::Nobody) };
        Ok(self.marked(event, apart)?.map_or_else(|| Met::Stranger(apart.clone()), Met::First))
    }

    fn marked(&self, event: &NewEvent, id: &EventId) -> Result<Option<First>, SpoolError> {
        let mut query = self.connection.prepare_cached(
            "SELECT events.row, state, source, attempts, fbp FROM marks JOIN events ON events.row = marks.row
             WHERE marks.destination = ?1 AND marks.name = ?2 AND marks.id = ?3",
        )?;
        let read = |row: &rusqlite::Row<'_>| {
            Ok(First { row: row.get(0)?, state: row.get(1)?, source: row.get(2)?, attempts: row.get(3)?, fbp: row.get(4)? })
        };
        Ok(query.query_row(params![event.destination, event.name, id.text()], read).optional()?)
    }

    fn insert(&mut self, now: UnixMillis, event: &NewEvent) -> Result<i64, SpoolError> {
        let columns = columns(now, event);
        self.run(
            "INSERT INTO events (destination, name, id, source, visit, time, state, at, until, after, replay_on, body, fbp)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
            params![
                event.destination,
                event.name,
                event.id.text(),
                source_code(event.source),
                event.visit.as_ref().map(Uuid::as_bytes).map(<[u8; 16]>::as_slice),
                i64::try_from(event.time).unwrap_or(i64::MAX),
                columns.state,
                columns.at,
                columns.until,
                columns.after,
                columns.replay_on,
                columns.body,
                event.fbp,
            ],
        )?;
        if columns.state == DUE {
            self.wake();
        }
        Ok(self.connection.last_insert_rowid())
    }

    /// A browser's suppressed mark becomes the back end's event.
    fn overtake(&mut self, now: UnixMillis, event: &NewEvent, row: i64) -> Result<(), SpoolError> {
        let columns = columns(now, event);
        self.run(
            "UPDATE events SET id = ?2, source = ?3, visit = coalesce(?4, visit), time = ?5, state = ?6, at = ?7,
             until = ?8, after = ?9, replay_on = ?10, body = ?11, attempts = 0, reason = NULL WHERE row = ?1",
            params![
                row,
                event.id.text(),
                source_code(event.source),
                event.visit.as_ref().map(Uuid::as_bytes).map(<[u8; 16]>::as_slice),
                i64::try_from(event.time).unwrap_or(i64::MAX),
                columns.state,
                columns.at,
                columns.until,
                columns.after,
                columns.replay_on,
                columns.body,
            ],
        )?;
        if columns.state == DUE {
            self.wake();
        }
        Ok(())
    }

    /// Adds what the back end knows more to a browser's event that nobody has tried to send yet (every try must carry
    /// the same bytes), and lets go of a hold that the back end's copy does not have.
    fn enrich(&mut self, now: UnixMillis, event: &NewEvent, first: &First) -> Result<(), SpoolError> {
        let waits = first.state == DUE || first.state == HELD;
        if !waits || first.attempts > 0 || self.claims.contains_key(&first.row) {
            return Ok(());
        }
        let known: String =
            self.connection.prepare_cached("SELECT body FROM events WHERE row = ?1")?.query_row([first.row], |row| row.get(0))?;
        let body = merged(&known, &event.body).unwrap_or(known);
        self.run("UPDATE events SET body = ?2 WHERE row = ?1", params![first.row, body])?;
        if first.state == HELD && event.state == NewState::Due {
            self.run("UPDATE events SET state = 0, at = ?2 WHERE row = ?1", params![first.row, millis(now)])?;
            self.wake();
        }
        Ok(())
    }

    fn mark(&self, event: &NewEvent, row: i64) -> Result<(), SpoolError> {
        for id in std::iter::once(&event.id).chain(&event.aliases) {
            // An id that another event has stays with it.
            self.run(
                "INSERT OR IGNORE INTO marks (destination, name, id, row) VALUES (?1, ?2, ?3, ?4)",
                params![event.destination, event.name, id.text(), row],
            )?;
        }
        Ok(())
    }
}

fn columns(now: UnixMillis, event: &NewEvent) -> Columns<'_> {
    let base = Columns { state: DUE, at: millis(now), until: None, after: None, replay_on: None, body: Some(&event.body) };
    match &event.state {
        NewState::Due => base,
        NewState::Suppressed => Columns { state: SUPPRESSED, body: None, ..base },
        NewState::Held { until, release_at, then, replay_on } => Columns {
            state: HELD,
            at: millis(*release_at),
            until: Some(until_code(*until)),
            after: Some(after_code(*then)),
            replay_on: replay_on.as_ref().map(Arc::as_ref),
            ..base
        },
    }
}

fn source_code(source: Source) -> i64 {
    match source {
        Source::Browser => 0,
        Source::Backend => 1,
    }
}

fn is_strangers(first: &First, event: &NewEvent) -> bool {
    let browsers = first.source == source_code(Source::Browser) && event.source == Source::Backend;
    browsers && matches!((&first.fbp, &event.fbp), (Some(first), Some(named)) if first != named)
}

/// A body under another id.
fn renamed(body: &str, id: &str) -> Option<String> {
    let mut body: Map<String, Value> = serde_json::from_str(body).ok()?;
    body.insert("event_id".to_owned(), Value::from(id));
    serde_json::to_string(&body).ok()
}

/// The first copy's body with the keys of `user_data` and `custom_data` that only the later one has, and with what the
/// later one's request says. `None` where either is no JSON object.
fn merged(first: &str, later: &str) -> Option<String> {
    let mut body: Map<String, Value> = serde_json::from_str(first).ok()?;
    let later: Map<String, Value> = serde_json::from_str(later).ok()?;
    for part in ["user_data", "custom_data", REQUEST] {
        let Some(Value::Object(more)) = later.get(part) else { continue };
        if let Value::Object(known) = body.entry(part).or_insert_with(|| Value::Object(Map::new())) {
            for (key, value) in more {
                known.entry(key.as_str()).or_insert_with(|| value.clone());
            }
        }
    }
    serde_json::to_string(&body).ok()
}
