//! Fields behind a body, both ways, over each pair of versions (RFC 9110 section 6.5).

use bytes::Bytes;
use http::HeaderMap;
use tokio::time::timeout;

use crate::door::Shop;
use crate::door::http2::Line;
use crate::door::http2::get;
use crate::door::http2::runtime;
use crate::harness::PATIENCE;
use crate::harness::front::Front;
use crate::harness::site::Site;
use crate::harness::visitor::Visitor;
use crate::robust::Keeper;
use crate::streams::StreamSite;
use crate::streams::post;
use crate::streams::read;
use crate::streams::status;

const TRAILERS: &str = "x-sum: 1\r\nset-cookie: c=1\r\ncontent-length: 9\r\nx-clicksieve-score: 0\r\nx-late: 2\r\n";

/// All of an answer behind its head, to its last byte.
fn tail(front: &Front, fields: &str) -> (String, String) {
    let mut visitor = Visitor::connect(front.address);
    visitor.say(format!("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{fields}\r\n"));
    (visitor.head().unwrap(), String::from_utf8(visitor.rest()).unwrap())
}

#[test]
fn trailers_of_an_answer_reach_a_visitor_who_takes_them() {
    let said = format!(
        "HTTP/1.1 200 OK\r\ntrailer: X-Sum, set-cookie\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n{TRAILERS}\r\n"
    );
    let front = Front::of(Site::answers(said).address);
    let (head, body) = tail(&front, "connection: te\r\nte: trailers\r\n");
    assert!(head.contains("trailer: x-sum\r\n"), "{head}");
    // Only what was announced can be written in HTTP/1.1.
    assert_eq!(body, "2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n");
    // Who did not say so gets none (RFC 9110 section 6.5.1).
    assert_eq!(tail(&front, "").1, "2\r\nok\r\n0\r\n\r\n");
}

#[test]
fn trailers_cross_from_http1_to_http2_and_back() {
    let said = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n{TRAILERS}\r\n");
    let shop = Shop::with(Site::answers(said), |_| {});
    runtime().block_on(async {
        let mut line = Line::open(shop.front.address, shop.h2()).await;
        let (answer, _) = line.begin(get("/")).await;
        let (bytes, behind) = timeout(PATIENCE, read(&mut answer.await.unwrap().into_body())).await.unwrap().unwrap();
        let behind = behind.unwrap();
        assert_eq!((&bytes[..], behind.len(), &behind["x-sum"]), (&b"ok"[..], 2, &"1".parse().unwrap()), "{behind:?}");
    });
    let keeper = Keeper::start();
    let shop = Shop::with_proxy(Site::answers(""), |_| {}, {
        let port = keeper.site.address.port();
        move |proxy| proxy.upstream = clicksieve::proxy::Origin::local(port)
    });
    runtime().block_on(async {
        let mut line = Line::open(shop.front.address, shop.h2()).await;
        let mut request = post("/up");
        request.headers_mut().insert("trailer", "x-sum, host".parse().unwrap());
        let (answer, mut out) = line.sender.send_request(request, false).unwrap();
        out.send_data(Bytes::from_static(b"abc"), false).unwrap();
        let mut behind = HeaderMap::new();
        for (name, value) in [("x-sum", "1"), ("host", "evil"), ("x-late", "2")] {
            behind.insert(name, value.parse().unwrap());
        }
        out.send_trailers(behind).unwrap();
        assert_eq!(timeout(PATIENCE, answer).await.unwrap().unwrap().status(), 200);
        // The next request is in step.
        assert_eq!(line.get("/next").await.unwrap().1, b"/next");
    });
    let came = keeper.came();
    assert_eq!((came[0].field("trailer"), &came[0].body[..]), (Some("x-sum"), &b"abcx-sum: 1\r\n"[..]));
    assert_eq!(came.len(), 2);
}

#[test]
fn trailers_of_a_request_reach_a_site_of_each_version() {
    let chunks =
        format!("trailer: x-sum, x-late, content-length\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n{TRAILERS}\r\n");
    let sent = format!("POST / HTTP/1.1\r\nhost: a\r\n{chunks}");
    let keeper = Keeper::start();
    let front = Front::of(keeper.site.address);
    let mut visitor = Visitor::connect(front.address);
    assert_eq!((visitor.ask(&sent).text(), visitor.get("/next").text()), ("/", "/next"));
    assert_eq!(keeper.came()[0].body, b"abcx-sum: 1\r\nx-late: 2\r\n");

    let (report, behind) = std::sync::mpsc::sync_channel(1);
    let site = StreamSite::start(move |mut body, mut respond, _| {
        let report = report.clone();
        async move {
            let _ = report.send(read(&mut body).await.unwrap());
            respond.send_response(status(204), true).unwrap();
        }
    });
    let origin = clicksieve::proxy::Origin::parse(&format!("h2c://{}", site.address)).unwrap();
    let front = Front::with(site.address, |_, proxy| proxy.upstream = origin);
    assert_eq!(Visitor::connect(front.address).ask(&sent).status, 204);
    let (bytes, behind) = behind.recv_timeout(PATIENCE).unwrap();
    let behind = behind.unwrap();
    assert_eq!((&bytes[..], behind.len(), &behind["x-sum"]), (&b"abc"[..], 2, &"1".parse().unwrap()), "{behind:?}");
}

#[test]
fn an_injected_page_has_none() {
    let page = "<html><head></head><body></body></html>";
    let said = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{page}\r\n0\r\n{TRAILERS}\r\n",
        page.len()
    );
    let front = Front::of(Site::answers(said).address);
    let (head, body) = tail(&front, "connection: te\r\nte: trailers\r\naccept: text/html\r\n");
    assert!(body.contains("data-cs=") && body.ends_with("0\r\n\r\n"), "{body}");
    assert!(!head.contains("trailer:"), "{head}");
}
