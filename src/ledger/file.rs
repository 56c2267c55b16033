//! The file of records: append, rotate, retain. An append is one write of one whole line; what fails is told and the
//! file is opened anew for the next. Must not know what a line says.

use std::fs;
use std::io;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use crate::clock::UnixMillis;

use super::LedgerError;
use super::Settings;

/// A file is finished at this part of the whole bound, so that dropping the oldest frees little at a time.
const PARTS: u64 = 8;
/// A file is finished at this age, so that what is past `keep` goes within a day.
const DAY: Duration = Duration::from_hours(24);

#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    open: Option<fs::File>,
    bytes: u64,
    started: Option<UnixMillis>,
    newest: UnixMillis,
    /// The last append may have left part of a line; the next one ends it first.
    torn: bool,
    max_bytes: u64,
    keep: Duration,
}

impl File {
    pub(super) fn open(path: &Path, settings: &Settings) -> Result<Self, LedgerError> {
        let failed = |source| LedgerError::File { path: path.to_owned(), source };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        }
        let mut file = Self {
            path: path.to_owned(),
            open: None,
            bytes: 0,
            started: None,
            newest: UnixMillis(0),
            torn: false,
            max_bytes: settings.max_bytes,
            keep: settings.keep,
        };
        file.reopen().map_err(failed)?;
        // A crash may have cut the last line.
        file.torn = file.bytes > 0;
        Ok(file)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Changes the bounds; they hold from the next line on.
    pub(super) fn keep(&mut self, max_bytes: u64, keep: Duration) {
        self.max_bytes = max_bytes;
        self.keep = keep;
    }

    /// Opens the file anew for the next line.
    pub(super) fn anew(&mut self) {
        self.open = None;
    }

    /// Appends a line; `false` where it could not be written.
    pub(super) fn append(&mut self, now: UnixMillis, line: &str) -> bool {
        let started = *self.started.get_or_insert(now);
        let full = self.bytes.saturating_add(line.len() as u64) > self.max_bytes / PARTS;
        if self.bytes > 0 && (full || now.since(started) >= DAY) && self.rotate(now).is_err() {
            self.open = None;
        }
        self.newest = self.newest.max(now);
        let written = self.write(line);
        if written.is_err() {
            self.open = None;
            self.torn = true;
        }
        written.is_ok()
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        if self.open.is_none() {
            self.reopen()?;
        }
        let Some(open) = &mut self.open else { return Err(io::ErrorKind::NotFound.into()) };
        let mut whole = Vec::with_capacity(line.len() + 2);
        if self.torn && self.bytes > 0 {
            whole.push(b'\n');
        }
        whole.extend_from_slice(line.as_bytes());
        whole.push(b'\n');
        open.write_all(&whole)?;
        self.torn = false;
        self.bytes = self.bytes.saturating_add(whole.len() as u64);
        Ok(())
    }

    fn reopen(&mut self) -> io::Result<()> {
        let open = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path)?;
        open.set_permissions(fs::Permissions::from_mode(0o600))?;
        self.bytes = open.metadata()?.len();
        self.open = Some(open);
        Ok(())
    }

    /// Sets the file aside under the time of its newest record and starts another.
    fn rotate(&mut self, now: UnixMillis) -> io::Result<()> {
        let mut stamp = if self.newest.0 == 0 { now.0 } else { self.newest.0 };
        while self.finished_path(stamp).exists() {
            stamp += 1;
        }
        self.open = None;
        fs::rename(&self.path, self.finished_path(stamp))?;
        self.started = Some(now);
        self.torn = false;
        self.reopen()?;
        self.retain(now)
    }

    /// Removes finished files past `keep`, and the oldest until all fit the bound beside a full new one.
    fn retain(&self, now: UnixMillis) -> io::Result<()> {
        let mut finished = self.finished()?;
        finished.sort_unstable_by_key(|(stamp, _)| std::cmp::Reverse(*stamp));
        let mut total = self.max_bytes / PARTS;
        let oldest = now.minus(self.keep);
        for (stamp, path) in finished {
            total = total.saturating_add(fs::metadata(&path)?.len());
            if total > self.max_bytes || UnixMillis(stamp) < oldest {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    fn finished(&self) -> io::Result<Vec<(u64, PathBuf)>> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut found = Vec::new();
        for entry in fs::read_dir(folder)? {
            let name = entry?.file_name();
            let stamp = name
                .to_str()
                .and_then(|name| name.strip_prefix(&self.stem())?.strip_prefix('.')?.strip_suffix(".jsonl")?.parse::<u64>().ok());
            if let Some(stamp) = stamp {
                found.push((stamp, folder.join(name)));
            }
        }
        Ok(found)
    }

    fn finished_path(&self, stamp: u64) -> PathBuf {
        self.path.with_file_name(format!("{}.{stamp}.jsonl", self.stem()))
    }

    fn stem(&self) -> String {
        self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }
}
