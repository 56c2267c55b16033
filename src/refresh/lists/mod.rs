//! Lists by URL or file: fetched when they are due, checked before they are believed, kept on disk. Promises: what is refused leaves
//! the last good copy in force; a start without a network has it. Must not know what a list means for a visitor.

mod check;
mod errand;
mod fetch;
mod kept;
mod source;

use std::path::Path;
use std::sync::Arc;

use crate::clock::UnixMillis;
use crate::facts::Given;
use crate::fault::Fault;
use crate::lists::read_file;

pub use check::check;
pub use errand::Board;
pub use errand::Errand;
pub use errand::Hands;
pub use errand::IsBehind;
pub use errand::Standing;
pub use fetch::Client;
pub use source::Bounds;
pub use source::Content;
pub use source::Origin;
pub use source::Source;

use check::Weighed;
use fetch::Fetched;
use kept::Kept;
use kept::Meta;

/// The configured lists as they are on disk.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Those that can be used.
    pub given: Vec<Given>,
    /// What is wrong with files that the operator names.
    pub faults: Vec<Fault>,
    /// What is wrong with copies that were kept; they are fetched anew.
    pub damaged: Vec<Fault>,
}

/// Reads all configured lists: files, and the last good copies of what comes by URL.
pub fn load(sources: &[Source], folder: &Path) -> Loaded {
    let mut loaded = Loaded::default();
    for source in sources {
        match &source.origin {
            Origin::File(path) => match of_file(source, path) {
                Ok(given) => loaded.given.push(given),
                Err(faults) => loaded.faults.extend(faults),
            },
            Origin::Url(_) => match kept::read(folder, source) {
                Ok(Some(kept)) => match check(source, &kept.path, &kept.bytes, None) {
                    Ok(weighed) => loaded.given.push(given(source, weighed, kept.meta.checked_at)),
                    Err(faults) => loaded.damaged.extend(faults),
                },
                Ok(None) => {}
                Err(fault) => loaded.damaged.push(fault),
            },
        }
    }
    loaded
}

fn of_file(source: &Source, path: &Path) -> Result<Given, Vec<Fault>> {
    let name = path.display().to_string();
    let failed = |error: std::io::Error| vec![Fault::of_file(&name, format!("cannot be read: {error}"))];
    let written = std::fs::metadata(path).and_then(|file| file.modified()).map_err(failed)?;
    let since = written.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let bytes = read_file(path, source.bounds.bytes).map_err(failed)?;
    let weighed = check(source, &name, &bytes, None)?;
    Ok(given(source, weighed, UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))))
}

fn given(source: &Source, weighed: Weighed, as_of: UnixMillis) -> Given {
    Given {
        name: source.name.clone(),
        role: source.role,
        entries: Arc::new(weighed.entries),
        as_of,
        max_age: source.max_age,
        disable_when_stale: source.disable_when_stale,
        protected: source.protected,
        source: source.shown(),
    }
}

/// What became of one look at a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A new list is kept; so many entries.
    Taken(usize),
    /// The source says that nothing has changed, or sent the same; when it came first.
    Unchanged(UnixMillis),
    /// What came is not believed; the last good copy stays.
    Refused(Vec<Fault>),
    /// Nothing came; the last good copy stays.
    Failed(String),
}

impl Outcome {
    /// Its name in metrics and reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Taken(_) => "taken",
            Self::Unchanged(_) => "unchanged",
            Self::Refused(_) => "refused",
            Self::Failed(_) => "failed",
        }
    }

    /// What a person wants to know beside the name.
    pub fn says(&self) -> String {
        match self {
            Self::Taken(entries) => format!("{entries} entries"),
            Self::Unchanged(_) => String::new(),
            Self::Refused(faults) => faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
            Self::Failed(why) => why.clone(),
        }
    }
}

/// Looks at one source, and keeps what is new and good. `force` takes what has grown or shrunk beyond its bounds.
pub async fn refresh(source: &Source, folder: &Path, client: &Client, now: UnixMillis, force: bool) -> Outcome {
    let Origin::Url(url) = &source.origin else { return Outcome::Failed("is no URL".to_owned()) };
    let (of, lies) = (source.clone(), folder.to_owned());
    // A copy that is damaged is as good as none.
    let kept = tokio::task::spawn_blocking(move || kept::read(&lies, &of).ok().flatten()).await.ok().flatten();
    let fetched = match client.fetch(url, kept.as_ref().map(|kept| &kept.meta), source.bounds.bytes).await {
        Ok(fetched) => fetched,
        Err(why) => return Outcome::Failed(why),
    };
    let (source, folder) = (source.clone(), folder.to_owned());
    let work = tokio::task::spawn_blocking(move || settle(&source, &folder, kept, fetched, now, force));
    work.await.unwrap_or_else(|_| Outcome::Failed("the check broke off".to_owned()))
}

/// Checks and keeps what came; reading a large list takes a while.
fn settle(source: &Source, folder: &Path, kept: Option<Kept>, fetched: Fetched, now: UnixMillis, force: bool) -> Outcome {
    let keep = |meta: Meta, bytes: &[u8], outcome: Outcome| match kept::write(folder, source, &meta, bytes) {
        Ok(()) => outcome,
        Err(error) => Outcome::Failed(format!("cannot be kept in `{}`: {error}", folder.display())),
    };
    match (fetched, kept) {
        (Fetched::Same, Some(kept)) => {
            let since = kept.meta.fetched_at;
            keep(kept.meta.checked(now), &kept.bytes, Outcome::Unchanged(since))
        }
        (Fetched::Same, None) => Outcome::Failed("says that nothing has changed, but was not asked so".to_owned()),
        (Fetched::New { bytes, etag, last_modified }, kept) => {
            // What is kept was believed once: it is weighed against nothing.
            let known = kept.as_ref().filter(|_| !force).and_then(|kept| check(source, &kept.path, &kept.bytes, None).ok());
            let before = known.map(|known| known.size);
            match check(source, &source.shown(), &bytes, before) {
                Err(faults) => Outcome::Refused(faults),
                Ok(weighed) => {
                    let entries = weighed.entries.len();
                    let meta = Meta::of(source, &bytes, entries, etag, last_modified, now);
                    match kept.filter(|kept| kept.bytes == bytes) {
                        Some(first) => keep(meta.again(&first.meta), &bytes, Outcome::Unchanged(first.meta.fetched_at)),
                        None => keep(meta, &bytes, Outcome::Taken(entries)),
                    }
                }
            }
        }
    }
}

/// When a source is to be looked at next, by its last good copy.
pub fn due(source: &Source, folder: &Path) -> UnixMillis {
    let kept = kept::read(folder, source).ok().flatten();
    kept.map_or(UnixMillis(0), |kept| kept.meta.checked_at.plus(source.every))
}

#[cfg(test)]
mod tests;
