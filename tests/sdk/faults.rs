//! What the SDKs make of our refusals: their own error with our numbers, never a crash of their own, and no loop.

use clicksieve::demo::graph::Failure;
use serde_json::Value;
use serde_json::json;

use crate::stand::Played;
use crate::stand::Sdk;
use crate::stand::Stand;

/// Both SDKs, with the way of each that reads errors.
const BOTH: [(Sdk, &str); 2] = [(Sdk::Python, "sync"), (Sdk::Node, "execute")];

/// A step of one order with something wrong about it.
fn wrong(name: &str, way: &str, what: Value) -> Value {
    let mut step = json!({ "name": name, "way": way, "orders": [name.replace(' ', "-")] });
    let Value::Object(what) = what else { panic!("{what} is no object") };
    step.as_object_mut().unwrap().extend(what);
    step
}

/// The step has raised the SDK's own error, which says so.
fn raised(played: &Played, name: &str, status: u16, code: u32, subcode: Option<u32>, transient: bool) {
    let step = played.step(name);
    let expected = json!({
        "step": name, "raised": "FacebookRequestError", "status": status, "code": code, "subcode": subcode, "transient": transient,
    });
    assert_eq!(step, &expected, "{}", played.told);
}

#[test]
fn each_refusal_raises_the_sdks_own_error_with_our_numbers() {
    let stand = Stand::start("");
    let fbp = stand.visited().fbp;
    for (sdk, way) in BOTH {
        let played = stand.play(
            sdk,
            &[
                wrong("wrong key", way, json!({ "key": "EAABwrong" })),
                wrong("unknown pixel", way, json!({ "pixel": "999" })),
                wrong("too old", way, json!({ "age": 8 * 86_400 })),
                wrong("no value", way, json!({ "no_value": true })),
                wrong("malformed", way, json!({ "no_action_source": true })),
                wrong("too large", way, json!({ "padding": 5 << 20 })),
                wrong("nowhere", way, json!({ "path": "/nowhere" })),
                wrong("good after all", way, json!({ "fbp": fbp })),
            ],
        );
        assert_eq!(played.code, Some(0), "{played:#?}");
        raised(&played, "wrong key", 401, 190, None, false);
        raised(&played, "unknown pixel", 400, 100, Some(33), false);
        raised(&played, "too old", 400, 100, Some(2_804_003), false);
        raised(&played, "no value", 400, 100, Some(2_804_009), false);
        raised(&played, "malformed", 400, 100, Some(2_804_019), false);
        raised(&played, "too large", 413, 100, None, false);
        raised(&played, "nowhere", 404, 2_500, None, false);
        assert_eq!(played.step("good after all")["answer"]["events_received"], 1, "{played:#?}");
    }
    // The order of both is one; nothing that was refused has come through.
    stand.arrives("o.good-after-all");
    assert_eq!((stand.graph.taken().len(), stand.requests("crash")), (1, 0));
}

#[test]
fn who_comes_too_often_is_told_so_in_the_sdks_words() {
    let stand = Stand::start("limits: { graph_requests_per_minute: 1 }\n");
    let fbp = stand.visited().fbp;
    for (sdk, way) in BOTH {
        let played = stand.play(sdk, &[wrong("first", way, json!({ "fbp": fbp })), wrong("second", way, json!({}))]);
        raised(&played, "second", 429, 4, None, true);
    }
    stand.arrives("o.first");
    assert_eq!(stand.graph.taken().len(), 1);
}

#[test]
fn a_full_spool_is_told_in_the_sdks_words() {
    let stand = Stand::start("limits: { spool_bytes: 300KB }\n");
    // Nothing leaves the spool while the token is dead.
    stand.graph.fail(Failure::DeadToken, 1);
    let time = clicksieve::clock::Clock::system().now().seconds();
    let event = |n: usize| {
        json!({
            "event_name": "Lead", "event_time": time, "event_id": format!("full-{n}"), "action_source": "website",
            "user_data": { "client_ip_address": "203.0.113.9", "client_user_agent": "x" }, "custom_data": { "note": "x".repeat(1_000) },
        })
    };
    assert!((0..2_000).any(|n| stand.report(&[event(n)]) == 503), "the spool never filled");
    for (sdk, way) in BOTH {
        let played = stand.play(sdk, &[wrong("full", way, json!({}))]);
        raised(&played, "full", 503, 2, None, true);
    }
}

#[test]
fn a_refusal_in_pythons_asynchronous_way_is_an_exception_there_too() {
    let stand = Stand::start("");
    let played = stand.play(Sdk::Python, &[wrong("wrong key", "async", json!({ "key": "EAABwrong" }))]);
    // The SDK looks for the trace where Meta's errors have none either.
    assert_eq!(played.step("wrong key")["raised"], "KeyError", "{played:#?}");
}

#[test]
fn an_error_that_nobody_catches_reports_itself_once_and_ends() {
    let stand = Stand::start("");
    let step = |way| wrong("uncaught", way, json!({ "key": "EAABwrong", "uncaught": true }));
    let python = stand.play(Sdk::Python, &[step("sync")]);
    assert_eq!(python.code, Some(1), "{python:#?}");
    assert!(python.told.contains("FacebookRequestError"), "{python:#?}");
    assert_eq!((stand.requests("events"), stand.requests("crash")), (1, 1));
    let node = stand.play(Sdk::Node, &[step("execute")]);
    assert!(node.told.contains("SDK crash detected"), "{node:#?}");
    assert_eq!((stand.requests("events"), stand.requests("crash")), (2, 2));
    assert_eq!(stand.graph.requests(), 0);
}
