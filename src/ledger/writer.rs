//! The thread that turns records into lines, keeps the newest in the ring and writes all to the file.
//! Must not know who appends.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::SyncSender;
use std::thread;

use super::LedgerError;
use super::Settings;
use super::file::File;
use super::line;
use super::record::Record;
use super::ring::Ring;

#[derive(Debug)]
pub(super) enum Job {
    Append(Box<Record>),
    Flush(SyncSender<()>),
    Keep(Box<Settings>),
}

/// Starts the writer; it ends when the last sender is gone.
pub(super) fn start(
    queue: Receiver<Job>,
    mut file: Option<File>,
    ring: Arc<Mutex<Ring>>,
    unwritten: Arc<AtomicU64>,
    mut full_address: bool,
) -> Result<(), LedgerError> {
    let path = file.as_ref().map(|file| file.path().to_owned()).unwrap_or_default();
    let work = move || {
        while let Ok(job) = queue.recv() {
            match job {
                Job::Append(record) => {
                    let kept = line::kept(&record, full_address);
                    if let Some(file) = &mut file
                        && !file.append(kept.time, &kept.line)
                    {
                        unwritten.fetch_add(1, Ordering::Relaxed);
                    }
                    ring.lock().unwrap_or_else(PoisonError::into_inner).push(kept);
                }
                Job::Keep(settings) => {
                    full_address = settings.full_address;
                    if let Some(file) = &mut file {
                        file.keep(settings.max_bytes, settings.keep);
                    }
                }
                // The caller of a flush may have gone.
                Job::Flush(said) => drop(said.send(())),
            }
        }
    };
    thread::Builder::new().name("ledger".to_owned()).spawn(work).map_err(|source| LedgerError::File { path, source })?;
    Ok(())
}
