//! What the SDKs report arrives: in each of their ways, once, hashed, and completed from the visit.

use serde_json::Value;
use serde_json::json;

use crate::stand::ADDRESS;
use crate::stand::AGENT;
use crate::stand::CLICK;
use crate::stand::Sdk;
use crate::stand::Stand;

/// SHA-256 of `jo@shop.example` and of `6505551212`.
const MAIL: &str = "e97b714bb09fefc3828442332cb55728c6a81c9a20833422643f11f0c02da706";
const PHONE: &str = "5eed6d50c9a69704a9a72b4af7d14d04d33e4460039e101b525f5d4f8a106a38";

/// A step that reports these orders of a visitor in one of an SDK's ways.
fn step(way: &str, orders: &[&str], fbp: &str) -> Value {
    json!({ "name": way, "way": way, "orders": orders, "fbp": fbp })
}

/// The order must be at the destination once, hashed and with what only the visit knows.
fn arrived(stand: &Stand, order: &str, fbp: &str) {
    let event = stand.arrives(&format!("o.{order}")).event;
    let data = &event["user_data"];
    assert_eq!((&data["em"], &data["ph"], &data["fbp"]), (&json!(MAIL), &json!(PHONE), &json!(fbp)), "{event}");
    assert_eq!((&data["client_ip_address"], &data["client_user_agent"]), (&json!(ADDRESS), &json!(AGENT)), "{event}");
    assert!(data["fbc"].as_str().is_some_and(|fbc| fbc.ends_with(CLICK)), "{event}");
    assert!(event["event_source_url"].as_str().is_some_and(|url| url.contains("/mug")), "{event}");
    assert_eq!(
        (event["custom_data"]["value"].as_f64(), &event["custom_data"]["order_id"]),
        (Some(11.5), &json!(order)),
        "{event}"
    );
}

fn answered(answer: &Value, count: usize) {
    assert_eq!((&answer["events_received"], &answer["messages"]), (&json!(count), &json!([])), "{answer}");
    assert!(answer["fbtrace_id"].as_str().is_some_and(|trace| !trace.is_empty()), "{answer}");
}

#[test]
fn pythons_purchases_arrive_once_and_complete_in_each_of_its_ways() {
    let stand = Stand::start("");
    let fbp = stand.visited().fbp;
    let ways: [(&str, &[&str]); 4] = [
        ("sync", &["sync-1", "sync-2", "sync-3"]),
        ("async", &["async-1", "async-2"]),
        ("json client", &["json-1", "json-2"]),
        ("form client", &["form-1", "form-2"]),
    ];
    let steps: Vec<Value> = ways.iter().map(|(way, orders)| step(way, orders, &fbp)).collect();
    let played = stand.play(Sdk::Python, &steps);
    assert_eq!(played.code, Some(0), "{played:#?}");
    for (way, orders) in ways {
        answered(&played.step(way)["answer"], orders.len());
        for order in orders {
            arrived(&stand, order, &fbp);
        }
    }
    assert_eq!((stand.graph.taken().len(), stand.requests("events"), stand.requests("crash")), (9, 4, 0));
}

#[test]
fn nodes_purchases_arrive_once_and_complete_in_each_of_its_ways() {
    let stand = Stand::start("");
    let fbp = stand.visited().fbp;
    let batch = ["batch-1", "batch-2", "batch-3", "batch-4", "batch-5"];
    let steps = [
        step("execute", &["execute-1", "execute-2"], &fbp),
        step("client", &["client-1", "client-2"], &fbp),
        step("batch", &batch, &fbp),
    ];
    let played = stand.play(Sdk::Node, &steps);
    assert_eq!(played.code, Some(0), "{played:#?}");
    answered(&played.step("execute")["answer"], 2);
    answered(&played.step("client")["answer"], 2);
    // The batch processor keeps its answers to itself.
    assert_eq!(played.step("batch").get("raised"), None, "{played:#?}");
    for order in ["execute-1", "execute-2", "client-1", "client-2"].iter().chain(&batch) {
        arrived(&stand, order, &fbp);
    }
    // Five events by two are three requests.
    assert_eq!((stand.graph.taken().len(), stand.requests("events"), stand.requests("crash")), (9, 5, 0));
}

#[test]
fn what_metas_param_builder_makes_of_the_buyers_request_finds_their_visit_and_stays() {
    let stand = Stand::start("");
    let buyer = stand.visited();
    let environ = json!({
        "HTTP_HOST": "shop.example", "HTTP_COOKIE": buyer.cookies, "wsgi.url_scheme": "https", "PATH_INFO": "/thanks",
        "QUERY_STRING": "", "REQUEST_URI": "/thanks", "HTTP_REFERER": "https://shop.example/cart",
    });
    let step = json!({ "name": "built", "way": "sync", "orders": ["built"], "environ": environ });
    let played = stand.play(Sdk::Python, &[step]);
    answered(&played.step("built")["answer"], 1);
    let event = stand.arrives("o.built").event;
    let suffixed = |value: &Value, whole: &str| value.as_str().is_some_and(|text| text.starts_with(&format!("{whole}.AQ")));
    assert!(suffixed(&event["user_data"]["fbp"], &buyer.fbp), "{event}");
    assert!(event["user_data"]["fbc"].as_str().is_some_and(|fbc| fbc.contains(&format!(".{CLICK}.AQ"))), "{event}");
    assert!(suffixed(&event["event_source_url"], "https://shop.example/thanks"), "{event}");
    assert_eq!((&event["user_data"]["client_ip_address"], &event["user_data"]["em"]), (&json!(ADDRESS), &json!(MAIL)), "{event}");
    let records = stand.running.records();
    let record = records.iter().find(|record| record["event_id"] == "o.built" && record["source"] == "backend").unwrap();
    assert_eq!(record["joined_by"], "fbp", "{record}");
}

#[test]
fn an_order_that_both_sdks_report_is_one_event() {
    let stand = Stand::start("");
    let fbp = stand.visited().fbp;
    for (sdk, way) in [(Sdk::Python, "sync"), (Sdk::Node, "execute"), (Sdk::Python, "async")] {
        let played = stand.play(sdk, &[step(way, &["twice"], &fbp)]);
        answered(&played.step(way)["answer"], 1);
    }
    let played = stand.play(Sdk::Node, &[step("execute", &["after"], &fbp)]);
    answered(&played.step("execute")["answer"], 1);
    arrived(&stand, "after", &fbp);
    arrived(&stand, "twice", &fbp);
    assert_eq!(stand.graph.taken().len(), 2);
}

#[test]
fn a_test_event_code_reaches_the_destination() {
    let stand = Stand::start("");
    let fbp = stand.visited().fbp;
    for (sdk, way) in [(Sdk::Python, "sync"), (Sdk::Python, "async"), (Sdk::Node, "execute")] {
        let order = format!("tested-{sdk:?}-{way}");
        let mut step = step(way, &[&order], &fbp);
        step["test_event_code"] = json!("TEST123");
        stand.play(sdk, &[step]);
        assert_eq!(stand.arrives(&format!("o.{order}")).beside["test_event_code"], "TEST123", "{order}");
    }
}
