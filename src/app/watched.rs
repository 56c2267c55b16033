//! The operator's files under watch: which they are, and who is told when one changes. Folders are watched, since editors and
//! Kubernetes replace files by renaming. Must not know what a reload does.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::SystemTime;

use notify_debouncer_full::DebounceEventResult;
use notify_debouncer_full::DebouncedEvent;
use notify_debouncer_full::Debouncer;
use notify_debouncer_full::RecommendedCache;
use notify_debouncer_full::new_debouncer;
use notify_debouncer_full::notify::EventKind;
use notify_debouncer_full::notify::RecommendedWatcher;
use notify_debouncer_full::notify::RecursiveMode;
use tokio::sync::mpsc;

use crate::clock::UnixMillis;

/// Editors write a file in several steps; a change counts once they have been still this long.
const STILL: Duration = Duration::from_millis(300);

/// Watches the folders of files and tells when one of the files changes.
pub(super) struct Watcher {
    debouncer: Debouncer<RecommendedWatcher, RecommendedCache>,
    files: Arc<Mutex<Files>>,
    folders: BTreeMap<PathBuf, RecursiveMode>,
}

impl Watcher {
    /// Watches; each change is told through `news`, which holds one at most. `None` where the system cannot.
    pub(super) fn new(files: Files, news: mpsc::Sender<()>) -> Option<Self> {
        let shared = Arc::new(Mutex::new(Files::default()));
        let ours = Arc::clone(&shared);
        let heard = move |result: DebounceEventResult| {
            let files = ours.lock().unwrap_or_else(PoisonError::into_inner);
            let is_write = |kind: &EventKind| kind.is_create() || kind.is_modify() || kind.is_remove();
            let ours = |event: &DebouncedEvent| is_write(&event.kind) && event.paths.iter().any(|path| files.hold(path));
            if result.is_ok_and(|events| events.iter().any(ours)) {
                // A change that is waiting already stands for this one.
                let _ = news.try_send(());
            }
        };
        let debouncer = new_debouncer(STILL, None, heard).ok()?;
        let mut watcher = Self { debouncer, files: shared, folders: BTreeMap::new() };
        watcher.follow(files);
        Some(watcher)
    }

    /// Watches these files from now on.
    pub(super) fn follow(&mut self, files: Files) {
        let folders = files.folders();
        *self.files.lock().unwrap_or_else(PoisonError::into_inner) = files;
        for (folder, _) in self.folders.iter().filter(|(folder, _)| !folders.contains_key(*folder)) {
            // It may be gone, and its watch with it.
            let _ = self.debouncer.unwatch(folder);
        }
        for (folder, deep) in folders.iter().filter(|(folder, _)| !self.folders.contains_key(*folder)) {
            if let Err(error) = self.debouncer.watch(folder, *deep) {
                tracing::warn!(folder = %folder.display(), %error, "a folder cannot be watched; reload with SIGHUP");
            }
        }
        self.folders = folders;
    }
}

/// What is worth a reload when it changes.
#[derive(Default)]
pub(super) struct Files {
    single: Vec<PathBuf>,
    data: Option<PathBuf>,
}

impl Files {
    pub(super) fn new(single: Vec<PathBuf>, data: Option<PathBuf>) -> Self {
        Self { single, data }
    }

    /// Whether one of them was written since.
    pub(super) fn have_changed_since(&self, moment: UnixMillis) -> bool {
        let moment = SystemTime::UNIX_EPOCH + Duration::from_millis(moment.0);
        let is_newer = |path: &Path| {
            let written = std::fs::metadata(path).and_then(|file| file.modified());
            written.is_ok_and(|written| written > moment)
        };
        self.single.iter().any(|path| is_newer(path)) || self.data.as_deref().is_some_and(|data| any_below(data, &is_newer))
    }

    /// What they are by now, to be compared with what they were: no clock is asked, since a file may be dated in the future.
    pub(super) fn seen(&self) -> BTreeMap<PathBuf, Stamp> {
        let mut seen: BTreeMap<_, _> = self.single.iter().map(|path| (path.clone(), Stamp::of(path))).collect();
        if let Some(data) = &self.data {
            all_below(data, &mut seen);
        }
        seen
    }

    fn folders(&self) -> BTreeMap<PathBuf, RecursiveMode> {
        let parents = self.single.iter().filter_map(|path| path.parent()).map(Path::to_owned);
        let mut folders: BTreeMap<_, _> = parents.map(|folder| (folder, RecursiveMode::NonRecursive)).collect();
        // Lists lie in folders of their own below the data folder.
        folders.extend(self.data.clone().map(|data| (data, RecursiveMode::Recursive)));
        folders
    }

    /// Logs and state may lie in the same folder, so only these files count; Kubernetes swaps the link `..data` instead.
    fn hold(&self, path: &Path) -> bool {
        self.single.iter().any(|file| file == path)
            || self.data.as_ref().is_some_and(|data| path.starts_with(data))
            || path.file_name().is_some_and(|name| name == "..data")
    }
}

/// What tells a file from what it was before; nothing of it for a file that is not there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp(Option<(u64, u64, Option<SystemTime>)>);

impl Stamp {
    fn of(path: &Path) -> Self {
        let file = std::fs::metadata(path).ok();
        Self(file.map(|file| (file.ino(), file.len(), file.modified().ok())))
    }
}

fn all_below(folder: &Path, seen: &mut BTreeMap<PathBuf, Stamp>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        // As below, links to folders are not followed.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            all_below(&path, seen);
        }
        let stamp = Stamp::of(&path);
        seen.insert(path, stamp);
    }
}

/// Whether it holds for a file or folder below this one; links to folders are not followed, so that it ends.
fn any_below(folder: &Path, holds: &impl Fn(&Path) -> bool) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        holds(&entry.path()) || (is_folder && any_below(&entry.path(), holds))
    })
}
