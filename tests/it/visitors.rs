//! Requests as real browsers and robots send them, through the shipped lists and the shipped rules.

use clicksieve::click::Click;
use clicksieve::click::Scheme;
use clicksieve::facts::Knowledge;
use clicksieve::facts::Settings;
use clicksieve::facts::gather;
use clicksieve::rules::Policy;
use clicksieve::verdict::Band;
use clicksieve::verdict::Class;
use clicksieve::verdict::Verdict;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;

const CHROME: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36";
const FBCLID: &str = "IwY2xjawEx4mPlEaAgAR0abcDEF123456789_abcDEF-0123456789abcdefghij_aem_XyZ0123456789abcd";

struct Visitor {
    who: &'static str,
    address: &'static str,
    agent: &'static str,
    scheme: Scheme,
    query: String,
    fields: &'static [(&'static str, &'static str)],
}

fn visitor(who: &'static str, address: &'static str, agent: &'static str) -> Visitor {
    let fields = &[("accept", "text/html,*/*;q=0.8"), ("accept-language", "de-DE,de;q=0.9")];
    Visitor { who, address, agent, scheme: Scheme::Https, query: String::new(), fields }
}

fn judge(knowledge: &Knowledge, policy: &Policy, visitor: &Visitor) -> Verdict {
    let mut headers: HeaderMap =
        visitor.fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
    headers.insert("user-agent", HeaderValue::from_static(visitor.agent));
    let address = visitor.address.parse().unwrap();
    let click = Click::read(Some(address), visitor.scheme, "/", &visitor.query, &headers);
    let (network, agent) = (knowledge.network(address), knowledge.agent(visitor.agent));
    policy.score(&gather(&click, &network, &agent))
}

#[test]
fn people_are_people() {
    let (knowledge, policy) = (Knowledge::load(&Settings::default()).unwrap(), Policy::shipped());
    let ad = format!("fbclid={FBCLID}&utm_source=fb");
    for visitor in [
        Visitor {
            query: ad.clone(),
            ..visitor(
                "Facebook on an iPhone",
                "80.187.80.1",
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 [FBAN/FBIOS;FBAV/528.0.0.30.107;FBBV/779999999;FBDV/iPhone16,2;FBMD/iPhone;FBSN/iOS;FBSV/18.6;FBSS/3;FBCR/;FBID/phone;FBLC/de_DE;FBOP/80]",
            )
        },
        Visitor {
            query: ad,
            ..visitor(
                "Instagram on Android",
                "80.187.80.1",
                "Mozilla/5.0 (Linux; Android 15; SM-S928B Build/AP3A.240905.015.A2; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/140.0.7339.51 Mobile Safari/537.36 Instagram 396.0.0.46.242 Android (35/15; 480dpi; 1080x2120; samsung; SM-S928B; e3q; qcom; de_DE; 791567890)",
            )
        },
        visitor(
            "Safari",
            "84.140.1.1",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
        ),
        visitor(
            "private Firefox",
            "84.140.1.1",
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0",
        ),
        Visitor { scheme: Scheme::Http, ..visitor("Chrome over plain HTTP", "127.0.0.1", CHROME) },
        Visitor {
            fields: &[
                ("accept", "text/html"),
                ("accept-language", "de"),
                ("sec-ch-ua", "\"Chromium\";v=\"141\""),
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", "document"),
            ],
            ..visitor("Chrome", "84.140.1.1", CHROME)
        },
    ] {
        let verdict = judge(&knowledge, &policy, &visitor);
        assert_eq!((verdict.class, verdict.band), (Class::Visit, Band::Human), "{}: {verdict:?}", visitor.who);
    }
}

#[test]
fn robots_are_not() {
    let (knowledge, policy) = (Knowledge::load(&Settings::default()).unwrap(), Policy::shipped());
    for visitor in [
        visitor("curl", "84.140.1.1", "curl/8.14.1"),
        visitor("python-requests", "84.140.1.1", "python-requests/2.32.3"),
        visitor(
            "headless Chrome",
            "84.140.1.1",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/141.0.0.0 Safari/537.36",
        ),
        visitor("a false Googlebot", "84.140.1.1", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"),
        Visitor {
            fields: &[],
            query: "fbclid={{fbclid}}".to_owned(),
            ..visitor("a script that poses as Chrome", "84.140.1.1", CHROME)
        },
    ] {
        let verdict = judge(&knowledge, &policy, &visitor);
        assert!(verdict.class == Class::Visit && verdict.band >= Band::LikelyInvalid, "{}: {verdict:?}", visitor.who);
    }
    let empty = judge(&knowledge, &policy, &visitor("nobody", "84.140.1.1", ""));
    assert_eq!(empty.band, Band::Suspect, "{empty:?}");
    let verified = judge(
        &knowledge,
        &policy,
        &visitor("Googlebot", "66.249.66.1", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"),
    );
    assert_eq!((verified.class, verified.score.points()), (Class::Skip, 0), "{verified:?}");
}
