//! Carries a planned day out over HTTP, on kept connections and by a clock moved by hand, and notes what was done by whom.
//! Must not know why.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use clicksieve::clock::UnixMillis;
use clicksieve::demo::visitor::Tag;
use serde_json::Value;
use serde_json::json;

use crate::farms::devices::Arrival;
use crate::farms::devices::Device;
use crate::farms::plan::Act;
use crate::farms::plan::Client;
use crate::farms::plan::Conversion;
use crate::farms::plan::Plan;
use crate::farms::plan::Step;
use crate::farms::plan::Who;
use crate::harness::visitor::Answer;
use crate::harness::visitor::Visitor;
use crate::whole;
use crate::whole::inside::Inside;
use crate::whole::seen;

const SHOP: &str = "https://shop.example";

/// A page view and who really had it.
pub(super) struct Opened {
    pub(super) page: String,
    pub(super) who: Who,
    pub(super) click: bool,
}

/// An event as a page told it.
pub(super) struct Told {
    pub(super) id: String,
    pub(super) name: &'static str,
    pub(super) who: Who,
}

/// What was done.
#[derive(Default)]
pub(super) struct Done {
    pub(super) opened: Vec<Opened>,
    pub(super) told: Vec<Told>,
    /// Orders that the back end reported and that were taken.
    pub(super) reported: Vec<String>,
    /// Pages without a tag, and posts that were not taken, by who sent them and what was said.
    pub(super) refused: BTreeMap<(Who, String), usize>,
    pub(super) requests: usize,
}

/// A connection that is kept, and made anew where the other side has closed it.
struct Line {
    to: SocketAddr,
    open: Option<Visitor>,
}

impl Line {
    fn ask(&mut self, request: &str) -> Answer {
        let visitor = self.open.get_or_insert_with(|| Visitor::connect(self.to));
        let answer = visitor.ask(request);
        if answer.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            self.open = None;
        }
        answer
    }
}

/// A page view that stands open.
struct Tab {
    tag: Tag,
    url: String,
    /// The beacon it sent last: its body and what it said.
    sent: Option<(String, Value)>,
}

struct Driver<'a> {
    inside: &'a Inside,
    clients: &'a [Client],
    jars: Vec<BTreeMap<String, String>>,
    /// The page that each client is on.
    urls: Vec<Option<String>>,
    tabs: Vec<Option<Tab>>,
    shop: Line,
    graph: Line,
    done: Done,
}

/// Plays the day from the clock's present time on.
pub(super) fn plays(inside: &Inside, plan: &Plan) -> Done {
    let line = |to| Line { to, open: None };
    let mut driver = Driver {
        inside,
        clients: &plan.clients,
        jars: vec![BTreeMap::new(); plan.clients.len()],
        urls: vec![None; plan.clients.len()],
        tabs: (0..plan.tabs).map(|_| None).collect(),
        shop: line(inside.running.shop()),
        graph: line(inside.running.graph()),
        done: Done::default(),
    };
    let begins = inside.clock.now();
    for step in &plan.steps {
        let now = begins.plus(Duration::from_millis(step.at));
        inside.clock.set(UnixMillis(now.0));
        driver.carries_out(step);
    }
    driver.done
}

impl Driver<'_> {
    fn carries_out(&mut self, step: &Step) {
        match &step.act {
            Act::Open { tab, path, arrival, click } => self.opens(step, *tab, path, *arrival, *click),
            Act::Load { tab } => self.loads(step, *tab),
            Act::Prove { tab, touched } => self.proves(step, *tab, *touched),
            Act::Tell { tab, event } => self.tells(step, *tab, event),
            Act::Report { order, mail, cookies } => self.reports(step, order, mail, *cookies),
            Act::Forget => {
                self.jars[step.client].clear();
                self.urls[step.client] = None;
            }
            Act::Replay { of } => {
                if let Some((body, _)) = self.tabs[*of].as_ref().and_then(|tab| tab.sent.clone()) {
                    self.posts(step, None, &body);
                }
            }
            Act::Copy { of, tab } => {
                let copied = self.tabs[*of].as_ref().and_then(|tab| tab.sent.clone());
                let own = self.tabs[*tab].as_ref().map(|tab| tab.tag.token.clone());
                if let (Some((_, items)), Some(token)) = (copied, own) {
                    self.posts(step, Some(*tab), &json!({ "t": token, "k": items }).to_string());
                }
            }
        }
    }

    /// One request of the client's, with what the outermost edge says of it.
    fn asks(&mut self, step: &Step, first: &str, lines: &str, body: &str) -> Answer {
        let pairs: Vec<String> = self.jars[step.client].iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = if pairs.is_empty() { String::new() } else { format!("cookie: {}\r\n", pairs.join("; ")) };
        let address = &step.address;
        let request = format!(
            "{first} HTTP/1.1\r\nhost: shop.example\r\n{lines}{cookies}x-forwarded-for: {address}\r\nx-forwarded-proto: https\r\n\r\n{body}"
        );
        self.done.requests += 1;
        let answer = self.shop.ask(&request);
        for line in seen::fields(&answer, "set-cookie") {
            if let Some((name, value)) = line.split(';').next().and_then(|pair| pair.split_once('=')) {
                self.jars[step.client].insert(name.trim().to_owned(), value.trim().to_owned());
            }
        }
        answer
    }

    fn refuses(&mut self, step: &Step, what: String) {
        *self.done.refused.entry((self.clients[step.client].who, what)).or_default() += 1;
    }

    fn opens(&mut self, step: &Step, tab: usize, path: &str, arrival: Arrival, click: bool) {
        let Client { who, device } = &self.clients[step.client];
        let lines = device.navigates(arrival, self.urls[step.client].as_deref());
        let answer = self.asks(step, &format!("GET {path}"), &lines, "");
        let Some(tag) = (answer.status == 200).then(|| seen::tag_of(&answer)).flatten() else {
            return self.refuses(step, format!("a page with status {} and no tag", answer.status));
        };
        let url = format!("{SHOP}{path}");
        self.urls[step.client] = Some(url.clone());
        self.done.opened.push(Opened { page: tag.page.clone(), who: *who, click });
        self.tabs[tab] = Some(Tab { tag, url, sent: None });
    }

    fn loads(&mut self, step: &Step, tab: usize) {
        let Some(Tab { url, tag, .. }) = &self.tabs[tab] else { return };
        let device = &self.clients[step.client].device;
        let script = (format!("GET {}/t.js", tag.prefix), device.asks(url, "no-cors", "script"));
        let picture = ("GET /img/1.webp".to_owned(), device.asks(url, "no-cors", "image"));
        for (first, lines) in [script, picture] {
            self.asks(step, &first, &lines, "");
        }
    }

    fn proves(&mut self, step: &Step, tab: usize, touched: bool) {
        let Some(open) = &mut self.tabs[tab] else { return };
        let items = json!([{ "k": "proof", "facts": Device::shows(touched) }]);
        let body = json!({ "t": open.tag.token, "k": items }).to_string();
        open.sent = Some((body.clone(), items));
        self.posts(step, Some(tab), &body);
    }

    fn tells(&mut self, step: &Step, tab: usize, event: &Conversion) {
        let Some(Tab { tag, url, .. }) = &self.tabs[tab] else { return };
        let now = self.inside.now();
        let mut item = whole::tag_event(&tag.page, event.name, 1, now);
        item["url"] = json!(url);
        item["pixel"] = json!(match tag.pixel.as_str() {
            "leave" => "fired",
            "gate" => "gated",
            _ => "withheld",
        });
        item["params"] = match &event.order {
            Some(order) => json!({ "value": 34.9, "currency": "EUR", "order_id": order }),
            None => json!({ "value": 34.9, "currency": "EUR" }),
        };
        if let Some(order) = &event.order {
            item["id"] = json!(format!("o.{order}"));
        }
        let id = item["id"].as_str().unwrap().to_owned();
        let body = json!({ "t": tag.token, "k": [item] }).to_string();
        if self.posts(step, Some(tab), &body) {
            self.done.told.push(Told { id, name: event.name, who: self.clients[step.client].who });
        }
    }

    /// Posts to the collector, and does with the Pixel as it says; whether it took the post.
    fn posts(&mut self, step: &Step, tab: Option<usize>, body: &str) -> bool {
        let page = self.urls[step.client].clone().unwrap_or_else(|| format!("{SHOP}/"));
        let fields = self.clients[step.client].device.asks(&page, "cors", "empty");
        let lines = format!("content-type: text/plain;charset=UTF-8\r\ncontent-length: {}\r\n{fields}", body.len());
        let answer = self.asks(step, "POST /_cs/e", &lines, body);
        if answer.status != 200 {
            self.refuses(step, format!("a post with status {}: {}", answer.status, answer.text()));
            return false;
        }
        let says: Value = serde_json::from_slice(&answer.body).unwrap();
        if let (Some(Some(open)), Some(pixel)) = (tab.map(|tab| &mut self.tabs[tab]), says["pixel"].as_str()) {
            pixel.clone_into(&mut open.tag.pixel);
        }
        true
    }

    fn reports(&mut self, step: &Step, order: &str, mail: &str, cookies: bool) {
        let agent = &self.clients[step.client].device.agent;
        let mut user = json!({ "em": [mail], "client_ip_address": step.address, "client_user_agent": agent });
        for name in ["fbp", "fbc"] {
            if let Some(value) = self.jars[step.client].get(&format!("_{name}")).filter(|_| cookies) {
                user[name] = json!(value);
            }
        }
        let event = json!({
            "event_name": "Purchase", "event_time": self.inside.now(), "action_source": "website",
            "event_source_url": format!("{SHOP}/thanks"), "user_data": user,
            "custom_data": { "value": 34.9, "currency": "EUR", "order_id": order },
        });
        let body = json!({ "data": [event], "access_token": whole::KEY }).to_string();
        let request = format!(
            "POST /v26.0/{}/events HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            whole::PIXEL,
            self.graph.to,
            body.len()
        );
        let answer = self.graph.ask(&request);
        if answer.status == 200 {
            self.done.reported.push(order.to_owned());
        } else {
            self.refuses(step, format!("a report with status {}", answer.status));
        }
    }
}
