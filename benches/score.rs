//! What judging a page view costs with the shipped lists and rules: the click read from the request, facts of network, agent,
//! request and connection, and the score. `cold`: agent and address were never asked for; `shared`: another thread asked (moka);
//! `near`: this thread did; `whole`: it did, and whether all of it agrees is found out as well; `again`: the same, for a visit
//! that was judged before and is judged anew by what is known of its page.
//! The fields lie in one map, as near to the processor as those of a request that was just read; where agents differ, putting
//! one into it is counted as well. Says how often each way allocates. With `CLICKSIEVE_PAGES=near:20000` it judges that many pages that way and nothing else,
//! for `valgrind --tool=callgrind`: instructions of two such runs, subtracted, are what pages cost.
#![expect(clippy::unwrap_used, reason = "a bench that cannot run should stop")]
#![expect(clippy::print_stdout, clippy::cast_precision_loss, reason = "counts are told beside the times")]

use std::hint::black_box;
use std::net::IpAddr;
use std::net::Ipv4Addr;

use clicksieve::click::Click;
use clicksieve::click::Scheme;
use clicksieve::fact::Agent;
use clicksieve::fact::Facts;
use clicksieve::fact::H2Shown;
use clicksieve::fact::HttpVersion;
use clicksieve::fact::Network;
use clicksieve::fact::Proof;
use clicksieve::fact::Shown;
use clicksieve::fact::TlsShown;
use clicksieve::fact::TlsVersion;
use clicksieve::facts;
use clicksieve::facts::Knowledge;
use clicksieve::facts::Sources;
use clicksieve::rules::Policy;
use clicksieve::verdict::Verdict;
use criterion::Criterion;
use criterion::criterion_group;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::header::USER_AGENT;

/// Agents of one family that differ in a version: more than any table near or shared holds.
const MANY: u32 = 40_000;
/// An agent as millions of people send it.
const USUAL: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36";
const QUERY: &str =
    "utm_source=facebook&utm_campaign=mugs&fbclid=IwZXh0bgNhZW0BMABhZGlkAasVg1yQ2aQBHSx_k-9Q_aem_AbCdEf0123456789";

fn agent(number: u32) -> String {
    format!("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.{number} Safari/537.36")
}

fn address(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x5000_0000 + number.wrapping_mul(7_919)))
}

/// In an access network.
fn home(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x49a2_0000 + number))
}

/// The fields of a navigation by Chromium 156 over HTTP/2.
fn fields() -> HeaderMap {
    let fields = [
        ("host", "shop.example"),
        ("sec-ch-ua", "\"Not:A-Brand\";v=\"8\", \"Chromium\";v=\"156\""),
        ("sec-ch-ua-mobile", "?0"),
        ("sec-ch-ua-platform", "\"Linux\""),
        ("upgrade-insecure-requests", "1"),
        ("user-agent", USUAL),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8"),
        ("sec-fetch-site", "none"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-user", "?1"),
        ("sec-fetch-dest", "document"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("accept-language", "en-US,en;q=0.9"),
        ("priority", "u=0, i"),
    ];
    fields.into_iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect()
}

/// What a Chromium shows of its connection.
struct Connection {
    tls: TlsShown,
    h2: H2Shown,
}

impl Connection {
    fn chromium() -> Self {
        let tls = TlsShown {
            ja4: "t13d1517h2_8daaf6152771_cb7bf5808d99".into(),
            ja4_stable: Some("t13d1517h2_8daaf6152771_cb7bf5808d99".into()),
            grease: Some(true),
            version: Some(TlsVersion::OneThree),
            sni: Some(true),
            alpn: Some("h2".into()),
        };
        let fingerprint = "1:65536;2:0;4:6291456;6:262144|15663105|0|m,a,s,p".into();
        let h2 = H2Shown { fingerprint, order: "m,a,s,p".into(), weight: Some(256) };
        Self { tls, h2 }
    }

    fn shown(&self) -> Shown<'_> {
        Shown {
            version: Some(HttpVersion::Two),
            tls: Some(&self.tls),
            h2: Some(&self.h2),
            names: None,
            spoofed_forwarding: Some(false),
        }
    }
}

/// What is done with a page view.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// It is judged by what network, agent and request show each by itself.
    Plain,
    /// Whether they agree is found out, too.
    Whole,
    /// The same, for a visit that was judged before and has proved itself.
    Again,
}

/// The engines of a page view.
struct Bench {
    sources: Sources,
    policy: Policy,
    connection: Connection,
    /// What a visit was worth whose page has proved that its script runs.
    earlier: Verdict,
    /// Those of a request.
    fields: HeaderMap,
}

impl Bench {
    fn judge(&mut self, (address, agent): &Client, way: Way) -> u8 {
        if let Some(agent) = agent {
            self.fields.insert(USER_AGENT, agent.clone());
        }
        let (address, fields) = (*address, &self.fields);
        let click = Click::read(Some(address), Scheme::Https, "/product/1", QUERY, fields);
        let network = self.sources.network(Some(address));
        let agent = self.sources.agent(click.user_agent());
        let mut facts = facts::gather(&click, &network, &agent);
        facts.shown = self.connection.shown();
        if way == Way::Whole || way == Way::Again {
            facts.coherence = facts::coherence(&facts);
        }
        if way == Way::Again {
            facts.page.proof = Some(Proof::Present);
            facts.visit.returning = Some(true);
            return self.policy.rescore(black_box(&facts), &self.earlier).score.points();
        }
        self.policy.score(black_box(&facts)).score.points()
    }
}

/// Who asks: from where, and as whom, if not as everybody.
type Client = (IpAddr, Option<HeaderValue>);

fn bench() -> Bench {
    let settings = facts::Settings::default();
    let sources = Sources::new(Knowledge::load(&settings).unwrap(), &settings);
    let policy = Policy::shipped();
    let (network, agent) = (Network::default(), Agent::default());
    let mut facts = Facts::unknown(&network, &agent);
    facts.page.proof = Some(Proof::Present);
    let earlier = policy.score(&facts);
    Bench { sources, policy, connection: Connection::chromium(), earlier, fields: fields() }
}

/// Each a client of its own.
fn strangers() -> Vec<Client> {
    (0..MANY).map(|number| (address(number), Some(HeaderValue::try_from(agent(number)).unwrap()))).collect()
}

/// More than this thread remembers, less than all threads do; people at home, of whom nothing is said.
fn people() -> Vec<Client> {
    (0..6_000).map(|number| (home(number), None)).collect()
}

fn judge_all<'a>(bench: &mut Bench, clients: impl Iterator<Item = &'a Client>, way: Way) {
    for client in clients {
        black_box(bench.judge(client, way));
    }
}

/// Judges so many pages, as an instruction counter wants it: `near:20000`.
fn judge_some(order: &str) {
    let (name, pages) = order.split_once(':').unwrap();
    let (mut bench, pages) = (bench(), pages.parse().unwrap());
    let clients = match name {
        "cold" => strangers(),
        "shared" => people(),
        _ => people().into_iter().take(8).collect(),
    };
    let way = match name {
        "whole" => Way::Whole,
        "again" => Way::Again,
        _ => Way::Plain,
    };
    if name != "cold" {
        judge_all(&mut bench, clients.iter(), way);
    }
    judge_all(&mut bench, clients.iter().cycle().take(pages), way);
}

fn score(criterion: &mut Criterion) {
    let mut bench = bench();
    let (strangers, people) = (strangers(), people());
    let few = people.get(..8).unwrap();
    let mut group = criterion.benchmark_group("score");
    let ways = [
        ("cold", strangers.as_slice(), Way::Plain),
        ("shared", people.as_slice(), Way::Plain),
        ("near", few, Way::Plain),
        ("whole", few, Way::Whole),
        ("again", few, Way::Again),
    ];
    for (name, clients, way) in ways {
        if name != "cold" {
            bench.fields = fields();
            judge_all(&mut bench, clients.iter(), way);
        }
        let mut next = clients.iter().cycle();
        group.bench_function(name, |bencher| bencher.iter(|| bench.judge(next.next().unwrap(), way)));
    }
    group.finish();

    let cold = strangers.get(30_000..31_000).unwrap();
    for (name, clients, way) in
        [("near", few, Way::Plain), ("whole", few, Way::Whole), ("again", few, Way::Again), ("cold", cold, Way::Plain)]
    {
        let mut each = || judge_all(&mut bench, clients.iter(), way);
        if name != "cold" {
            each();
        }
        let counted = allocation_counter::measure(each);
        println!("score/{name}: {:.2} allocations a page view", counted.count_total as f64 / clients.len() as f64);
    }
}

criterion_group!(benches, score);

fn main() {
    if let Ok(order) = std::env::var("CLICKSIEVE_PAGES") {
        return judge_some(&order);
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}
