//! The last good copy of a list: one file with a line that says what it is and the list behind it, mode 0600, replaced whole.
//! Promises: nothing half-written or damaged is ever believed. Must not know how lists are fetched.

use std::fmt::Write as _;
use std::fs::DirBuilder;
use std::fs::OpenOptions;
use std::io;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use aws_lc_rs::digest::SHA256;
use aws_lc_rs::digest::digest;
use serde::Deserialize;
use serde::Serialize;

use crate::clock::UnixMillis;
use crate::fault::Fault;
use crate::refresh::lists::Origin;
use crate::refresh::lists::Source;

/// The form of these files.
const VERSION: u32 = 1;
/// Bytes of the first line at most.
const HEAD: usize = 8 << 10;

/// What is known of a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Meta {
    version: u32,
    /// Which source it is of; a digest, since the address may hold a key.
    source: String,
    /// Of the list behind.
    sha256: String,
    pub(super) entries: usize,
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<String>,
    /// When the list came.
    pub(super) fetched_at: UnixMillis,
    /// When its source last said that it is current.
    pub(super) checked_at: UnixMillis,
}

impl Meta {
    /// The same copy, known to be current by now.
    pub(super) fn checked(self, now: UnixMillis) -> Self {
        Self { checked_at: now, ..self }
    }

    /// The same list came again: it is as old as its first copy.
    pub(super) fn again(self, first: &Self) -> Self {
        Self { fetched_at: first.fetched_at, ..self }
    }

    pub(super) fn of(
        source: &Source,
        bytes: &[u8],
        entries: usize,
        etag: Option<String>,
        last_modified: Option<String>,
        now: UnixMillis,
    ) -> Self {
        let (source, sha256) = (mark(source), hex(bytes));
        Self { version: VERSION, source, sha256, entries, etag, last_modified, fetched_at: now, checked_at: now }
    }
}

/// A copy that is whole.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) path: String,
    pub(super) meta: Meta,
    pub(super) bytes: Vec<u8>,
}

fn path_of(folder: &Path, source: &Source) -> PathBuf {
    folder.join(format!("{}.list", source.name))
}

/// The copy of a source; none where there is none, or one of another source under the same name.
pub(super) fn read(folder: &Path, source: &Source) -> Result<Option<Kept>, Fault> {
    let path = path_of(folder, source);
    let name = path.display().to_string();
    let longest = source.bounds.bytes.saturating_add(u64::try_from(HEAD).unwrap_or(u64::MAX));
    let mut bytes = Vec::new();
    match std::fs::File::open(&path).and_then(|file| file.take(longest).read_to_end(&mut bytes)) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Fault::of_file(&name, format!("cannot be read: {error}"))),
    }
    let damaged = |what: &str| Fault::of_file(&name, format!("the kept copy is damaged: {what}")).hint("it is fetched anew");
    let end = bytes.iter().take(HEAD).position(|byte| *byte == b'\n').ok_or_else(|| damaged("its first line does not end"))?;
    let body = bytes.split_off(end + 1);
    let meta: Meta = serde_json::from_slice(&bytes).map_err(|_| damaged("its first line is not ours"))?;
    if meta.version != VERSION || meta.source != mark(source) {
        return Ok(None);
    }
    if meta.sha256 != hex(&body) {
        return Err(damaged("its checksum is wrong"));
    }
    Ok(Some(Kept { path: name, meta, bytes: body }))
}

/// Keeps a copy in place of the last one.
pub(super) fn write(folder: &Path, source: &Source, meta: &Meta, bytes: &[u8]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let path = path_of(folder, source);
    // `lists pull` and a running process may both be at it.
    let beside = folder.join(format!(".{}.{}.new", source.name, std::process::id()));
    // One that a crash has left may have other rights.
    let _ = std::fs::remove_file(&beside);
    let mut head = serde_json::to_vec(meta)?;
    head.push(b'\n');
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    let written = file.write_all(&head).and_then(|()| file.write_all(bytes)).and_then(|()| file.sync_all());
    if let Err(error) = written.and_then(|()| std::fs::rename(&beside, &path)) {
        // A full disk is to get its space back.
        let _ = std::fs::remove_file(&beside);
        return Err(error);
    }
    std::fs::File::open(folder)?.sync_all()
}

/// Which source a copy is of: its address and how it is read.
fn mark(source: &Source) -> String {
    let address = match &source.origin {
        Origin::Url(url) => url.as_str().to_owned(),
        Origin::File(path) => path.display().to_string(),
    };
    hex(format!("{address} {:?} {:?}", source.content, source.format).as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().fold(String::new(), |mut text, byte| {
        // Writing into a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
