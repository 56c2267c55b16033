//! Visits are found by all their keys, keep what must stay, and stay within their bounds.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use crate::click::read_query;
use crate::fact::Agent;
use crate::fact::Identity;
use crate::fact::Network;
use crate::fact::Page;
use crate::fact::Proof;
use crate::verdict::Score;

use super::*;

const NOW: UnixMillis = UnixMillis(1_774_000_000_000);

fn memory(max_visits: usize, max_plain: usize) -> Visits {
    Visits::open(&Settings { path: None, max_visits, max_plain, shards: 2, ..Settings::default() }).unwrap()
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn view(visit: u128, page: u128, now: UnixMillis, query: &'static str) -> PageView<'static> {
    let (ad_ids, campaign) = read_query(query);
    PageView {
        visit: id(visit),
        page: id(page),
        now,
        address: Some("203.0.113.7".parse().unwrap()),
        user_agent: "Mozilla/5.0",
        network: Network::default(),
        agent: Arc::new(Agent::default()),
        identity: Identity::None,
        url: "https://shop.example/p?email=jo%40x.example",
        ad_ids,
        campaign,
        fbp: Some("fb.1.1.1"),
        fbc: None,
        verdict: Arc::new(Verdict { score: Score::clamped(10), shadow: Score::clamped(10), ..Verdict::default() }),
        consent: Consent::NotRequired,
        walk: Walk::default(),
    }
}

fn proof() -> Page {
    Page { proof: Some(Proof::Present), ..Page::default() }
}

#[test]
fn a_visit_is_found_by_every_key_it_has() {
    let visits = memory(10, 10);
    visits.page(view(1, 11, NOW, "fbclid=x&utm_content=ad7"));
    visits.renew(id(1), id(12), NOW);
    visits.link_order(id(1), "A-1");
    visits.link_external(id(1), "hash");
    let found = [
        visits.find(id(1)),
        visits.find_page(id(11)),
        visits.find_page(id(12)),
        visits.find_order("A-1"),
        visits.find_external("hash"),
        visits.find_fbp("fb.1.1.1"),
        visits.find_client("203.0.113.7".parse().unwrap(), "Mozilla/5.0"),
    ];
    assert!(found.iter().all(|visit| visit.as_ref().is_some_and(|visit| visit.id == id(1) && visit.pages == 2)));
    assert!(visits.find_fbc("fb.1.1.1").is_none() && visits.find_order("A-2").is_none());
    assert_eq!(visits.query(Some("ad7"), 5).len(), 1);
    assert!(visits.query(Some("ad8"), 5).is_empty());
}

#[test]
fn the_first_verdict_stays_and_the_newest_is_replaced() {
    let visits = memory(10, 10);
    visits.page(view(1, 11, NOW, ""));
    let visit = visits.settle(id(1), Arc::new(Verdict { score: Score::clamped(90), ..Verdict::default() })).unwrap();
    assert_eq!((visit.first_verdict.score.points(), visit.verdict.score.points()), (10, 90));
    assert!(visits.settle(id(2), Arc::default()).is_none());
}

#[test]
fn what_the_script_has_shown_cannot_be_taken_back() {
    let visits = memory(10, 10);
    visits.page(view(1, 11, NOW, ""));
    visits.report(
        id(1),
        Page { proof: Some(Proof::Present), webdriver: Some(true), interaction: Some(true), ..Page::default() },
        NOW,
    );
    let later = Page { proof: Some(Proof::Absent), webdriver: Some(false), interaction: Some(false), ..Page::default() };
    let visit = visits.report(id(1), later, NOW).unwrap();
    assert_eq!((visit.page.proof, visit.page.webdriver, visit.page.interaction), (Some(Proof::Present), Some(true), Some(true)));
}

#[test]
fn visits_of_one_ad_and_one_agent_keep_its_texts_once_and_for_as_long_as_they_last() {
    let visits = memory(10, 10);
    let ask = |visit: u128, query| visits.page(view(visit, visit + 100, NOW, query));
    let (one, two, other) = (ask(1, "fbclid=x&utm_content=ad7"), ask(2, "fbclid=y&utm_content=ad7"), ask(3, "fbclid=z"));
    assert!(Arc::ptr_eq(&one.utm, &two.utm) && Arc::ptr_eq(&one.user_agent, &other.user_agent));
    assert_eq!((two.utm.content.as_deref(), other.utm.content.as_deref()), (Some("ad7"), None));
    let kept = Arc::downgrade(&one.utm);
    drop((one, two, other));
    // Each sweep looks at one part of the texts.
    (0..shared::PARTS).for_each(|_| visits.sweep(NOW));
    assert!(kept.upgrade().is_some());
    // The first two have let go of the visits.
    (0..=shared::PARTS).for_each(|_| visits.sweep(UnixMillis(NOW.0 + 8 * 86_400_000)));
    assert!(kept.upgrade().is_none());
}

#[test]
fn a_visit_remembers_its_newest_pages_only() {
    let visits = memory(10, 10);
    for page in 0..100 {
        visits.page(view(1, 1_000 + page, UnixMillis(NOW.0 + u64::try_from(page).unwrap()), ""));
    }
    assert!(visits.find_page(id(1_067)).is_none());
    let visit = visits.find_page(id(1_068)).unwrap();
    assert_eq!((visit.pages, visit.recent_pages.len()), (100, REMEMBERED_PAGES));
    assert_eq!(visit.served(id(1_099)), Some(UnixMillis(NOW.0 + 99)));
}

#[test]
fn a_flood_of_visitors_without_click_does_not_push_out_those_with_one() {
    let visits = memory(10, 20);
    visits.page(view(1, 11, NOW, "fbclid=x"));
    for n in 100..1_000 {
        visits.page(view(n, n + 10_000, NOW, ""));
    }
    assert!(visits.find(id(1)).is_some() && visits.len() <= 21);
    assert!(visits.find(id(999)).is_some() && visits.find(id(100)).is_none());
}

#[test]
fn a_flood_of_made_up_clicks_does_not_push_out_those_who_proved_themselves() {
    let visits = memory(640, 64);
    let at = |seconds: u64| NOW.plus(Duration::from_secs(seconds));
    for n in 0..64 {
        visits.page(view(n, n, at(0), "fbclid=real"));
        visits.report(id(n), proof(), at(1));
    }
    for n in 1_000..4_000 {
        visits.page(view(n, n, at(2), "fbclid=made-up"));
    }
    assert!((0..64).filter(|n| visits.find(id(*n)).is_some()).count() > 60);
    // They go where there is nobody else.
    for n in 10_000..12_000 {
        visits.page(view(n, n, at(3), "fbclid=real"));
        visits.report(id(n), proof(), at(3));
    }
    assert!(visits.len() <= 640 + 64 && visits.find(id(11_999)).is_some());
}

#[test]
fn what_is_kept_of_a_visit_is_bounded_whatever_came_and_it_is_found_all_the_same() {
    let visits = memory(64, 64);
    let endless: &'static str = "x".repeat(8_000).leak();
    let names = ["fbclid", "gclid", "msclkid", "ttclid", "utm_source", "utm_campaign", "utm_content", "utm_term"];
    let query = names.map(|name| format!("{name}={endless}")).join("&").leak();
    let mut view = view(1, 1, NOW, query);
    let url = format!("https://shop.example/mug?{query}");
    (view.user_agent, view.url, view.fbp, view.fbc) = (endless, &url, Some(endless), Some(endless));
    let visit = visits.page(view.clone());
    assert_eq!((&*visit.landing_url, visit.fbp.as_ref(), visit.fbc.as_ref()), ("https://shop.example/mug", None, None));
    let utm = &visit.utm;
    let texts = [&utm.source, &utm.campaign, &utm.content, &utm.term].into_iter().flatten().map(String::len);
    let kept = texts.chain(visit.ad_ids.iter().map(|(_, id)| id.len())).chain([visit.user_agent.len()]).sum::<usize>();
    assert!(kept <= 6 << 10, "{kept}");
    assert!(visits.find_client(view.address.unwrap(), endless).is_some());
}

#[test]
fn visits_not_seen_for_their_time_are_forgotten_with_their_keys() {
    let visits = memory(10, 10);
    visits.page(view(1, 11, NOW, "fbclid=x"));
    // Each sweep looks at one of the two shards.
    (0..2).for_each(|_| visits.sweep(UnixMillis(NOW.0 + 8 * 86_400_000)));
    assert!(visits.is_empty() && visits.find_page(id(11)).is_none());
    assert_eq!(visits.table.keys(), 0);
}

#[test]
fn visits_with_a_click_or_a_proof_outlive_a_restart_without_contact_data() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("visits.db");
    let settings = Settings { path: Some(path.clone()), ..Settings::default() };
    let visits = Visits::open(&settings).unwrap();
    visits.page(view(1, 11, NOW, "fbclid=x&utm_content=ad7&utm_term=jo%40x.example"));
    visits.page(view(2, 12, NOW, ""));
    visits.page(view(3, 13, NOW, ""));
    visits.link_order(id(1), "A-1");
    let before = visits.report(id(2), proof(), NOW).unwrap();
    visits.flush();
    assert_eq!(visits.unwritten(), 0);
    for name in ["visits.db", "visits.db-wal"] {
        let file = folder.path().join(name);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let bytes = fs::read(&file).unwrap();
        assert!(!bytes.windows(9).any(|part| part == b"x.example"), "{name}");
    }
    assert!(matches!(Visits::open(&settings), Err(VisitsError::Database { .. })));
    drop(visits);
    let visits = Visits::open(&settings).unwrap();
    assert!(visits.find(id(3)).is_none());
    assert_eq!(visits.find_order("A-1").unwrap().utm.content.as_deref(), Some("ad7"));
    let after = visits.find_page(id(12)).unwrap();
    assert_eq!(*after, Visit { landing_url: "https://shop.example/p".into(), proved_at: None, ..(*before).clone() });
    drop(visits);
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 9).unwrap();
    assert!(matches!(Visits::open(&settings), Err(VisitsError::Newer { found: 9, .. })));
}

/// Opens the file; it holds what was learnt of proofs that came and then ceased, and of a shop with assets.
fn taught(settings: &Settings) -> Visits {
    let visits = Visits::open(settings).unwrap();
    let address = |n: u8| Some(IpAddr::from([73, n, 40, 7]));
    let ceased = UnixMillis(NOW.0 + 3_600_000);
    (0..100).for_each(|n| visits.canary().saw(NOW, address(n), true));
    (0..60).for_each(|n| visits.canary().saw(ceased, address(n), false));
    visits.canary().look(ceased);
    (0..60).for_each(|n| visits.assets().learn(address(n), true));
    visits
}

#[test]
fn how_proofs_and_assets_stand_outlives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { path: Some(folder.path().join("visits.db")), ..Settings::default() };
    let visits = taught(&settings);
    let (before, later) = (visits.canary().standing(), UnixMillis(NOW.0 + 3_601_000));
    assert!(!visits.canary().sings() && visits.assets().tell());
    visits.flush();
    drop(visits);
    let visits = Visits::open(&settings).unwrap();
    assert!(!visits.canary().sings() && visits.assets().tell());
    // Nothing new: the operator was told before the restart.
    assert_eq!(visits.canary().look(later), (before, false));
    (0..100).for_each(|_| visits.canary().saw(later, None, true));
    assert!(!visits.canary().look(later).0.collapsed);
    // One network decides for no other, also by what it showed before.
    (0..250).for_each(|_| visits.assets().learn(Some(IpAddr::from([73, 5, 40, 9])), false));
    assert!(visits.assets().tell());
}

#[test]
fn what_was_learnt_is_kept_without_a_stop_too_and_a_damaged_or_older_file_has_nothing_learnt() {
    type Ends = fn(&Visits);
    let ends: [Ends; 3] = [|visits| visits.sweep(NOW), Visits::flush, Visits::leave];
    for end in ends {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { path: Some(folder.path().join("visits.db")), ..Settings::default() };
        let visits = taught(&settings);
        end(&visits);
        drop(visits);
        assert!(!Visits::open(&settings).unwrap().canary().sings());
        for spoil in ["UPDATE learnt SET body = '{\"proofs\":7'", "DROP TABLE learnt"] {
            let file = rusqlite::Connection::open(settings.path.as_ref().unwrap()).unwrap();
            file.execute_batch(spoil).unwrap();
            drop(file);
            let visits = Visits::open(&settings).unwrap();
            assert!(visits.canary().sings() && !visits.assets().tell(), "{spoil}");
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Page { visit: u128, click: bool },
    Proof(u128),
    Order(u128, u8),
    Sweep,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..24_u128, any::<bool>()).prop_map(|(visit, click)| Step::Page { visit, click }),
        2 => (0..24_u128).prop_map(Step::Proof),
        3 => (0..24_u128, 0..6_u8).prop_map(|(visit, order)| Step::Order(visit, order)),
        1 => Just(Step::Sweep),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn bounds_hold_and_no_key_leads_to_a_wrong_or_lost_visit(steps in proptest::collection::vec(step(), 1..200)) {
        let visits = memory(8, 6);
        let mut pages: HashMap<u128, u128> = HashMap::new();
        let mut orders: HashMap<u8, u128> = HashMap::new();
        for (at, step) in steps.into_iter().enumerate() {
            let now = UnixMillis(NOW.0 + at as u64 * 3_600_000);
            let page = 1_000 + at as u128;
            match step {
                Step::Page { visit, click } => {
                    visits.page(view(visit, page, now, if click { "fbclid=x" } else { "" }));
                    pages.insert(page, visit);
                    prop_assert!(visits.find(id(visit)).is_some());
                }
                Step::Proof(visit) => drop(visits.report(id(visit), proof(), now)),
                Step::Order(visit, order) => {
                    if visits.link_order(id(visit), &order.to_string()).is_some() {
                        orders.insert(order, visit);
                    }
                }
                Step::Sweep => visits.sweep(now),
            }
            let all = visits.query(None, usize::MAX);
            prop_assert!(all.iter().filter(|visit| visit.is_kept()).count() <= 8);
            prop_assert!(all.iter().filter(|visit| !visit.is_kept()).count() <= 6);
            prop_assert!(visits.table.keys() <= all.len() * (REMEMBERED_PAGES + 2 * REMEMBERED_LINKS + 3));
            for (page, visit) in &pages {
                prop_assert!(visits.find_page(id(*page)).is_none_or(|found| found.id == id(*visit)));
            }
            for (order, visit) in &orders {
                prop_assert!(visits.find_order(&order.to_string()).is_none_or(|found| found.id == id(*visit)));
            }
            for visit in &all {
                prop_assert!(visit.recent_pages.iter().all(|(page, _)| visits.find_page(*page).is_some()));
            }
        }
    }
}
