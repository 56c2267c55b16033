//! gRPC through the door: each kind of call, statuses behind and without a body, and calls that are given up
//! (the protocol is described in gRPC's `PROTOCOL-HTTP2.md`).

use std::sync::mpsc::sync_channel;

use bytes::Bytes;
use h2::Reason;
use http::HeaderMap;
use http::Request;
use http::Response;
use tokio::time::timeout;

use crate::door::http2::Line;
use crate::door::http2::runtime;
use crate::harness::PATIENCE;
use crate::streams::StreamSite;
use crate::streams::read;

/// A message with its length ahead of it.
fn message(text: &str) -> Bytes {
    let length = u32::try_from(text.len()).unwrap().to_be_bytes();
    Bytes::from([&[0][..], &length, text.as_bytes()].concat())
}

fn call(name: &str) -> Request<()> {
    Request::post(format!("https://shop.example/shop.Stock/{name}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", "10S")
        .body(())
        .unwrap()
}

fn started() -> Response<()> {
    Response::builder().header("content-type", "application/grpc").header("trailer", "grpc-status").body(()).unwrap()
}

fn outcome(status: &'static str) -> HeaderMap {
    [("grpc-status", status), ("grpc-message", "as asked"), ("set-cookie", "c=1"), ("x-forwarded-for", "6.6.6.6")]
        .into_iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .collect()
}

/// Echoes each message as it comes, and a status when there are no more; a call named `Refuse` gets a status alone.
fn echo() -> StreamSite {
    StreamSite::start(|mut body, mut respond, number| async move {
        if number == 4 {
            // Only once the call is whole: a status ahead of its end would end what its caller still says.
            read(&mut body).await.unwrap();
            let mut refusal = started();
            refusal.headers_mut().insert("grpc-status", "7".parse().unwrap());
            respond.send_response(refusal, true).unwrap();
            return;
        }
        let mut out = respond.send_response(started(), false).unwrap();
        while let Some(Ok(piece)) = body.data().await {
            let _ = body.flow_control().release_capacity(piece.len());
            out.send_data(piece, false).unwrap();
        }
        out.send_trailers(outcome("0")).unwrap();
    })
}

#[test]
fn calls_of_all_kinds_are_carried_with_their_status() {
    let site = echo();
    let shop = site.shop();
    runtime().block_on(async {
        let mut line = Line::open(shop.front.address, shop.h2()).await;
        // One message for one; many for one; one for many: what matters on the way is that none waits for another.
        for (name, messages) in [("Get", 1), ("Put", 5), ("List", 1)] {
            let (answer, mut out) = line.sender.send_request(call(name), false).unwrap();
            let said: Vec<Bytes> = (0..messages).map(|number| message(&format!("{name} {number}"))).collect();
            for (place, piece) in said.iter().enumerate() {
                out.send_data(piece.clone(), place + 1 == messages).unwrap();
            }
            let answer = timeout(PATIENCE, answer).await.unwrap().unwrap();
            assert_eq!(answer.headers()["content-type"], "application/grpc");
            let (bytes, behind) = timeout(PATIENCE, read(&mut answer.into_body())).await.unwrap().unwrap();
            let behind = behind.unwrap();
            assert_eq!(bytes, said.concat(), "{name}");
            assert_eq!((&behind["grpc-status"], &behind["grpc-message"]), (&"0".parse().unwrap(), &"as asked".parse().unwrap()));
            assert!(!behind.contains_key("set-cookie") && !behind.contains_key("x-forwarded-for"), "{behind:?}");
        }
    });
    let came = site.came();
    assert!(came.iter().all(|head| head.headers["te"] == "trailers" && head.headers["grpc-timeout"] == "10S"));
    assert_eq!((came[0].uri.path(), site.connections()), ("/shop.Stock/Get", 1));
}

#[test]
fn both_sides_of_a_call_talk_in_turn() {
    let site = echo();
    let shop = site.shop();
    runtime().block_on(async {
        let mut line = Line::open(shop.front.address, shop.h2()).await;
        let (answer, mut out) = line.sender.send_request(call("Chat"), false).unwrap();
        let mut body = None;
        let mut answer = Some(answer);
        for number in 0..20 {
            let said = message(&format!("turn {number}"));
            out.send_data(said.clone(), false).unwrap();
            if let Some(answer) = answer.take() {
                body = Some(timeout(PATIENCE, answer).await.unwrap().unwrap().into_body());
            }
            let heard = timeout(PATIENCE, body.as_mut().unwrap().data()).await.unwrap().unwrap().unwrap();
            assert_eq!(heard, said);
        }
        out.send_data(Bytes::new(), true).unwrap();
        let (rest, behind) = timeout(PATIENCE, read(body.as_mut().unwrap())).await.unwrap().unwrap();
        assert_eq!((rest.len(), &behind.unwrap()["grpc-status"]), (0, &"0".parse().unwrap()));
    });
}

#[test]
fn a_status_without_a_body_is_one() {
    let site = echo();
    let shop = site.shop();
    runtime().block_on(async {
        let mut line = Line::open(shop.front.address, shop.h2()).await;
        for number in 0..5 {
            let (answer, mut out) = line.sender.send_request(call("Refuse"), false).unwrap();
            out.send_data(message("x"), true).unwrap();
            let answer = timeout(PATIENCE, answer).await.unwrap().unwrap();
            if number == 4 {
                assert_eq!(answer.headers()["grpc-status"], "7");
                assert!(answer.body().is_end_stream());
            } else {
                read(&mut answer.into_body()).await.unwrap();
            }
        }
    });
}

#[test]
fn a_call_that_is_given_up_is_given_up_at_the_site_and_the_other_way() {
    let (report, gone) = sync_channel(1);
    let site = StreamSite::start(move |mut body, mut respond, number| {
        let report = report.clone();
        async move {
            let mut out = respond.send_response(started(), false).unwrap();
            let first = body.data().await.unwrap().unwrap();
            out.send_data(first, false).unwrap();
            if number == 0 {
                let ended = body.data().await;
                let _ = report.send(ended.and_then(Result::err).and_then(|error| error.reason()));
            } else {
                let _ = body.data().await;
                out.send_reset(Reason::ENHANCE_YOUR_CALM);
            }
        }
    });
    let shop = site.shop();
    runtime().block_on(async {
        let mut line = Line::open(shop.front.address, shop.h2()).await;
        for number in 0..2 {
            let (answer, mut out) = line.sender.send_request(call("Watch"), false).unwrap();
            out.send_data(message("go"), false).unwrap();
            let mut body = timeout(PATIENCE, answer).await.unwrap().unwrap().into_body();
            assert_eq!(timeout(PATIENCE, body.data()).await.unwrap().unwrap().unwrap(), message("go"));
            if number == 0 {
                out.send_reset(Reason::CANCEL);
                assert_eq!(gone.recv_timeout(PATIENCE).unwrap(), Some(Reason::CANCEL));
            } else {
                out.send_data(message("more"), false).unwrap();
                let error = timeout(PATIENCE, read(&mut body)).await.unwrap().unwrap_err();
                assert!(error.is_reset() && error.is_remote(), "{error:?}");
            }
        }
    });
}
