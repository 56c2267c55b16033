//! Coherence of whole requests: those of browsers, each with one thing changed.

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use proptest::prelude::*;

use super::coherence;
use super::found;
use crate::click::Click;
use crate::click::Scheme;
use crate::click::Sent;
use crate::fact::Accept;
use crate::fact::Agent;
use crate::fact::AgentKind;
use crate::fact::Coherence;
use crate::fact::Device;
use crate::fact::Encodings;
use crate::fact::Engine;
use crate::fact::FactName;
use crate::fact::Facts;
use crate::fact::FetchMetadata;
use crate::fact::Fields;
use crate::fact::Fit;
use crate::fact::H2Family;
use crate::fact::H2Shown;
use crate::fact::HintsAgent;
use crate::fact::HintsForm;
use crate::fact::HttpVersion;
use crate::fact::InApp;
use crate::fact::Network;
use crate::fact::Os;
use crate::fact::TlsFamily;
use crate::fact::TlsShown;
use crate::fact::TlsVersion;
use crate::fact::Value;

const WINDOWS: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36";
const FIREFOX: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0";
const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1";

/// A request that tests change; `text` is its fields as sent.
struct Request {
    scheme: Scheme,
    version: Option<HttpVersion>,
    fields: Vec<(&'static str, String)>,
    agent: Agent,
    tls: Option<TlsShown>,
    h2: Option<H2Shown>,
    forwarded: bool,
}

fn tls(grease: bool) -> TlsShown {
    let (version, alpn) = (Some(TlsVersion::OneThree), Some("h2".into()));
    TlsShown { ja4: "".into(), ja4_stable: None, grease: Some(grease), version, sni: Some(true), alpn }
}

fn h2(settings: &str, order: &str, weight: u16) -> H2Shown {
    H2Shown { fingerprint: format!("{settings}|1|0|{order}").into(), order: order.into(), weight: Some(weight) }
}

impl Request {
    fn chrome() -> Self {
        let fields = [
            ("host", "shop.test"),
            ("sec-ch-ua", r#""Google Chrome";v="131", "Chromium";v="131", "Not_A Brand";v="24""#),
            ("sec-ch-ua-mobile", "?0"),
            ("sec-ch-ua-platform", r#""Windows""#),
            ("upgrade-insecure-requests", "1"),
            ("user-agent", WINDOWS),
            ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-user", "?1"),
            ("sec-fetch-dest", "document"),
            ("referer", "https://l.facebook.com/"),
            ("accept-encoding", "gzip, deflate, br, zstd"),
            ("accept-language", "de-DE,de;q=0.9,en;q=0.8"),
            ("priority", "u=0, i"),
        ];
        let agent = Agent { kind: AgentKind::Browser, engine: Some(Engine::Chromium), os: Some(Os::Windows), ..Agent::default() };
        let h2 = h2("1:65536;2:0;4:6291456;6:262144", "m,a,s,p", 256);
        Self::of(&fields, agent, tls(true), h2)
    }

    fn firefox() -> Self {
        let fields = [
            ("host", "shop.test"),
            ("user-agent", FIREFOX),
            ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
            ("accept-language", "de,en-US;q=0.7,en;q=0.3"),
            ("accept-encoding", "gzip, deflate, br, zstd"),
            ("referer", "https://l.facebook.com/"),
            ("upgrade-insecure-requests", "1"),
            ("sec-fetch-dest", "document"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-site", "cross-site"),
            ("te", "trailers"),
        ];
        let agent = Agent { kind: AgentKind::Browser, engine: Some(Engine::Gecko), os: Some(Os::Windows), ..Agent::default() };
        let h2 = h2("1:65536;4:131072;5:16384", "m,p,a,s", 42);
        Self::of(&fields, agent, tls(false), h2)
    }

    fn of(fields: &[(&'static str, &str)], agent: Agent, tls: TlsShown, h2: H2Shown) -> Self {
        let fields = fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let version = Some(HttpVersion::Two);
        Self { scheme: Scheme::Https, version, fields, agent, tls: Some(tls), h2: Some(h2), forwarded: false }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.iter_mut().find(|field| field.0 == name).unwrap().1 = value.to_owned();
        self
    }

    fn without(mut self, names: &[&str]) -> Self {
        self.fields.retain(|field| !names.contains(&field.0));
        self
    }

    fn last(mut self, name: &'static str, value: &str) -> Self {
        self.fields.retain(|field| field.0 != name);
        self.fields.push((name, value.to_owned()));
        self
    }

    /// The same request as HTTP/1.1 in the clear, as browsers send it there.
    fn in_clear(self) -> Self {
        let only_tls = ["sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform", "sec-fetch-site", "sec-fetch-mode"];
        let mut clear = self.without(&only_tls).without(&["sec-fetch-user", "sec-fetch-dest", "priority", "te"]);
        clear = clear.with("accept-encoding", "gzip, deflate");
        clear.fields.insert(1, ("connection", "keep-alive".to_owned()));
        Self { scheme: Scheme::Http, version: Some(HttpVersion::OneOne), tls: None, h2: None, ..clear }
    }

    fn read(&self) -> Coherence {
        self.read_as(&self.fields.iter().map(|(name, _)| title(name)).collect::<Vec<_>>().join(","))
    }

    fn read_as(&self, names: &str) -> Coherence {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        let click = Click::read(None, self.scheme, "/", "fbclid=x", &headers);
        let network = Network::default();
        let mut facts = crate::facts::gather(&click, &network, &self.agent);
        facts.shown.version = self.version;
        facts.shown.tls = self.tls.as_ref();
        facts.shown.h2 = self.h2.as_ref();
        facts.shown.names = (self.version == Some(HttpVersion::OneOne)).then_some(names);
        facts.shown.spoofed_forwarding = self.version.map(|_| self.forwarded);
        let read = coherence(&facts);
        if matches!(self.agent.kind, AgentKind::Browser | AgentKind::InApp) {
            assert_eq!(read, found(&facts, Sent::of(&headers)), "what is remembered is what would be found");
        }
        read
    }

    /// The same with one thing changed that a check may look at.
    fn changed(mut self, what: usize) -> Self {
        let texts = ["", "x", "?1", "\"Linux\"", "none", "document", "https://shop.test:8443/a", "gzip", "shop.test", "*/*"];
        let names = self.fields.len();
        match what {
            0..150 => self.fields[what / 10 % names].1 = texts[what % 10].to_owned(),
            150..165 => _ = self.fields.remove(what % names),
            165..180 => self.fields.swap(what % names, (what + 3) % names),
            180 => self.fields.push(("via", "1.1 box".to_owned())),
            181 => self.fields.push(("sec-gpc", "1".to_owned())),
            182 => self.fields.push(("http2-settings", "x".to_owned())),
            183 => self.fields.push(("forwarded", "for=a".to_owned())),
            184 => self.fields.push(("connection", "keep-alive".to_owned())),
            185..188 => self.version = [None, Some(HttpVersion::OneZero), Some(HttpVersion::OneOne)][what - 185],
            188 => self.scheme = Scheme::Http,
            189 => self.forwarded = true,
            190 => self.tls = None,
            191 => self.tls = Some(TlsShown { grease: None, ..tls(true) }),
            192 => self.tls = Some(tls(self.agent.engine == Some(Engine::Gecko))),
            193 => self.tls = Some(TlsShown { version: Some(TlsVersion::OneTwo), ..tls(true) }),
            194 => self.tls = Some(TlsShown { sni: Some(false), ..tls(true) }),
            195 => self.tls = Some(TlsShown { alpn: Some("http/1.1".into()), ..tls(true) }),
            196 => self.h2 = None,
            197 => self.h2 = Some(h2("1:65536;2:0;4:6291456;6:262144", "m,p,a,s", 256)),
            198 => self.h2 = Some(h2("1:65536;4:131072;5:16384", "m,a,s,p", 256)),
            199 => self.h2 = Some(h2("1:65536;2:0;4:6291456;6:262144", "m,a,s,p", 41)),
            200 => self.agent.in_app = Some(InApp::Facebook),
            201 => self.agent.form.device = Some(Device::Tv),
            202 => self.agent.family = "silk".into(),
            203 => self.agent.kind = AgentKind::InApp,
            204..212 => self.agent.os = Os::ALL.get(what - 204).copied(),
            _ => self.agent.engine = Engine::ALL.get(what - 212).copied(),
        }
        self
    }
}

/// As browsers write a name over HTTP/1.
fn title(name: &str) -> String {
    if name.starts_with("sec-ch-") {
        return name.to_owned();
    }
    let capital = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
    name.split('-').map(capital).collect::<Vec<_>>().join("-")
}

fn whole() -> Coherence {
    Coherence {
        hints: Some(HintsForm::Ok),
        brands: Some(Fit::Ok),
        hints_agent: Some(HintsAgent::Ok),
        fetch: Some(FetchMetadata::Ok),
        accept: Some(Accept::Ok),
        encodings: Some(Encodings::Ok),
        language: Some(Fit::Ok),
        order: Some(Fit::Ok),
        case: None,
        fields: Some(Fields::Ok),
        secure_only: None,
        tls: Some(TlsFamily::Ok),
        h2: Some(H2Family::Ok),
        full_version: Some(false),
    }
}

#[test]
fn browsers_agree_with_themselves() {
    assert_eq!(Request::chrome().read(), whole());
    let firefox = Coherence { brands: None, hints_agent: None, full_version: None, ..whole() };
    assert_eq!(Request::firefox().read(), firefox);
}

#[test]
fn in_the_clear_browsers_say_less_and_nothing_is_missed() {
    let bare = Coherence { fetch: None, tls: None, h2: None, case: Some(Fit::Ok), secure_only: Some(false), ..whole() };
    let chrome = Coherence { hints: None, brands: None, hints_agent: None, ..bare };
    assert_eq!(Request::chrome().in_clear().read(), chrome);
    let request = Request::firefox().in_clear().without(&["connection"]);
    let request = Request { fields: [request.fields, vec![("connection", "keep-alive".to_owned())]].concat(), ..request };
    assert_eq!(request.read().fields, Some(Fields::Ok));
}

#[test]
fn the_made_up_brand_follows_from_the_version() {
    for real in [
        r#""Chromium";v="110", "Not A(Brand";v="24", "Google Chrome";v="110""#,
        r#""Chromium";v="124", "Google Chrome";v="124", "Not-A.Brand";v="99""#,
        r#""Google Chrome";v="137", "Chromium";v="137", "Not/A)Brand";v="24""#,
        r#""Not:A-Brand";v="8", "Chromium";v="156""#,
    ] {
        assert_eq!(Request::chrome().with("sec-ch-ua", real).read().brands, Some(Fit::Ok), "{real}");
    }
    for made in [
        r#""Chromium";v="156", "Not)A;Brand";v="24", "Google Chrome";v="156""#,
        r#"" Not A;Brand";v="99", "Chromium";v="156", "Google Chrome";v="156""#,
        r#""Chromium";v="131", "Google Chrome";v="131", "Not-A.Brand";v="24""#,
        r#""Not_A Brand";v="24", "Google Chrome";v="131", "Chromium";v="131""#,
        r#""Google Chrome";v="131", "Chromium";v="131""#,
        r#""Google Chrome";v="131", "Not_A Brand";v="24""#,
    ] {
        assert_eq!(Request::chrome().with("sec-ch-ua", made).read().brands, Some(Fit::Wrong), "{made}");
    }
    for unjudged in [r#"" Not A;Brand";v="99", "Chromium";v="98""#, r#""Chromium";v="400", "Not";v="1""#] {
        assert_eq!(Request::chrome().with("sec-ch-ua", unjudged).read().brands, None, "{unjudged}");
    }
}

#[test]
fn hints_and_agent_name_the_same_browser() {
    let newer = WINDOWS.replace("131", "132");
    let read = |name, value| Request::chrome().with(name, value).read().hints_agent;
    assert_eq!(read("sec-ch-ua-platform", r#""Linux""#), Some(HintsAgent::Platform));
    assert_eq!(read("sec-ch-ua-mobile", "?1"), Some(HintsAgent::Device));
    assert_eq!(read("user-agent", &newer), Some(HintsAgent::Version));
    assert_eq!(read("sec-ch-ua-platform", r#""Fuchsia""#), Some(HintsAgent::Ok));
    // A phone that asks for the desktop's page.
    let mut phone = Request::chrome().with("sec-ch-ua-platform", r#""Android""#);
    phone.agent.os = Some(Os::Linux);
    assert_eq!(phone.read().hints_agent, Some(HintsAgent::Ok));
    // An app's agent is its own.
    let mut app = Request::chrome().with("sec-ch-ua-platform", r#""Android""#);
    app.agent.kind = AgentKind::InApp;
    assert_eq!(app.read().hints_agent, None);
}

#[test]
fn hints_come_whole_from_chromium_over_tls_and_from_nobody_else() {
    let hints = ["sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform"];
    assert_eq!(Request::chrome().without(&hints).read().hints, Some(HintsForm::Absent));
    assert_eq!(Request::chrome().without(&hints[1..]).read().hints, Some(HintsForm::Partial));
    for (name, value) in [("sec-ch-ua", "Chromium 131"), ("sec-ch-ua-mobile", "0"), ("sec-ch-ua-platform", "Windows")] {
        assert_eq!(Request::chrome().with(name, value).read().hints, Some(HintsForm::Malformed), "{value}");
    }
    let mut iphone = Request::chrome().with("user-agent", IPHONE);
    iphone.agent = Agent { engine: Some(Engine::Webkit), os: Some(Os::Ios), mobile: true, ..iphone.agent };
    assert_eq!(iphone.read().hints, Some(HintsForm::Foreign));
    assert_eq!(Request::firefox().last("sec-ch-ua-mobile", "?0").read().hints, Some(HintsForm::Foreign));
}

#[test]
fn fetch_metadata_are_those_of_a_page_that_somebody_opens() {
    let read = |name, value| Request::chrome().with(name, value).read().fetch;
    assert_eq!(read("sec-fetch-mode", "cors"), Some(FetchMetadata::NotNavigation));
    assert_eq!(read("sec-fetch-site", "none"), Some(FetchMetadata::NoneWithReferer));
    assert_eq!(read("sec-fetch-site", "same-origin"), Some(FetchMetadata::ForeignReferer));
    assert_eq!(read("sec-fetch-site", "elsewhere"), Some(FetchMetadata::Malformed));
    assert_eq!(read("sec-fetch-user", "?0"), Some(FetchMetadata::Malformed));
    let own = Request::chrome().with("sec-fetch-site", "same-origin");
    assert_eq!(own.with("referer", "https://shop.test/a?b").read().fetch, Some(FetchMetadata::Ok));
    let own = Request::chrome().with("sec-fetch-site", "same-origin").without(&["referer"]);
    assert_eq!(own.read().fetch, Some(FetchMetadata::OwnWithoutReferer));
    assert_eq!(Request::chrome().without(&["sec-fetch-site"]).read().fetch, Some(FetchMetadata::Partial));
    let none = ["sec-fetch-site", "sec-fetch-mode", "sec-fetch-user", "sec-fetch-dest"];
    assert_eq!(Request::firefox().without(&none).read().fetch, Some(FetchMetadata::Absent));
    // Private windows and strict settings leave the Referer away.
    assert_eq!(Request::firefox().without(&["referer"]).read().fetch, Some(FetchMetadata::Ok));
    // What a service worker passes on carries the worker's.
    assert_eq!(read("sec-fetch-dest", "empty"), None);
}

#[test]
fn apps_may_open_a_page_with_a_referer_of_theirs() {
    let mut app = Request::chrome().with("sec-fetch-site", "none");
    app.agent.kind = AgentKind::InApp;
    assert_eq!(app.read().fetch, Some(FetchMetadata::Ok));
    let mut android = Request::chrome().with("sec-fetch-site", "none");
    android.agent.os = Some(Os::Android);
    assert_eq!(android.read().fetch, Some(FetchMetadata::Ok));
}

#[test]
fn fields_are_those_of_the_family() {
    let read = |name, value| Request::chrome().with(name, value).read();
    assert_eq!(read("accept", "*/*").accept, Some(Accept::Any));
    assert_eq!(read("accept", "text/html,*/*;q=0.8").accept, Some(Accept::Odd));
    assert_eq!(Request::firefox().with("accept", &Request::chrome().fields[6].1).read().accept, Some(Accept::Odd));
    assert_eq!(read("accept-encoding", "gzip, deflate").encodings, Some(Encodings::Short));
    assert_eq!(read("accept-encoding", "deflate, gzip, br, zstd").encodings, Some(Encodings::Odd));
    for odd in ["en-US,*", "en-US, en;q=0.9", "en_US", "en;q=1.0", "en-US,en", "*"] {
        assert_eq!(read("accept-language", odd).language, Some(Fit::Wrong), "{odd}");
    }
    for real in ["en-US", "en-US,en;q=0.5", "de,en-US;q=0.7,en;q=0.3", "zh-Hans-CN,zh;q=0.9,en;q=0.8,fil;q=0.1"] {
        assert_eq!(read("accept-language", real).language, Some(Fit::Ok), "{real}");
    }
    assert_eq!(Request::chrome().without(&["upgrade-insecure-requests"]).read().fields, Some(Fields::Missing));
    assert_eq!(Request::chrome().last("te", "trailers").read().fields, Some(Fields::Foreign));
    assert_eq!(Request::firefox().last("http2-settings", "AAEA").read().fields, Some(Fields::Foreign));
}

#[test]
fn only_the_order_of_known_fields_counts() {
    assert_eq!(Request::chrome().last("accept", "text/html").read().order, Some(Fit::Wrong));
    assert_eq!(Request::chrome().last("cookie", "a=b").last("dnt", "1").read().order, Some(Fit::Ok));
    // Brave, which puts languages elsewhere.
    let brave = Request::chrome().last("sec-gpc", "1").last("accept-language", "de");
    assert_eq!(brave.read().order, Some(Fit::Ok));
    assert_eq!(Request::firefox().last("user-agent", FIREFOX).read().order, Some(Fit::Wrong));
}

#[test]
fn names_have_their_capitals_over_http_1() {
    let request = Request::chrome().in_clear();
    assert_eq!(request.read_as("Host,Connection,user-agent,Accept").case, Some(Fit::Wrong));
    assert_eq!(request.read_as("Host,Connection,Sec-Ch-Ua,User-Agent").case, Some(Fit::Wrong));
    assert_eq!(request.read_as("Host,X-lower-is-nobodys,User-Agent").case, Some(Fit::Ok));
    assert_eq!(request.read_as("host,connection,user-agent").case, None);
}

#[test]
fn what_is_for_tls_only_is_noticed_in_the_clear_unless_somebody_stands_between() {
    let request = || Request::chrome().in_clear().last("sec-fetch-mode", "navigate");
    assert_eq!(request().read().secure_only, Some(true));
    assert_eq!(Request::chrome().in_clear().with("accept-encoding", "gzip, deflate, br").read().secure_only, Some(true));
    assert_eq!(Request { forwarded: true, ..request() }.read().secure_only, None);
    assert_eq!(Request { version: None, ..request() }.read().secure_only, None);
    assert_eq!(request().with("host", "localhost:8080").read().secure_only, None);
}

#[test]
fn a_proxy_that_nobody_named_makes_no_suspect_of_the_people_behind_it() {
    // As nginx passes a request on by default: HTTP/1.0, the browser's own fields from TLS.
    let mut passed = Request::chrome();
    (passed.scheme, passed.version) = (Scheme::Http, Some(HttpVersion::OneZero));
    (passed.tls, passed.h2) = (None, None);
    let passed = passed.with("priority", "u=0, i");
    let read = passed.read_as("host,connection,sec-ch-ua,User-Agent,accept,priority");
    assert_eq!((read.secure_only, read.fields, read.case, read.order), (None, None, None, None));
    let told = Request { version: Some(HttpVersion::OneOne), forwarded: true, ..passed };
    assert_eq!((told.read().secure_only, told.read().fields), (None, None));
}

#[test]
fn connections_are_measured_by_family() {
    let chrome = |tls| Request { tls: Some(tls), ..Request::chrome() }.read().tls;
    assert_eq!(chrome(tls(false)), Some(TlsFamily::NoGrease));
    assert_eq!(chrome(TlsShown { version: Some(TlsVersion::OneTwo), ..tls(true) }), Some(TlsFamily::Old));
    assert_eq!(chrome(TlsShown { sni: Some(false), ..tls(true) }), Some(TlsFamily::NoSni));
    assert_eq!(chrome(TlsShown { alpn: Some("http/1.1".into()), ..tls(true) }), Some(TlsFamily::NoH2));
    // A fingerprint that a proxy vouches for says nothing of these.
    assert_eq!(chrome(TlsShown { ja4: "t13d1517h2_8daaf6152771_cb7bf5808d99".into(), ..TlsShown::default() }), None);
    assert_eq!(Request { tls: Some(tls(true)), ..Request::firefox() }.read().tls, Some(TlsFamily::Grease));
    let chrome = |shown| Request { h2: Some(shown), ..Request::chrome() }.read().h2;
    assert_eq!(chrome(h2("1:65536;3:1000;4:6291456;6:262144", "m,a,s,p", 256)), Some(H2Family::Ok));
    assert_eq!(chrome(h2("3:100;4:33554432;2:0", "m,p,s,a", 16)), Some(H2Family::Order));
    assert_eq!(chrome(h2("1:4096;2:0;4:65535;5:16384;3:100;6:65536", "m,a,s,p", 256)), Some(H2Family::Settings));
    assert_eq!(chrome(h2("1:65536;2:0;4:6291456;6:262144", "m,a,s,p", 42)), Some(H2Family::Weight));
    let firefox = Request { h2: Some(h2("1:65536;2:0;4:6291456;6:262144", "m,a,s,p", 256)), ..Request::firefox() };
    assert_eq!(firefox.read().h2, Some(H2Family::Order));
}

#[test]
fn webkit_on_linux_has_a_connection_of_its_own() {
    let mut request =
        Request::chrome().with("user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/605.1.15 Version/60.5 Safari/605.1.15");
    request.agent = Agent { engine: Some(Engine::Webkit), os: Some(Os::Linux), ..request.agent };
    request.tls = Some(tls(false));
    let read = request.read();
    assert_eq!((read.tls, read.h2, read.hints), (None, None, None));
    request.h2 = Some(h2("2:0", "a,m,p,s", 16));
    assert_eq!(request.read().h2, Some(H2Family::Order));
}

#[test]
fn a_full_version_is_noticed_in_plain_chrome_only() {
    let full = |agent: &str| Request::chrome().with("user-agent", agent).read().full_version;
    assert_eq!(full(&WINDOWS.replace("131.0.0.0", "131.0.6778.33")), Some(true));
    assert_eq!(full(&WINDOWS.replace("131.0.0.0", "109.0.5414.75")), None);
    let engine = "like Gecko) QtWebEngine/6.8.1 Chrome/131.0.6778.33";
    assert_eq!(full(&WINDOWS.replace("like Gecko) Chrome/131.0.0.0", engine)), None);
    assert_eq!(full(&format!("{} OPR/116.0", WINDOWS.replace("131.0.0.0", "131.0.6778.33"))), None);
}

#[test]
fn what_is_behind_a_proxy_is_not_known() {
    let request = Request { version: None, tls: None, h2: None, ..Request::chrome() };
    let Coherence { order, case, fields, secure_only, tls, h2, .. } = request.read();
    assert_eq!((order, case, fields, secure_only, tls, h2), (None, None, None, None, None, None));
}

#[test]
fn who_claims_no_browser_is_not_measured() {
    let (network, unknown) = (Network::default(), Agent::default());
    let facts = Facts::unknown(&network, &unknown);
    assert_eq!(coherence(&facts), Coherence::default());
    for name in Coherence::NAMES {
        assert_eq!(facts.value(*name), Value::Unknown, "{}", name.name());
    }
    assert!(Coherence::NAMES.contains(&FactName::UaFullVersion));
    for kind in [AgentKind::Library, AgentKind::Headless, AgentKind::Crawler, AgentKind::Empty] {
        let mut request = Request::chrome();
        request.agent.kind = kind;
        assert_eq!(request.read(), Coherence::default());
    }
}

#[test]
fn what_is_remembered_of_one_request_answers_for_no_other() {
    let requests = [Request::chrome, Request::firefox, || Request::chrome().in_clear(), || Request::firefox().in_clear()];
    for request in requests {
        let before = request().read();
        for what in 0..217 {
            request().changed(what).read();
            assert_eq!(request().read(), before, "{what}");
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(
        at in 0_usize..15, value in "[ -~]{0,80}", engine in 0_usize..4, os in 0_usize..7, secure: bool, one: bool, names in "[A-Za-z,-]{0,60}",
    ) {
        let mut request = Request::chrome();
        request.fields[at].1 = value;
        request.agent.engine = Engine::ALL.get(engine).copied();
        request.agent.os = Os::ALL.get(os).copied();
        request.scheme = if secure { Scheme::Https } else { Scheme::Http };
        request.version = Some(if one { HttpVersion::OneOne } else { HttpVersion::Two });
        request.read_as(&names);
    }

    #[test]
    fn nor_is_it_mistaken_where_more_than_one_thing_differs(first in 0_usize..217, second in 0_usize..217) {
        Request::chrome().changed(first).read();
        Request::chrome().changed(first).changed(second).read();
        Request::chrome().changed(second).read();
    }
}
