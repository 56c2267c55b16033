//! Several shops behind one door: each host has its own servers and exemptions, and no other's.

use clicksieve::proxy::CookieDomain;
use clicksieve::proxy::servers::Group;

use crate::harness::site::Site;
use crate::harness::visitor::Answer;
use crate::harness::visitor::Visitor;
use crate::servers::OK;
use crate::servers::Stand;
use crate::servers::group;
use crate::servers::shop;

fn named(hosts: &[&str], group: Group) -> clicksieve::proxy::servers::Site {
    let mut shop = shop(group);
    shop.hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
    shop
}

fn says(text: &str) -> Site {
    Site::answers(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len()))
}

fn ask(stand: &Stand, host: &str) -> Answer {
    Visitor::connect(stand.front.address).ask(&format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n"))
}

#[test]
fn each_host_has_its_shop_and_an_unknown_one_none() {
    let sites = [says("one"), says("many"), says("own")];
    let of = |site: &Site| group(&[(site.address, 1)]);
    let shops = vec![
        named(&["one.example"], of(&sites[0])),
        named(&["*.many.example"], of(&sites[1])),
        named(&["own.many.example"], of(&sites[2])),
    ];
    let stand = Stand::of(shops, 1);
    let cases = [("one.example", "one"), ("One.EXAMPLE:8443", "one"), ("a.many.example", "many"), ("OWN.many.example.", "own")];
    for (host, text) in cases {
        assert_eq!(ask(&stand, host).text(), text, "{host}");
    }
    for host in ["two.example", "many.example", "a.b.many.example", "127.0.0.1", "one.example.evil.example"] {
        assert_eq!(ask(&stand, host).status, 421, "{host}");
    }
    assert_eq!((stand.errors("unknown_host"), sites[0].heads().len() + sites[1].heads().len()), (5, 3));
    // The connection stands, and the collector is nobody's either.
    let mut visitor = Visitor::connect(stand.front.address);
    let events = "POST /_cs/e HTTP/1.1\r\nhost: two.example\r\ncontent-length: 2\r\n\r\n{}";
    assert_eq!(visitor.ask(events).status, 421);
}

#[test]
fn a_host_that_is_nobodys_has_the_shop_without_hosts() {
    let (one, all) = (says("one"), says("all"));
    let shops = vec![named(&["one.example"], group(&[(one.address, 1)])), shop(group(&[(all.address, 1)]))];
    let stand = Stand::of(shops, 1);
    assert_eq!((ask(&stand, "one.example").text(), ask(&stand, "two.example").text()), ("one", "all"));
    let old = Visitor::connect(stand.front.address).ask("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(old.text(), "all", "HTTP/1.0 names no host");
}

#[test]
fn what_a_shop_says_of_itself_is_rewritten_as_its_own_settings_say() {
    let moves = |cookie: &'static str| {
        Site::start(move |talk, _| {
            while talk.head().is_some() {
                let address = talk.stream.get_ref().local_addr().unwrap();
                let fields = format!("location: http://{address}/next\r\nset-cookie: a=b; Domain={cookie}\r\n");
                talk.say(format!("HTTP/1.1 302 Found\r\n{fields}content-length: 0\r\n\r\n"));
            }
        })
    };
    let sites = [moves("in.example"), moves("in.example"), moves("in.example")];
    let mut rewritten = named(&["one.example"], group(&[(sites[0].address, 1), (sites[1].address, 1)]));
    rewritten.rewrite_location = true;
    rewritten.cookie_domain = Some(CookieDomain { from: "in.example".to_owned(), to: "one.example".to_owned() });
    let stand = Stand::of(vec![rewritten, named(&["two.example"], group(&[(sites[2].address, 1)]))], 1);
    for _ in 0..2 {
        let answer = ask(&stand, "one.example");
        assert_eq!(answer.field("location"), Some("http://one.example/next"), "whichever server said it");
        assert_eq!(answer.field("set-cookie"), Some("a=b; Domain=one.example"));
    }
    let answer = ask(&stand, "two.example");
    assert_eq!(answer.field("location"), Some(&format!("http://{}/next", sites[2].address)[..]));
    assert_eq!(answer.field("set-cookie"), Some("a=b; Domain=in.example"));
}

#[test]
fn a_path_is_exempt_in_the_shop_that_says_so() {
    let sites = [Site::answers(OK), Site::answers(OK)];
    let mut first = named(&["one.example"], group(&[(sites[0].address, 1)]));
    first.exempt = vec!["/api".to_owned()];
    let stand = Stand::of(vec![first, named(&["two.example"], group(&[(sites[1].address, 1)]))], 1);
    let scored = |site: &Site, host: &str| {
        let request = format!("GET /api HTTP/1.1\r\nhost: {host}\r\naccept: text/html\r\n\r\n");
        assert_eq!(Visitor::connect(stand.front.address).ask(&request).status, 200);
        site.heads()[0].contains("x-clicksieve-score")
    };
    assert_eq!((scored(&sites[0], "one.example"), scored(&sites[1], "two.example")), (false, true));
}
