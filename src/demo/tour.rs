//! Scripted visitors that walk through the running demo, and a table of what became of each: the verdict, the Pixel's
//! policy, and which events reached the mock. Must not look inside the proxy, only at what it answers, sends and records.

use std::io;
use std::io::Write;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use sha2::Digest as _;
use sha2::Sha256;

use crate::demo::Stand;
use crate::demo::graph::Taken;
use crate::demo::visitor::Page;
use crate::demo::visitor::VisitError;
use crate::demo::visitor::Visitor;

/// How long an event may take to the mock.
const PATIENCE: Duration = Duration::from_secs(20);
/// The id of a Purchase that never was.
const FORGED: &str = "o.forged-1";
const EMAIL: &str = "  Jo.Doe@Example.com ";

/// What became of one visitor.
#[derive(Clone, Debug, Default)]
struct Row {
    who: &'static str,
    band: String,
    page: String,
    pixel: String,
    events: Vec<String>,
    faults: Vec<String>,
}

impl Row {
    fn of(who: &'static str, page: &Page) -> Self {
        let tag = page.tag.as_ref();
        Self {
            who,
            page: tag.map_or_else(|| "-".to_owned(), |tag| tag.page.clone()),
            pixel: tag.map_or_else(|| "no tag".to_owned(), |tag| tag.pixel.clone()),
            ..Self::default()
        }
    }

    fn expect(&mut self, holds: bool, fault: &str) {
        if !holds {
            self.faults.push(fault.to_owned());
        }
    }
}

/// Sends every visitor, writes the table, and says whether all went as it should.
pub async fn run(stand: &Stand, out: &mut (impl Write + Send)) -> io::Result<bool> {
    writeln!(out, "Seven visitors come to {}\n", stand.shop_url)?;
    let mut rows = Vec::new();
    let buyer_page = stand.visitor(Visitor::chrome(None), "73.162.40.18").get("/?utm_content=tour-first").await;
    for (who, row) in [
        ("curl", curl(stand).await),
        ("headless browser", headless(stand).await),
        ("false Facebook crawler", impostor(stand).await),
        ("prefetch", prefetch(stand).await),
        ("second visitor, If-None-Match", second(stand, buyer_page).await),
        ("buyer in Instagram", in_app(stand).await),
        ("buyer in Chrome", buyer(stand).await),
    ] {
        let mut row = row.unwrap_or_else(|error| Row { who, faults: vec![format!("{error}")], ..Row::default() });
        row.who = who;
        rows.push(row);
    }
    // The buyers came last, so what a bot could have sent would be there by now.
    settle(stand, &mut rows);
    print(&rows, out)?;
    Ok(rows.iter().all(|row| row.faults.is_empty()))
}

impl Stand {
    fn visitor(&self, headers: Vec<(String, String)>, address: &str) -> Visitor {
        let visitor = Visitor::new(&self.shop_url, headers);
        if self.forwarded { visitor.with("x-forwarded-for", address) } else { visitor }
    }

    /// The band, or the class where it is nobody's click, that the newest record of that landing names.
    fn band(&self, utm_content: &str) -> Option<String> {
        let records = (self.records)();
        let record = records.iter().find(|record| {
            let url = record.get("url").and_then(Value::as_str).unwrap_or_default();
            let field = record.get("utm_content").and_then(Value::as_str);
            record.get("type").is_some_and(|kind| kind != "event") && (field == Some(utm_content) || url.contains(utm_content))
        })?;
        let text = |key: &str| record.get(key).and_then(Value::as_str).map(str::to_owned);
        text("class").filter(|class| class == "skip").or_else(|| text("band")).or_else(|| text("class"))
    }

    async fn arrives(&self, name: &str, id: &str) -> Vec<Taken> {
        let same = |taken: &Taken| taken.text("event_name") == name && taken.text("event_id") == id;
        self.scenery.graph.until(|all| all.iter().any(same), PATIENCE).await;
        self.scenery.graph.taken().into_iter().filter(same).collect()
    }
}

async fn curl(stand: &Stand) -> Result<Row, VisitError> {
    let headers = vec![("user-agent".to_owned(), "curl/8.14.1".to_owned()), ("accept".to_owned(), "*/*".to_owned())];
    let page = stand.visitor(headers, "5.9.61.22").get("/?fbclid=IwAR0curl&utm_content=tour-curl").await?;
    let mut row = Row::of("", &page);
    row.expect(page.status == 200, "the page was not served");
    row.band = stand.band("tour-curl").unwrap_or_default();
    row.expect(matches!(row.band.as_str(), "likely_invalid" | "invalid"), "curl passes for a person");
    Ok(row)
}

async fn headless(stand: &Stand) -> Result<Row, VisitError> {
    let mut visitor = stand.visitor(Visitor::headless(), "5.9.61.23");
    let page = visitor.get("/product/mug?fbclid=IwAR0headless&utm_content=tour-headless").await?;
    let mut row = Row::of("", &page);
    row.expect(page.status == 200, "the page was not served");
    let purchase = json!({ "value": 16, "currency": "EUR", "order_id": "forged-1" });
    let items = vec![
        proof(true, false),
        event(&page, "PageView", &json!({}), None),
        event(&page, "Purchase", &purchase, Some("forged-1")),
    ];
    let answer = visitor.tell(&page, items).await?;
    row.band = stand.band("tour-headless").unwrap_or_default();
    row.expect(matches!(row.band.as_str(), "likely_invalid" | "invalid"), "a headless browser passes for a person");
    answer.get("pixel").and_then(Value::as_str).unwrap_or_default().clone_into(&mut row.pixel);
    row.expect(row.pixel == "withhold", "its Pixel is not withheld");
    Ok(row)
}

async fn impostor(stand: &Stand) -> Result<Row, VisitError> {
    let agent = "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)";
    let headers = vec![("user-agent".to_owned(), agent.to_owned()), ("accept".to_owned(), "*/*".to_owned())];
    let page = stand.visitor(headers, "5.9.61.24").get("/?fbclid=IwAR0fake&utm_content=tour-crawler").await?;
    let mut row = Row::of("", &page);
    row.expect(page.status == 200, "the page was not served");
    row.band = stand.band("tour-crawler").unwrap_or_default();
    row.expect(!row.band.is_empty() && row.band != "human", "a false crawler passes for a person");
    Ok(row)
}

async fn prefetch(stand: &Stand) -> Result<Row, VisitError> {
    let visitor = stand.visitor(Visitor::chrome(Some("https://www.facebook.com/")), "84.160.12.7");
    let page = visitor.with("sec-purpose", "prefetch").get("/?fbclid=IwAR0prefetch&utm_content=tour-prefetch").await?;
    let mut row = Row::of("", &page);
    row.expect(page.status == 200, "the page was not served");
    row.band = stand.band("tour-prefetch").unwrap_or_default();
    row.expect(row.band == "skip", "a prefetch counts as a click");
    Ok(row)
}

async fn second(stand: &Stand, first: Result<Page, VisitError>) -> Result<Row, VisitError> {
    let first = first?;
    let etag = first.etag.clone().unwrap_or_else(|| "\"any\"".to_owned());
    let visitor = stand.visitor(Visitor::chrome(None), "84.160.77.3");
    let page = visitor.with("if-none-match", &etag).get("/?utm_content=tour-second").await?;
    let mut row = Row::of("", &page);
    row.band = stand.band("tour-second").unwrap_or_default();
    row.expect(page.status == 200, "a page with an id was answered from a cache");
    let ids = (first.tag.map(|tag| tag.page), page.tag.map(|tag| tag.page));
    row.expect(ids.0.is_some() && ids.1.is_some() && ids.0 != ids.1, "two visitors share an id");
    Ok(row)
}

async fn in_app(stand: &Stand) -> Result<Row, VisitError> {
    let mut visitor = stand.visitor(Visitor::instagram(), "2.204.118.9");
    let landing = visitor.get("/product/kettle?fbclid=IwAR0insta&utm_content=tour-instagram").await?;
    let mut row = Row::of("", &landing);
    visitor.tell(&landing, vec![proof(false, true), event(&landing, "PageView", &json!({}), None)]).await?;
    row.band = stand.band("tour-instagram").unwrap_or_default();
    row.expect(row.band == "human", "a buyer in an app is suspected");
    let order = buy(stand, &mut visitor, "kettle", false).await?;
    purchase_arrives(stand, &mut row, &order).await;
    Ok(row)
}

async fn buyer(stand: &Stand) -> Result<Row, VisitError> {
    let mut visitor = stand.visitor(Visitor::chrome(Some("https://l.facebook.com/")), "73.162.40.19");
    let landing = visitor.get("/?fbclid=IwAR0buyer&utm_source=facebook&utm_content=tour-buyer").await?;
    let mut row = Row::of("", &landing);
    let items = vec![proof(false, false), event(&landing, "PageView", &json!({}), None)];
    visitor.tell(&landing, items).await?;
    let answer = visitor.tell(&landing, vec![proof(false, true)]).await?;
    row.expect(answer.get("pixel").is_some_and(|pixel| pixel == "leave"), "the Pixel does not fire after proof");
    row.band = stand.band("tour-buyer").unwrap_or_default();
    row.expect(row.band == "human", "a buyer is suspected");
    let product = visitor.get("/product/grinder").await?;
    let params = json!({ "content_ids": ["grinder"], "value": 89, "currency": "EUR" });
    let items = ["PageView", "ViewContent", "AddToCart"].map(|name| event(&product, name, &params, None));
    visitor.tell(&product, items.to_vec()).await?;
    let order = buy(stand, &mut visitor, "grinder", true).await?;
    purchase_arrives(stand, &mut row, &order).await;
    for (name, page) in [("PageView", &landing), ("ViewContent", &product), ("AddToCart", &product)] {
        let id = page.tag.as_ref().map(|tag| tag.page.clone()).unwrap_or_default();
        let copies = stand.arrives(name, &id).await.len();
        row.expect(copies == 1, &format!("{name} came {copies} times"));
    }
    Ok(row)
}

/// From the cart to the thank-you page; gives the order's number.
async fn buy(stand: &Stand, visitor: &mut Visitor, slug: &str, capture: bool) -> Result<String, VisitError> {
    visitor.form("/cart", &[("slug", slug)]).await?;
    let fields: &[(&str, &str)] = if capture { &[("email", EMAIL), ("capture", "1")] } else { &[("email", EMAIL)] };
    let sent = visitor.form("/checkout", fields).await?;
    let place = sent.location.unwrap_or_default();
    let path = place.strip_prefix(&stand.shop_url).unwrap_or(&place).to_owned();
    let order = path.rsplit('/').next().unwrap_or_default().to_owned();
    let thanks = visitor.get(&path).await?;
    let value = stand.scenery.shop.order(&order).map_or(0, |order| order.cents / 100);
    let params = json!({ "value": value, "currency": "EUR", "order_id": order });
    let matching = json!({ "k": "match", "pixel": thanks.pixel, "data": { "em": EMAIL } });
    let items = vec![proof(false, true), matching, event(&thanks, "Purchase", &params, Some(&order))];
    visitor.tell(&thanks, items).await?;
    // The thank-you page is opened a second time: still one Purchase.
    let again = visitor.get(&path).await?;
    visitor.tell(&again, vec![event(&again, "Purchase", &params, Some(&order))]).await?;
    Ok(order)
}

async fn purchase_arrives(stand: &Stand, row: &mut Row, order: &str) {
    let copies = stand.arrives("Purchase", &format!("o.{order}")).await;
    row.expect(copies.len() == 1, &format!("the Purchase came {} times", copies.len()));
    let digest = Sha256::digest(EMAIL.trim().to_lowercase());
    let hash = digest.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let hashed = copies.iter().all(|taken| {
        let em = taken.event.pointer("/user_data/em");
        em.is_some_and(|em| em.as_str() == Some(&hash) || em.as_array().is_some_and(|all| all.contains(&json!(hash))))
    });
    row.expect(hashed, "the Purchase lacks the hashed e-mail");
    let all = stand.scenery.graph.taken();
    let of_order = |taken: &&Taken| taken.event.pointer("/custom_data/order_id").and_then(Value::as_str) == Some(order);
    let orders = all.iter().filter(of_order).count();
    row.expect(orders <= 1, &format!("{orders} events tell of the order"));
    row.events.push(format!("Purchase x{}", copies.len()));
}

/// Fills in what reached the mock from each page, and checks that nothing came from those who are not people.
fn settle(stand: &Stand, rows: &mut [Row]) {
    let taken = stand.scenery.graph.taken();
    for row in rows {
        let own: Vec<String> = taken
            .iter()
            .filter(|taken| row.page.len() == 32 && taken.text("event_id").starts_with(&row.page))
            .map(|taken| taken.text("event_name").to_owned())
            .collect();
        let person = row.who.starts_with("buyer");
        let forged = row.who.starts_with("headless") && taken.iter().any(|taken| taken.text("event_id") == FORGED);
        row.expect(person || own.is_empty() && !forged, "its events reached Meta");
        row.events.splice(0..0, own);
    }
}

fn proof(webdriver: bool, interaction: bool) -> Value {
    json!({ "k": "proof", "facts": { "webdriver": webdriver, "interaction": interaction } })
}

fn event(page: &Page, name: &str, params: &Value, order: Option<&str>) -> Value {
    let id =
        order.map_or_else(|| page.tag.as_ref().map(|tag| tag.page.clone()).unwrap_or_default(), |order| format!("o.{order}"));
    let pixel = page.tag.as_ref().map_or("none", |tag| match tag.pixel.as_str() {
        "gate" => "gated",
        "withhold" => "withheld",
        _ => "fired",
    });
    json!({ "k": "event", "name": name, "id": id, "n": 1, "own": false, "time": page.seen, "url": page.url, "ref": "",
            "params": params, "pixel": pixel, "pixels": [page.pixel] })
}

fn print(rows: &[Row], out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{:<30} {:<15} {:<12} {:<9} {:<32} outcome", "visitor", "verdict", "page id", "Pixel", "events at the mock")?;
    for row in rows {
        let page: String = row.page.chars().take(8).collect();
        let band = if row.band.is_empty() { "-" } else { &row.band };
        let events = if row.events.is_empty() { "none".to_owned() } else { row.events.join(", ") };
        let outcome = if row.faults.is_empty() { "PASS" } else { "FAIL" };
        writeln!(out, "{:<30} {band:<15} {page:<12} {:<9} {events:<32} {outcome}", row.who, row.pixel)?;
        for fault in &row.faults {
            writeln!(out, "    {fault}")?;
        }
    }
    let failed = rows.iter().filter(|row| !row.faults.is_empty()).count();
    writeln!(out, "\n{} of {} as expected", rows.len() - failed, rows.len())
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use crate::clock::Clock;
    use crate::demo::Places;
    use crate::demo::Scenery;
    use crate::demo::front;

    use super::*;

    #[tokio::test]
    async fn without_a_proxy_no_visitor_passes() {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let places = Places { shop: free, graph: free, board: free };
        let scenery = Scenery::start(places, front::account(), Arc::new(Vec::new), Clock::system()).await.unwrap();
        let stand = Stand {
            shop_url: scenery.shop.url(),
            graph_endpoint: scenery.graph.url(),
            records: Arc::new(Vec::new),
            forwarded: false,
            scenery,
        };
        let mut out = Vec::new();
        assert!(!run(&stand, &mut out).await.unwrap());
        let table = String::from_utf8(out).unwrap();
        assert_eq!(table.matches("FAIL").count(), 7, "{table}");
        assert!(table.contains("the page carries no tag") && table.ends_with("0 of 7 as expected\n"), "{table}");
    }
}
