//! The access log: a line of JSON for each answer, written by a thread of its own. Promises: whoever tells of an answer never
//! waits; a full disk or a reader that has stopped reading costs lines, which are counted, and nothing else. What a line says
//! of address and query follows the rule of records. Must not know how answers are made.

use std::fs;
use std::io;
use std::io::Write;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use serde_json::json;

use crate::clock::UnixMillis;
use crate::fact::TlsShown;
use crate::verdict::Band;
use crate::verdict::Score;

use super::LedgerError;
use super::Settings;
use super::clean;
use super::file::File;

/// Lines that wait at most: a second of a disk that hangs, at 8,000 answers a second.
const QUEUE: usize = 8_192;
/// How long the last lines may take at the end of the process.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// Standard output.
    Stdout,
    /// A file, which is rotated, or a pipe.
    File(PathBuf),
}

/// One answer.
#[derive(Clone, Debug)]
pub struct Line {
    /// When the request came.
    pub time: UnixMillis,
    /// Its method.
    pub method: String,
    /// Its `Host`.
    pub host: String,
    /// Its target with the query.
    pub target: String,
    /// The answer's status; `None` where the visitor left before there was one.
    pub status: Option<u16>,
    /// Bytes of the answer's body as they were handed to the connection.
    pub bytes: u64,
    /// From the request's head to the answer's end.
    pub took: Duration,
    /// From forwarding the request to the head of the site's answer.
    pub upstream: Option<Duration>,
    /// `HTTP/1.1` or `HTTP/2`, as the visitor spoke it.
    pub protocol: &'static str,
    /// `http` or `https`, on the connection itself.
    pub scheme: &'static str,
    /// What the visitor's handshake with us shows.
    pub tls: Option<Arc<TlsShown>>,
    /// Score and band, for a page view.
    pub verdict: Option<(Score, Band)>,
    /// The client's address.
    pub address: Option<IpAddr>,
}

#[derive(Debug)]
enum Job {
    Line(Box<Line>),
    Reopen,
    Flush(SyncSender<()>),
}

/// A handle of the log; clones share it.
#[derive(Clone, Debug)]
pub struct Access {
    jobs: SyncSender<Job>,
    dropped: Counter,
}

impl Access {
    /// Opens the log and starts its thread; `dropped` counts lines that found no room, in the queue or on the disk. Of the
    /// settings, the bounds of the file and the form of addresses are used.
    ///
    /// # Errors
    ///
    /// [`LedgerError::File`] where a file cannot be opened now; later trouble is only counted.
    pub fn open(to: &To, settings: &Settings, dropped: Counter) -> Result<Self, LedgerError> {
        let (jobs, queue) = sync_channel(QUEUE);
        let sink = Sink::open(to, settings)?;
        let path = settings.path.clone().unwrap_or_default();
        let (full_address, lost) = (settings.full_address, dropped.clone());
        thread::Builder::new()
            .name("access".to_owned())
            .spawn(move || write(&queue, sink, full_address, &lost))
            .map_err(|source| LedgerError::File { path, source })?;
        Ok(Self { jobs, dropped })
    }

    /// Tells of an answer without waiting.
    pub fn tell(&self, line: Box<Line>) {
        if self.jobs.try_send(Job::Line(line)).is_err() {
            self.dropped.inc();
        }
    }

    /// Opens the file anew for the next line, as after it was moved away.
    pub fn reopen(&self) {
        // Where too many lines wait, whoever moved the file asks again.
        let _ = self.jobs.try_send(Job::Reopen);
    }

    /// Waits until what was told is written, for a second at most. Blocks; not for a request.
    pub fn flush(&self) {
        let (said, done) = sync_channel(1);
        if self.jobs.try_send(Job::Flush(said)).is_ok() {
            // Too late is as good as never: the process ends.
            let _ = done.recv_timeout(LAST_LINES);
        }
    }
}

/// What is written to.
#[derive(Debug)]
enum Sink {
    File(Box<File>),
    /// Opened by the first line, since opening a pipe waits for its reader.
    Pipe(PathBuf, Option<fs::File>),
    Stdout(Option<fs::File>),
}

impl Sink {
    fn open(to: &To, settings: &Settings) -> Result<Self, LedgerError> {
        Ok(match to {
            // Not by `std::io::stdout`, whose lock would be held for as long as a reader does not read.
            To::Stdout => Self::Stdout(io::stdout().as_fd().try_clone_to_owned().ok().map(fs::File::from)),
            To::File(path) if is_regular(path) => Self::File(Box::new(File::open(path, settings)?)),
            To::File(path) => Self::Pipe(path.clone(), None),
        })
    }

    /// Writes a line; `false` where it could not be written.
    fn append(&mut self, time: UnixMillis, line: &str) -> bool {
        let open = match self {
            Self::File(file) => return file.append(time, line),
            Self::Stdout(open) => open,
            Self::Pipe(path, open) => {
                if open.is_none() {
                    *open = fs::OpenOptions::new().append(true).open(path).ok();
                }
                open
            }
        };
        let written = open.as_mut().is_some_and(|open| open.write_all(format!("{line}\n").as_bytes()).is_ok());
        if !written && let Self::Pipe(_, open) = self {
            *open = None;
        }
        written
    }

    fn reopen(&mut self) {
        match self {
            Self::File(file) => file.anew(),
            Self::Pipe(_, open) => *open = None,
            Self::Stdout(_) => {}
        }
    }
}

/// Whether a path is a file or about to become one.
fn is_regular(path: &Path) -> bool {
    fs::metadata(path).map_or(true, |found| found.is_file())
}

fn write(queue: &Receiver<Job>, mut sink: Sink, full_address: bool, lost: &Counter) {
    while let Ok(job) = queue.recv() {
        match job {
            Job::Line(line) => {
                if !sink.append(line.time, &text(&line, full_address)) {
                    lost.inc();
                }
            }
            Job::Reopen => sink.reopen(),
            // Who waits for it may have given up.
            Job::Flush(said) => drop(said.send(())),
        }
    }
}

fn text(line: &Line, full_address: bool) -> String {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let address = line.address.map(|address| if full_address { address.to_string() } else { clean::cut_address(address) });
    json!({
        "v": 1,
        "time": line.time.rfc3339(),
        "method": line.method,
        "host": clean::masked(&line.host),
        "path": clean::clean_url(&line.target),
        "status": line.status,
        "bytes": line.bytes,
        "duration_ms": millis(line.took),
        "upstream_ms": line.upstream.map(millis),
        "protocol": line.protocol,
        "scheme": line.scheme,
        "ja4": line.tls.as_deref().map(|tls| &tls.ja4),
        "score": line.verdict.map(|(score, _)| score),
        "band": line.verdict.map(|(_, band)| band),
        "ip": address,
    })
    .to_string()
}
