//! The spool against a model, through crashes at any write, at its bounds, and by its rules for copies and holds.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;
use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::event::EventId;
use crate::event::Source;
use crate::verdict::AfterHold;
use crate::verdict::Until;

use super::*;

const NOW: UnixMillis = UnixMillis(1_774_000_000_000);
const VISIT: Uuid = Uuid::from_u128(9);
const LATER: u64 = 60_000;

fn settings(folder: &Path) -> Settings {
    Settings { path: folder.join("spool.db"), ..Settings::default() }
}

fn event(id: &str, source: Source, state: NewState) -> NewEvent {
    NewEvent {
        destination: "shop".into(),
        name: "Purchase".to_owned(),
        id: EventId::parse(id).unwrap(),
        aliases: Vec::new(),
        source,
        visit: Some(VISIT),
        time: NOW.seconds(),
        body: format!(r#"{{"event_id":"{id}","user_data":{{"fbp":"a"}}}}"#),
        fbp: None,
        apart: None,
        state,
    }
}

fn held(then: AfterHold) -> NewState {
    let release_at = UnixMillis(NOW.0 + LATER);
    NewState::Held { until: Until::JsProof, release_at, then, replay_on: Some("Lead".into()) }
}

fn fresh() -> (TempDir, Spool) {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(&settings(folder.path())).unwrap();
    (folder, spool)
}

/// What a crash leaves: the files as they are now, in a folder of their own.
fn crashed(folder: &Path, log_bytes: Option<usize>) -> (TempDir, Spool) {
    let after = tempfile::tempdir().unwrap();
    fs::copy(folder.join("spool.db"), after.path().join("spool.db")).unwrap();
    let log = fs::read(folder.join("spool.db-wal")).unwrap_or_default();
    let kept = log_bytes.unwrap_or(log.len());
    fs::write(after.path().join("spool.db-wal"), &log[..kept]).unwrap();
    let spool = Spool::open(&settings(after.path())).unwrap();
    (after, spool)
}

async fn take(spool: &Spool, event: NewEvent) -> Taken {
    spool.commit(NOW, vec![event]).await.unwrap().remove(0)
}

/// An event of one browser, as either half reports it.
fn of(fbp: &str, id: &str, source: Source) -> NewEvent {
    let given = event(id, source, NewState::Due);
    let apart = given.id.apart().filter(|_| source == Source::Backend);
    NewEvent { fbp: Some(fbp.to_owned()), apart, ..given }
}

#[tokio::test]
async fn an_id_that_a_stranger_has_spent_is_taken_apart_and_only_once() {
    let (_folder, spool) = fresh();
    let apart = EventId::parse("backend.o.1").unwrap();
    assert_eq!(take(&spool, of("stranger", "o.1", Source::Browser)).await, Taken::New);
    // The buyer's own page comes second and is a copy to us; it must not make the mark the buyer's.
    assert_eq!(take(&spool, of("buyer", "o.1", Source::Browser)).await, Taken::Copy(CopyOf::Due));
    assert_eq!(take(&spool, of("buyer", "o.1", Source::Backend)).await, Taken::Apart(apart));
    assert_eq!(take(&spool, of("buyer", "o.1", Source::Backend)).await, Taken::Copy(CopyOf::Due));
    let due = spool.due("shop", NOW, 10).await.unwrap();
    assert_eq!(due.iter().map(|event| event.id.as_str()).collect::<Vec<_>>(), ["o.1", "backend.o.1"]);
    assert!(due[1].body.contains(r#""event_id":"backend.o.1""#), "{}", due[1].body);
}

#[tokio::test]
async fn a_copy_is_no_strangers_where_one_side_names_no_browser_or_a_back_end_stands_for_it() {
    let (_folder, spool) = fresh();
    let unnamed = |given: NewEvent| NewEvent { fbp: None, ..given };
    for (first, then) in [
        (of("a", "same", Source::Browser), of("a", "same", Source::Backend)),
        (unnamed(of("a", "first", Source::Browser)), of("b", "first", Source::Backend)),
        (of("a", "second", Source::Browser), unnamed(of("b", "second", Source::Backend))),
        (of("a", "back", Source::Backend), of("b", "back", Source::Backend)),
        (of("a", "browsers", Source::Browser), of("b", "browsers", Source::Browser)),
    ] {
        assert_eq!(take(&spool, first).await, Taken::New);
        assert_eq!(take(&spool, then.clone()).await, Taken::Copy(CopyOf::Due), "{then:?}");
    }
    // The back end has said that `same` is browser a's; what it says later of another browser changes nothing.
    assert_eq!(take(&spool, of("b", "same", Source::Backend)).await, Taken::Copy(CopyOf::Due));
}

#[tokio::test]
async fn a_copy_is_told_the_state_of_the_first() {
    let (_folder, spool) = fresh();
    let given = event("a", Source::Browser, NewState::Due);
    assert_eq!(take(&spool, given.clone()).await, Taken::New);
    assert_eq!(take(&spool, given.clone()).await, Taken::Copy(CopyOf::Due));
    let due = spool.due("shop", NOW, 10).await.unwrap();
    spool.settle(NOW, vec![(due[0].row, Outcome::Delivered)]).await.unwrap();
    assert_eq!(take(&spool, given.clone()).await, Taken::Copy(CopyOf::Delivered));
    let elsewhere = NewEvent { destination: "other".into(), ..given };
    assert_eq!(take(&spool, elsewhere).await, Taken::New);
}

#[tokio::test]
async fn an_alias_is_a_mark_of_the_same_event() {
    let (_folder, spool) = fresh();
    let mut first = event("pixel", Source::Backend, NewState::Due);
    first.aliases = vec![EventId::parse("own").unwrap()];
    assert_eq!(take(&spool, first).await, Taken::New);
    assert_eq!(take(&spool, event("own", Source::Backend, NewState::Due)).await, Taken::Copy(CopyOf::Due));
    assert_eq!(spool.status().await.unwrap().marks, 2);
}

#[tokio::test]
async fn a_back_end_copy_adds_what_the_browser_did_not_know() {
    let (_folder, spool) = fresh();
    take(&spool, event("a", Source::Browser, NewState::Due)).await;
    let mut copy = event("a", Source::Backend, NewState::Due);
    copy.body = r#"{"event_id":"other","event_time":1,"user_data":{"fbp":"b","em":["h"]},"custom_data":{"value":3}}"#.to_owned();
    assert_eq!(take(&spool, copy.clone()).await, Taken::Copy(CopyOf::Due));
    let due = spool.due("shop", NOW, 10).await.unwrap();
    let body: serde_json::Value = serde_json::from_str(&due[0].body).unwrap();
    let merged = serde_json::json!({"event_id": "a", "user_data": {"fbp": "a", "em": ["h"]}, "custom_data": {"value": 3}});
    assert_eq!(body, merged);
    // Once a worker has it, every try carries the same bytes.
    copy.body = r#"{"user_data":{"ph":["h"]}}"#.to_owned();
    take(&spool, copy).await;
    spool.settle(NOW, vec![(due[0].row, Outcome::RetryAt(NOW))]).await.unwrap();
    assert_eq!(spool.due("shop", NOW, 10).await.unwrap()[0].body, due[0].body);
}

#[tokio::test]
async fn a_browsers_suppressed_mark_gives_way_to_the_back_end_only() {
    let (_folder, spool) = fresh();
    take(&spool, event("a", Source::Browser, NewState::Suppressed)).await;
    assert_eq!(take(&spool, event("a", Source::Browser, NewState::Due)).await, Taken::Copy(CopyOf::Suppressed));
    assert_eq!(take(&spool, event("a", Source::Backend, NewState::Suppressed)).await, Taken::Copy(CopyOf::Suppressed));
    assert!(spool.due("shop", NOW, 10).await.unwrap().is_empty());
    assert_eq!(take(&spool, event("a", Source::Backend, NewState::Due)).await, Taken::New);
    assert_eq!(spool.due("shop", NOW, 10).await.unwrap().len(), 1);
    take(&spool, event("b", Source::Backend, NewState::Suppressed)).await;
    assert_eq!(take(&spool, event("b", Source::Backend, NewState::Due)).await, Taken::Copy(CopyOf::Suppressed));
}

#[tokio::test]
async fn a_held_event_leaves_by_proof_by_its_replay_event_by_the_back_end_or_by_time() {
    let (_folder, spool) = fresh();
    let due = async |spool: &Spool| spool.due("shop", NOW, 10).await.unwrap().len();
    take(&spool, event("a", Source::Browser, held(AfterHold::Suppress))).await;
    assert_eq!(due(&spool).await, 0);
    assert_eq!(spool.release(VISIT, Release::Consent, NOW).await.unwrap(), 0);
    assert_eq!(spool.release(VISIT, Release::Proof, NOW).await.unwrap(), 1);
    assert_eq!(due(&spool).await, 1);
    take(&spool, event("b", Source::Browser, held(AfterHold::Suppress))).await;
    assert_eq!(spool.release(VISIT, Release::Event("Lead".to_owned()), NOW).await.unwrap(), 1);
    assert_eq!(due(&spool).await, 1);
    take(&spool, event("c", Source::Browser, held(AfterHold::Suppress))).await;
    assert_eq!(take(&spool, event("c", Source::Backend, NewState::Due)).await, Taken::Copy(CopyOf::Held));
    assert_eq!(due(&spool).await, 1);
    take(&spool, event("d", Source::Browser, held(AfterHold::Suppress))).await;
    take(&spool, event("e", Source::Browser, held(AfterHold::Forward))).await;
    let swept = spool.sweep(UnixMillis(NOW.0 + LATER)).await.unwrap();
    assert_eq!((swept.forwarded, swept.suppressed), (1, 1));
}

#[tokio::test]
async fn an_event_held_for_consent_is_not_released_by_another_event() {
    let (_folder, spool) = fresh();
    let release_at = UnixMillis(NOW.0 + LATER);
    let waits = NewState::Held { until: Until::Consent, release_at, then: AfterHold::Suppress, replay_on: Some("Lead".into()) };
    take(&spool, event("a", Source::Browser, waits)).await;
    assert_eq!(spool.release(VISIT, Release::Event("Lead".to_owned()), NOW).await.unwrap(), 0);
    assert_eq!(spool.suppress_held(VISIT, NOW).await.unwrap(), 1);
    assert_eq!(spool.release(VISIT, Release::Consent, NOW).await.unwrap(), 0);
}

#[tokio::test]
async fn an_event_too_old_for_the_destination_is_not_sent_and_the_sweep_says_which_it_was() {
    let (_folder, spool) = fresh();
    take(&spool, event("a", Source::Browser, NewState::Due)).await;
    let week = UnixMillis(NOW.0 + 7 * 86_400_000 + 1_000);
    assert!(spool.due("shop", week, 10).await.unwrap().is_empty());
    let swept = spool.sweep(week).await.unwrap();
    let expired = Expired { destination: "shop".into(), name: "Purchase".to_owned(), id: "a".to_owned(), attempts: 0 };
    assert_eq!(swept.expired, [expired]);
    assert_eq!(spool.status().await.unwrap().parked, 1);
    assert_eq!(spool.sweep(week).await.unwrap().expired, []);
}

#[tokio::test]
async fn what_is_due_does_not_wait_for_a_clock_that_was_set_back() {
    let (_folder, spool) = fresh();
    let retried = UnixMillis(NOW.0 + 600_000);
    take(&spool, event("retried", Source::Browser, NewState::Due)).await;
    let due = spool.due("shop", NOW, 10).await.unwrap();
    spool.settle(NOW, vec![(due[0].row, Outcome::RetryAt(retried))]).await.unwrap();
    take(&spool, event("new", Source::Browser, NewState::Due)).await;
    take(&spool, event("held", Source::Browser, held(AfterHold::Forward))).await;
    // Calls of one moment come in another order: that is no clock set back.
    assert_eq!(spool.due("shop", UnixMillis(NOW.0 - 1_000), 10).await.unwrap(), []);
    let ids = |due: Vec<DueEvent>| due.into_iter().map(|event| event.id).collect::<Vec<_>>();
    let back = UnixMillis(NOW.0 - 3_600_000);
    assert_eq!(ids(spool.due("shop", back, 10).await.unwrap()), ["retried", "new"]);
    assert_eq!(spool.status().await.unwrap().held, 1);
}

#[tokio::test]
async fn a_claimed_event_is_not_handed_out_twice_and_comes_back_when_retried_or_replaced() {
    let (_folder, spool) = fresh();
    take(&spool, event("a", Source::Browser, NewState::Due)).await;
    let first = spool.due("shop", NOW, 10).await.unwrap();
    assert!(spool.due("shop", NOW, 10).await.unwrap().is_empty());
    let later = UnixMillis(NOW.0 + 5);
    spool.settle(NOW, vec![(first[0].row, Outcome::RetryAt(later))]).await.unwrap();
    assert!(spool.due("shop", NOW, 10).await.unwrap().is_empty());
    let again = spool.due("shop", later, 10).await.unwrap();
    assert_eq!((again[0].attempts, &again[0].body), (1, &first[0].body));
    spool.settle(later, vec![(again[0].row, Outcome::Replace("{}".to_owned()))]).await.unwrap();
    let replaced = spool.due("shop", later, 10).await.unwrap();
    assert_eq!(replaced[0].body, "{}");
    spool.settle(later, vec![(replaced[0].row, Outcome::Parked("rejected".to_owned()))]).await.unwrap();
    assert_eq!(spool.replay_parked("shop", later).await.unwrap(), 1);
    assert_eq!(spool.due("shop", later, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn marks_are_forgotten_after_their_time_but_nothing_that_waits() {
    let (_folder, spool) = fresh();
    take(&spool, event("gone", Source::Browser, NewState::Suppressed)).await;
    let mut waits = event("waits", Source::Browser, NewState::Due);
    waits.time += 30 * 86_400;
    take(&spool, waits).await;
    let swept = spool.sweep(UnixMillis(NOW.0 + 8 * 86_400_000)).await.unwrap();
    assert_eq!(swept.forgotten, 1);
    let status = spool.status().await.unwrap();
    assert_eq!((status.due, status.marks), (1, 1));
}

#[tokio::test]
async fn whoever_waits_is_woken_when_something_became_due() {
    let (_folder, spool) = fresh();
    let woken = spool.changed().notified();
    take(&spool, event("a", Source::Browser, NewState::Due)).await;
    woken.await;
}

#[tokio::test]
async fn a_full_spool_takes_nothing_by_halves_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(&Settings { max_bytes: 300_000, ..settings(folder.path()) }).unwrap();
    let mut taken = 0;
    let refused = loop {
        let pair = ["x", "y"].map(|half| {
            let mut event = event(&format!("{half}{taken}"), Source::Browser, NewState::Due);
            event.body = "b".repeat(9_000);
            event
        });
        match spool.commit(NOW, pair.to_vec()).await {
            Ok(answers) => assert_eq!(answers, [Taken::New, Taken::New]),
            Err(error) => break error,
        }
        taken += 1;
    };
    assert!(refused.is_passing(), "{refused:?}");
    let status = spool.status().await.unwrap();
    assert_eq!((status.due, status.marks), (2 * taken, 2 * taken));
    let due = spool.due("shop", NOW, 1_000).await.unwrap();
    let delivered = due.iter().map(|event| (event.row, Outcome::Delivered)).collect();
    spool.settle(NOW, delivered).await.unwrap();
    assert_eq!(take(&spool, event("after", Source::Browser, NewState::Due)).await, Taken::New);
}

#[tokio::test]
async fn an_event_larger_than_the_whole_bound_is_refused_alone() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(&Settings { max_bytes: 300_000, ..settings(folder.path()) }).unwrap();
    let mut huge = event("huge", Source::Browser, NewState::Due);
    huge.body = "b".repeat(1_000_000);
    let refused = spool.commit(NOW, vec![event("with", Source::Browser, NewState::Due), huge]).await;
    assert!(matches!(refused, Err(SpoolError::Full(_))), "{refused:?}");
    assert_eq!(spool.status().await.unwrap().marks, 0);
    assert_eq!(take(&spool, event("with", Source::Browser, NewState::Due)).await, Taken::New);
}

#[tokio::test]
async fn calls_that_share_a_transaction_fail_alone() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(&Settings { max_bytes: 300_000, ..settings(folder.path()) }).unwrap();
    let mut huge = event("huge", Source::Browser, NewState::Due);
    huge.body = "b".repeat(1_000_000);
    let one = |id: &str| vec![event(id, Source::Browser, NewState::Due)];
    let (before, failed, after) =
        tokio::join!(spool.commit(NOW, one("before")), spool.commit(NOW, vec![huge]), spool.commit(NOW, one("after")));
    assert_eq!((before.unwrap(), after.unwrap()), (vec![Taken::New], vec![Taken::New]));
    assert!(failed.unwrap_err().is_passing());
    assert_eq!(spool.status().await.unwrap().due, 2);
}

#[tokio::test]
async fn every_file_is_its_owners_alone() {
    let (folder, spool) = fresh();
    take(&spool, event("a", Source::Browser, NewState::Due)).await;
    for name in ["spool.db", "spool.db-wal", "spool.db-shm", "spool.db.lock"] {
        let mode = fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn a_second_owner_is_refused_until_the_first_has_closed() {
    let (folder, spool) = fresh();
    assert!(matches!(Spool::open(&settings(folder.path())), Err(SpoolError::Owned { .. })));
    take(&spool, event("a", Source::Browser, NewState::Due)).await;
    spool.close().await;
    let again = Spool::open(&settings(folder.path())).unwrap();
    assert_eq!(again.status().await.unwrap().due, 1);
}

#[tokio::test]
async fn a_file_of_a_newer_format_is_refused() {
    let (folder, spool) = fresh();
    spool.close().await;
    let file = rusqlite::Connection::open(folder.path().join("spool.db")).unwrap();
    file.pragma_update(None, "user_version", 99).unwrap();
    drop(file);
    assert!(matches!(Spool::open(&settings(folder.path())), Err(SpoolError::Newer { found: 99, .. })));
}

#[tokio::test]
async fn a_file_of_the_format_before_is_read_and_used() {
    let folder = tempfile::tempdir().unwrap();
    let file = rusqlite::Connection::open(folder.path().join("spool.db")).unwrap();
    file.execute_batch(
        "CREATE TABLE events (row INTEGER PRIMARY KEY AUTOINCREMENT, destination TEXT NOT NULL, name TEXT NOT NULL,
             id TEXT NOT NULL, source INTEGER NOT NULL, visit BLOB, time INTEGER NOT NULL, state INTEGER NOT NULL,
             at INTEGER NOT NULL, until INTEGER, after INTEGER, replay_on TEXT, attempts INTEGER NOT NULL DEFAULT 0,
             reason TEXT, body TEXT);
         CREATE TABLE marks (destination TEXT NOT NULL, name TEXT NOT NULL, id TEXT NOT NULL, row INTEGER NOT NULL,
             PRIMARY KEY (destination, name, id)) WITHOUT ROWID;
         INSERT INTO events (destination, name, id, source, time, state, at, body)
             VALUES ('shop', 'Purchase', 'old', 0, 1773999000, 0, 1, '{}');
         INSERT INTO marks VALUES ('shop', 'Purchase', 'old', 1);
         PRAGMA user_version = 1;",
    )
    .unwrap();
    drop(file);
    let spool = Spool::open(&settings(folder.path())).unwrap();
    assert_eq!(take(&spool, of("a", "old", Source::Backend)).await, Taken::Copy(CopyOf::Due));
    assert_eq!(take(&spool, of("a", "new", Source::Browser)).await, Taken::New);
    assert_eq!(spool.due("shop", NOW, 10).await.unwrap().len(), 2);
    spool.close().await;
    assert!(Spool::open(&settings(folder.path())).is_ok());
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_cut_at_any_later_byte_of_the_log() {
    let (folder, spool) = fresh();
    let log = folder.path().join("spool.db-wal");
    let mut answered = Vec::new();
    for n in 0..12 {
        take(&spool, event(&format!("e{n}"), Source::Browser, NewState::Due)).await;
        answered.push(fs::metadata(&log).unwrap().len());
    }
    let whole = usize::try_from(*answered.last().unwrap()).unwrap();
    for cut in (0..=whole).step_by(1_531).chain(answered.iter().map(|at| usize::try_from(*at).unwrap())) {
        let durable = answered.iter().filter(|at| **at <= cut as u64).count();
        if durable == 0 {
            continue;
        }
        let (_after, again) = crashed(folder.path(), Some(cut));
        let due = again.due("shop", NOW, 100).await.unwrap();
        let ids: Vec<String> = (0..due.len()).map(|n| format!("e{n}")).collect();
        assert!(due.len() >= durable, "cut at {cut}: {} of {durable}", due.len());
        assert_eq!(due.iter().map(|event| event.id.clone()).collect::<Vec<_>>(), ids);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Commit { id: u8, alias: Option<u8>, backend: bool, state: u8 },
    Claim(usize),
    Settle(u8),
    Release,
    Suppress,
    Sweep,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let commit = (0..12_u8, proptest::option::of(0..12_u8), any::<bool>(), 0..4_u8)
        .prop_map(|(id, alias, backend, state)| Step::Commit { id, alias, backend, state });
    prop_oneof![
        8 => commit,
        3 => (0..4_usize).prop_map(Step::Claim),
        3 => (0..4_u8).prop_map(Step::Settle),
        1 => Just(Step::Release),
        1 => Just(Step::Suppress),
        1 => Just(Step::Sweep),
        1 => Just(Step::Crash),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Due,
    Held(AfterHold),
    Suppressed,
    Delivered,
    Parked,
}

/// What the spool should hold, by event; `marks` leads from an id to its event.
#[derive(Default)]
struct Model {
    events: Vec<(String, bool, State, u32)>,
    marks: HashMap<String, usize>,
    claimed: Vec<(i64, usize)>,
}

impl Model {
    fn commit(&mut self, ids: &[String], backend: bool, state: State) -> Taken {
        let Some(at) = ids.iter().find_map(|id| self.marks.get(id).copied()) else {
            self.events.push((ids[0].clone(), backend, state, 0));
            self.mark(ids, self.events.len() - 1);
            return Taken::New;
        };
        self.mark(ids, at);
        let claimed = self.claimed.iter().any(|(_, claimed)| *claimed == at);
        let (id, first_backend, first, attempts) = &mut self.events[at];
        let was = *first;
        if backend && !*first_backend && state != State::Suppressed {
            if was == State::Suppressed {
                (*id, *first_backend, *first, *attempts) = (ids[0].clone(), true, state, 0);
                return Taken::New;
            }
            if matches!(was, State::Held(_)) && state == State::Due && *attempts == 0 && !claimed {
                *first = State::Due;
            }
        }
        Taken::Copy(match was {
            State::Due => CopyOf::Due,
            State::Held(_) => CopyOf::Held,
            State::Suppressed => CopyOf::Suppressed,
            State::Delivered => CopyOf::Delivered,
            State::Parked => CopyOf::Parked,
        })
    }

    fn mark(&mut self, ids: &[String], at: usize) {
        for id in ids {
            self.marks.entry(id.clone()).or_insert(at);
        }
    }

    fn change(&mut self, change: impl Fn(State) -> State) {
        for (_, _, state, _) in &mut self.events {
            *state = change(*state);
        }
    }

    fn count(&self, wanted: impl Fn(State) -> bool) -> u64 {
        self.events.iter().filter(|(_, _, state, _)| wanted(*state)).count() as u64
    }

    /// Due and not claimed, by id.
    fn waiting(&self) -> Vec<String> {
        let claimed = |at: usize| self.claimed.iter().any(|(_, claimed)| *claimed == at);
        let due = self.events.iter().enumerate().filter(|(at, (_, _, state, _))| *state == State::Due && !claimed(*at));
        due.map(|(_, (id, ..))| id.clone()).collect()
    }
}

async fn act(step: &Step, model: &mut Model, spool: &mut Spool, folder: &mut TempDir) {
    match step {
        Step::Commit { id, alias, backend, state } => {
            let source = if *backend { Source::Backend } else { Source::Browser };
            let (given, state) = match state {
                0 => (NewState::Suppressed, State::Suppressed),
                1 => (held(AfterHold::Forward), State::Held(AfterHold::Forward)),
                2 => (held(AfterHold::Suppress), State::Held(AfterHold::Suppress)),
                _ => (NewState::Due, State::Due),
            };
            let mut given = event(&format!("i{id}"), source, given);
            given.aliases = alias.iter().map(|alias| EventId::parse(&format!("i{alias}")).unwrap()).collect();
            let ids: Vec<String> = std::iter::once(*id).chain(*alias).map(|id| format!("i{id}")).collect();
            assert_eq!(take(spool, given).await, model.commit(&ids, *backend, state));
        }
        Step::Claim(limit) => {
            let waiting = model.waiting();
            let due = spool.due("shop", UnixMillis(NOW.0 + LATER), *limit).await.unwrap();
            assert_eq!(due.len(), waiting.len().min(*limit));
            for event in due {
                assert!(waiting.contains(&event.id), "{} was not due", event.id);
                let at = model.events.iter().position(|(id, _, state, _)| *id == event.id && *state == State::Due).unwrap();
                model.claimed.push((event.row, at));
            }
        }
        Step::Settle(how) => {
            let Some((row, at)) = model.claimed.pop() else { return };
            let (outcome, state) = match how {
                0 => (Outcome::RetryAt(NOW), State::Due),
                1 => (Outcome::Parked("rejected".to_owned()), State::Parked),
                2 => (Outcome::Replace("{}".to_owned()), State::Due),
                _ => (Outcome::Delivered, State::Delivered),
            };
            spool.settle(NOW, vec![(row, outcome)]).await.unwrap();
            model.events[at].2 = state;
            model.events[at].3 += 1;
        }
        Step::Release => {
            spool.release(VISIT, Release::Proof, NOW).await.unwrap();
            model.change(|state| if matches!(state, State::Held(_)) { State::Due } else { state });
        }
        Step::Suppress => {
            spool.suppress_held(VISIT, NOW).await.unwrap();
            model.change(|state| if matches!(state, State::Held(_)) { State::Suppressed } else { state });
        }
        Step::Sweep => {
            spool.sweep(UnixMillis(NOW.0 + LATER)).await.unwrap();
            model.change(|state| match state {
                State::Held(AfterHold::Forward) => State::Due,
                State::Held(AfterHold::Suppress) => State::Suppressed,
                other => other,
            });
        }
        Step::Crash => {
            (*folder, *spool) = crashed(folder.path(), None);
            model.claimed.clear();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_event_is_lost_doubled_or_sent_after_being_suppressed(steps in proptest::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut folder, mut spool) = fresh();
            let mut model = Model::default();
            for step in &steps {
                act(step, &mut model, &mut spool, &mut folder).await;
                let status = spool.status().await.unwrap();
                assert_eq!(status.due, model.count(|state| state == State::Due));
                assert_eq!(status.held, model.count(|state| matches!(state, State::Held(_))));
                assert_eq!(status.parked, model.count(|state| state == State::Parked));
                assert_eq!(status.marks, model.marks.len() as u64);
            }
        });
    }
}
