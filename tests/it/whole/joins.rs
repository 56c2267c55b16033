//! A back end's event finds its visit: by each of the ways there are, with what the caller left out filled in from it, and
//! never by way of a stranger who named the order first.

use serde_json::Value;
use serde_json::json;

use crate::harness::site::Site;
use crate::harness::visitor::field;
use crate::whole;
use crate::whole::inside::Inside;
use crate::whole::pages::chrome;
use crate::whole::pages::chrome_from;
use crate::whole::pages::jar;
use crate::whole::pages::tag_of;

const CLICK: &str = "/mug?fbclid=IwZXh0bgNhZW0BMABhZGlkAasVg1yQ2aQBHSx_k-9Q_aem_AbCdEf0123456789&utm_content=ad-7";
const ADDRESS: &str = "73.162.40.19";

/// Somebody who has come from an ad.
struct Buyer {
    page: String,
    token: String,
    fbp: String,
    fbc: String,
    /// Header lines with the cookies that were set.
    lines: String,
}

fn site() -> Site {
    Site::answers(whole::html_answer())
}

fn cookie(jar: &str, name: &str) -> String {
    let pairs = jar.trim_start_matches("cookie: ").trim_end().split("; ");
    pairs.filter_map(|pair| pair.split_once('=')).find(|(found, _)| *found == name).expect(name).1.to_owned()
}

fn visit(inside: &Inside, lines: &str) -> Buyer {
    let page = inside.ask("GET", CLICK, lines);
    let (tag, jar) = (tag_of(&page).unwrap(), jar(&page));
    Buyer {
        page: tag.page,
        token: tag.token,
        fbp: cookie(&jar, "_fbp"),
        fbc: cookie(&jar, "_fbc"),
        lines: format!("{lines}{jar}"),
    }
}

/// A purchase of which the back end knows little, and leaves out the rest in every way there is.
fn sparse(id: &str, time: u64, user_data: &Value) -> Value {
    let mut known = json!({
        "em": ["973dfe463ec85785f5f95af5ba3906eedb2d931c24e69824a89ea65dba4e813b"], "ge": [null], "zp": null,
        "client_ip_address": "", "client_user_agent": null, "fbp": [null], "fbc": "",
    });
    known.as_object_mut().unwrap().extend(user_data.as_object().unwrap().clone());
    json!({
        "event_name": "Purchase", "event_time": time, "event_id": id, "action_source": "website", "event_source_url": null,
        "user_data": known, "custom_data": { "value": 11.5, "currency": "EUR" },
    })
}

/// The event of that id as it reached the destination; it must have everything that its visit knows.
fn arrives_complete(inside: &Inside, id: &str, buyer: &Buyer, joined_by: &str) -> Value {
    let mut copies = inside.arrives(id);
    assert_eq!(copies.len(), 1, "{id}");
    let event = copies.remove(0).event;
    let data = &event["user_data"];
    assert_eq!(data["client_ip_address"], ADDRESS, "{event}");
    assert!(data["client_user_agent"].as_str().unwrap().contains("Chrome/147"), "{event}");
    let starts = |key: &str, value: &str| data[key].as_str().is_some_and(|text| text.starts_with(value));
    assert!(starts("fbp", &buyer.fbp) && starts("fbc", &buyer.fbc), "{event}");
    let url = event["event_source_url"].as_str().unwrap();
    assert!(url.contains("://shop.example/mug"), "{url}");
    assert_eq!(decided(inside, id)["joined_by"], joined_by);
    event
}

/// The record of a decision. An attempt may be recorded before it, as it is written once the event is safe.
fn decided(inside: &Inside, id: &str) -> Value {
    let of = || inside.records(id).into_iter().find(|record| record["source"].is_string());
    assert!(inside.looks(|| of().is_some()), "no decision on `{id}`");
    of().unwrap()
}

#[test]
fn by_the_event_id_that_the_site_was_told() {
    let site = site();
    let inside = Inside::start(site.address, "");
    let buyer = visit(&inside, &chrome());
    let told = field(&site.heads()[0], "x-clicksieve-event-id").unwrap().to_owned();
    assert_eq!(told, buyer.page);
    inside.reported(&[sparse(&told, inside.now(), &json!({}))]);
    arrives_complete(&inside, &told, &buyer, "event_id");
}

#[test]
fn by_the_order_that_the_page_has_named() {
    let site = site();
    let inside = Inside::start(site.address, "");
    let buyer = visit(&inside, &chrome());
    let mut order = whole::tag_event(&buyer.page, "InitiateCheckout", 1, inside.now());
    order["params"] = json!({ "order_id": "A-1" });
    assert_eq!(inside.tell(&buyer.lines, &buyer.token, &[order]).status, 200);
    let mut event = sparse("own-order", inside.now(), &json!({}));
    event["custom_data"]["order_id"] = json!("A-1");
    inside.reported(&[event]);
    arrives_complete(&inside, "o.A-1", &buyer, "order");
}

#[test]
fn by_the_browsers_id_as_it_is_or_as_a_param_builder_has_left_it() {
    let site = site();
    let inside = Inside::start(site.address, "");
    let buyer = visit(&inside, &chrome());
    inside.reported(&[sparse("by-fbp", inside.now(), &json!({ "fbp": buyer.fbp }))]);
    arrives_complete(&inside, "by-fbp", &buyer, "fbp");
    let built = format!("{}.AQICAQMC", buyer.fbp);
    inside.reported(&[sparse("by-built-fbp", inside.now(), &json!({ "fbp": built }))]);
    let event = arrives_complete(&inside, "by-built-fbp", &buyer, "fbp");
    assert_eq!(event["user_data"]["fbp"], json!(built));
}

#[test]
fn by_the_click_as_it_is_or_as_a_param_builder_has_left_it() {
    let site = site();
    let inside = Inside::start(site.address, "");
    let buyer = visit(&inside, &chrome());
    inside.reported(&[sparse("by-fbc", inside.now(), &json!({ "fbc": buyer.fbc }))]);
    arrives_complete(&inside, "by-fbc", &buyer, "fbc");
    inside.reported(&[sparse("by-built-fbc", inside.now(), &json!({ "fbc": format!("{}.Bg", buyer.fbc) }))]);
    arrives_complete(&inside, "by-built-fbc", &buyer, "fbc");
}

#[test]
fn by_an_id_of_the_shops_that_an_earlier_event_of_the_visit_had() {
    let site = site();
    let inside = Inside::start(site.address, "");
    let buyer = visit(&inside, &chrome());
    inside.reported(&[sparse("signed-in", inside.now(), &json!({ "fbp": buyer.fbp, "external_id": ["customer-7", 8] }))]);
    inside.arrives("signed-in");
    inside.reported(&[sparse("by-external", inside.now(), &json!({ "external_id": "customer-7" }))]);
    arrives_complete(&inside, "by-external", &buyer, "external_id");
    inside.reported(&[sparse("by-second-external", inside.now(), &json!({ "external_id": [null, 8] }))]);
    arrives_complete(&inside, "by-second-external", &buyer, "external_id");
}

#[test]
fn by_address_and_agent_together() {
    let site = site();
    let inside = Inside::start(site.address, "");
    let buyer = visit(&inside, &chrome());
    let agent = field(&chrome(), "user-agent").unwrap().to_owned();
    let client = json!({ "client_ip_address": ADDRESS, "client_user_agent": agent });
    inside.reported(&[sparse("by-client", inside.now(), &client)]);
    arrives_complete(&inside, "by-client", &buyer, "client");
}

#[test]
fn what_the_caller_said_itself_stays_as_it_said_it() {
    let site = site();
    let inside = Inside::start(site.address, "");
    let buyer = visit(&inside, &chrome());
    let mut event = sparse("said", inside.now(), &json!({ "fbp": buyer.fbp, "client_ip_address": "203.0.113.9" }));
    event["event_source_url"] = json!("https://shop.example/thanks?fbclid=AbC.AQICAQMC");
    inside.reported(&[event]);
    let event = inside.arrives("said").remove(0).event;
    assert_eq!(event["user_data"]["client_ip_address"], "203.0.113.9");
    assert_eq!(event["event_source_url"], "https://shop.example/thanks?fbclid=AbC.AQICAQMC");
}

/// A purchase of that order as the page's tag reports it.
fn named_by(buyer: &Buyer, order: &str, time: u64) -> Value {
    let mut event = whole::tag_event(&buyer.page, "Purchase", 1, time);
    event["id"] = json!(format!("o.{order}"));
    event["params"] = json!({ "value": 0.01, "currency": "EUR", "order_id": order });
    event
}

fn paid(order: &str, fbp: Option<&str>, time: u64) -> Value {
    let mut event = sparse(&format!("own-{order}"), time, &json!({ "fbp": fbp }));
    event["custom_data"]["order_id"] = json!(order);
    event
}

#[test]
fn a_stranger_who_names_an_order_first_neither_swallows_nor_joins_what_its_buyer_paid() {
    let site = site();
    let inside = Inside::start(site.address, "");
    let now = inside.now();
    let stranger = visit(&inside, &chrome_from("84.160.77.3"));
    inside.tell(&stranger.lines, &stranger.token, &[named_by(&stranger, "1001", now)]);
    inside.arrives("o.1001");

    let buyer = visit(&inside, &chrome());
    inside.reported(&[paid("1001", Some(&buyer.fbp), now)]);
    let event = arrives_complete(&inside, "backend.o.1001", &buyer, "fbp");
    assert_eq!(event["custom_data"]["value"], 11.5, "{event}");
    assert_eq!(decided(&inside, "backend.o.1001")["instead_of"], "o.1001");

    // A repeat, under whatever id of its own, and the buyer's page itself are copies.
    inside.reported(&[paid("1001", Some(&buyer.fbp), now), paid("1001", Some(&format!("{}.Bg", buyer.fbp)), now)]);
    inside.tell(&buyer.lines, &buyer.token, &[named_by(&buyer, "1001", now)]);
    inside.reported(&[whole::purchase("after-1001", now)]);
    inside.arrives("o.after-1001");
    assert_eq!((inside.copies("o.1001").len(), inside.copies("backend.o.1001").len()), (1, 1));
}

#[test]
fn the_buyers_own_page_between_stranger_and_back_end_changes_nothing() {
    let site = site();
    let inside = Inside::start(site.address, "");
    let now = inside.now();
    let stranger = visit(&inside, &chrome_from("84.160.77.3"));
    inside.tell(&stranger.lines, &stranger.token, &[named_by(&stranger, "1002", now)]);
    let buyer = visit(&inside, &chrome());
    inside.tell(&buyer.lines, &buyer.token, &[named_by(&buyer, "1002", now)]);
    inside.reported(&[paid("1002", Some(&buyer.fbp), now)]);
    arrives_complete(&inside, "backend.o.1002", &buyer, "order");
}

#[test]
fn a_back_end_that_names_no_browser_is_believed_to_mean_the_one_that_named_the_order() {
    let site = site();
    let inside = Inside::start(site.address, "");
    let now = inside.now();
    let buyer = visit(&inside, &chrome());
    inside.tell(&buyer.lines, &buyer.token, &[named_by(&buyer, "1003", now)]);
    inside.reported(&[paid("1003", None, now)]);
    inside.arrives("o.1003");
    inside.reported(&[whole::purchase("after-1003", now)]);
    inside.arrives("o.after-1003");
    assert_eq!((inside.copies("o.1003").len(), inside.copies("backend.o.1003").len()), (1, 0));
}

#[test]
fn the_id_of_a_page_view_is_no_strangers_whatever_browser_the_back_end_names() {
    let site = site();
    let inside = Inside::start(site.address, "");
    let now = inside.now();
    let buyer = visit(&inside, &chrome());
    inside.tell(&buyer.lines, &buyer.token, &[whole::tag_event(&buyer.page, "Lead", 1, now)]);
    let mut event = sparse(&buyer.page, now, &json!({ "fbp": "fb.1.1774000000123.4242424242" }));
    event["event_name"] = json!("Lead");
    inside.reported(&[event, whole::purchase("after-the-lead", now)]);
    inside.arrives("o.after-the-lead");
    assert_eq!((inside.copies(&buyer.page).len(), inside.graph.taken().len()), (1, 2));
}

#[test]
fn no_page_may_claim_the_ids_that_are_kept_for_back_ends() {
    let site = site();
    let inside = Inside::start(site.address, "");
    let now = inside.now();
    let stranger = visit(&inside, &chrome());
    let mut event = named_by(&stranger, "1004", now);
    event["id"] = json!("backend.o.1004");
    event["own"] = json!(true);
    assert_eq!(inside.tell(&stranger.lines, &stranger.token, &[event]).status, 200);
    inside.reported(&[whole::purchase("after-1004", now)]);
    inside.arrives("o.after-1004");
    assert_eq!(inside.copies("backend.o.1004").len(), 0);
    assert!(inside.admin("/metrics").contains("clicksieve_events_refused_total{reason=\"invalid_item\"} 1"));
}

/// Somebody whose agent says that it is a robot's, and who has read in the shop's mails how orders and customers are numbered.
fn robot(inside: &Inside, address: &str) -> Buyer {
    visit(inside, &chrome_from(address).replace(" Chrome/", " HeadlessChrome/"))
}

/// With what a back end knows of the client that it has served.
fn said_of_the_buyer(mut event: Value) -> Value {
    event["user_data"]["client_ip_address"] = json!(ADDRESS);
    event["user_data"]["client_user_agent"] = json!(field(&chrome(), "user-agent").unwrap());
    event["event_source_url"] = json!("https://shop.example/thanks");
    event
}

#[test]
fn a_robot_that_names_all_orders_spoils_none_that_is_paid_for() {
    let site = site();
    let inside = Inside::start(site.address, "");
    let now = inside.now();
    let robot = robot(&inside, "84.160.77.3");
    inside.tell(&robot.lines, &robot.token, &[named_by(&robot, "2001", now), named_by(&robot, "2002", now)]);
    inside.reported(&[said_of_the_buyer(paid("2001", None, now))]);
    let event = inside.arrives("o.2001").remove(0).event;
    assert_eq!((&event["event_name"], &event["custom_data"]["value"]), (&json!("Purchase"), &json!(11.5)), "{event}");
    assert!(event["user_data"].get("fbc").is_none(), "the robot's click gets the credit: {event}");
    // Its own order is still its own.
    let mut own = paid("2002", None, now);
    own["user_data"]["client_ip_address"] = json!("84.160.77.9");
    inside.reported(&[own]);
    assert_eq!(inside.arrives("o.2002").remove(0).event["event_name"], "PurchaseUnverified");
}

#[test]
fn a_robot_that_names_all_customers_silences_none_of_them() {
    let site = site();
    let inside = Inside::start(site.address, "");
    let now = inside.now();
    let robot = robot(&inside, "84.160.77.3");
    let named = json!({ "k": "match", "data": { "external_id": "customer-7" } });
    inside.tell(&robot.lines, &robot.token, &[named, whole::tag_event(&robot.page, "Lead", 1, now)]);
    let mut event = sparse("registered", now, &json!({ "external_id": "customer-7" }));
    event["event_name"] = json!("CompleteRegistration");
    inside.reported(&[said_of_the_buyer(event)]);
    assert_eq!(inside.arrives("registered").len(), 1);
}

/// Names orders without spending their ids.
fn names(inside: &Inside, by: &Buyer, orders: &[&str]) {
    let named = |(order, n): (&&str, usize)| {
        let mut event = whole::tag_event(&by.page, "InitiateCheckout", n, inside.now());
        event["params"] = json!({ "order_id": order });
        event
    };
    let events: Vec<Value> = orders.iter().zip(1..).map(named).collect();
    assert_eq!(inside.tell(&by.lines, &by.token, &events).status, 200);
}

#[test]
fn whoever_has_the_buyers_address_and_agent_is_the_buyer_before_who_names_the_order_with_the_agent_alone() {
    let site = site();
    let inside = Inside::start(site.address, "");
    let stranger = visit(&inside, &chrome_from("84.160.77.3"));
    let buyer = visit(&inside, &chrome());
    assert_ne!(stranger.fbp, buyer.fbp);
    names(&inside, &stranger, &["3001"]);
    inside.reported(&[said_of_the_buyer(paid("3001", None, inside.now()))]);
    let event = inside.arrives("o.3001").remove(0).event;
    assert_eq!(event["user_data"]["fbp"], json!(buyer.fbp), "{event}");
    assert_eq!(decided(&inside, "o.3001")["joined_by"], "client");
}

#[test]
fn a_buyer_on_the_move_is_known_by_the_order_and_who_names_many_by_the_network_only() {
    let site = site();
    let inside = Inside::start(site.address, "");
    let moved = visit(&inside, &chrome_from("84.160.77.3"));
    names(&inside, &moved, &["3002"]);
    inside.reported(&[said_of_the_buyer(paid("3002", None, inside.now()))]);
    let event = inside.arrives("o.3002").remove(0).event;
    assert_eq!((&event["user_data"]["fbp"], &decided(&inside, "o.3002")["joined_by"]), (&json!(moved.fbp), &json!("order")));

    let stranger = visit(&inside, &chrome_from("84.161.77.3"));
    names(&inside, &stranger, &["3003", "3004", "3005", "3006", "3007"]);
    inside.reported(&[said_of_the_buyer(paid("3005", None, inside.now()))]);
    let event = inside.arrives("o.3005").remove(0).event;
    assert_eq!(event["user_data"].get("fbp"), None, "{event}");
    let mut own = said_of_the_buyer(paid("3006", None, inside.now()));
    own["user_data"]["client_ip_address"] = json!("84.161.77.9");
    inside.reported(&[own]);
    assert_eq!(inside.arrives("o.3006").remove(0).event["user_data"]["fbp"], json!(stranger.fbp));
}
