//! The demo's shop: landing, product, cart, thank-you, with an ordinary Meta Pixel snippet and a local stand-in for its
//! `fbevents.js`. It knows nothing of the proxy; its back end can report a captured payment as any shop's would.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwapOption;
use axum::Form;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::extract::Path;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::Html;
use axum::response::IntoResponse;
use axum::response::Redirect;
use axum::response::Response;
use axum::routing::get;
use axum::routing::post;
use secrecy::ExposeSecret;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;
use tokio::net::TcpListener;

use crate::clock::Clock;
use crate::demo::pages;
use crate::demo::pages::Product;

/// So many orders are remembered.
const ORDERS: usize = 10_000;
const FORM_LIMIT: usize = 16 << 10;

/// What the shop is told at its start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The pixel in its pages.
    pub pixel: String,
    /// Where the Pixel stand-in reports to.
    pub pixel_report: String,
    /// The time.
    pub clock: Clock,
}

/// The Graph-compatible endpoint as the shop's back end uses it.
#[derive(Clone, Debug)]
pub struct Backend {
    /// The host, such as `http://127.0.0.1:8088`.
    pub endpoint: String,
    /// The key it gives as `access_token`.
    pub key: SecretString,
}

/// One order.
#[derive(Clone, Debug)]
pub struct Order {
    /// Its number, such as `AP-1001`.
    pub id: String,
    /// The buyer's address, in memory only.
    pub email: String,
    /// The total in cents.
    pub cents: u64,
    /// The products' slugs.
    pub items: Vec<&'static str>,
    /// What the back end needs of the buyer's request.
    buyer: Buyer,
}

#[derive(Clone, Debug)]
struct Buyer {
    address: Option<String>,
    agent: String,
    page: String,
}

struct Inner {
    address: SocketAddr,
    settings: Settings,
    backend: ArcSwapOption<Backend>,
    orders: Mutex<VecDeque<Order>>,
    next: AtomicU64,
}

/// A running shop; clones are handles to the same one. It lives as long as its runtime.
#[derive(Clone)]
pub struct Shop(Arc<Inner>);

impl Shop {
    /// Listens on `at` (port 0 takes a free one).
    pub async fn start(at: SocketAddr, settings: Settings) -> io::Result<Self> {
        let listener = TcpListener::bind(at).await?;
        let address = listener.local_addr()?;
        // Order numbers go on where an earlier run ended, or Meta's memory of them (and ours) would take them for copies.
        let next = AtomicU64::new(settings.clock.now().seconds() % 1_000_000_000 * 10);
        let inner = Inner { address, settings, backend: ArcSwapOption::empty(), orders: Mutex::default(), next };
        let shop = Self(Arc::new(inner));
        let router = Router::new()
            .route("/", get(landing))
            .route("/product/{slug}", get(product))
            .route("/cart", get(cart).post(put_in_cart))
            .route("/checkout", post(checkout))
            .route("/thanks/{order}", get(thanks))
            .route("/orders/{order}/capture", post(capture))
            .route("/api/stock", get(|| async { axum::Json(json!({ "in_stock": true })) }))
            .route("/fbevents.js", get(pixel_script))
            .route("/shop.css", get(|| async { ([(header::CONTENT_TYPE, "text/css")], include_str!("assets/shop.css")) }))
            .fallback(|| async { (StatusCode::NOT_FOUND, Html("<!doctype html><title>Not found</title><p>Not found.")) })
            .layer(DefaultBodyLimit::max(FORM_LIMIT))
            .with_state(shop.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(shop)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Its base URL, to be used as the proxy's site.
    pub fn url(&self) -> String {
        format!("http://{}", self.0.address)
    }

    /// Tells the back end where captured payments are reported to.
    pub fn report_to(&self, backend: Backend) {
        self.0.backend.store(Some(Arc::new(backend)));
    }

    /// An order by its number.
    pub fn order(&self, id: &str) -> Option<Order> {
        let orders = self.0.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.iter().find(|order| order.id == id).cloned()
    }

    fn page(&self, title: &str, matching: Option<&str>, script: &str, body: &str) -> Html<String> {
        Html(pages::page(&self.0.settings.pixel, title, matching, script, body))
    }

    /// Reports an order's payment to the Graph-compatible endpoint, as an SDK would.
    async fn report(&self, order: &Order) -> Result<Value, String> {
        let Some(backend) = self.0.backend.load_full() else { return Err("no endpoint is set".to_owned()) };
        let url = format!("{}/v26.0/{}/events", backend.endpoint.trim_end_matches('/'), self.0.settings.pixel);
        let body = json!({ "access_token": backend.key.expose_secret(), "data": [self.purchase(order)] });
        let client = reqwest::Client::new();
        let answer = client.post(url).json(&body).send().await.map_err(|error| error.without_url().to_string())?;
        answer.json().await.map_err(|error| error.without_url().to_string())
    }

    fn purchase(&self, order: &Order) -> Value {
        json!({
            "event_name": "Purchase",
            "event_time": self.0.settings.clock.now().seconds(),
            "event_id": format!("order-{}", order.id),
            "action_source": "website",
            "event_source_url": order.buyer.page,
            "user_data": {
                "em": order.email, "client_ip_address": order.buyer.address, "client_user_agent": order.buyer.agent,
            },
            "custom_data": {
                "value": pages::amount(order.cents), "currency": "EUR", "order_id": order.id, "content_ids": order.items,
                "content_type": "product",
            },
        })
    }
}

async fn landing(State(shop): State<Shop>) -> Html<String> {
    shop.page("Slow coffee, outdoors", None, "", &pages::landing())
}

async fn product(State(shop): State<Shop>, Path(slug): Path<String>) -> Response {
    let Some(product) = Product::find(&slug) else { return StatusCode::NOT_FOUND.into_response() };
    let script = format!("fbq('track', 'ViewContent', {});", product.params());
    shop.page(product.name, None, &script, &pages::product(product)).into_response()
}

async fn cart(State(shop): State<Shop>, headers: HeaderMap) -> Html<String> {
    let items = items(&headers);
    let script = if items.is_empty() { String::new() } else { pages::checkout_script(&items) };
    shop.page("Your cart", None, &script, &pages::cart(&items))
}

#[derive(Deserialize)]
struct Chosen {
    slug: String,
}

async fn put_in_cart(headers: HeaderMap, Form(chosen): Form<Chosen>) -> Response {
    let Some(product) = Product::find(&chosen.slug) else { return StatusCode::NOT_FOUND.into_response() };
    let mut slugs: Vec<&str> = items(&headers).iter().map(|item| item.slug).collect();
    slugs.push(product.slug);
    slugs.truncate(20);
    set_cart(&slugs.join("."), Redirect::to("/cart"))
}

#[derive(Deserialize)]
struct Checkout {
    email: String,
    capture: Option<String>,
}

async fn checkout(State(shop): State<Shop>, headers: HeaderMap, Form(form): Form<Checkout>) -> Response {
    let items = items(&headers);
    if items.is_empty() || form.email.len() > 254 || !form.email.contains('@') {
        return Redirect::to("/cart").into_response();
    }
    let number = shop.0.next.fetch_add(1, Ordering::Relaxed);
    let order = Order {
        id: format!("AP-{number}"),
        email: form.email,
        cents: items.iter().map(|item| item.cents).sum(),
        items: items.iter().map(|item| item.slug).collect(),
        buyer: buyer(&shop, &headers),
    };
    let page = format!("/thanks/{}", order.id);
    {
        let mut orders = shop.0.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.push_back(order.clone());
        while orders.len() > ORDERS {
            orders.pop_front();
        }
    }
    if form.capture.is_some() {
        // The buyer gets the thank-you page whatever becomes of the report.
        tokio::spawn(async move { shop.report(&order).await });
    }
    set_cart("", Redirect::to(&page))
}

async fn thanks(State(shop): State<Shop>, Path(id): Path<String>) -> Response {
    let Some(order) = shop.order(&id) else { return StatusCode::NOT_FOUND.into_response() };
    let script = pages::purchase_script(&order.id, order.cents, &order.items);
    shop.page("Thank you", Some(&order.email), &script, &pages::thanks(&order.id, order.cents)).into_response()
}

async fn capture(State(shop): State<Shop>, Path(id): Path<String>) -> Response {
    let Some(order) = shop.order(&id) else { return StatusCode::NOT_FOUND.into_response() };
    match shop.report(&order).await {
        Ok(answer) => axum::Json(answer).into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, error).into_response(),
    }
}

async fn pixel_script(State(shop): State<Shop>) -> Response {
    let script = pages::pixel_script(&shop.0.settings.pixel_report);
    ([(header::CONTENT_TYPE, "text/javascript"), (header::CACHE_CONTROL, "max-age=300")], script).into_response()
}

fn buyer(shop: &Shop, headers: &HeaderMap) -> Buyer {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let address = text("x-forwarded-for").split(',').next().map(str::trim).filter(|address| !address.is_empty());
    let host = if text("host").is_empty() { shop.0.address.to_string() } else { text("host").to_owned() };
    Buyer { address: address.map(str::to_owned), agent: text("user-agent").to_owned(), page: format!("http://{host}/checkout") }
}

/// The cart lies in a cookie: slugs joined by dots.
fn items(headers: &HeaderMap) -> Vec<&'static Product> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let cart = cookies.flat_map(|line| line.split(';')).find_map(|pair| pair.trim().strip_prefix("cart="));
    cart.unwrap_or_default().split('.').filter_map(Product::find).take(20).collect()
}

fn set_cart(cart: &str, to: Redirect) -> Response {
    ([(header::SET_COOKIE, format!("cart={cart}; Path=/; SameSite=Lax"))], to).into_response()
}
