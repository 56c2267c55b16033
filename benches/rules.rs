//! What judging a browser's request costs: the shipped rules, and a file of 80 signals as a shop may come to have.
#![expect(clippy::unwrap_used, reason = "a bench that cannot run should stop")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use clicksieve::click::Purpose;
use clicksieve::click::Scheme;
use clicksieve::click::Sent;
use clicksieve::fact::Agent;
use clicksieve::fact::AgentKind;
use clicksieve::fact::Engine;
use clicksieve::fact::Facts;
use clicksieve::fact::HttpVersion;
use clicksieve::fact::IdShape;
use clicksieve::fact::Network;
use clicksieve::fact::NetworkKind;
use clicksieve::fact::Os;
use clicksieve::fact::Shown;
use clicksieve::rules::Policy;
use criterion::Criterion;
use criterion::criterion_group;
use criterion::criterion_main;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;

/// Conditions of the kinds that rule files have; `{}` is a number that differs from row to row.
const CONDITIONS: [&str; 8] = [
    "ua.kind == browser and ua.engine == chromium and ua.major >= {} and http.header(\"sec-ch-ua\") is missing and http.scheme == https",
    "ua.kind == browser and ua.engine == gecko and http.header(\"x-probe-{}\") is not missing",
    "net.kind in [cloud, datacenter, tor] and ua.major < {}",
    "page.webdriver and page.age > {}s",
    "ua.kind == browser and http.names contains \"accept-encoding,host{}\"",
    "event.name == Purchase and session.pages < {}",
    "ua.kind in [browser, in_app] and not (http.header(\"accept\") starts_with text/html or ua.mobile) and ua.major != {}",
    "ua.kind == library and ua.family == \"tool{}\"",
];

fn rules(signals: usize) -> String {
    let mut text = "schema: clicksieve/rules/v1\nscore: { groups: { a: 60 } }\nsignals:\n".to_owned();
    for number in 0..signals {
        let condition = CONDITIONS.get(number % CONDITIONS.len()).unwrap().replace("{}", &(150 + number).to_string());
        let _ = writeln!(text, "  - {{ id: s{number}, when: '{condition}', points: 5, group: a, category: givt.activity }}");
    }
    text
}

fn scoring(c: &mut Criterion) {
    let headers: HeaderMap = [
        ("host", "shop.example"),
        ("accept", "text/html,application/xhtml+xml"),
        ("accept-language", "de-DE,de;q=0.9"),
        ("sec-ch-ua", "\"Chromium\";v=\"141\""),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ]
    .into_iter()
    .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
    .collect();
    let network = Network { kind: NetworkKind::Residential, asn: Some(64_496), ..Network::default() };
    let agent = Agent {
        kind: AgentKind::Browser,
        family: Arc::from("chrome"),
        engine: Some(Engine::Chromium),
        major: Some(141),
        os: Some(Os::Windows),
        ..Agent::default()
    };
    let names = "host,sec-ch-ua,user-agent,accept,sec-fetch-mode,sec-fetch-dest,accept-encoding,accept-language";
    let facts = Facts {
        sent: Some(Sent::of(&headers)),
        shown: Shown { version: Some(HttpVersion::Two), names: Some(names), ..Shown::default() },
        scheme: Some(Scheme::Https),
        host: Some("shop.example"),
        path: Some("/shoes"),
        purpose: Some(Purpose::View),
        fbclid: Some(IdShape::Ok),
        gclid: Some(IdShape::Absent),
        ..Facts::unknown(&network, &agent)
    };
    let parts =
        "scopes:\n  - { id: a, site: other.example, sensitivity: strict }\n  - { id: b, path: /sale/, sensitivity: low }\n";
    let shipped = Policy::shipped();
    let eighty = Policy::parse("bench.yaml", &rules(80), Path::new(".")).unwrap();
    let scoped = Policy::parse("bench.yaml", &(rules(80) + parts), Path::new(".")).unwrap();
    for (name, policy) in [("shipped", &shipped), ("80 signals", &eighty), ("80 signals, 2 scopes", &scoped)] {
        assert!(policy.score(&facts).reasons.is_empty(), "{name}: {:?}", policy.score(&facts));
        c.bench_function(&format!("rules/{name}"), |bencher| bencher.iter(|| policy.score(black_box(&facts))));
    }
}

criterion_group!(benches, scoring);
criterion_main!(benches);
