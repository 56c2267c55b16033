//! Counters count what came within their windows, know nothing where an address stands for many, and stay within their room.

use proptest::prelude::*;

use super::*;

const START: UnixMillis = UnixMillis(1_774_000_000_000);
const TEN: Duration = Duration::from_mins(10);

fn distinct(distinct: Distinct, by: Counter, window: Duration) -> Counted {
    Counted::new("x", What::Distinct(distinct), by, window)
}

/// A page view of a visit that has its cookie, from a home.
fn view(visit: u128, now: UnixMillis, click_id: Option<&str>) -> Sighting<'_> {
    Sighting {
        act: Act::View,
        now,
        visit: Uuid::from_u128(visit),
        fresh: false,
        address: Some(IpAddr::from([203, 0, 113, 7])),
        network: NetworkKind::Residential,
        asn: Some(64_500),
        user_agent: "Mozilla/5.0",
        ja4: "t13d",
        click_id,
        again: false,
        campaign: Some("spring"),
    }
}

fn bought<'a>(id: &'a str, name: &'a str, now: UnixMillis) -> Sighting<'a> {
    Sighting { act: Act::Event { name, id }, ..view(1, now, None) }
}

fn one(counters: &Counters, counted: &Counted, seen: &Sighting<'_>) -> Option<u32> {
    counters.count(std::slice::from_ref(counted), seen)[0]
}

fn after(time: Duration) -> UnixMillis {
    START.plus(time)
}

#[test]
fn different_clicks_of_a_client_count_and_the_same_one_counts_once() {
    let (counters, counted) = (Counters::new(1 << 20), distinct(Distinct::ClickId, Counter::Client, TEN));
    let ids = ["a", "b", "a", "c", "c"].map(|id| one(&counters, &counted, &view(1, START, Some(id))).unwrap());
    assert_eq!(ids, [1, 2, 2, 3, 3]);
    assert_eq!(one(&counters, &counted, &view(2, START, Some("a"))), Some(1));
    assert_eq!(one(&counters, &counted, &view(1, START, None)), None);
}

#[test]
fn what_is_older_than_the_window_counts_no_more_and_what_is_younger_than_nine_tenths_of_it_does() {
    let counters = Counters::new(1 << 20);
    let views = Counted::new("v", What::Views, Counter::Visit, TEN);
    let ids = distinct(Distinct::ClickId, Counter::Client, TEN);
    for (minutes, of_views, of_ids) in [(0, 1, 1), (3, 2, 2), (9, 3, 3), (10, 3, 3), (14, 3, 3), (60, 1, 1)] {
        let (now, id) = (after(Duration::from_mins(minutes)), minutes.to_string());
        let counts = counters.count(&[views.clone(), ids.clone()], &view(1, now, Some(&id)));
        assert_eq!((counts[0], counts[1]), (Some(of_views), Some(of_ids)), "after {minutes} minutes");
    }
}

#[test]
fn a_visit_that_begins_without_a_cookie_goes_on_under_its_cookie() {
    let (counters, counted) = (Counters::new(1 << 20), distinct(Distinct::ClickId, Counter::Client, TEN));
    let landing = Sighting { fresh: true, ..view(1, START, Some("a")) };
    assert_eq!(one(&counters, &counted, &landing), Some(1));
    assert_eq!(one(&counters, &counted, &view(1, START, Some("b"))), Some(2));
    // Whoever clears its cookies is still the same to the eye.
    assert_eq!(one(&counters, &counted, &Sighting { visit: Uuid::from_u128(9), ..landing }), Some(1));
    assert_eq!(one(&counters, &counted, &Sighting { visit: Uuid::from_u128(8), click_id: Some("c"), ..landing }), Some(2));
}

#[test]
fn behind_carriers_relays_offices_and_unknown_networks_nothing_counts_by_address() {
    let counters = Counters::new(1 << 20);
    let by = |by| distinct(Distinct::ClickId, by, TEN);
    let counted =
        [by(Counter::Address), by(Counter::Prefix), by(Counter::Client), distinct(Distinct::Prefix, Counter::Visit, TEN)];
    let shared =
        [NetworkKind::MobileCarrier, NetworkKind::PrivateRelay, NetworkKind::Corporate, NetworkKind::Bogon, NetworkKind::Unknown];
    for network in shared {
        let landing = Sighting { network, fresh: true, ..view(1, START, Some("a")) };
        assert_eq!(counters.count(&counted, &landing)[..4], [None; 4], "{network:?}");
    }
    let landing = Sighting { fresh: true, ..view(1, START, Some("a")) };
    assert_eq!(counters.count(&counted, &landing)[..4], [Some(1); 4]);
    // By its cookie a client is known everywhere.
    let known = Sighting { network: NetworkKind::MobileCarrier, ..view(5, START, Some("a")) };
    assert_eq!(one(&counters, &counted[2], &known), Some(1));
}

#[test]
fn neighbours_share_a_prefix_and_nobody_else_does() {
    let (counters, counted) = (Counters::new(1 << 20), distinct(Distinct::ClickId, Counter::Prefix, TEN));
    let from = |address: &str, id| Sighting { address: Some(address.parse().unwrap()), ..view(1, START, Some(id)) };
    for (address, id, count) in [
        ("203.0.113.7", "a", 1),
        ("203.0.113.200", "b", 2),
        ("203.0.114.7", "c", 1),
        ("2001:db8:1:2::1", "d", 1),
        ("2001:db8:1:ffff::9", "e", 2),
        ("2001:db8:2::1", "f", 1),
    ] {
        assert_eq!(one(&counters, &counted, &from(address, id)), Some(count), "{address}");
    }
}

#[test]
fn a_page_shown_again_is_not_another_client_of_its_click() {
    let counters = Counters::new(1 << 20);
    let counted = distinct(Distinct::Client, Counter::ClickId, LONGEST);
    let landing = Sighting { fresh: true, ..view(1, START, Some("a")) };
    assert_eq!(one(&counters, &counted, &landing), Some(1));
    assert_eq!(one(&counters, &counted, &Sighting { again: true, ..view(1, START, Some("a")) }), None);
    assert_eq!(one(&counters, &counted, &view(2, START, Some("a"))), Some(2));
}

#[test]
fn events_count_by_name_and_copies_of_one_count_once() {
    let counters = Counters::new(1 << 20);
    let named = Counted::new("n", What::Events(Some("purchase".into())), Counter::Client, TEN);
    let any = Counted::new("a", What::Events(None), Counter::Visit, TEN);
    let counted = [named, any];
    for (id, name, purchases, events) in [
        ("o.1", "Purchase", Some(1), 1),
        ("o.1", "Purchase", Some(1), 1),
        ("x", "Lead", None, 2),
        ("o.2", "Purchase", Some(2), 3),
    ] {
        let counts = counters.count(&counted, &bought(id, name, START));
        assert_eq!((counts[0], counts[1]), (purchases, Some(events)), "{id}");
    }
    assert_eq!(counters.repeats(START, Uuid::from_u128(1), "Lead", "x"), 0);
    assert_eq!(counters.repeats(START, Uuid::from_u128(1), "Lead", "x"), 0);
    assert_eq!(counters.repeats(START, Uuid::from_u128(1), "Lead", "y"), 1);
}

const LONGEST: Duration = crate::fact::counting::LONGEST_WINDOW;

#[test]
fn counts_go_on_when_the_key_changes_and_are_gone_two_days_later() {
    let counters = Counters::new(1 << 20);
    let counted = distinct(Distinct::Client, Counter::ClickId, LONGEST);
    // One hour before the day ends, and so the key.
    let day = 86_400_000;
    let evening = UnixMillis((START.0 / day + 1) * day - 3_600_000);
    let seen = |visit, hours| view(visit, evening.plus(Duration::from_hours(hours)), Some("a"));
    assert_eq!([1, 2, 3].map(|visit| one(&counters, &counted, &seen(visit, 0))), [Some(1), Some(2), Some(3)]);
    assert_eq!(one(&counters, &counted, &seen(2, 2)), Some(3));
    assert_eq!(one(&counters, &counted, &seen(4, 3)), Some(4));
    assert_eq!(one(&counters, &counted, &seen(5, 72)), Some(1));
}

#[test]
fn a_clock_that_is_set_back_neither_loses_nor_doubles() {
    let counters = Counters::new(1 << 20);
    let ids = distinct(Distinct::ClickId, Counter::Client, TEN);
    assert_eq!(one(&counters, &ids, &view(1, START, Some("a"))), Some(1));
    assert_eq!(one(&counters, &ids, &view(1, START.minus(Duration::from_hours(3)), Some("a"))), Some(1));
    assert_eq!(one(&counters, &ids, &view(1, START, Some("b"))), Some(2));
}

#[test]
fn a_sketch_is_within_five_percent_up_to_a_hundred_thousand() {
    for seed in 0..5_u64 {
        let mut sketch = sketch::Sketch::default();
        for n in 1..=100_000_u32 {
            sketch.put(7, element((seed << 32) + u64::from(n)));
            if [65, 500, 2_000, 10_000, 12_000, 30_000, 100_000].contains(&n) {
                let count = sketch.count(7);
                assert!(count.abs_diff(n) * 20 <= n, "{count} for {n}, seed {seed}");
            }
        }
        assert_eq!(sketch.count(8), 0);
    }
}

#[test]
fn a_set_is_exact_up_to_sixty_four_and_goes_on_from_there() {
    let mut set = set::Set::default();
    for n in 1..=70_u32 {
        let count = set.put(n / 10, element(u64::from(n)), 0);
        assert!(count == n || n > 64 && count.abs_diff(n) <= 2, "{count} for {n}");
    }
    // Ten buckets later nothing of it is left.
    assert_eq!(set.put(7 + BUCKETS, element(1), 0), 1);
}

fn element(n: u64) -> u32 {
    u32::try_from(splitmix(n) >> 32).unwrap()
}

fn splitmix(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[test]
fn a_flood_of_a_million_keys_stays_within_the_room_and_what_it_pushed_out_is_counted() {
    let room = 4 << 20;
    let (counters, counted) = (Counters::new(room), distinct(Distinct::ClickId, Counter::Client, TEN));
    for n in 0..1_000_000 {
        counters.repeats(START, Uuid::from_u128(n), "Lead", "a");
        // One client that is always there is never pushed out.
        if n % 1_000 == 0 {
            one(&counters, &counted, &view(u128::MAX, START, Some(&n.to_string())));
        }
    }
    assert!(counters.bytes() <= room, "{}", counters.bytes());
    assert!(counters.evicted() > 900_000 && counters.table.len() > 10_000, "{}", counters.evicted());
    let count = one(&counters, &counted, &view(u128::MAX, START, Some("0"))).unwrap();
    assert!((950..1_050).contains(&count), "{count}");
}

#[test]
fn sets_and_sketches_count_into_the_room() {
    let (counters, counted) = (Counters::new(1 << 20), distinct(Distinct::ClickId, Counter::Client, TEN));
    for client in 0..300 {
        for id in 0..100 {
            one(&counters, &counted, &view(client, START, Some(&format!("{client}.{id}"))));
        }
    }
    assert!(counters.bytes() <= (1 << 20) + 64 * 8_192, "{}", counters.bytes());
    assert!(counters.evicted() > 0);
}

#[test]
fn a_campaign_bursts_against_its_own_past_only() {
    let counters = Counters::new(1 << 20);
    let at = |slot: u64, n: u64| after(Duration::from_mins(10 * slot) + Duration::from_secs(n % 600));
    for slot in 0..40 {
        for n in 0..(18 + slot % 5) {
            let z = counters.burst(at(slot, n), "spring", 64_500);
            assert!(z.is_none_or(|z| z < 3), "slot {slot}: {z:?}");
            assert_eq!(z.is_some(), slot >= 12);
        }
    }
    let z = (0..90).filter_map(|n| counters.burst(at(40, n), "spring", 64_500)).max().unwrap();
    assert!(z >= 6, "{z}");
    assert_eq!(counters.burst(at(40, 0), "summer", 64_500), None);
}

#[test]
fn a_quiet_campaign_does_not_burst_by_a_few_clicks() {
    let counters = Counters::new(1 << 20);
    for slot in 0..60_u64 {
        let now = after(Duration::from_mins(10 * slot));
        counters.burst(now, "spring", 1);
    }
    let z = (0..5).filter_map(|_| counters.burst(after(Duration::from_hours(10)), "spring", 1)).max().unwrap();
    assert!(z < 6, "{z}");
}

proptest! {
    #[test]
    fn a_window_never_counts_more_than_came_in_it_nor_less_than_came_in_nine_tenths(
        steps in prop::collection::vec(0_u64..400_000, 1..60)
    ) {
        let (counters, counted) = (Counters::new(1 << 20), Counted::new("v", What::Views, Counter::Visit, TEN));
        let (mut now, mut came) = (START, Vec::new());
        for step in steps {
            now = now.plus(Duration::from_millis(step));
            came.push(now);
            let count = usize::try_from(one(&counters, &counted, &view(1, now, None)).unwrap()).unwrap();
            let within = |window| came.iter().filter(|at| now.since(**at) < window).count();
            prop_assert!((within(Duration::from_mins(9))..=within(TEN)).contains(&count));
        }
    }
}
