//! The Graph-compatible door as clients meet it on the wire: every form of a body, every place of a key, and an answer
//! that Meta's SDKs can read whatever goes wrong.

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use serde_json::json;

use crate::harness::site::Site;
use crate::harness::visitor::Answer;
use crate::harness::visitor::Visitor;
use crate::whole;
use crate::whole::KEY;
use crate::whole::PIXEL;
use crate::whole::inside::Inside;

/// What the mock must have of each purchase: the hash of the address that stands in it raw.
const HASH: &str = "e97b714bb09fefc3828442332cb55728c6a81c9a20833422643f11f0c02da706";
const BOUNDARY: &str = "------------------------d74496d66958873e";

/// Sends a request as bytes and reads the answer.
pub(crate) fn send(inside: &Inside, head: &str, body: &[u8]) -> Answer {
    let mut visitor = Visitor::connect(inside.running.graph());
    visitor.say(format!("{head}host: graph\r\ncontent-length: {}\r\n\r\n", body.len()));
    visitor.say(body);
    visitor.answer(head.starts_with("HEAD"))
}

/// Posts to the events of the pixel with these header lines.
fn post(inside: &Inside, query: &str, lines: &str, body: impl AsRef<[u8]>) -> Answer {
    send(inside, &format!("POST /v26.0/{PIXEL}/events{query} HTTP/1.1\r\n{lines}"), body.as_ref())
}

fn read(answer: &Answer) -> Value {
    assert_eq!(answer.field("content-type"), Some("application/json; charset=utf-8"), "{}", answer.head);
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{}", answer.text()))
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A form's body.
fn form(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// What `curl -F` sends.
fn multipart(fields: &[(&str, &str)]) -> String {
    let part = |(name, value): &(&str, &str)| {
        format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    format!("{}--{BOUNDARY}--\r\n", fields.iter().map(part).collect::<String>())
}

/// A purchase whose address is not hashed yet.
fn raw(order: &str, time: u64) -> Value {
    let mut event = whole::purchase(order, time);
    event["user_data"]["em"] = json!([" Jo@Shop.Example ", null]);
    event
}

#[test]
fn a_purchase_is_taken_once_in_every_form_that_graph_clients_send() {
    let inside = Inside::start(Site::nobody(), "");
    let now = inside.now();
    let one = |order: &str| raw(order, now).to_string();
    let list = |order: &str| format!("[{}]", one(order));
    let texts = |order: &str| json!([one(order)]).to_string();
    let object = |data: Value| json!({ "data": data, "access_token": KEY, "id": PIXEL, "namespace_id": null }).to_string();
    let urlencoded = "content-type: application/x-www-form-urlencoded\r\n";
    let query = format!("?access_token={KEY}&appsecret_proof=00ff");
    let parts = format!("content-type: multipart/form-data; boundary={BOUNDARY}\r\n");
    let json_type = "content-type: application/json; charset=UTF-8\r\n";
    let posts: Vec<(&str, &str, String, Vec<u8>)> = vec![
        ("json", "", json_type.into(), object(json!([raw("json", now)])).into()),
        ("json-texts", "", json_type.into(), object(json!([one("json-texts")])).into()),
        ("json-text", "", json_type.into(), object(json!(list("json-text"))).into()),
        ("no-type", "", String::new(), object(json!([raw("no-type", now)])).into()),
        ("wrong-type", "", urlencoded.into(), object(json!([raw("wrong-type", now)])).into()),
        ("mark", "", json_type.into(), [b"\xef\xbb\xbf".to_vec(), object(json!([raw("mark", now)])).into()].concat()),
        ("packed", "", format!("{json_type}content-encoding: gzip\r\n"), packed(object(json!([raw("packed", now)])).as_bytes())),
        ("form", &query, format!("{urlencoded}user-agent: x\r\n"), form(&[("data", &list("form"))]).into()),
        ("form-texts", &query, urlencoded.into(), form(&[("data", &texts("form-texts"))]).into()),
        ("form-key", "", urlencoded.into(), form(&[("access_token", KEY), ("data", &list("form-key"))]).into()),
        ("form-plain", &query, "content-type: text/plain\r\n".into(), form(&[("data", &list("form-plain"))]).into()),
        (
            "form-charset",
            &query,
            urlencoded.replace("\r\n", ";charset=utf-8\r\n"),
            form(&[("data", &list("form-charset"))]).into(),
        ),
        ("parts", "", parts, multipart(&[("data", &list("parts")), ("access_token", KEY)]).into()),
        (
            "bearer",
            "",
            format!("authorization: bEaReR {KEY}\r\n{json_type}"),
            json!({ "data": [raw("bearer", now)] }).to_string().into(),
        ),
        ("two-keys", "?access_token=EAAB", json_type.into(), object(json!([raw("two-keys", now)])).into()),
    ];
    for (order, query, lines, body) in &posts {
        let answer = post(&inside, query, lines, body);
        let said = read(&answer);
        assert_eq!((answer.status, &said["events_received"], &said["messages"]), (200, &json!(1), &json!([])), "{order}: {said}");
        assert!(said["fbtrace_id"].is_string(), "{order}");
    }
    for (order, ..) in &posts {
        let copies = inside.arrives(&format!("o.{order}"));
        assert_eq!(copies.len(), 1, "{order}");
        assert_eq!(copies[0].event["user_data"]["em"], json!(HASH), "{order}");
    }
    assert_eq!(inside.graph.taken().len(), posts.len());
}

#[test]
fn a_list_that_an_http_library_has_spread_over_the_form_is_a_list_all_the_same() {
    let inside = Inside::start(Site::nobody(), "");
    let orders = ["spread-1", "spread-2", "spread-3"].map(|order| raw(order, inside.now()).to_string());
    let fields: Vec<(&str, &str)> = orders.iter().map(|event| ("data", event.as_str())).chain([("access_token", KEY)]).collect();
    let answer = post(&inside, "", "content-type: application/x-www-form-urlencoded\r\n", form(&fields));
    assert_eq!((answer.status, &read(&answer)["events_received"]), (200, &json!(3)));
    for order in ["spread-1", "spread-2", "spread-3"] {
        assert_eq!(inside.arrives(&format!("o.{order}")).len(), 1);
    }
}

#[test]
fn the_gateway_form_of_the_other_sdks_is_answered_with_202() {
    let inside = Inside::start(Site::nobody(), "");
    let gateway = |body: &Value| {
        let head = format!("POST /capi/{PIXEL}/events HTTP/1.1\r\ncontent-type: application/json\r\n");
        send(&inside, &head, body.to_string().as_bytes())
    };
    let answer = gateway(&json!({ "data": [raw("gateway", inside.now())], "accessKey": KEY }));
    assert_eq!((answer.status, &read(&answer)["events_received"]), (202, &json!(1)));
    assert_eq!(inside.arrives("o.gateway").len(), 1);
    let refused = gateway(&json!({ "data": [raw("gateway", inside.now())], "accessKey": "wrong" }));
    assert_eq!((refused.status, &read(&refused)["error"]["code"]), (401, &json!(190)));
}

#[test]
fn what_a_request_says_for_its_events_reaches_the_destination_with_them_alone() {
    let inside = Inside::start(Site::nobody(), "");
    let now = inside.now();
    let said = |order: &str, more: Value| {
        let mut body = json!({ "data": [raw(order, now)], "access_token": KEY });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(post(&inside, "", "", body.to_string()).status, 200);
    };
    said("tested", json!({ "test_event_code": "TEST123", "partner_agent": "shop-1.0", "upload_tag": null, "namespace_id": "" }));
    said("tagged", json!({ "upload_tag": "week 7", "test_event_code": null, "appsecret_proof": "00" }));
    said("plain", json!({}));
    let beside = |order: &str| inside.arrives(&format!("o.{order}")).remove(0).beside;
    assert_eq!(beside("tested"), json!({ "test_event_code": "TEST123", "partner_agent": "shop-1.0" }));
    assert_eq!(beside("tagged"), json!({ "upload_tag": "week 7", "partner_agent": "clicksieve" }));
    assert_eq!(beside("plain"), json!({ "partner_agent": "clicksieve" }));
    assert!(inside.copies("o.tested")[0].event.get("~request").is_none());
}

#[test]
fn whatever_goes_wrong_the_answer_is_one_that_the_sdks_can_read() {
    let inside = Inside::start(Site::nobody(), "");
    let now = inside.now();
    let query = format!("?access_token={KEY}");
    let body = |event: &Value| json!({ "data": [event], "access_token": KEY }).to_string();
    let changed = |key: &str, value: Value| {
        let mut event = raw("wrong", now);
        event[key] = value;
        body(&event)
    };
    let events = format!("POST /v26.0/{PIXEL}/events{query} HTTP/1.1\r\n");
    let with = |lines: &str| format!("{events}{lines}");
    let parts = with(&format!("content-type: multipart/form-data; boundary={BOUNDARY}\r\n"));
    let cut = multipart(&[("data", "[]")]).replace(&format!("--{BOUNDARY}--"), "");
    let good = body(&raw("good", now));
    let bomb = packed(&vec![b' '; 40 << 20]);
    for (head, body, status, code, subcode) in [
        (events.clone(), b"".to_vec(), 400, 100, None),
        (events.clone(), b"{\"data\":[".to_vec(), 400, 100, None),
        (events.clone(), b"[1]".to_vec(), 400, 100, None),
        (events.clone(), b"{\"data\":{}}".to_vec(), 400, 100, None),
        (events.clone(), b"{\"data\":[]}".to_vec(), 400, 100, None),
        (events.clone(), b"{\"data\":null}".to_vec(), 400, 100, None),
        (events.clone(), json!({ "data": vec![0; 1_001] }).to_string().into(), 400, 100, None),
        (events.clone(), b"data=%5B%7B".to_vec(), 400, 100, None),
        (with("content-type: application/json\r\n"), b"data=[]".to_vec(), 400, 100, None),
        (parts, cut.into(), 400, 100, None),
        (with("content-type: multipart/form-data\r\n"), b"--x".to_vec(), 400, 100, None),
        (with("content-encoding: gzip\r\n"), good.clone().into(), 400, 100, None),
        (with("content-encoding: gzip\r\n"), bomb, 413, 100, None),
        (with("content-encoding: br\r\n"), good.clone().into(), 415, 100, None),
        (events.clone(), vec![b'{'; 5 << 20], 413, 100, None),
        (events.clone(), changed("event_time", json!(now - 8 * 86_400)).into(), 400, 100, Some(2_804_003)),
        (events.clone(), changed("event_time", json!(now * 1_000)).into(), 400, 100, Some(2_804_019)),
        (events.clone(), changed("custom_data", json!({ "currency": "EUR" })).into(), 400, 100, Some(2_804_009)),
        (events.clone(), changed("user_data", json!({ "ct": "Berlin" })).into(), 400, 100, Some(2_804_050)),
        (events.replace(PIXEL, "999"), good.clone().into(), 400, 100, Some(33)),
        (events.replace(KEY, "wrong"), b"{\"data\":[]}".to_vec(), 401, 190, None),
        ("POST /v26.0/999/events?access_token=wrong HTTP/1.1\r\n".to_owned(), b"{}".to_vec(), 401, 190, None),
        (format!("GET /v26.0/{PIXEL}/events{query} HTTP/1.1\r\n"), Vec::new(), 405, 100, None),
        (format!("HEAD /v26.0/{PIXEL}/events HTTP/1.1\r\n"), Vec::new(), 405, 0, None),
        ("OPTIONS * HTTP/1.1\r\n".to_owned(), Vec::new(), 404, 2_500, None),
        (format!("POST /nothing{query} HTTP/1.1\r\n"), good.into(), 404, 2_500, None),
    ] {
        let answer = send(&inside, &head, &body);
        assert_eq!(answer.status, status, "{head}{}", answer.text());
        assert_eq!((answer.field("location"), answer.field("cache-control")), (None, Some("no-store")), "{head}");
        if head.starts_with("HEAD") {
            assert_eq!((answer.text(), answer.field("allow")), ("", Some("POST")));
            continue;
        }
        let error = &read(&answer)["error"];
        assert_eq!((&error["code"], error["error_subcode"].as_u64()), (&json!(code), subcode), "{head}{error}");
        assert!(error["message"].is_string() && error["type"].is_string() && error["fbtrace_id"].is_string(), "{error}");
        assert_eq!(error["is_transient"], json!(false), "{error}");
        assert!(!answer.text().contains(KEY) && !answer.text().contains("Jo@"), "{error}");
    }
    inside.reported(&[whole::purchase("after-all", now)]);
    inside.arrives("o.after-all");
    assert_eq!(inside.graph.taken().len(), 1);
}

#[test]
fn a_key_that_comes_too_often_waits_for_the_next_minute() {
    let inside = Inside::moved(Site::nobody(), "limits: { graph_requests_per_minute: 2 }\n");
    let now = inside.now();
    inside.reported(&[whole::purchase("often-1", now)]);
    inside.reported(&[whole::purchase("often-2", now)]);
    inside.pass(Duration::from_secs(20));
    let (status, after, body) = inside.report(&[whole::purchase("often-3", now)]);
    assert_eq!((status, &body["error"]["code"], &body["error"]["is_transient"]), (429, &json!(4), &json!(true)), "{body}");
    assert_eq!(after.as_deref(), Some("41"));
    // Whoever reports a crash must not be told to come again.
    assert_eq!(send(&inside, "GET /v24.0/debug_token HTTP/1.1\r\n", b"").status, 200);
    inside.pass(Duration::from_secs(41));
    inside.reported(&[whole::purchase("often-3", now)]);
    inside.arrives("o.often-3");
}

#[test]
fn crash_reports_are_taken_whatever_they_hold_and_go_nowhere() {
    let inside = Inside::start(Site::nobody(), "");
    let secret = "EAABsecretToken";
    for (head, body) in [
        (format!("GET /v24.0/debug_token?access_token={secret}&input_token={secret}&fields=app_id HTTP/1.1\r\n"), Vec::new()),
        (format!("POST /v26.0/None/instruments?access_token={secret} HTTP/1.1\r\n"), b"bizsdk_crash_report=%7B".to_vec()),
        ("POST /v24.0/1/instruments HTTP/1.1\r\ncontent-type: application/json\r\n".to_owned(), b"{\"bizsdk".to_vec()),
        ("POST /v24.0/1/instruments HTTP/1.1\r\ncontent-encoding: gzip\r\n".to_owned(), b"no gzip".to_vec()),
        ("POST /v24.0/1/instruments HTTP/1.1\r\n".to_owned(), vec![b'x'; 6 << 20]),
    ] {
        let answer = send(&inside, &head, &body);
        assert_eq!((answer.status, read(&answer)), (200, json!({})), "{head}");
    }
    let metrics = inside.admin("/metrics");
    assert!(metrics.contains("clicksieve_graph_requests_total{edge=\"crash\",status=\"200\"} 5"), "{metrics}");
    assert!(!metrics.contains(secret) && !inside.running.records().iter().any(|record| record.to_string().contains(secret)));
    assert_eq!(inside.graph.requests(), 0);
}
