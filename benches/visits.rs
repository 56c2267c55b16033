//! What a visitor costs in memory: visits as ad clicks open them, and what the shipped rules count of them. Says bytes for
//! each, and how long a sweep holds a part of the table; a number after `--` is that of the visitors, a million unless given.
#![expect(clippy::print_stdout, reason = "what it is for")]
#![expect(clippy::disallowed_methods, reason = "how long a sweep takes is told by a real clock")]

use std::fs;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use clicksieve::click::read_query;
use clicksieve::clock::UnixMillis;
use clicksieve::fact::Agent;
use clicksieve::fact::Identity;
use clicksieve::fact::Network;
use clicksieve::fact::NetworkKind;
use clicksieve::rules::Policy;
use clicksieve::verdict::Consent;
use clicksieve::verdict::Verdict;
use clicksieve::visits::PageView;
use clicksieve::visits::Settings;
use clicksieve::visits::Visits;
use clicksieve::visits::Walk;
use clicksieve::visits::counters::Act;
use clicksieve::visits::counters::Sighting;
use mimalloc::MiMalloc;
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const START: UnixMillis = UnixMillis(1_774_000_000_000);
/// Different agents: what a busy shop sees in a day.
const AGENTS: u32 = 5_000;
const AGENT: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 352.0.0 (iPhone16,1; iOS 18_1)";
/// Page views of a visitor.
const PAGES: u128 = 3;

fn main() {
    let visitors = std::env::args().filter_map(|argument| argument.parse().ok()).next_back().unwrap_or(1_000_000_u32);
    let settings = Settings {
        path: None,
        max_visits: usize::try_from(visitors).unwrap_or(usize::MAX) * 2,
        counter_bytes: 4 << 30,
        ..Settings::default()
    };
    let Ok(visits) = Visits::open(&settings) else { return };
    let empty = resident();
    let (agent, verdict) = (Arc::new(Agent::default()), Arc::new(Verdict::default()));
    each(visitors, |visitor, page, now, query, fbc| {
        let (ad_ids, campaign) = read_query(query);
        visits.page(PageView {
            visit: id(visitor),
            page: Uuid::from_u128(id(visitor).as_u128() ^ (page + 1)),
            now,
            address: Some(address(visitor)),
            user_agent: &format!("{AGENT} ({})", visitor % AGENTS),
            network: Network { kind: NetworkKind::Residential, ..Network::default() },
            agent: Arc::clone(&agent),
            identity: Identity::None,
            url: "https://shop.example/products/blue-mug-with-a-long-name?fbclid=IwZXh0bgNhZW0BMABhZGlkAasVg1yQ2aQBHSx",
            ad_ids,
            campaign,
            fbp: Some(fbc),
            fbc: Some(fbc),
            verdict: Arc::clone(&verdict),
            consent: Consent::NotRequired,
            walk: Walk { to: u32::try_from(page).ok(), from: None },
        });
    });
    let with_visits = resident();
    let sweep = |_| {
        let began = Instant::now();
        visits.sweep(START);
        began.elapsed()
    };
    let sweeps: Vec<Duration> = (0..settings.shards).map(sweep).collect();
    let (longest, round) = (sweeps.iter().max().copied().unwrap_or_default(), sweeps.iter().sum::<Duration>());
    count(&visits, visitors);
    let with_counts = resident();
    let per = |bytes: u64| bytes / u64::from(visitors.max(1));
    println!("{visitors} visitors of {PAGES} page views, one with an ad click");
    println!("visits: {} in memory, {} bytes each", visits.len(), per(with_visits.saturating_sub(empty)));
    println!("sweeps of {} parts: {} us at most, {} us in all", settings.shards, longest.as_micros(), round.as_micros());
    println!(
        "counters: {} bytes each, {} by their own account",
        per(with_counts.saturating_sub(with_visits)),
        per(visits.counters().bytes())
    );
    println!("in all: {} MiB", with_counts >> 20);
}

/// Counts the page views as the shipped rules ask for.
fn count(visits: &Visits, visitors: u32) {
    let policy = Policy::shipped();
    each(visitors, |visitor, page, now, query, _| {
        let (ad_ids, campaign) = read_query(query);
        let seen = Sighting {
            act: Act::View,
            now,
            visit: id(visitor),
            fresh: page == 0,
            address: Some(address(visitor)),
            network: NetworkKind::Residential,
            asn: Some(64_500),
            user_agent: AGENT,
            ja4: "t13d2014h2_a09f3c656075_e42f34c56612",
            click_id: ad_ids.iter().next().map(|(_, id)| id),
            again: false,
            campaign: campaign.campaign,
        };
        visits.counters().count(policy.counters(), &seen);
    });
}

/// Each page view of each visitor, all within a day.
fn each(visitors: u32, mut view: impl FnMut(u32, u128, UnixMillis, &str, &str)) {
    for page in 0..PAGES {
        for visitor in 0..visitors {
            let now =
                START.plus(Duration::from_millis(u64::from(visitor) * 80 + u64::try_from(page).unwrap_or_default() * 30_000));
            let click = format!(
                "fbclid=IwZXh0bgNhZW0BMABhZGlkAasVg1yQ2aQBHSx_k-9Q_aem_{visitor:016}&utm_campaign=spring&utm_content=ad-7"
            );
            let fbc = format!("fb.1.1774000000000.{visitor:010}");
            view(visitor, page, now, if page == 0 { &click } else { "" }, &fbc);
        }
    }
}

fn id(visitor: u32) -> Uuid {
    Uuid::from_u128(u128::from(visitor).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

/// Homes: four visitors share an address.
fn address(visitor: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(0x4900_0000 + visitor / 4))
}

/// Bytes of this process in memory.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or_default() << 10
}
