//! Recorded clients: what each sent, read as the proxy reads it. What a recording calls its client is never looked at here.

use std::io::Read;
use std::time::Duration;

use clicksieve::click::Click;
use clicksieve::click::Scheme;
use clicksieve::fact::Agent;
use clicksieve::fact::Facts;
use clicksieve::fact::H2Shown;
use clicksieve::fact::HttpVersion;
use clicksieve::fact::Network;
use clicksieve::fact::NetworkKind;
use clicksieve::fact::Page;
use clicksieve::fact::Proof;
use clicksieve::fact::Shown;
use clicksieve::fact::TlsShown;
use clicksieve::facts;
use clicksieve::facts::Knowledge;
use clicksieve::rules::Policy;
use clicksieve::server::shown::hello;
use clicksieve::server::shown::opening;
use clicksieve::verdict::Verdict;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use serde_json::Value;

use crate::detection::beacon;
use crate::shown;

/// What is known of a visit: each layer adds to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Layer {
    /// The request for the landing page alone.
    Landing,
    /// What the page's script reported.
    Page,
    /// What the visit did, or did not do.
    Behaviour,
}

impl Layer {
    pub(super) const ALL: [Self; 3] = [Self::Landing, Self::Page, Self::Behaviour];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Landing => "landing request",
            Self::Page => "+ in-page",
            Self::Behaviour => "+ behaviour",
        }
    }
}

/// One recorded visit.
pub(super) struct Capture {
    pub(super) client: String,
    pub(super) label: String,
    pub(super) scheme: Scheme,
    pub(super) beacon: Value,
    headers: HeaderMap,
    names: String,
    version: HttpVersion,
    tls: Option<TlsShown>,
    h2: Option<H2Shown>,
    path: String,
    later: Vec<(String, f64)>,
    network: Network,
    agent: Agent,
}

/// All recorded visits, by name.
pub(super) fn all(knowledge: &Knowledge) -> Vec<Capture> {
    let mut text = String::new();
    let packed = include_bytes!("../data/captures/clients.jsonl.gz");
    flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut text).unwrap();
    text.lines().map(|line| Capture::read(&serde_json::from_str(line).unwrap(), knowledge)).collect()
}

impl Capture {
    fn read(recorded: &Value, knowledge: &Knowledge) -> Self {
        let request = &recorded["request"];
        let mut headers = HeaderMap::new();
        let mut names = Vec::new();
        for pair in request["headers"].as_array().unwrap() {
            let (name, value) = (pair[0].as_str().unwrap(), pair[1].as_str().unwrap());
            match name.strip_prefix(':') {
                // HTTP/2 names the host here; the proxy reads it like the field.
                Some("authority") => drop(headers.insert("host", HeaderValue::from_str(value).unwrap())),
                Some(_) => {}
                None => {
                    names.push(name);
                    headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
                }
            }
        }
        let agent = headers.get("user-agent").and_then(|agent| agent.to_str().ok()).unwrap_or_default();
        let version = match request["http_version"].as_str().unwrap() {
            "HTTP/1.0" => HttpVersion::OneZero,
            "HTTP/1.1" => HttpVersion::OneOne,
            _ => HttpVersion::Two,
        };
        let tls = recorded["hello"].as_str().map(|hex| hello::read(&shown::bytes(hex)).unwrap().unwrap().shown());
        let h2 = &recorded["h2"];
        let h2 = h2["akamai"].is_string().then(|| opening::read(&shown::built(h2, "/")).unwrap().unwrap().shown());
        let later = recorded["later"].as_array().unwrap().iter();
        Self {
            client: recorded["client"].as_str().unwrap().to_owned(),
            label: recorded["label"].as_str().unwrap().to_owned(),
            scheme: if recorded["scheme"] == "https" { Scheme::Https } else { Scheme::Http },
            beacon: recorded["beacon"].clone(),
            names: names.join(","),
            version,
            tls,
            h2,
            path: request["path"].as_str().unwrap().to_owned(),
            later: later.map(|pair| (pair[0].as_str().unwrap().to_owned(), pair[1].as_f64().unwrap())).collect(),
            // All come from an ordinary home, so that nothing but themselves gives them away.
            network: Network { kind: NetworkKind::Residential, ..Network::default() },
            agent: knowledge.agent(agent),
            headers,
        }
    }

    /// The verdict on what is known at a layer.
    pub(super) fn verdict(&self, policy: &Policy, layer: Layer) -> Verdict {
        self.verdict_through(self, policy, layer)
    }

    /// The same where the connection is another's: a virus scanner or an office's gateway puts its own in place.
    pub(super) fn verdict_through(&self, gateway: &Self, policy: &Policy, layer: Layer) -> Verdict {
        let (path, query) = self.path.split_once('?').unwrap_or((&self.path, ""));
        let click = Click::read(None, self.scheme, path, query, &self.headers);
        let mut facts = facts::gather(&click, &self.network, &self.agent);
        facts.shown = Shown {
            version: Some(gateway.version),
            tls: gateway.tls.as_ref(),
            h2: gateway.h2.as_ref(),
            // Nobody here converts between versions: what HTTP/1 names would be is not known.
            names: (gateway.version == self.version).then_some(&*self.names),
            spoofed_forwarding: Some(false),
        };
        facts.visit.returning = Some(false);
        facts.coherence = facts::coherence(&facts);
        if layer >= Layer::Page {
            facts.page = beacon::page(&self.beacon);
        }
        if layer >= Layer::Behaviour {
            self.behave(&mut facts);
        }
        policy.score(&facts)
    }

    /// The visit's behaviour, a minute after the landing.
    fn behave(&self, facts: &mut Facts<'_>) {
        facts.visit.page_age = Some(Duration::from_mins(1));
        facts.visit.pages = Some(1 + u32::from(self.second_page_after().is_some()));
        facts.visit.returning = Some(false);
        facts.behaviour.second_page_after = self.second_page_after().map(|after| Duration::from_secs_f64(after.max(0.0)));
        facts.behaviour.assets = Some(self.has_assets());
        if self.beacon.is_null() {
            facts.page = Page { proof: Some(Proof::Absent), ..Page::default() };
        }
    }

    /// The time from the landing to the second page.
    pub(super) fn second_page_after(&self) -> Option<f64> {
        self.later.iter().find(|(path, _)| path.starts_with("/product/")).map(|(_, after)| *after)
    }

    /// Whether any picture, style or script was fetched.
    pub(super) fn has_assets(&self) -> bool {
        self.later.iter().any(|(path, _)| path.starts_with("/static/"))
    }
}
