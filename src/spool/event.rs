//! The words of the spool: what is given to it, what it answers, what it hands out for delivery.
//! Must not know how they are stored.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::event::EventId;
use crate::event::Source;
use crate::verdict::AfterHold;
use crate::verdict::Until;

/// Where the spool lives and how far it may grow.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The database file; its folder is made if it is missing. `-wal`, `-shm` and `.lock` files stand beside it.
    pub path: PathBuf,
    /// The most bytes of the database file. 1 GiB holds a million events, days of a large shop without its destination.
    pub max_bytes: u64,
    /// How long a mark outlives its event's end (delivered, suppressed, parked). Seven days: Meta takes no older event.
    pub keep: Duration,
    /// The age at which Meta refuses an event, by its `event_time`; older ones are not handed out, and parked as
    /// `too_old` by the next sweep.
    pub oldest: Duration,
    /// Calls that wait for the writer at most; a commit beyond is refused as busy. 4,096 are a few milliseconds of work.
    pub queue: usize,
    /// Calls that share one transaction and one fsync at most. 64: throughput hardly grows beyond, latency does.
    pub group: usize,
    /// How long claimed events are kept from other claims if their worker never settles them.
    pub lease: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        const WEEK: Duration = Duration::from_hours(7 * 24);
        Self {
            path: PathBuf::from("state/spool.db"),
            max_bytes: 1 << 30,
            keep: WEEK,
            oldest: WEEK,
            queue: 4_096,
            group: 64,
            lease: Duration::from_mins(10),
        }
    }
}

/// One event for one destination, as it is given to the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// The destination's name.
    pub destination: Arc<str>,
    /// The event's name, before any renaming; part of the mark.
    pub name: String,
    /// The id it is sent under; with destination and name its mark.
    pub id: EventId,
    /// Further ids under which a copy may come.
    pub aliases: Vec<EventId>,
    /// Which half reported it.
    pub source: Source,
    /// The visit it was joined to.
    pub visit: Option<Uuid>,
    /// Its `event_time`, seconds since the epoch.
    pub time: u64,
    /// The Meta event object as JSON, contact data hashed; not stored for a suppressed event.
    pub body: String,
    /// The `_fbp` of who reports it, as far as it is known, in a form in which equal ones are equal texts.
    pub fbp: Option<String>,
    /// The id it is stored under where its own was spent by another browser; only for a back end's event.
    pub apart: Option<EventId>,
    /// What is to become of it.
    pub state: NewState,
}

/// What is to become of a new event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewState {
    /// It is to be sent now.
    Due,
    /// It waits.
    Held {
        /// For what.
        until: Until,
        /// When the wait is over at the latest.
        release_at: UnixMillis,
        /// What happens then.
        then: AfterHold,
        /// An event name of the same visit that releases it earlier.
        replay_on: Option<Arc<str>>,
    },
    /// It is never sent; only its mark is stored.
    Suppressed,
}

/// What the spool made of one given event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is stored as given.
    New,
    /// It is stored under this id: its own was spent by a browser that is not the one the back end names.
    Apart(EventId),
    /// It is a copy of an event already taken, which was in this state when the copy came.
    Copy(CopyOf),
}

/// The state of an event whose copy came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyOf {
    /// It waits for delivery.
    Due,
    /// It waits for proof or consent. A back-end copy that is due has released it.
    Held,
    /// It is never sent.
    Suppressed,
    /// It was delivered.
    Delivered,
    /// It was set aside.
    Parked,
}

/// An event claimed for delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueEvent {
    /// Its row, by which it is settled.
    pub row: i64,
    /// The destination's name.
    pub destination: Arc<str>,
    /// The event's name when it was taken.
    pub name: String,
    /// The id it is sent under.
    pub id: String,
    /// Its `event_time`, seconds since the epoch.
    pub time: u64,
    /// The Meta event object as JSON.
    pub body: String,
    /// Tries so far.
    pub attempts: u32,
}

/// What became of a claimed event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The destination has it: its body goes, its mark stays.
    Delivered,
    /// It is tried again, not before this moment.
    RetryAt(UnixMillis),
    /// It is set aside for good, by this reason code (no personal data).
    Parked(String),
    /// It is due at once with another body.
    Replace(String),
}

/// What releases held events of a visit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Release {
    /// The page's script proved that it ran: those held until [`Until::JsProof`].
    Proof,
    /// Consent was granted: those held until [`Until::Consent`].
    Consent,
    /// An event of this name was forwarded: those with that `replay_on`, except where consent is missing.
    Event(String),
}

/// What a sweep did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Held events whose time was over and that are due now.
    pub forwarded: u32,
    /// Held events whose time was over and that are suppressed now.
    pub suppressed: u32,
    /// Due events that became too old and are parked now.
    pub expired: Vec<Expired>,
    /// Rows forgotten with their marks.
    pub forgotten: u32,
}

/// An event that grew too old before it could be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expired {
    /// The destination's name.
    pub destination: Arc<str>,
    /// The event's name when it was taken.
    pub name: String,
    /// The id it would have been sent under.
    pub id: String,
    /// Tries so far.
    pub attempts: u32,
}

/// How full the spool is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Events that wait for delivery.
    pub due: u64,
    /// Events that wait for proof or consent.
    pub held: u64,
    /// Events set aside.
    pub parked: u64,
    /// Ids known, aliases included.
    pub marks: u64,
    /// Bytes of the database in use.
    pub bytes: u64,
}
