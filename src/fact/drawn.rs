//! Facts by lot, for tests that must hold whatever the facts are: each is often unknown, words are any of theirs, numbers and
//! texts are often those at which rules change their mind. The same lot gives the same facts.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;

use crate::click::AdNetwork;
use crate::click::Purpose;
use crate::click::Scheme;
use crate::click::Sent;
use crate::fact::Accept;
use crate::fact::Agent;
use crate::fact::AgentForm;
use crate::fact::AgentKind;
use crate::fact::Agreement;
use crate::fact::AsWords;
use crate::fact::Behaviour;
use crate::fact::ChallengeFacts;
use crate::fact::ClickMoves;
use crate::fact::Coherence;
use crate::fact::Deed;
use crate::fact::Device;
use crate::fact::Encodings;
use crate::fact::Engine;
use crate::fact::EventFacts;
use crate::fact::Facts;
use crate::fact::FetchMetadata;
use crate::fact::Fields;
use crate::fact::Fit;
use crate::fact::H2Family;
use crate::fact::H2Shown;
use crate::fact::HintsAgent;
use crate::fact::HintsForm;
use crate::fact::HttpVersion;
use crate::fact::IdShape;
use crate::fact::Identity;
use crate::fact::InApp;
use crate::fact::Look;
use crate::fact::Network;
use crate::fact::NetworkKind;
use crate::fact::Os;
use crate::fact::Page;
use crate::fact::Payment;
use crate::fact::Proof;
use crate::fact::Shown;
use crate::fact::Signed;
use crate::fact::TlsFamily;
use crate::fact::TlsShown;
use crate::fact::TlsVersion;
use crate::fact::VisitFacts;
use crate::fact::Zone;

const FIELDS: [&str; 6] = ["accept", "accept-language", "sec-ch-ua", "sec-fetch-mode", "sec-fetch-dest", "x-other"];
const VALUES: [&str; 8] = ["navigate", "cors", "empty", "document", "text/html", "de-DE,de;q=0.9", "", "\u{ff}"];
const TEXTS: [&str; 8] = ["shop.example", "/sale/shoes", "spring", "Purchase", "Lead", "chrome", "m,a,s,p", ""];
const FAMILIES: [&str; 6] = ["chrome", "lynx", "w3m", "curl", "x", ""];
const NUMBERS: [u32; 16] = [0, 1, 2, 3, 4, 6, 7, 10, 24, 25, 59, 60, 79, 90, 5_000, u32::MAX];
const AGENTS: [&str; 3] = ["Mozilla/5.0 shopbot/1.0", "partner-agent/2", "Mozilla/5.0 (X11; Linux x86_64)"];
const ADDRESSES: [&str; 4] = ["203.0.113.9", "198.51.100.7", "2001:db8::1", "10.0.0.1"];

/// Numbers by lot (`SplitMix64`).
struct Lot(u64);

impl Lot {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn among<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.next() >> 33).unwrap() % all.len()]
    }

    fn some<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        (self.next() % 5 > 1).then(|| self.among(all))
    }

    fn flag(&mut self) -> Option<bool> {
        self.some(&[false, true])
    }

    fn number(&mut self) -> Option<u32> {
        self.some(&NUMBERS)
    }

    fn time(&mut self) -> Option<Duration> {
        let seconds = self.number()?;
        Some(self.among(&[Duration::from_secs(seconds.into()), Duration::from_millis(seconds.into()), Duration::MAX]))
    }
}

/// What facts borrow, and the rest.
pub(crate) struct Drawn {
    network: Network,
    agent: Agent,
    headers: Option<HeaderMap>,
    tls: TlsShown,
    h2: H2Shown,
    counts: Vec<Option<u32>>,
    lot: u64,
}

impl Drawn {
    /// The facts of this lot.
    pub(crate) fn of(lot: u64) -> Self {
        let lot = &mut Lot(lot);
        Self {
            network: network(lot),
            agent: agent(lot),
            headers: lot.some(&[()]).map(|()| headers(lot)),
            tls: TlsShown {
                ja4: lot.among(&TEXTS).into(),
                ja4_stable: lot.some(&TEXTS).map(Into::into),
                grease: lot.flag(),
                version: lot.some(TlsVersion::ALL),
                sni: lot.flag(),
                alpn: lot.some(&["h2", ""]).map(Into::into),
            },
            h2: H2Shown { fingerprint: lot.among(&TEXTS).into(), order: lot.among(&TEXTS).into(), weight: lot.some(&[1, 256]) },
            counts: (0..lot.next() % 9).map(|_| lot.number()).collect(),
            lot: lot.next(),
        }
    }

    /// The facts.
    pub(crate) fn facts(&self) -> Facts<'_> {
        let lot = &mut Lot(self.lot);
        Facts {
            address: lot.some(&ADDRESSES).map(|address| address.parse::<IpAddr>().unwrap()),
            user_agent: lot.some(&AGENTS),
            identity: lot.among(&[
                Identity::None,
                Identity::None,
                Identity::Unverifiable,
                Identity::Verified("meta"),
                Identity::Verified("pingdom"),
                Identity::Impostor("google"),
            ]),
            sent: self.headers.as_ref().map(Sent::of),
            shown: Shown {
                version: lot.some(HttpVersion::ALL),
                tls: lot.some(&[()]).map(|()| &self.tls),
                h2: lot.some(&[()]).map(|()| &self.h2),
                names: lot.some(&["host,user-agent", "Host,Accept", "Host,accept"]),
                spoofed_forwarding: lot.flag(),
            },
            scheme: lot.some(&[Scheme::Http, Scheme::Https]),
            host: lot.some(&TEXTS),
            path: lot.some(&TEXTS),
            purpose: lot.some(&[Purpose::View, Purpose::View, Purpose::View, Purpose::Prefetch, Purpose::Preview]),
            click_id: lot.some(&[(AdNetwork::Meta, "abc"), (AdNetwork::Google, "")]),
            fbclid: lot.some(IdShape::ALL),
            gclid: lot.some(IdShape::ALL),
            utm_source: lot.some(&TEXTS),
            utm_campaign: lot.some(&TEXTS),
            page: page(lot),
            visit: VisitFacts { pages: lot.number(), page_age: lot.time(), age: lot.time(), returning: lot.flag() },
            event: lot.flag().map(|from_browser| EventFacts {
                name: lot.among(&TEXTS),
                payment: lot.among(Payment::ALL),
                value: lot.number().map(i64::from),
                from_browser,
                since_click: lot.time(),
            }),
            coherence: coherence(lot),
            behaviour: Behaviour {
                counts: &self.counts,
                second_page_after: lot.time(),
                assets: lot.flag(),
                cadence: lot.number(),
                fastest_step: lot.time(),
                median_step: lot.time(),
                burst: lot.some(&[i64::MIN, -3, 0, 5, 6, 8, i64::MAX]),
                since_page: lot.time(),
                repeats: lot.number(),
            },
            signed: lot.some(Signed::ALL),
            challenge: ChallengeFacts { passed: lot.flag() },
            ..Facts::unknown(&self.network, &self.agent)
        }
    }
}

fn network(lot: &mut Lot) -> Network {
    Network {
        kind: lot.among(NetworkKind::ALL),
        asn: lot.some(&[64_496, 64_497, 0]),
        country: lot.some(&[*b"DE", *b"US", [0xff, 0xff]]),
        stale: lot.among(&[false, true]),
        words: lot.some(&[AsWords::Hosting, AsWords::Nothing]),
        ..Network::default()
    }
}

fn agent(lot: &mut Lot) -> Agent {
    Agent {
        kind: lot.among(&[AgentKind::ALL, &[AgentKind::Browser; 8]].concat()),
        family: lot.among(&FAMILIES).into(),
        engine: lot.some(Engine::ALL),
        major: lot.number(),
        os: lot.some(Os::ALL),
        mobile: lot.among(&[false, true]),
        in_app: lot.some(InApp::ALL),
        robot: lot.some(&["bot"]).map(Arc::from),
        claims: lot.some(&["meta", "google"]),
        form: AgentForm {
            device: lot.some(Device::ALL),
            behind: lot.number(),
            future: lot.flag(),
            impossible: lot.flag(),
            altered: lot.flag(),
            known_browser: lot.flag(),
        },
    }
}

fn headers(lot: &mut Lot) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in FIELDS {
        if let Some(value) = lot.some(&VALUES) {
            headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
    }
    headers
}

fn coherence(lot: &mut Lot) -> Coherence {
    Coherence {
        hints: lot.some(HintsForm::ALL),
        brands: lot.some(Fit::ALL),
        hints_agent: lot.some(HintsAgent::ALL),
        fetch: lot.some(FetchMetadata::ALL),
        accept: lot.some(Accept::ALL),
        encodings: lot.some(Encodings::ALL),
        language: lot.some(Fit::ALL),
        order: lot.some(Fit::ALL),
        case: lot.some(Fit::ALL),
        fields: lot.some(Fields::ALL),
        secure_only: lot.flag(),
        tls: lot.some(TlsFamily::ALL),
        h2: lot.some(H2Family::ALL),
        full_version: lot.flag(),
    }
}

fn page(lot: &mut Lot) -> Page {
    Page {
        proof: lot.some(Proof::ALL),
        webdriver: lot.flag(),
        interaction: lot.flag(),
        driver: lot.flag(),
        webdriver_odd: lot.flag(),
        platform: lot.some(Agreement::ALL),
        agent: lot.some(Agreement::ALL),
        worker: lot.some(Agreement::ALL),
        languages: lot.some(Agreement::ALL),
        window: lot.some(Look::ALL),
        pointer: lot.some(Look::ALL),
        patched: lot.flag(),
        click_moves: lot.some(ClickMoves::ALL),
        untrusted: lot.flag(),
        software_gl: lot.flag(),
        timezone: lot.some(&["Europe/Berlin", "UTC"]).and_then(Zone::of),
        first_interaction: lot.time(),
        interaction_kind: lot.some(Deed::ALL),
        visible: lot.flag(),
        replayed: lot.flag(),
        trap_link: lot.flag(),
        trap_form: lot.flag(),
    }
}
