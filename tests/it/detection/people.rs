//! People nobody recorded: how browsers, apps, devices and gateways ask for a page, as far as it is known, written by hand and
//! judged through the real parsers and the shipped rules. Whoever is a person here must stay one whatever rule is added.

use std::time::Duration;

use clicksieve::click::Click;
use clicksieve::click::Scheme;
use clicksieve::fact::Facts;
use clicksieve::fact::H2Shown;
use clicksieve::fact::HttpVersion;
use clicksieve::fact::Network;
use clicksieve::fact::NetworkKind;
use clicksieve::fact::Page;
use clicksieve::fact::Proof;
use clicksieve::fact::Shown;
use clicksieve::fact::TlsShown;
use clicksieve::fact::TlsVersion;
use clicksieve::facts;
use clicksieve::verdict::Band;
use clicksieve::verdict::Verdict;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;

use crate::detection::KNOWLEDGE;
use crate::detection::shipped;

const TO_WINDOWS: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36";
const ANDROID: &str =
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Mobile Safari/537.36";
const FIREFOX: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:150.0) Gecko/20100101 Firefox/150.0";
const CHROMIUM_READS: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7";
const OTHERS_READ: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// One visitor: the request, and what the connection shows of it.
struct Visitor {
    fields: Vec<(&'static str, String)>,
    version: HttpVersion,
    scheme: Scheme,
    tls: Option<TlsShown>,
    h2: Option<H2Shown>,
}

fn tls(grease: bool) -> TlsShown {
    let (version, alpn) = (Some(TlsVersion::OneThree), Some("h2".into()));
    TlsShown { ja4: "".into(), ja4_stable: None, grease: Some(grease), version, sni: Some(true), alpn }
}

fn h2(settings: &str, order: &str, weight: Option<u16>) -> H2Shown {
    H2Shown { fingerprint: format!("{settings}|1|0|{order}").into(), order: order.into(), weight }
}

impl Visitor {
    fn of(fields: &[(&'static str, &str)], grease: bool, h2: H2Shown) -> Self {
        let fields = fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Self { fields, version: HttpVersion::Two, scheme: Scheme::Https, tls: Some(tls(grease)), h2: Some(h2) }
    }

    /// A browser of Chromium's; `brands` is empty where it sends no client hints.
    fn chromium(agent: &str, brands: &str, platform: &str) -> Self {
        let mobile = if agent.contains("Mobile") { "?1" } else { "?0" };
        let hints = [("sec-ch-ua", brands), ("sec-ch-ua-mobile", mobile), ("sec-ch-ua-platform", platform)];
        let rest = [
            ("upgrade-insecure-requests", "1"),
            ("user-agent", agent),
            ("accept", CHROMIUM_READS),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-user", "?1"),
            ("sec-fetch-dest", "document"),
            ("referer", "https://l.facebook.com/"),
            ("accept-encoding", "gzip, deflate, br, zstd"),
            ("accept-language", "de-DE,de;q=0.9,en;q=0.8"),
            ("priority", "u=0, i"),
        ];
        let hints = hints.into_iter().filter(|_| !brands.is_empty());
        let fields: Vec<_> = hints.chain(rest).collect();
        Self::of(&fields, true, h2("1:65536;2:0;4:6291456;6:262144", "m,a,s,p", Some(256)))
    }

    fn firefox(agent: &str) -> Self {
        let fields = [
            ("user-agent", agent),
            ("accept", OTHERS_READ),
            ("accept-language", "en-US,en;q=0.5"),
            ("accept-encoding", "gzip, deflate, br, zstd"),
            ("referer", "https://l.facebook.com/"),
            ("upgrade-insecure-requests", "1"),
            ("sec-fetch-dest", "document"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-user", "?1"),
            ("priority", "u=0, i"),
            ("te", "trailers"),
        ];
        Self::of(&fields, false, h2("1:65536;2:0;4:131072;5:16384", "m,p,a,s", Some(42)))
    }

    /// WebKit as Apple builds it: Safari, and every browser and app on iOS.
    fn apple(agent: &str) -> Self {
        let fields = [
            ("sec-fetch-dest", "document"),
            ("user-agent", agent),
            ("accept", OTHERS_READ),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("accept-language", "de-DE,de;q=0.9"),
            ("priority", "u=0, i"),
            ("accept-encoding", "gzip, deflate, br"),
        ];
        Self::of(&fields, true, h2("2:0;3:100;4:2097152;9:1", "m,s,a,p", None))
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        match self.fields.iter_mut().find(|field| field.0 == name) {
            Some(field) => value.clone_into(&mut field.1),
            None => self.fields.push((name, value.to_owned())),
        }
        self
    }

    fn without(mut self, names: &[&str]) -> Self {
        self.fields.retain(|field| !names.contains(&field.0));
        self
    }

    fn h2(mut self, settings: &str, order: &str) -> Self {
        self.h2 = Some(h2(settings, order, None));
        self
    }

    /// With these fields in front of the agent, as Chromium puts what belongs to a form or a reload.
    fn led_by(mut self, fields: &[(&'static str, &str)]) -> Self {
        let own = fields.iter().map(|(name, value)| (*name, (*value).to_owned()));
        self.fields.splice(0..0, own);
        self
    }

    /// The verdict on the landing, or with everything that a page without script and pictures yet adds.
    fn verdict(&self, page: Option<Page>) -> Verdict {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("shop.example"));
        for (name, value) in &self.fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        let agent = headers.get("user-agent").and_then(|agent| agent.to_str().ok()).unwrap_or_default();
        let agent = KNOWLEDGE.agent(agent);
        let network = Network { kind: NetworkKind::Residential, ..Network::default() };
        let click = Click::read(None, self.scheme, "/", "utm_source=facebook", &headers);
        let mut facts: Facts<'_> = facts::gather(&click, &network, &agent);
        let names = self.fields.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(",");
        facts.shown = Shown {
            version: Some(self.version),
            tls: self.tls.as_ref(),
            h2: self.h2.as_ref(),
            names: (self.version == HttpVersion::Two).then_some(&*names),
            spoofed_forwarding: Some(false),
        };
        facts.visit.returning = Some(false);
        facts.coherence = facts::coherence(&facts);
        if let Some(page) = page {
            facts.visit.page_age = Some(Duration::from_mins(1));
            facts.visit.pages = Some(1);
            facts.page = page;
        }
        shipped().score(&facts)
    }
}

fn assert_people(people: Vec<(&str, Visitor)>) {
    for (who, visitor) in people {
        let landing = visitor.verdict(None);
        assert_eq!(landing.band, Band::Human, "{who}: {landing:?}");
        let ran = visitor.verdict(Some(Page { proof: Some(Proof::Present), ..Page::default() }));
        assert_eq!(ran.band, Band::Human, "{who}, with its page: {ran:?}");
    }
}

/// Chromium's brands with one of the browser's own, or with none.
fn brands(major: u32, own: &str) -> String {
    let made_up = match major {
        91..=109 => "\" Not A;Brand\";v=\"99\"".to_owned(),
        114 => "\"Not.A/Brand\";v=\"8\"".to_owned(),
        120 => "\"Not_A Brand\";v=\"8\"".to_owned(),
        124 => "\"Not-A.Brand\";v=\"99\"".to_owned(),
        131 => "\"Not_A Brand\";v=\"24\"".to_owned(),
        150 => "\"Not;A=Brand\";v=\"8\"".to_owned(),
        other => panic!("the made-up brand of {other} is not written here"),
    };
    // Four brands and two stand in any order; three in one that the version gives.
    if own.is_empty() {
        format!("{made_up}, \"Chromium\";v=\"{major}\"")
    } else {
        format!("{made_up}, \"Chromium\";v=\"{major}\", {own}")
    }
}

#[test]
fn browsers_built_on_chromium_are_people() {
    let desktop = |more: &str, own: &str| Visitor::chromium(&format!("{TO_WINDOWS}{more}"), &brands(150, own), "\"Windows\"");
    let mobile = |agent: &str, brands: &str| Visitor::chromium(agent, brands, "\"Android\"");
    let google = "\"Google Chrome\";v=\"150\"";
    assert_people(vec![
        ("Chrome", desktop("", google)),
        ("Edge", desktop(" Edg/150.0.0.0", "\"Microsoft Edge\";v=\"150\"")),
        ("DuckDuckGo on Windows", desktop(" Edg/150.0.0.0", "\"Microsoft Edge\";v=\"150\", \"Microsoft Edge WebView2\";v=\"150\"")),
        ("Opera", desktop(" OPR/134.0.0.0", "\"Opera\";v=\"134\"")),
        ("Vivaldi", desktop("", "")),
        ("Yandex", desktop(" YaBrowser/27.1.0.0", "\"YaBrowser\";v=\"27.1\", \"Yowser\";v=\"2.5\"")),
        ("Brave", desktop("", "\"Brave\";v=\"150\"").without(&["accept-language"]).with("sec-gpc", "1").with("accept-language", "de-DE,de;q=0.6")),
        ("ungoogled", Visitor::chromium(TO_WINDOWS, "", "")),
        ("Chrome on Android", mobile(ANDROID, &brands(150, google))),
        ("Chrome on a tablet", mobile(&ANDROID.replace(" Mobile", ""), &brands(150, google))),
        ("Samsung Internet", mobile(&ANDROID.replace("Chrome/150.0.0.0", "SamsungBrowser/27.0 Chrome/124.0.0.0"), "\"Chromium\";v=\"124\", \"Samsung Internet\";v=\"27.0\", \"Not-A.Brand\";v=\"99\"")),
        ("MIUI browser", mobile("Mozilla/5.0 (Linux; U; Android 13; de-de; 2201117TG Build/TKQ1) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/109.0.5414.118 Mobile Safari/537.36 XiaoMi/MiuiBrowser/14.5.0-gn", "")),
        ("Huawei browser", mobile("Mozilla/5.0 (Linux; Android 10; ELS-NX9; HMSCore 6.13.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/114.0.5735.196 HuaweiBrowser/15.0.4 Mobile Safari/537.36", &brands(114, ""))),
        ("a phone that asks for the desktop's page and leaves its hint", Visitor::chromium("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36", &brands(150, google), "\"Android\"").with("sec-ch-ua-mobile", "?1")),
        ("a WebView that does not name its app", mobile("Mozilla/5.0 (Linux; Android 9; SM-G950F) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/92.0.4515.159 Mobile Safari/537.36", "")),
        ("a WebView of 2018", mobile("Mozilla/5.0 (Linux; Android 8.0; SM-G930F) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/66.0.3359.158 Mobile Safari/537.36", "").without(&["sec-fetch-site", "sec-fetch-mode", "sec-fetch-user", "sec-fetch-dest"]).h2("1:65536;3:1000;4:6291456", "m,a,s,p")),
    ]);
}

#[test]
fn browsers_with_an_engine_of_their_own_are_people() {
    let bare = ["sec-fetch-site", "sec-fetch-mode", "sec-fetch-user", "sec-fetch-dest", "priority"];
    let plain = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8";
    let uc = "Mozilla/5.0 (Linux; U; Android 13; en-US; M2101K6G) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/123.0.6312.80 UCBrowser/13.7.8.1318 Mobile Safari/537.36";
    let qq = "Mozilla/5.0 (Linux; U; Android 12; zh-cn; V2148A) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/109.0.5414.86 MQQBrowser/15.1 Mobile Safari/537.36";
    let silk = "Mozilla/5.0 (Linux; Android 11; KFTRWI) AppleWebKit/537.36 (KHTML, like Gecko) Silk/126.3.1 like Chrome/126.0.6478.122 Safari/537.36";
    let edge = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/70.0.3538.102 Safari/537.36 Edge/18.19045";
    let old =
        |agent| Visitor::chromium(agent, "", "").without(&bare).with("accept", plain).with("accept-language", "en-US, en; q=0.7");
    assert_people(vec![
        ("UC", old(uc)),
        ("QQ", old(qq)),
        ("Silk", old(silk)),
        ("Edge before Chromium", old(edge).h2("3:1024;4:10485760", "m,p,a,s")),
        (
            "Pale Moon",
            Visitor::firefox(
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Goanna/20241008 Goanna/6.7 Firefox/128.0 PaleMoon/33.4.0",
            )
            .without(&bare),
        ),
    ]);
}

#[test]
fn apple_s_browsers_and_everybody_on_ios_are_people() {
    let ios = |rest: &str| {
        Visitor::apple(&format!(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) {rest}"
        ))
    };
    let mac = |rest: &str| {
        Visitor::apple(&format!(
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) {rest}"
        ))
    };
    let fetch = ["sec-fetch-dest", "sec-fetch-site", "sec-fetch-mode", "priority"];
    let old_tls = |mut visitor: Visitor| {
        visitor.tls = Some(TlsShown { version: Some(TlsVersion::OneTwo), ..tls(false) });
        visitor.without(&fetch).h2("4:1048576;3:100", "m,s,p,a")
    };
    assert_people(vec![
        ("Safari 26 on iOS", ios("Version/26.0 Mobile/15E148 Safari/604.1")),
        ("Chrome on iOS", ios("CriOS/150.0.7000.40 Mobile/15E148 Safari/604.1")),
        ("Firefox on iOS", ios("FxiOS/150.0 Mobile/15E148 Safari/605.1.15")),
        ("Focus on iOS", ios("Focus/150.0 Mobile/15E148 Safari/605.1.15")),
        ("Edge on iOS", ios("Version/18.0 EdgiOS/150.0.0.0 Mobile/15E148 Safari/605.1.15")),
        ("DuckDuckGo on iOS", ios("Version/18.6 Mobile/15E148 DuckDuckGo/7 Safari/605.1.15")),
        ("an app that does not name itself", ios("Mobile/15E148")),
        (
            "an app that does not name itself and says a Referer",
            ios("Mobile/15E148").with("sec-fetch-site", "none").with("referer", "https://app.example/"),
        ),
        (
            "Safari that opens a page again",
            mac("Version/18.5 Safari/605.1.15").with("sec-fetch-site", "none").with("referer", "https://l.facebook.com/"),
        ),
        ("iPad that asks for the desktop's page", mac("Version/18.6 Safari/605.1.15")),
        ("Chrome on an iPad likewise", mac("CriOS/150 Version/11.1.1 Safari/605.1.15")),
        ("Firefox on an iPad likewise", mac("FxiOS/150.0 Safari/605.1.15")),
        ("an app on a Mac", mac("")),
        ("Safari 15 on an old Mac", old_tls(mac("Version/15.6.1 Safari/605.1.15"))),
        ("Safari 14 on an old Mac", old_tls(mac("Version/14.1.2 Safari/605.1.15"))),
        (
            "Safari 12",
            old_tls(Visitor::apple(
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_13_6) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/12.1.2 Safari/605.1.15",
            )),
        ),
        (
            "iOS 12",
            old_tls(Visitor::apple(
                "Mozilla/5.0 (iPhone; CPU iPhone OS 12_5_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/12.1.2 Mobile/15E148 Safari/604.1",
            )),
        ),
    ]);
}

#[test]
fn firefox_and_its_kin_are_people() {
    let of =
        |platform: &str, version: u32| format!("Mozilla/5.0 ({platform}; rv:{version}.0) Gecko/20100101 Firefox/{version}.0");
    assert_people(vec![
        ("Firefox", Visitor::firefox(FIREFOX)),
        ("ESR 115", Visitor::firefox(&of("Windows NT 6.1; Win64; x64", 115)).without(&["priority"])),
        ("ESR 115 on a Mac", Visitor::firefox(&of("Macintosh; Intel Mac OS X 10.13", 115)).without(&["priority"])),
        (
            "ESR 140, as Tor and LibreWolf say",
            Visitor::firefox(&of("Windows NT 10.0; Win64; x64", 140)).without(&["referer", "sec-fetch-user"]),
        ),
        (
            "on Android",
            Visitor::firefox("Mozilla/5.0 (Android 15; Mobile; rv:150.0) Gecko/150.0 Firefox/150.0")
                .h2("1:4096;2:0;4:32768;5:16384", "m,p,a,s"),
        ),
        (
            "SeaMonkey",
            Visitor::firefox("Mozilla/5.0 (X11; Linux x86_64; rv:91.0) Gecko/20100101 Firefox/91.0 SeaMonkey/2.53.18")
                .without(&["sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site", "sec-fetch-user", "priority"]),
        ),
        ("with an extension that drops fields", Visitor::firefox(FIREFOX).without(&["referer", "accept-language"])),
    ]);
}

#[test]
fn apps_browsers_are_people() {
    let android = |app: &str| {
        format!(
            "Mozilla/5.0 (Linux; Android 14; SM-S911B Build/UP1A; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/150.0.0.0 Mobile Safari/537.36 {app}"
        )
    };
    let ios = |app: &str| {
        format!(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 {app}"
        )
    };
    let view = "\"Android WebView\";v=\"150\"";
    for app in [
        "[FB_IAB/FB4A;FBAV/500.0.0.0.1;]",
        "Instagram 360.0.0.0 Android (34/14; 480dpi; 1080x2340; samsung; SM-S911B; dm1q; qcom; de_DE; 1)",
        "trill_2023 BytedanceWebview/d8a21c6",
        "Snapchat/13.0.0.1",
        "[Pinterest/Android]",
        "Line/15.0.0/IAB",
        "MicroMessenger/8.0.50.2701 NetType/WIFI Language/de",
        "KAKAOTALK 2510500",
        "GSA/16.0.1",
    ] {
        let own_library = |mut visitor: Visitor| {
            visitor.tls = Some(tls(false));
            visitor.h2("4:65535;3:100", "m,s,a,p")
        };
        assert_people(vec![
            (
                app,
                Visitor::chromium(&android(app), &brands(150, view), "\"Android\"").with("x-requested-with", "com.example.app"),
            ),
            (app, own_library(Visitor::chromium(&android(app), &brands(150, view), "\"Android\""))),
            (app, Visitor::apple(&ios(app))),
        ]);
    }
}

#[test]
fn devices_that_are_no_computers_are_people_s() {
    let device = |agent: &str| {
        let bare = ["sec-fetch-site", "sec-fetch-mode", "sec-fetch-user", "sec-fetch-dest", "priority"];
        Visitor::chromium(agent, "", "").without(&bare).with("accept-encoding", "gzip, deflate").h2("4:65535", "m,a,s,p")
    };
    for agent in [
        "Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/94.0.4606.128 Safari/537.36 WebAppManager",
        "Mozilla/5.0 (SMART-TV; LINUX; Tizen 7.0) AppleWebKit/537.36 (KHTML, like Gecko) 94.0.4606.31/7.0 TV Safari/537.36",
        "Mozilla/5.0 (Linux; Tizen 6.5; FamilyHub) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/2.2 Chrome/85.0.4183.93 Safari/537.36",
        "Mozilla/5.0 (X11; Linux armv7l) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/108.0.5359.125 Safari/537.36 OPR/46.0.2207.0 OMI/4.24 Model/Vidaa VIDAA/7.0 TV",
        "Mozilla/5.0 (PlayStation; PlayStation 5/9.00) AppleWebKit/605.1.15 (KHTML, like Gecko)",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox Series X) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36 Edg/150.0.0.0",
        "Mozilla/5.0 (Nintendo Switch; WebApplet) AppleWebKit/609.4 (KHTML, like Gecko) NF/6.0.3.25.3 NintendoBrowser/5.1.0.32061",
        "Mozilla/5.0 (Mobile; Nokia 2780 Flip; rv:84.0) Gecko/84.0 Firefox/84.0 KAIOS/3.1",
        "Mozilla/5.0 (Linux; Android 12; Quest 3) AppleWebKit/537.36 (KHTML, like Gecko) OculusBrowser/36.0.0.1 Chrome/132.0.0.0 Mobile VR Safari/537.36",
        "Mozilla/5.0 (X11; GNU/Linux) AppleWebKit/537.36 (KHTML, like Gecko) Chromium/109.0.5414.119 Chrome/109.0.5414.119 Safari/537.36 Tesla/2024.44",
        "Mozilla/5.0 (Phone; OpenHarmony 5.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/132.0.0.0 Safari/537.36 ArkWeb/4.1.6.1 Mobile HuaweiBrowser/5.1.5",
    ] {
        assert_people(vec![(agent, device(agent))]);
    }
}

#[test]
fn ways_to_a_page_that_are_no_click_on_a_link_are_people_s() {
    let chrome = || Visitor::chromium(TO_WINDOWS, &brands(150, "\"Google Chrome\";v=\"150\""), "\"Windows\"");
    let unasked = ["referer", "sec-fetch-user"];
    assert_people(vec![
        ("a link in a mail program", chrome().without(&["referer"]).with("sec-fetch-site", "none")),
        ("a chain of redirects", chrome().without(&unasked)),
        ("a reload", chrome().led_by(&[("cache-control", "max-age=0")])),
        ("back, after the cache went", chrome().without(&["sec-fetch-user"])),
        (
            "a form sent from a bank",
            chrome().led_by(&[
                ("content-length", "12"),
                ("cache-control", "max-age=0"),
                ("origin", "null"),
                ("content-type", "application/x-www-form-urlencoded"),
            ]),
        ),
        (
            "a service worker",
            chrome()
                .with("sec-fetch-dest", "empty")
                .with("sec-fetch-mode", "same-origin")
                .with("sec-fetch-site", "same-origin")
                .with("referer", "https://shop.example/"),
        ),
        ("navigation preload", chrome().with("service-worker-navigation-preload", "true")),
        ("an extension that drops the Referer within the shop", chrome().without(&unasked).with("sec-fetch-site", "same-origin")),
        ("an extension that sets the languages", chrome().without(&["accept-language"]).with("accept-language", "en")),
        ("a data saver", chrome().led_by(&[("save-data", "on")])),
        ("a shop in a frame", chrome().with("sec-fetch-dest", "iframe")),
    ]);
}

#[test]
fn gateways_that_rewrite_requests_make_suspects_at_most() {
    let chrome = || Visitor::chromium(TO_WINDOWS, &brands(150, "\"Google Chrome\";v=\"150\""), "\"Windows\"");
    let hints = ["sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform"];
    let fetch = ["sec-fetch-site", "sec-fetch-mode", "sec-fetch-user", "sec-fetch-dest", "upgrade-insecure-requests", "priority"];
    let through = |mut visitor: Visitor| {
        (visitor.version, visitor.h2) = (HttpVersion::OneOne, None);
        visitor.tls = Some(TlsShown { version: Some(TlsVersion::OneTwo), alpn: Some("".into()), sni: Some(false), ..tls(false) });
        visitor
    };
    for gateway in [
        through(chrome()),
        through(chrome().without(&hints)),
        through(chrome().without(&hints).without(&fetch)).with("accept-encoding", "gzip"),
        through(chrome().without(&["accept-language", "accept-encoding"])),
        through(Visitor::firefox(FIREFOX).without(&fetch)),
        through(Visitor::apple("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1").without(&fetch)),
        // A page that a translator fetched and that somebody reads.
        through(chrome().without(&hints).without(&fetch).with("user-agent", &format!("{TO_WINDOWS},gzip(gfe)"))),
    ] {
        let verdict = gateway.verdict(Some(Page { proof: Some(Proof::Present), ..Page::default() }));
        assert!(verdict.band <= Band::Suspect, "{:?}: {verdict:?}", gateway.fields);
    }
}

#[test]
fn who_changes_the_agent_honestly_is_a_suspect_and_no_more_by_the_request() {
    let google = brands(150, "\"Google Chrome\";v=\"150\"");
    for agent in [
        ANDROID,
        &TO_WINDOWS.replace("150", "138"),
        &TO_WINDOWS.replace("Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7"),
    ] {
        let verdict = Visitor::chromium(TO_WINDOWS, &google, "\"Windows\"").with("user-agent", agent).verdict(None);
        assert!(verdict.band <= Band::Suspect, "{agent}: {verdict:?}");
    }
}
