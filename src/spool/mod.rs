//! The store of events: an event is taken once, kept until its destination has it, and never lost once [`Spool::commit`]
//! has returned. The rest of its promises stand at [`Spool`]. Must not know rules, visits, records or the network.

mod commit;
mod event;
mod file;
mod keeper;
mod writer;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::clock::UnixMillis;

pub use self::event::CopyOf;
pub use self::event::DueEvent;
pub use self::event::Expired;
pub use self::event::NewEvent;
pub use self::event::NewState;
pub use self::event::Outcome;
pub use self::event::Release;
pub use self::event::Settings;
pub use self::event::Status;
pub use self::event::Swept;
pub use self::event::Taken;
use self::keeper::Keeper;
use self::writer::Answer;
use self::writer::Job;
use self::writer::Stop;

/// What the spool could not do.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SpoolError {
    /// The bound or the disk is reached; nothing of the call was taken. Ours to solve; may be retried later.
    #[error("the spool is full\nhint: look at the destination's errors, free disk space or raise the spool's bound")]
    Full(#[source] Option<Arc<rusqlite::Error>>),
    /// Too many calls wait for the writer; nothing was taken. May be retried soon.
    #[error("the spool is busy")]
    Busy,
    /// Another process owns the file.
    #[error("`{}` is in use by another process\nhint: stop it, or give this one a state folder of its own", path.display())]
    Owned {
        /// The spool's file.
        path: PathBuf,
    },
    /// A newer version of the program wrote the file.
    #[error("`{}` has format {found}, this version knows up to {known}\nhint: start the newer version again", path.display())]
    Newer {
        /// The spool's file.
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
        source: Arc<std::io::Error>,
    },
    /// The file is no database of ours any more.
    #[error(
        "`{}` is damaged\nhint: nothing was changed: put a backup in its place, or move it and its `-wal` file away to start with an empty spool",
        path.display()
    )]
    Damaged {
        /// The spool's file.
        path: PathBuf,
        /// What the database says.
        #[source]
        source: Arc<rusqlite::Error>,
    },
    /// The log is there, the file it belongs to is not: opening would throw the log away.
    #[error(
        "`{}` is missing or empty, though its log `{}` is not\nhint: nothing was changed: bring the file back, or move the log away to start with an empty spool",
        path.display(),
        log.display()
    )]
    Beheaded {
        /// The spool's file.
        path: PathBuf,
        /// Its log.
        log: PathBuf,
    },
    /// The database refused; nothing of the call was taken.
    #[error("the spool's database refused")]
    Database(#[source] Arc<rusqlite::Error>),
    /// The spool was closed.
    #[error("the spool is closed")]
    Closed,
}

impl SpoolError {
    /// Whether the sender should try again later (answered with 503 and `Retry-After`).
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Full(_) | Self::Busy)
    }
}

/// A handle of the spool; clones share it.
///
/// # Tables
///
/// `events` has one row per event and destination, `marks` one row per (destination, name, id), aliases included, that
/// points at its event. A mark is written in the transaction that writes its event, and forgotten with it.
/// A browser's mark does not stand in the way of a back end's event that names another `_fbp`: that one is stored beside it
/// under its id apart, until a back end's copy without that contradiction has confirmed the mark.
///
/// # States
///
/// ```text
/// commit -> due        -> delivered            (settle: body removed, mark kept)
///                      -> due later            (settle: retry; or replaced body, due now)
///                      -> parked               (settle, or too old when swept; body kept)
///        -> held       -> due                  (release, sweep, or a due back-end copy of a browser's event)
///                      -> suppressed           (suppress_held, sweep; body removed)
///        -> suppressed -> as given             (only a browser's mark, only by a back-end copy that is not suppressed)
/// parked -> due                                (replay_parked)
/// delivered, suppressed, parked -> forgotten   (sweep, `keep` after the state was reached)
/// ```
///
/// An event that is due or held is never forgotten. A row without a body is never due.
///
/// # The clock
///
/// Moments come in with the calls. A clock that is set back would leave whatever waits to wait for as long again; so once
/// a call's moment lies more than a minute before one seen earlier, all that is due is due now. Holds keep their end.
///
/// # Commit, acknowledge, recover
///
/// One thread owns the only connection. It takes what is queued, up to `group` calls, runs each in its own savepoint
/// inside one transaction, commits (WAL, `synchronous=FULL`: one fsync), and only then answers each caller. A call
/// that fails undoes itself alone. A caller that went away is still served: its event is a copy when it comes again.
///
/// Claims live in memory: a crash returns claimed events to those that are due, and they are sent again under the
/// same id. Recovery is SQLite's: what was committed is read from the log, a torn end of the log is left out.
///
/// # Limits
///
/// `max_bytes` bounds the file; near it commits are refused while a reserve is left for settling and sweeping. `queue`
/// bounds waiting calls. A body's and a name's size are the caller's affair.
///
/// A disk that is too full to open the file keeps nobody from starting: commits are refused, nothing is due, and the file
/// is tried again with the calls that come, until it opens.
#[derive(Clone, Debug)]
pub struct Spool {
    jobs: Arc<ArcSwap<mpsc::Sender<Job>>>,
    changed: Arc<Notify>,
    is_open: Arc<AtomicBool>,
}

impl Spool {
    /// Opens or makes the spool and starts its writer; one process may own it.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Owned`], [`SpoolError::Newer`], [`SpoolError::Damaged`], [`SpoolError::Beheaded`],
    /// [`SpoolError::File`] or [`SpoolError::Database`].
    pub fn open(settings: &Settings) -> Result<Self, SpoolError> {
        let changed = Arc::new(Notify::new());
        let is_open = Arc::new(AtomicBool::new(true));
        let jobs = Self::start(settings, &changed, &is_open)?;
        Ok(Self { jobs: Arc::new(ArcSwap::from_pointee(jobs)), changed, is_open })
    }

    /// Opens it again after [`Spool::close`], for all handles.
    ///
    /// # Errors
    ///
    /// As [`Spool::open`].
    pub fn reopen(&self, settings: &Settings) -> Result<(), SpoolError> {
        self.jobs.store(Arc::new(Self::start(settings, &self.changed, &self.is_open)?));
        Ok(())
    }

    fn start(settings: &Settings, changed: &Arc<Notify>, is_open: &Arc<AtomicBool>) -> Result<mpsc::Sender<Job>, SpoolError> {
        let (jobs, queue) = mpsc::channel(settings.queue.max(1));
        is_open.store(true, Ordering::Relaxed);
        let lock = file::lock(&settings.path)?;
        let opened = match file::open(settings) {
            Err(SpoolError::Full(_)) => {
                is_open.store(false, Ordering::Relaxed);
                file::stand_in(settings)?
            }
            opened => opened?,
        };
        writer::start(opened, lock, queue, settings, Arc::clone(changed), Arc::clone(is_open))?;
        Ok(jobs)
    }

    /// Whether the file is open; where it is not, the disk had no room for that, and it is tried again.
    pub fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Takes events: all of them or, with an error, none. Durable when it returns; answers stand in the order given.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Full`] and [`SpoolError::Busy`] pass by themselves; nothing was taken with any error.
    pub async fn commit(&self, now: UnixMillis, events: Vec<NewEvent>) -> Result<Vec<Taken>, SpoolError> {
        let (job, answer) = package(move |keeper| keeper.commit(now, &events));
        self.jobs.load().try_send(job).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => SpoolError::Busy,
            mpsc::error::TrySendError::Closed(_) => SpoolError::Closed,
        })?;
        answer.await.map_err(|_| SpoolError::Closed)?
    }

    /// Claims due events of a destination, longest due first. A claim ends when it is settled, after `lease`, or with
    /// the process. Those older than Meta takes are left to the sweep, which says which they were.
    pub async fn due(&self, destination: &str, now: UnixMillis, limit: usize) -> Result<Vec<DueEvent>, SpoolError> {
        let destination: Arc<str> = destination.into();
        let (job, answer) = package(move |keeper| keeper.claim(&destination, now, limit));
        self.ask(job, answer).await
    }

    /// Says what became of claimed events. Rows that are not due any more are left as they are.
    pub async fn settle(&self, now: UnixMillis, outcomes: Vec<(i64, Outcome)>) -> Result<(), SpoolError> {
        let (job, answer) = package(move |keeper| keeper.settle(now, &outcomes));
        self.ask(job, answer).await
    }

    /// Makes held events of a visit due; answers how many.
    pub async fn release(&self, visit: Uuid, what: Release, now: UnixMillis) -> Result<u32, SpoolError> {
        let (job, answer) = package(move |keeper| keeper.release(visit, &what, now));
        self.ask(job, answer).await
    }

    /// Suppresses all held events of a visit, because its newest verdict says so; answers how many. `now` starts the
    /// time their marks are kept.
    pub async fn suppress_held(&self, visit: Uuid, now: UnixMillis) -> Result<u32, SpoolError> {
        let (job, answer) = package(move |keeper| keeper.suppress_held(visit, now));
        self.ask(job, answer).await
    }

    /// Ends waits whose time is over, parks what became too old, forgets marks past `keep`; a bounded part per call.
    pub async fn sweep(&self, now: UnixMillis) -> Result<Swept, SpoolError> {
        let (job, answer) = package(move |keeper| keeper.sweep(now));
        self.ask(job, answer).await
    }

    /// Whether an event would be taken now, as far as the spool's own bound goes.
    pub async fn takes(&self) -> Result<(), SpoolError> {
        let (job, answer) = package(|keeper: &mut Keeper| keeper.check_room(0));
        self.ask(job, answer).await
    }

    /// How full the spool is. Counts rows, so it is for scrapes, not for each request.
    pub async fn status(&self) -> Result<Status, SpoolError> {
        let (job, answer) = package(Keeper::status);
        self.ask(job, answer).await
    }

    /// How many events wait for a destination, be it for its delivery or to be let go.
    pub async fn waiting(&self, destination: &str) -> Result<u64, SpoolError> {
        let destination = destination.to_owned();
        let (job, answer) = package(move |keeper| keeper.waiting(&destination));
        self.ask(job, answer).await
    }

    /// Makes parked events of a destination due again; answers how many.
    pub async fn replay_parked(&self, destination: &str, now: UnixMillis) -> Result<u32, SpoolError> {
        let destination = destination.to_owned();
        let (job, answer) = package(move |keeper| keeper.replay_parked(&destination, now));
        self.ask(job, answer).await
    }

    /// Wakes all who wait whenever something became due. Make the future before looking for due events.
    pub fn changed(&self) -> &Notify {
        &self.changed
    }

    /// Finishes what is queued, writes the log back into the file and gives it free. Other handles are closed with it.
    pub async fn close(&self) {
        let (said, closed) = oneshot::channel();
        let job: Job = Box::new(move |keeper: &mut Keeper| {
            keeper.stop(Stop(said));
            Box::new(|_| ())
        });
        if self.jobs.load_full().send(job).await.is_ok() {
            // An error means that the writer has ended already.
            let _ = closed.await;
        }
    }

    async fn ask<T>(&self, job: Job, answer: oneshot::Receiver<Result<T, SpoolError>>) -> Result<T, SpoolError> {
        self.jobs.load_full().send(job).await.map_err(|_| SpoolError::Closed)?;
        answer.await.map_err(|_| SpoolError::Closed)?
    }
}

/// Wraps work so that its result is sent only once the transaction it ran in has ended.
fn package<T: Send + 'static>(
    work: impl FnOnce(&mut Keeper) -> Result<T, SpoolError> + Send + 'static,
) -> (Job, oneshot::Receiver<Result<T, SpoolError>>) {
    let (sender, receiver) = oneshot::channel();
    let job: Job = Box::new(move |keeper: &mut Keeper| {
        let result = keeper.apart(work);
        // A caller that went away is no fault: what it asked for is done.
        let answer: Answer = Box::new(move |ended: Result<(), SpoolError>| {
            let _ = sender.send(ended.and(result));
        });
        answer
    });
    (job, receiver)
}
