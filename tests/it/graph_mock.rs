//! The mock Graph API refuses what Meta refuses: each refusal shown by a request written by hand.

use std::time::Duration;

use clicksieve::clock::Clock;
use clicksieve::clock::UnixMillis;
use clicksieve::demo::graph::Account;
use clicksieve::demo::graph::Failure;
use clicksieve::demo::graph::Graph;
use secrecy::SecretString;
use serde_json::Value;
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

const NOW: u64 = 1_790_000_000;
const EM: &str = "973dfe463ec85785f5f95af5ba3906eedb2d931c24e69824a89ea65dba4e813b";

async fn mock() -> Graph {
    let account = Account { pixel: "123".to_owned(), token: SecretString::from("good") };
    let other = Account { pixel: "456".to_owned(), token: SecretString::from("other") };
    let clock = Clock::moved(UnixMillis(NOW * 1_000));
    Graph::start("127.0.0.1:0".parse().unwrap(), vec![account, other], clock).await.unwrap()
}

/// One request over a socket of its own; no bytes if the connection ended without an answer.
async fn send(graph: &Graph, target: &str, body: &str) -> Option<(u16, String, Value)> {
    let mut socket = TcpStream::connect(graph.address()).await.unwrap();
    let head = format!(
        "POST {target} HTTP/1.1\r\nhost: graph\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    socket.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.ok().filter(|&read| read > 0)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Some((head[9..12].parse().unwrap(), head.to_lowercase(), serde_json::from_str(body).unwrap_or(Value::Null)))
}

async fn post(graph: &Graph, data: Value) -> (u16, Value) {
    let (status, _, body) =
        send(graph, "/v26.0/123/events?access_token=good", &json!({ "data": data }).to_string()).await.unwrap();
    (status, body)
}

fn event() -> Value {
    json!({
        "event_name": "Purchase", "event_time": NOW - 60, "event_id": "o.1", "action_source": "website",
        "event_source_url": "https://shop.example/thanks",
        "user_data": { "em": [EM], "client_ip_address": "203.0.113.9", "client_user_agent": "UA",
                       "fbc": "fb.1.1789999000000.IwAR-x_1", "fbp": "fb.1.1789999000000.123456" },
        "custom_data": { "value": 11.5, "currency": "EUR", "order_id": "1" },
    })
}

/// An event with one thing changed; `null` takes it away.
fn changed(pointer: &str, value: Value) -> Value {
    let mut event = event();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = event.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    if value.is_null() {
        drop(parent.remove(key));
    } else {
        drop(parent.insert(key.to_owned(), value));
    }
    event
}

async fn refuses(event: Value, code: u64, subcode: Option<u64>) {
    let graph = mock().await;
    let good = self::event();
    let (status, body) = post(&graph, json!([good, event])).await;
    assert_eq!(status, 400, "{body}");
    assert_eq!(
        (body["error"]["code"].as_u64(), body["error"]["error_subcode"].as_u64()),
        (Some(code), subcode),
        "{event}: {body}"
    );
    assert_eq!(graph.taken().len(), 0, "one bad event refuses the whole request");
    assert_eq!(graph.refused().len(), 1);
}

#[tokio::test]
async fn a_good_event_is_accepted_with_all_three_keys_in_the_answer() {
    let graph = mock().await;
    let (status, body) = post(&graph, json!([event()])).await;
    assert_eq!((status, &body["events_received"], &body["messages"]), (200, &json!(1), &json!([])));
    assert!(body["fbtrace_id"].is_string());
    assert_eq!(graph.taken()[0].text("event_id"), "o.1");
}

#[tokio::test]
async fn an_address_and_an_agent_are_enough_to_match() {
    let graph = mock().await;
    let user = json!({ "client_ip_address": "2001:db8::9", "client_user_agent": "UA" });
    assert_eq!(post(&graph, json!([changed("/user_data", user)])).await.0, 200);
}

#[tokio::test]
async fn tokens_and_pixels_are_checked_before_the_events() {
    let graph = mock().await;
    let body = json!({ "data": [event()] }).to_string();
    for (target, status, code, subcode) in [
        ("/v26.0/123/events", 400, 104, None),
        ("/v26.0/123/events?access_token=bad", 401, 190, None),
        ("/v26.0/123/events?access_token=other", 400, 100, Some(33)),
        ("/v26.0/789/events?access_token=good", 400, 100, Some(33)),
        ("/123/events?access_token=good", 404, 2500, None),
    ] {
        let answer = send(&graph, target, &body).await.unwrap();
        let error = &answer.2["error"];
        assert_eq!(
            (answer.0, error["code"].as_u64(), error["error_subcode"].as_u64()),
            (status, Some(code), subcode),
            "{target}"
        );
    }
    let with_token = json!({ "data": [event()], "access_token": "good" }).to_string();
    assert_eq!(send(&graph, "/v24.0/123/events", &with_token).await.unwrap().0, 200);
}

#[tokio::test]
async fn bodies_that_are_no_batch_of_events_are_refused() {
    let graph = mock().await;
    for body in ["", "{", "[]", "{}", r#"{"data":{}}"#, r#"{"data":[]}"#] {
        let answer = send(&graph, "/v26.0/123/events?access_token=good", body).await.unwrap();
        assert_eq!((answer.0, &answer.2["error"]["code"]), (400, &json!(100)), "{body}");
    }
    let (status, _) = post(&graph, json!(vec![event(); 1_000])).await;
    assert_eq!(status, 200);
    let (status, body) = post(&graph, json!(vec![event(); 1_001])).await;
    assert_eq!((status, &body["error"]["code"]), (400, &json!(100)));
}

#[tokio::test]
async fn an_event_older_than_seven_days_is_refused() {
    refuses(changed("/event_time", json!(NOW - 7 * 86_400 - 1)), 100, Some(2_804_003)).await;
    let graph = mock().await;
    assert_eq!(post(&graph, json!([changed("/event_time", json!(NOW - 7 * 86_400))])).await.0, 200);
    let mut shop = changed("/event_time", json!(NOW - 30 * 86_400));
    shop["action_source"] = json!("physical_store");
    assert_eq!(post(&graph, json!([shop])).await.0, 200);
}

#[tokio::test]
async fn missing_unexpected_and_mistyped_parameters_are_refused() {
    for (pointer, value) in [
        ("/event_name", Value::Null),
        ("/event_name", json!("")),
        ("/event_time", Value::Null),
        ("/event_time", json!("yesterday")),
        ("/event_time", json!(NOW * 1_000)),
        ("/action_source", Value::Null),
        ("/action_source", json!("web")),
        ("/event_source_url", Value::Null),
        ("/event_source_url", json!("shop.example")),
        ("/event_id", json!(17)),
        ("/opt_out", json!("yes")),
        ("/user_data", Value::Null),
        ("/user_data/client_user_agent", Value::Null),
        ("/user_data/click_id", json!("x")),
        ("/user_data/email", json!(EM)),
        ("/user_data/client_ip_address", json!("203.0.113.9.AQYB")),
        ("/user_data/fbp", json!("123456")),
        ("/custom_data/currency", Value::Null),
        ("/custom_data/currency", json!("euros")),
    ] {
        refuses(changed(pointer, value), 100, Some(2_804_019)).await;
    }
}

#[tokio::test]
async fn contact_data_that_is_not_hashed_is_refused() {
    for (key, value) in [
        ("em", json!("jo@shop.example")),
        ("em", json!([EM, "jo@shop.example"])),
        ("em", json!(EM.to_uppercase())),
        ("ph", json!("4915112345678")),
        ("country", json!("de")),
        ("fn", json!("")),
    ] {
        refuses(changed(&format!("/user_data/{key}"), value), 100, None).await;
    }
    let graph = mock().await;
    let suffixed = changed("/user_data/em", json!(format!("{EM}.AQQCAQIB")));
    assert_eq!(post(&graph, json!([suffixed])).await.0, 200);
}

#[tokio::test]
async fn a_malformed_click_id_is_refused() {
    for fbc in [
        "IwAR",
        "fb.1.1789999000.IwAR",
        "fb.1.x.IwAR",
        "fb.1.1789999000000.",
        "fb.1.1789999000000.a b",
        "fb.1.1789999000000.a.bcd",
    ] {
        refuses(changed("/user_data/fbc", json!(fbc)), 100, Some(2_804_001)).await;
    }
    let graph = mock().await;
    let suffixed = changed("/user_data/fbc", json!("fb.2.1789999000000.IwAR.AQQCAQIB"));
    assert_eq!(post(&graph, json!([suffixed])).await.0, 200);
}

#[tokio::test]
async fn a_purchase_without_a_value_is_refused() {
    for event in [
        changed("/custom_data", Value::Null),
        changed("/custom_data/value", Value::Null),
        changed("/custom_data/value", json!("much")),
    ] {
        refuses(event, 100, Some(2_804_009)).await;
    }
    let graph = mock().await;
    let mut view = changed("/custom_data", Value::Null);
    view["event_name"] = json!("PageView");
    assert_eq!(post(&graph, json!([view])).await.0, 200);
}

#[tokio::test]
async fn too_little_to_match_a_person_is_refused() {
    for user in [
        json!({ "client_user_agent": "UA" }),
        json!({ "client_user_agent": "UA", "ct": EM, "country": EM }),
        json!({ "client_user_agent": "UA", "db": EM }),
        json!({ "client_user_agent": "UA", "fbc": "", "em": [] }),
    ] {
        refuses(changed("/user_data", user), 100, Some(2_804_050)).await;
    }
    let mut call = changed("/user_data", json!({ "fn": EM, "ge": EM }));
    call["action_source"] = json!("phone_call");
    refuses(call, 100, Some(2_804_050)).await;
}

#[tokio::test]
async fn it_fails_as_told_and_then_works_again() {
    let graph = mock().await;
    let body = json!({ "data": [event()] }).to_string();
    let target = "/v26.0/123/events?access_token=good";
    graph.fail(Failure::ServerError, 1);
    graph.fail(Failure::Throttle(5), 1);
    graph.fail(Failure::DeadToken, 1);
    graph.fail(Failure::Reset, 1);
    graph.fail(Failure::LostAnswer, 1);
    let answer = send(&graph, target, &body).await.unwrap();
    assert_eq!((answer.0, answer.2), (500, Value::Null));
    let answer = send(&graph, target, &body).await.unwrap();
    assert_eq!((answer.0, &answer.2["error"]["code"]), (400, &json!(80_004)));
    assert!(
        answer.1.contains("x-business-use-case-usage: {\"1\":[{") && answer.1.contains("\"estimated_time_to_regain_access\":5")
    );
    let answer = send(&graph, target, &body).await.unwrap();
    assert_eq!((answer.0, &answer.2["error"]["error_subcode"]), (401, &json!(463)));
    assert!(send(&graph, target, &body).await.is_none());
    assert_eq!(graph.taken().len(), 0);
    assert!(send(&graph, target, &body).await.is_none());
    assert_eq!(graph.taken().len(), 1);
    assert_eq!(send(&graph, target, &body).await.unwrap().0, 200);
    assert_eq!(graph.requests(), 6);
}

#[tokio::test]
async fn a_request_can_be_left_without_an_answer() {
    let graph = mock().await;
    graph.fail(Failure::TimeOut, 1);
    let asked = send(&graph, "/v26.0/123/events?access_token=good", "{}");
    let seen = async {
        while graph.requests() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = asked => panic!("it answered"),
        () = seen => {}
    }
    assert!(!graph.until(|taken| !taken.is_empty(), Duration::ZERO).await);
}
