//! The one thread that owns the connection: group commit, answers after the fsync, wake-up of the workers.
//! Must not know what a call does.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::SpoolError;
use super::event::Settings;
use super::file;
use super::file::Opened;
use super::keeper::Keeper;

/// Tells a caller how its work ended, given how the transaction around it ended.
pub(super) type Answer = Box<dyn FnOnce(Result<(), SpoolError>) + Send>;
/// One call: its work inside the transaction, and the answer to give after it.
pub(super) type Job = Box<dyn FnOnce(&mut Keeper) -> Answer + Send>;
/// Who waits for the writer's end.
#[derive(Debug)]
pub(super) struct Stop(pub(super) oneshot::Sender<()>);

/// How often a file that the disk had no room to open is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// Starts the thread; it ends with [`Keeper::stop`] or when the last handle is gone.
pub(super) fn start(
    opened: Opened,
    lock: fs::File,
    mut queue: mpsc::Receiver<Job>,
    settings: &Settings,
    changed: Arc<Notify>,
    is_open: Arc<AtomicBool>,
) -> Result<(), SpoolError> {
    let group = settings.group.max(1);
    let path: PathBuf = settings.path.clone();
    let settings = settings.clone();
    let mut keeper = Keeper::new(opened, &settings);
    let work = move || {
        let mut jobs = Vec::with_capacity(group);
        let mut tried = Instant::now();
        while let Some(first) = queue.blocking_recv() {
            if !is_open.load(Ordering::Relaxed) && tried.elapsed() >= RETRY {
                if let Ok(opened) = file::open(&settings) {
                    keeper = Keeper::new(opened, &settings);
                    is_open.store(true, Ordering::Relaxed);
                }
                tried = Instant::now();
            }
            jobs.push(first);
            while jobs.len() < group
                && let Ok(job) = queue.try_recv()
            {
                jobs.push(job);
            }
            turn(&mut keeper, &mut jobs, &changed);
            if let Some(stop) = keeper.stopping() {
                queue.close();
                finish(keeper, &mut queue, lock, stop);
                return;
            }
        }
    };
    thread::Builder::new()
        .name("spool".to_owned())
        .spawn(work)
        .map_err(|source| SpoolError::File { path, source: Arc::new(source) })?;
    Ok(())
}

/// Runs calls in one transaction and answers them once it is durable.
fn turn(keeper: &mut Keeper, jobs: &mut Vec<Job>, changed: &Notify) {
    keeper.begin();
    let answers: Vec<Answer> = jobs.drain(..).map(|job| job(keeper)).collect();
    let ended = keeper.end();
    let woken = keeper.take_woken() && ended.is_ok();
    for answer in answers {
        answer(ended.clone());
    }
    if woken {
        changed.notify_waiters();
    }
}

/// Serves what was queued before the end, closes the file, gives the lock free, and only then says so.
fn finish(mut keeper: Keeper, queue: &mut mpsc::Receiver<Job>, lock: fs::File, stop: Stop) {
    let mut late = Vec::new();
    while let Ok(job) = queue.try_recv() {
        late.push(job);
    }
    if !late.is_empty() {
        turn(&mut keeper, &mut late, &Notify::new());
    }
    keeper.close();
    drop(lock);
    // Who asked may have gone.
    let _ = stop.0.send(());
}
