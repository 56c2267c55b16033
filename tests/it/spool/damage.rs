//! Files that are not what the spool left: refused with a word on what to do, and not touched.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use clicksieve::event::Source;
use clicksieve::spool::NewState;
use clicksieve::spool::Spool;
use clicksieve::spool::SpoolError;
use tempfile::TempDir;

use crate::spool::NOW;
use crate::spool::event;
use crate::spool::settings;

/// A folder with a spool of some events that was closed, all of it in its file.
async fn closed() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(&settings(folder.path())).unwrap();
    for n in 0..50 {
        spool.commit(NOW, vec![event(&format!("e{n}"), Source::Browser, NewState::Due, 2_000)]).await.unwrap();
    }
    spool.close().await;
    folder
}

/// Every file of a folder with its bytes, the lock aside.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries.filter(|path| path.extension().is_none_or(|ending| ending != "lock")).collect();
    found.sort();
    found.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[tokio::test]
async fn a_damaged_file_is_refused_with_a_hint_and_left_as_it_is() {
    let whole = closed().await;
    let bytes = fs::read(whole.path().join("spool.db")).unwrap();
    let mut torn_head = bytes.clone();
    torn_head[..16].copy_from_slice(&[0xa5; 16]);
    let damages: [(&str, Vec<u8>); 4] = [
        ("garbage", (0..20_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect()),
        ("half of it", bytes[..bytes.len() / 2].to_vec()),
        ("a hundred bytes", bytes[..100].to_vec()),
        ("a torn head", torn_head),
    ];
    for (what, damaged) in damages {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("spool.db"), damaged).unwrap();
        let before = files(folder.path());
        let refused = Spool::open(&settings(folder.path())).expect_err(what);
        assert!(matches!(refused, SpoolError::Damaged { .. }), "{what}: {refused:?}");
        assert!(refused.to_string().contains("spool.db` is damaged\nhint: "), "{what}: {refused}");
        assert!(files(folder.path()) == before, "{what}: something was changed");
    }
}

#[tokio::test]
async fn a_log_without_its_file_is_refused_and_kept() {
    for emptied in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(&settings(folder.path())).unwrap();
        spool.commit(NOW, vec![event("e", Source::Browser, NewState::Due, 10)]).await.unwrap();
        let left = tempfile::tempdir().unwrap();
        fs::copy(folder.path().join("spool.db-wal"), left.path().join("spool.db-wal")).unwrap();
        if emptied {
            fs::write(left.path().join("spool.db"), b"").unwrap();
        }
        let before = files(left.path());
        let refused = Spool::open(&settings(left.path())).expect_err("nothing to open");
        assert!(matches!(refused, SpoolError::Beheaded { .. }), "{refused:?}");
        assert!(refused.to_string().contains("\nhint: nothing was changed: bring the file back"), "{refused}");
        assert!(files(left.path()) == before, "something was changed");
    }
}

#[tokio::test]
async fn a_newer_format_is_refused_and_left_as_it_is() {
    let folder = closed().await;
    let file = rusqlite::Connection::open(folder.path().join("spool.db")).unwrap();
    file.pragma_update(None, "user_version", 99).unwrap();
    file.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(file);
    let before = fs::read(folder.path().join("spool.db")).unwrap();
    let refused = Spool::open(&settings(folder.path())).expect_err("too new");
    assert!(matches!(refused, SpoolError::Newer { found: 99, .. }), "{refused:?}");
    assert!(fs::read(folder.path().join("spool.db")).unwrap() == before, "it was changed");
}
