//! What a connection shows of its client, as rules and records see it: of whoever connects to us itself, and of nobody behind a
//! trusted proxy but what that vouches for.

use std::fmt::Write as _;
use std::io::Read;
use std::io::Write;

use serde_json::Value;

use crate::door::Authority;
use crate::door::certificates::place;
use crate::door::shake;
use crate::harness::frames;
use crate::harness::site::Site;
use crate::harness::visitor::Visitor;
use crate::shown;
use crate::whole;
use crate::whole::process::Process;
use crate::whole::seen;

const HEADERS: u8 = 1;

/// Reads frames up to an answer's head.
fn answered(stream: &mut impl Read) {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap();
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).unwrap();
        match head[3] {
            HEADERS => return,
            7 => panic!("a farewell: {payload:?}"),
            _ => {}
        }
    }
}

/// A shop behind TLS in a process of its own.
struct Opened {
    authority: Authority,
    process: Process,
    _site: Site,
}

impl Opened {
    fn with(change: impl FnOnce(String) -> String, rules: Option<&str>) -> Self {
        let authority = Authority::new();
        authority.issues("shop", &["shop.example"]);
        let site = Site::answers(whole::html_answer());
        let config = place(&authority, &site);
        let mut text = change(std::fs::read_to_string(&config).unwrap());
        if let Some(rules) = rules {
            std::fs::write(authority.path("rules.yaml"), rules).unwrap();
            text.push_str("rules: rules.yaml\n");
        }
        std::fs::write(&config, text).unwrap();
        let process = Process::start(&config);
        Self { authority, process, _site: site }
    }

    /// Who connects is the client itself.
    fn direct(rules: Option<&str>) -> Self {
        Self::with(|text| text.replace("trusted_proxies: [127.0.0.1]\n", ""), rules)
    }

    /// Stops it; its records.
    fn records(mut self) -> Vec<Value> {
        self.process.signal("TERM");
        assert!(self.process.ended().success());
        let records = std::fs::read_to_string(self.authority.path("state/records.jsonl")).unwrap();
        records.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[test]
fn every_recorded_opening_is_recorded_as_it_was_when_it_comes_through_the_door() {
    let opened = Opened::direct(None);
    let client = opened.authority.client(&["h2"]);
    let recorded: Vec<Value> = shown::recorded().filter(|client| client["h2"].is_object()).collect();
    for (number, capture) in recorded.iter().enumerate() {
        let path = format!("/?utm_content=c{number}&fbclid=IwZXh0bgNhZW0BMABhZGlkAasVg1yQ2aQBHSx");
        let mut stream = shake(opened.process.shop, &client, "shop.example").unwrap();
        // In pieces, as they may come over the network.
        for piece in shown::built(&capture["h2"], &path).chunks(7 + number * 5) {
            stream.write_all(piece).unwrap();
        }
        answered(&mut stream);
    }
    let records = opened.records();
    assert_eq!(records.len(), recorded.len());
    for (number, capture) in recorded.iter().enumerate() {
        let wanted = format!("utm_content=c{number}");
        let record = records.iter().find(|record| record["url"].as_str().unwrap().ends_with(&wanted)).expect("a record");
        assert_eq!((&record["h2"], &record["http"]), (&capture["h2"]["akamai"], &Value::from("h2")), "{}", capture["client"]);
        assert!(record["ja4"].as_str().unwrap().contains("h2_"), "{record}");
    }
}

/// Rules that name each fact that a request shows with what it is expected to be.
fn rules(expected: &[(&str, &str)]) -> String {
    let mut text = "schema: clicksieve/rules/v1\nname: shows\nmode: enforce\nscore: { groups: { protocol: 100 }, bands: { human: 0, suspect: 30, likely_invalid: 60, invalid: 85 } }\nsignals:\n".to_owned();
    for (number, (fact, test)) in expected.iter().enumerate() {
        let _ = writeln!(
            text,
            "  - {{ id: n{number}, title: T, match: {{ {fact}: {test} }}, points: 1, group: protocol, category: sivt.masquerading_bot, \
             certainty: probable, why: A test. }}"
        );
    }
    text
}

fn reasons(record: &Value) -> Vec<&str> {
    let reasons = record["reasons"].as_array().unwrap().iter();
    let mut ids: Vec<&str> = reasons.map(|reason| reason["rule"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn rules_see_what_a_request_and_its_connection_show() {
    let names = "\"Host,User-Agent,accept,sec-fetch-mode,sec-fetch-dest\"";
    let opened = Opened::direct(Some(&rules(&[
        ("http.version", "http/1.1"),
        ("http.names", names),
        ("http.name_case", "mixed"),
        ("tls.grease", "false"),
        ("tls.version", "tls1.3"),
        ("tls.sni", "true"),
        ("tls.alpn", "http/1.1"),
        ("client.spoofed_forwarding", "true"),
        ("client.spoofed_forwarding", "false"),
        ("h2.fingerprint", "{ missing: true }"),
    ])));
    let stream = shake(opened.process.shop, &opened.authority.client(&["http/1.1"]), "shop.example").unwrap();
    let mut visitor = Visitor::over(stream);
    let head = "GET / HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: x\r\naccept: text/html\r\nsec-fetch-mode: navigate\r\nsec-fetch-dest: document\r\n";
    for said in ["", "x-forwarded-for: 203.0.113.9\r\n", "cf-connecting-ip: 203.0.113.9\r\n", "Forwarded: for=203.0.113.9\r\n"] {
        assert_eq!(visitor.ask(&format!("{head}{said}\r\n")).status, 200);
    }
    // The second is there before the first is answered: whose names were noted cannot be told, so none are known.
    visitor.say(format!("{head}\r\n{head}\r\n"));
    assert_eq!((visitor.answer(false).status, visitor.answer(false).status), (200, 200));
    let records = opened.records();
    let of_all = ["n0", "n2", "n3", "n4", "n5", "n6"];
    assert_eq!(reasons(&records[0]), ["n0", "n1", "n2", "n3", "n4", "n5", "n6", "n8"]);
    for record in &records[1..4] {
        assert_eq!(reasons(record), [&of_all[..], &["n7"]].concat(), "{record}");
    }
    assert_eq!(reasons(&records[4]), ["n0", "n3", "n4", "n5", "n6", "n8"]);
}

#[test]
fn behind_a_trusted_proxy_only_what_it_vouches_for_is_known() {
    let ja4 = "t13d1517h2_8daaf6152771_cb7bf5808d99";
    let facts = [
        ("tls.ja4", ja4),
        ("http.version", "{ missing: false }"),
        ("http.names", "{ missing: false }"),
        ("http.version", "{ missing: true }"),
        ("tls.grease", "{ any_of: [true, false] }"),
        ("client.spoofed_forwarding", "{ any_of: [true, false] }"),
    ];
    for (trusts, said, expected) in
        [(true, ja4, &["n0"][..]), (true, "no JA4 at all", &[]), (false, ja4, &["n1", "n2", "n4", "n5"])]
    {
        let named = |text: String| {
            let text = text.replace("mode: warn\n", "mode: warn\nclient_address: { ja4_header: X-Ja4 }\n");
            if trusts { text } else { text.replace("trusted_proxies: [127.0.0.1]\n", "") }
        };
        let opened = Opened::with(named, Some(&rules(&facts)));
        let stream = shake(opened.process.shop, &opened.authority.client(&[]), "shop.example").unwrap();
        let head = format!("GET / HTTP/1.1\r\nhost: shop.example\r\n{}x-ja4: {said}\r\n\r\n", seen::chrome());
        assert_eq!(Visitor::over(stream).ask(&head).status, 200);
        let records = opened.records();
        assert_eq!(reasons(&records[0]), expected, "{trusts} {said}");
        if trusts {
            let expected = if said == ja4 { Value::from(ja4) } else { Value::Null };
            assert_eq!((&records[0]["ja4"], &records[0]["http"]), (&expected, &Value::Null));
        }
    }
}

#[test]
fn over_http_2_rules_see_the_names_in_the_order_in_which_they_were_sent() {
    let names = "\"sec-ch-ua,user-agent,accept,sec-fetch-mode,sec-fetch-dest,cookie,priority\"";
    let opened = Opened::direct(Some(&rules(&[
        ("http.names", names),
        ("http.version", "h2"),
        ("http.name_case", "{ any_of: [lower, title, mixed] }"),
        ("tls.alpn", "h2"),
        ("h2.order", "\"m,p,a,s\""),
        ("h2.weight", "42"),
    ])));
    let fields = [
        (":method", "GET"),
        (":path", "/"),
        (":authority", "shop.example"),
        (":scheme", "https"),
        ("sec-ch-ua", "x"),
        ("user-agent", "x"),
        ("accept", "text/html"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
        ("priority", "u=0, i"),
    ];
    let weighed = [&[0, 0, 0, 0, 41][..], &frames::block(&fields)].concat();
    let flags = frames::flag::END_STREAM | frames::flag::END_HEADERS | frames::flag::PRIORITY;
    let said = [frames::PREFACE.to_vec(), frames::settings(&[]), frames::frame(HEADERS, flags, 1, &weighed)].concat();
    let mut stream = shake(opened.process.shop, &opened.authority.client(&["h2"]), "shop.example").unwrap();
    stream.write_all(&said).unwrap();
    answered(&mut stream);
    let records = opened.records();
    assert_eq!(reasons(&records[0]), ["n0", "n1", "n3", "n4", "n5"], "{}", records[0]);
}
