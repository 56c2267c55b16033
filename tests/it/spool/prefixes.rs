//! Recovery from every prefix of the log: whatever a crash leaves of it, the spool opens with exactly what had been
//! committed up to the last whole transaction in it, and takes more.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use clicksieve::clock::UnixMillis;
use clicksieve::event::EventId;
use clicksieve::event::Source;
use clicksieve::spool::NewEvent;
use clicksieve::spool::NewState;
use clicksieve::spool::Outcome;
use clicksieve::spool::Release;
use clicksieve::spool::Spool;
use clicksieve::spool::Taken;
use clicksieve::verdict::AfterHold;
use clicksieve::verdict::Until;
use rusqlite::Connection;
use rusqlite::OpenFlags;
use tempfile::TempDir;

use crate::spool::NOW;
use crate::spool::VISIT;
use crate::spool::event;
use crate::spool::log;
use crate::spool::settings;

/// All that the tables say, row by row.
type Tables = BTreeSet<String>;

/// What was on disk when a call had returned.
struct Moment {
    /// The end of the log's last transaction.
    end: usize,
    tables: Tables,
}

fn tables(folder: &Path) -> Tables {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let file = Connection::open_with_flags(folder.join("spool.db"), flags).unwrap();
    let mut found = Tables::new();
    for table in ["events", "marks"] {
        let mut rows = file.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = rows.column_count();
        let mut rows = rows.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let cells = (0..columns).map(|column| format!("{:?}", row.get_ref(column).unwrap()));
            found.insert(format!("{table}: {}", cells.collect::<Vec<_>>().join(" ")));
        }
    }
    // Half a transaction would be a mark without its event, or an event that no mark knows.
    for halves in [
        "SELECT count(*) FROM marks WHERE row NOT IN (SELECT row FROM events)",
        "SELECT count(*) FROM events WHERE row NOT IN (SELECT row FROM marks)",
    ] {
        assert_eq!(file.query_row(halves, [], |row| row.get::<_, i64>(0)).unwrap(), 0, "{halves}");
    }
    found
}

fn held(then: AfterHold) -> NewState {
    NewState::Held { until: Until::JsProof, release_at: UnixMillis(NOW.0 + 60_000), then, replay_on: None }
}

fn with_alias(mut event: NewEvent, alias: &str) -> NewEvent {
    event.aliases = vec![EventId::parse(alias).unwrap()];
    event
}

/// Every kind of write there is, with bodies from less than a page to many; `what` keeps the ids of two runs apart.
async fn work(spool: &Spool, folder: &Path, what: &str) -> Vec<Moment> {
    let mut moments = Vec::new();
    let mut note = || {
        let ends = log::commits(&fs::read(folder.join("spool.db-wal")).unwrap());
        moments.push(Moment { end: ends.last().copied().unwrap_or(0), tables: tables(folder) });
    };
    let id = |name: &str| format!("{what}-{name}");
    let due = |name: &str, more| event(&id(name), Source::Browser, NewState::Due, more);
    note();
    for (n, more) in [10, 3_000, 9_000, 40_000].into_iter().enumerate() {
        spool.commit(NOW, vec![due(&format!("single{n}"), more)]).await.unwrap();
        note();
    }
    let several = vec![
        with_alias(due("several", 2_000), &id("alias")),
        event(&id("waits"), Source::Browser, held(AfterHold::Forward), 500),
        event(&id("never"), Source::Browser, NewState::Suppressed, 500),
        due("last", 12_000),
    ];
    spool.commit(NOW, several).await.unwrap();
    note();
    // A back end's copy adds to the first, another overtakes what was suppressed.
    let copies = ["several", "never"].map(|name| event(&id(name), Source::Backend, NewState::Due, 700));
    spool.commit(NOW, copies.to_vec()).await.unwrap();
    note();
    let claimed = spool.due("shop", NOW, 4).await.unwrap();
    let outcomes = [
        Outcome::Delivered,
        Outcome::RetryAt(UnixMillis(NOW.0 + 5)),
        Outcome::Parked("rejected".to_owned()),
        Outcome::Replace("{}".to_owned()),
    ];
    let settled = claimed.iter().map(|event| event.row).zip(outcomes).collect();
    spool.settle(NOW, settled).await.unwrap();
    note();
    assert_eq!(spool.release(VISIT, Release::Proof, NOW).await.unwrap(), 1);
    note();
    spool.commit(NOW, vec![event(&id("ends"), Source::Browser, held(AfterHold::Suppress), 500)]).await.unwrap();
    note();
    assert_eq!(spool.suppress_held(VISIT, NOW).await.unwrap(), 1);
    note();
    assert!(spool.replay_parked("shop", NOW).await.unwrap() > 0);
    note();
    spool.commit(NOW, (0..20).map(|n| due(&format!("batch{n}"), n * 300)).collect()).await.unwrap();
    note();
    moments
}

/// Opens what a crash left, checks that it holds what it must, and that it takes more.
async fn opens_with(file: &[u8], log: &[u8], moments: &[Moment], cut: usize) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("spool.db"), file).unwrap();
    fs::write(folder.path().join("spool.db-wal"), log).unwrap();
    let spool = Spool::open(&settings(folder.path())).unwrap_or_else(|error| panic!("cut at {cut}: {error:?}"));
    let expected = moments.iter().rev().find(|moment| moment.end <= cut).expect("a moment before anything");
    let found = tables(folder.path());
    assert!(found == expected.tables, "cut at {cut}: {:?}", found.symmetric_difference(&expected.tables).collect::<Vec<_>>());
    let more = spool.commit(NOW, vec![event("more", Source::Browser, NewState::Due, 10)]).await.unwrap();
    assert_eq!(more, [Taken::New], "cut at {cut}");
}

fn fresh() -> (TempDir, Spool) {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(&settings(folder.path())).unwrap();
    (folder, spool)
}

/// Writes the whole log back into the file; the next commit begins the log anew, over its old bytes.
fn written_back(folder: &Path) {
    let file = Connection::open(folder.join("spool.db")).unwrap();
    let busy: i64 = file.query_row("PRAGMA wal_checkpoint(RESTART)", [], |row| row.get(0)).unwrap();
    assert_eq!(busy, 0);
}

#[tokio::test]
async fn every_prefix_of_the_log_opens_with_what_was_committed_in_it() {
    let (folder, spool) = fresh();
    // From here on the file stands still, and all that happens stands in the log.
    written_back(folder.path());
    let moments = work(&spool, folder.path(), "first").await;
    let file = fs::read(folder.path().join("spool.db")).unwrap();
    let log = fs::read(folder.path().join("spool.db-wal")).unwrap();
    let end = moments.last().unwrap().end;
    let whole = Moment { end: 0, tables: moments[0].tables.clone() };
    let moments: Vec<Moment> = std::iter::once(whole).chain(moments.into_iter().skip(1)).collect();
    assert!(moments.windows(2).all(|two| two[0].end < two[1].end), "each call is a transaction of its own");
    let cuts = log::cuts(&log, end, &[log::FRAME_HEAD / 2, 2_000]);
    assert!(cuts.len() > 200, "{}", cuts.len());
    for cut in cuts {
        opens_with(&file, &log[..cut.min(log.len())], &moments, cut).await;
    }
}

#[tokio::test]
async fn every_prefix_of_a_log_begun_anew_opens_although_the_old_one_stands_behind_it() {
    let (folder, spool) = fresh();
    work(&spool, folder.path(), "first").await;
    let old = fs::read(folder.path().join("spool.db-wal")).unwrap();
    written_back(folder.path());
    let before = Moment { end: 0, tables: tables(folder.path()) };
    let moments = work(&spool, folder.path(), "second").await;
    let moments: Vec<Moment> = std::iter::once(before).chain(moments.into_iter().skip(1)).collect();
    let file = fs::read(folder.path().join("spool.db")).unwrap();
    let new = fs::read(folder.path().join("spool.db-wal")).unwrap();
    assert_ne!(old[16..24], new[16..24], "the log was begun anew");
    for cut in log::cuts(&new, moments.last().unwrap().end, &[1_000]) {
        // A write that a power cut tore: new bytes up to the cut, old ones behind it.
        let torn: Vec<u8> = new[..cut].iter().chain(old.get(cut..).unwrap_or_default()).copied().collect();
        opens_with(&file, &torn, &moments, cut).await;
    }
}
