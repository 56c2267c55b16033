//! Who is who with the shipped lists and the shipped rules: Meta's fetchers and those who borrow their name, people in apps and
//! behind relays, messengers' previews, crawlers whose names were looked up.

use clicksieve::click::Click;
use clicksieve::click::Scheme;
use clicksieve::fact::Identity;
use clicksieve::fact::NetworkKind;
use clicksieve::fact::Signed;
use clicksieve::facts::Answer;
use clicksieve::facts::Knowledge;
use clicksieve::facts::Settings;
use clicksieve::facts::Sources;
use clicksieve::facts::gather;
use clicksieve::rules::Policy;
use clicksieve::verdict::Band;
use clicksieve::verdict::Class;
use clicksieve::verdict::Verdict;
use hickory_resolver::proto::op::Message;
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::Name;
use hickory_resolver::proto::rr::RData;
use hickory_resolver::proto::rr::Record;
use hickory_resolver::proto::rr::rdata::A;
use hickory_resolver::proto::rr::rdata::PTR;
use http::HeaderMap;
use http::HeaderValue;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::UdpSocket;
use std::str::FromStr;
use std::sync::LazyLock;

use crate::harness::site::Site;
use crate::whole::html_answer;
use crate::whole::inside::Inside;

static SOURCES: LazyLock<Sources> = LazyLock::new(|| {
    let settings = Settings { names: true, ..Settings::default() };
    Sources::new(Knowledge::load(&settings).unwrap(), &settings)
});
static POLICY: LazyLock<Policy> = LazyLock::new(Policy::shipped);

const EXTERNAL_HIT: &str = "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)";
const FBCLID: &str = "fbclid=IwY2xjawEx4mPlEaAgAR0abcDEF123456789_abcDEF-0123456789abcdefghij_aem_XyZ0123456789abcd";
const TTCLID: &str = "ttclid=E.C.P.CoEBabcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const PINTEREST: &str = "Mozilla/5.0 (compatible; Pinterestbot/1.0; +http://www.pinterest.com/bot.html)";

/// A name server on loopback that knows one address's name and that name's address; it ends with the process.
fn name_server(back: &'static str, name: &'static str, address: Ipv4Addr) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = socket.local_addr().unwrap();
    let parsed = Name::from_str(name).unwrap();
    std::thread::spawn(move || {
        let mut bytes = [0; 2_048];
        while let Ok((length, from)) = socket.recv_from(&mut bytes) {
            let Ok(query) = Message::from_vec(&bytes[..length]) else { continue };
            let question = query.queries[0].clone();
            let mut reply = Message::response(query.metadata.id, query.metadata.op_code);
            reply.add_query(question.clone());
            let asked = question.name().to_ascii().to_ascii_lowercase();
            let data = match asked.as_str() {
                asked if asked == back => Some(RData::PTR(PTR(parsed.clone()))),
                asked if asked == name => Some(RData::A(A(address))),
                _ => None,
            };
            match data {
                Some(data) => {
                    reply.add_answer(Record::from_rdata(question.name().clone(), 60, data));
                }
                None => reply.metadata.response_code = ResponseCode::NXDomain,
            }
            socket.send_to(&reply.to_vec().unwrap(), from).unwrap();
        }
    });
    at
}

/// The verdict on a page view with the fields that browsers and fetchers alike send.
fn judge(address: &str, agent: &str, query: &str, signed: Option<Signed>) -> Verdict {
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("shop.example"));
    headers.insert("accept", HeaderValue::from_static("text/html,application/xhtml+xml,*/*;q=0.8"));
    headers.insert("accept-language", HeaderValue::from_static("de-DE,de;q=0.9"));
    headers.insert("user-agent", HeaderValue::from_str(agent).unwrap());
    let address = address.parse().unwrap();
    let click = Click::read(Some(address), Scheme::Https, "/p", query, &headers);
    let (network, read) = (SOURCES.network(Some(address)), SOURCES.agent(Some(agent)));
    let mut facts = gather(&click, &network, &read);
    facts.identity = SOURCES.identity(Some(address), &network, &read);
    facts.signed = signed;
    POLICY.score(&facts)
}

fn kind(address: &str) -> NetworkKind {
    SOURCES.network(Some(address.parse().unwrap())).kind
}

fn reasons(verdict: &Verdict) -> Vec<&str> {
    verdict.reasons.iter().map(|reason| &*reason.rule).collect()
}

#[test]
fn metas_fetchers_are_nobodys_clicks_and_those_who_borrow_their_name_are_invalid() {
    for agent in [
        EXTERNAL_HIT,
        "facebookcatalog/1.0",
        "meta-externalagent/1.1 (+https://developers.facebook.com/docs/sharing/webmasters/crawler)",
        "meta-externalfetcher/1.1",
        "meta-externalads/1.1 (+https://developers.facebook.com/docs/sharing/webmasters/web-crawlers)",
        "meta-webindexer/1.1 (+https://developers.facebook.com/docs/sharing/webmasters/web-crawlers)",
    ] {
        for address in ["66.220.149.5", "2a03:2880:f012::1"] {
            assert_eq!(judge(address, agent, FBCLID, None).class, Class::Skip, "{agent} from {address}");
        }
        for cloud in ["52.95.36.1", "34.90.1.1"] {
            assert_eq!(kind(cloud), NetworkKind::Cloud);
            let verdict = judge(cloud, agent, FBCLID, None);
            assert!(verdict.class == Class::Visit && verdict.band >= Band::LikelyInvalid, "{agent}: {verdict:?}");
        }
    }
}

#[test]
fn people_in_apps_at_carriers_are_human() {
    let carriers = ["172.56.1.1", "107.77.64.1", "174.192.0.1", "85.255.232.1", "49.32.1.1", "2607:fb90::1"];
    let agents: Vec<&str> = include_str!("data/agents/in-app.txt").lines().collect();
    for carrier in carriers {
        assert_eq!(kind(carrier), NetworkKind::MobileCarrier, "{carrier}");
        for line in &agents {
            let (app, agent) = line.split_once(' ').unwrap();
            let query = if app == "tiktok" { TTCLID } else { FBCLID };
            let verdict = judge(carrier, agent, query, Some(Signed::Absent));
            assert_eq!(
                (verdict.class, verdict.band, verdict.score.points()),
                (Class::Visit, Band::Human, 0),
                "{agent}: {verdict:?}"
            );
        }
    }
}

#[test]
fn safari_behind_private_relay_is_human() {
    let safari = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1";
    for relay in ["104.28.28.1", "2a02:26f7:b00a:4000::1"] {
        assert_eq!(kind(relay), NetworkKind::PrivateRelay);
        let verdict = judge(relay, safari, FBCLID, Some(Signed::Absent));
        assert_eq!((verdict.class, verdict.band, verdict.score.points()), (Class::Visit, Band::Human, 0), "{verdict:?}");
    }
}

#[test]
fn previews_that_nobody_can_verify_score_as_the_crawlers_they_say_they_are_and_others_must_come_from_their_range() {
    for agent in [
        "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
        "WhatsApp/2.23.20.0",
        "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
    ] {
        let verdict = judge("73.162.40.19", agent, FBCLID, None);
        assert_eq!((verdict.class, verdict.band), (Class::Visit, Band::LikelyInvalid), "{agent}");
        assert_eq!(reasons(&verdict), ["ua.crawler"], "{agent}");
    }
    assert_eq!(judge("34.90.1.1", "TelegramBot (like TwitterBot)", FBCLID, None).class, Class::Visit);
    assert_eq!(judge("149.154.161.1", "TelegramBot (like TwitterBot)", FBCLID, None).class, Class::Skip);
    // The app's own name inside a browser's agent is a person's.
    let person = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 WhatsApp/2.25.1";
    assert_eq!(judge("172.56.1.1", person, FBCLID, None).class, Class::Visit);
}

#[test]
fn a_claim_without_a_range_is_open_until_its_address_was_looked_up() {
    let names = SOURCES.names().unwrap();
    let agent = SOURCES.agent(Some(PINTEREST));
    let identity = |address: &str| {
        let address = Some(address.parse().unwrap());
        SOURCES.identity(address, &SOURCES.network(address), &agent)
    };
    let (own, other, failing) = ("54.236.1.11", "54.236.1.12", "54.236.1.13");
    for address in [own, other, failing] {
        assert_eq!(identity(address), Identity::Unverifiable);
        assert!(!reasons(&judge(address, PINTEREST, "", None)).contains(&"ua.false-crawler"));
    }
    names.answer(own.parse().unwrap(), Answer::Of("pinterest"));
    names.answer(other.parse().unwrap(), Answer::Of("google"));
    names.answer(failing.parse().unwrap(), Answer::Failed);
    assert_eq!(identity(own), Identity::Verified("pinterest"));
    assert_eq!(judge(own, PINTEREST, FBCLID, None).class, Class::Skip);
    assert_eq!(identity(other), Identity::Impostor("pinterest"));
    assert!(reasons(&judge(other, PINTEREST, "", None)).contains(&"ua.false-crawler"));
    assert_eq!(identity(failing), Identity::Unverifiable);
    // What can only confirm accuses nobody.
    names.answer("54.236.1.14".parse().unwrap(), Answer::Nobodys);
    let linkedin = SOURCES.agent(Some("LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)"));
    let address = Some("54.236.1.14".parse().unwrap());
    assert_eq!(SOURCES.identity(address, &SOURCES.network(address), &linkedin), Identity::Unverifiable);
}

#[test]
fn a_moved_crawler_is_verified_by_its_name_outside_the_shipped_ranges() {
    let google = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
    let new = "45.90.60.7";
    assert_eq!(judge(new, google, "", None).class, Class::Visit);
    assert!(!reasons(&judge(new, google, "", None)).contains(&"ua.false-crawler"));
    SOURCES.names().unwrap().answer(new.parse().unwrap(), Answer::Of("google"));
    assert_eq!(judge(new, google, "", None).class, Class::Skip);
}

#[test]
fn a_signed_agent_is_nobodys_click_and_a_false_signature_counts() {
    let chrome =
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36";
    let of = |signed| judge("80.187.80.1", chrome, FBCLID, Some(signed));
    assert_eq!(of(Signed::Verified).class, Class::Skip);
    assert!(reasons(&of(Signed::Invalid)).contains(&"ua.bad-signature"));
    for signed in [Signed::Absent, Signed::Unverified] {
        let verdict = of(signed);
        assert!(verdict.class == Class::Visit && !reasons(&verdict).iter().any(|rule| rule.contains("sign")), "{verdict:?}");
    }
}

#[test]
fn a_running_process_looks_a_crawlers_name_up_and_knows_it_from_then_on() {
    let server = name_server("11.1.236.54.in-addr.arpa.", "crawl-54-236-1-11.pinterest.com.", Ipv4Addr::new(54, 236, 1, 11));
    let site = Site::answers(html_answer());
    let inside = Inside::start(site.address, &format!("dns: {{ servers: [\"{server}\"], deadline: 10s }}\n"));
    let class_of = |address: &str| {
        let lines = format!("user-agent: {PINTEREST}\r\naccept: text/html\r\nx-forwarded-for: {address}\r\n");
        assert!(inside.ask("GET", &format!("/p?{FBCLID}"), &lines).head.contains(" 200 "));
        inside.running.records()[0]["class"].as_str().unwrap().to_owned()
    };
    // Nobody waits for the answer.
    assert_eq!(class_of("54.236.1.11"), "visit");
    let came = (0..500).any(|_| class_of("54.236.1.11") == "skip");
    assert!(came, "never verified");
    assert_eq!(class_of("54.236.1.12"), "visit");
}
