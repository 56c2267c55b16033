//! Pages as they are found in the wild, in every browser: each is opened without the proxy and through it, must be the same
//! page both times, and its events must have equal ids where both halves exist and one copy at the mock, no more, no less.

mod documents;
mod pixels;
mod policies;
mod workers;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::Response;
use axum::routing::get;
use clicksieve::demo::board::PixelHit;
use clicksieve::demo::front;
use clicksieve::demo::graph::Taken;
use clicksieve::demo::pages::pixel_script;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::driver::Browser;
use crate::driver::Make;
use crate::front::Front;
use crate::front::Wish;
use crate::front::driven;
use crate::front::scenery;
use crate::stand::SNIPPET;

/// How long the events of one page may take to the other end.
const PATIENCE: Duration = Duration::from_mins(1);
/// What ordinary pages of the table call.
const CALLS: &str = "fbq('init','100200300400500');fbq('track','PageView');fbq('track','Lead');";
const BOTH: &[(&str, Half)] = &[("PageView", Half::Both), ("Lead", Half::Both)];
const PIXEL_ALONE: &[(&str, Half)] = &[("PageView", Half::Pixel), ("Lead", Half::Pixel)];
const SERVER_ALONE: &[(&str, Half)] = &[("PageView", Half::Server), ("Lead", Half::Server)];
/// The page as its visitor has it, without our scripts and what the Pixel's base code puts beside the first script.
const SHAPE: &str = "let all=document.documentElement.cloneNode(true);\
    for(let s of all.querySelectorAll('script'))if(s.dataset&&s.dataset.cs||s.text.startsWith('fetch(__cs')||/_cs\\/|fbevents|gone/.test(s.getAttribute('src')||''))s.remove();\
    return [document.compatMode,document.characterSet,document.contentType,document.title,document.doctype&&document.doctype.publicId,\
    document.baseURI.replace(location.origin,''),all.outerHTML]";
/// How many of our scripts the page has, by file; the stub is a script without one.
const OURS: &str = "return [...document.querySelectorAll('script')].map(s=>s.dataset&&s.dataset.cs&&!s.getAttribute('src')?'stub':\
    ((s.getAttribute('src')||'').match(/_cs\\/(.\\.js)/)||[])[1]).filter(Boolean).join(' ')";

/// Which halves of an event arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    /// The Pixel's and the server's, under one id.
    Both,
    /// The Pixel's alone, as the page wrote it.
    Pixel,
    /// The Pixel's alone, with an id.
    Marked,
    /// The server's alone.
    Server,
}

/// One page of the table.
#[derive(Clone)]
struct Variant {
    name: &'static str,
    /// What the site's answer says beside its type; `HOST`, `BOARD` and `OTHER` in double braces are filled in as in all text.
    fields: Vec<(&'static str, String)>,
    kind: &'static str,
    html: Vec<u8>,
    /// Further files below the page: name, type, text.
    files: Vec<(&'static str, &'static str, String)>,
    /// Whether it goes out as gzip.
    packed: bool,
    /// Runs once the page has loaded.
    then: &'static str,
    hears: &'static [(&'static str, Half)],
    /// An event's own id.
    own: Option<(&'static str, &'static str)>,
    /// Our scripts in the page.
    ours: &'static str,
}

const INLINE: &str = "stub t.js";
const FILE: &str = "s.js";

impl Variant {
    /// An ordinary page with that markup in its head.
    fn new(name: &'static str, head: &str) -> Self {
        let html = format!(
            "<!doctype html><html lang=en><head><title>{name}</title>{head}</head><body><p id=end>The end of {name}</p></body></html>"
        );
        Self::whole(name, html)
    }

    /// A page of these bytes.
    fn whole(name: &'static str, html: impl Into<Vec<u8>>) -> Self {
        let (fields, files, html) = (Vec::new(), Vec::new(), html.into());
        Self {
            name,
            fields,
            kind: "text/html; charset=utf-8",
            html,
            files,
            packed: false,
            then: "",
            hears: BOTH,
            own: None,
            ours: INLINE,
        }
    }

    fn hears(mut self, hears: &'static [(&'static str, Half)]) -> Self {
        self.hears = hears;
        self
    }

    fn ours(mut self, ours: &'static str) -> Self {
        self.ours = ours;
        self
    }

    fn kind(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }

    fn packed(mut self) -> Self {
        self.packed = true;
        self
    }

    fn then(mut self, script: &'static str) -> Self {
        self.then = script;
        self
    }

    fn field(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    fn file(mut self, name: &'static str, kind: &'static str, text: impl Into<String>) -> Self {
        self.files.push((name, kind, text.into()));
        self
    }
}

fn script(text: &str) -> String {
    format!("<script>{text}</script>")
}

/// The Pixel's base code and the ordinary calls, as most shops have it.
fn shop() -> String {
    format!("{SNIPPET}{}", script(CALLS))
}

/// The base code as a script's text.
fn base_code() -> &'static str {
    SNIPPET.trim_start_matches("<script>").trim_end_matches("</script>")
}

struct Site {
    variants: HashMap<&'static str, Variant>,
    board: String,
    pixel: String,
    port: u16,
}

impl Site {
    /// Serves the table; gives its address.
    async fn start(variants: &[Variant], scenery: &clicksieve::demo::Scenery) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let variants = variants.iter().map(|variant| (variant.name, variant.clone())).collect();
        let board = scenery.board.url().trim_end_matches('/').to_owned();
        let site = Self { variants, board, pixel: pixel_script(&scenery.board.pixel_url()), port: address.port() };
        let router = Router::new()
            .route("/{*path}", get(answer))
            .layer(axum::middleware::map_response(|mut answer: Response| async {
                answer.headers_mut().insert("access-control-allow-origin", "*".parse().unwrap());
                answer
            }))
            .with_state(Arc::new(site));
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }

    fn fill(&self, text: &[u8], host: &str) -> Vec<u8> {
        let Ok(text) = std::str::from_utf8(text) else { return text.to_vec() };
        let other = format!("http://localhost:{}", self.port);
        text.replace("{{HOST}}", host).replace("{{BOARD}}", &self.board).replace("{{OTHER}}", &other).into_bytes()
    }
}

async fn answer(State(site): State<Arc<Site>>, Path(path): Path<String>, head: HeaderMap) -> Response {
    let reply = |status: StatusCode, kind: &str, body: Vec<u8>| {
        Response::builder().status(status).header(header::CONTENT_TYPE, kind).body(Body::from(body)).unwrap()
    };
    if path == "fbevents.js" {
        return reply(StatusCode::OK, "application/x-javascript; charset=utf-8", site.pixel.clone().into_bytes());
    }
    let host = head.get(header::HOST).unwrap().to_str().unwrap();
    let Some((name, file)) = path.split_once('/') else { return reply(StatusCode::NOT_FOUND, "text/plain", Vec::new()) };
    let Some(variant) = site.variants.get(name) else { return reply(StatusCode::NOT_FOUND, "text/plain", Vec::new()) };
    if let Some((_, kind, text)) = variant.files.iter().find(|(known, _, _)| *known == file) {
        return reply(StatusCode::OK, kind, site.fill(text.as_bytes(), host));
    }
    if !file.is_empty() {
        return reply(StatusCode::NOT_FOUND, "text/plain", Vec::new());
    }
    let mut page = site.fill(&variant.html, host);
    if variant.packed {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&page).unwrap();
        page = encoder.finish().unwrap();
    }
    let mut answer = reply(StatusCode::OK, variant.kind, page);
    if variant.packed {
        answer.headers_mut().insert(header::CONTENT_ENCODING, "gzip".parse().unwrap());
    }
    for (name, value) in &variant.fields {
        let value = String::from_utf8(site.fill(value.as_bytes(), host)).unwrap();
        answer.headers_mut().append(*name, value.parse().unwrap());
    }
    answer
}

/// The table's state in one browser.
struct Table {
    front: Front,
    site: String,
}

impl Table {
    async fn start(variants: &[Variant]) -> Self {
        let scenery = scenery().await;
        let site = Site::start(variants, &scenery).await;
        let wish = Wish { rules: Some(driven()), site: Some(site.clone()), ..Wish::default() };
        Self { front: Front::before(scenery, wish).await, site }
    }

    /// What the Pixel sent from a variant's pages through the proxy: names and ids, sorted. A name for another pixel than
    /// the configured one goes with that pixel's id.
    fn pixel(&self, name: &str, hits: &[PixelHit]) -> Vec<(String, String)> {
        let place = format!("{}/{name}/", self.front.url);
        let told =
            |hit: &PixelHit| if hit.pixel == front::PIXEL { hit.event.clone() } else { format!("{}@{}", hit.event, hit.pixel) };
        let here = hits.iter().filter(|hit| hit.url.starts_with(&place));
        let mut half: Vec<_> = here.map(|hit| (told(hit), hit.event_id.clone().unwrap_or_default())).collect();
        half.sort();
        half
    }

    /// The same of what the mock accepted.
    fn server(&self, name: &str, taken: &[Taken]) -> Vec<(String, String)> {
        let place = format!("{}/{name}/", self.front.url);
        let here = taken.iter().filter(|taken| taken.text("event_source_url").starts_with(&place));
        let mut half: Vec<_> =
            here.map(|taken| (taken.text("event_name").to_owned(), taken.text("event_id").to_owned())).collect();
        half.sort();
        half
    }

    /// What is wrong with a variant's events; nothing if they are as they should be.
    fn faults(&self, variant: &Variant) -> Option<String> {
        let pixel = self.pixel(variant.name, &self.front.scenery.board.hits());
        let server = self.server(variant.name, &self.front.scenery.graph.taken());
        let names = |wanted: &dyn Fn(Half) -> bool| {
            let mut names: Vec<&str> = variant.hears.iter().filter(|row| wanted(row.1)).map(|row| row.0).collect();
            names.sort_unstable();
            names
        };
        let of = |half: &[(String, String)], keep: &dyn Fn(&(String, String)) -> bool| -> Vec<String> {
            half.iter().filter(|event| keep(event)).map(|event| event.0.clone()).collect()
        };
        let twins: BTreeSet<_> = server.iter().filter(|event| pixel.contains(event)).collect();
        let right = [
            of(&server, &|_| true) == names(&|half| matches!(half, Half::Both | Half::Server)),
            of(&pixel, &|_| true) == names(&|half| half != Half::Server),
            of(&pixel, &|event| event.1.is_empty()) == names(&|half| half == Half::Pixel),
            of(&pixel, &|event| twins.contains(event)) == names(&|half| half == Half::Both),
            server.iter().collect::<BTreeSet<_>>().len() == server.len(),
            variant.own.is_none_or(|(name, id)| server.contains(&(name.to_owned(), id.to_owned()))),
        ];
        (right != [true; 6]).then(|| format!("{right:?}\n  wanted {:?}\n  Pixel  {pixel:?}\n  server {server:?}", variant.hears))
    }

    /// Waits until as many events as wanted are there.
    async fn arrive(&self, variant: &Variant) {
        let count = |without: Half| variant.hears.iter().filter(|row| row.1 != without).count();
        let pixel = count(Half::Server);
        let server = variant.hears.iter().filter(|row| matches!(row.1, Half::Both | Half::Server)).count();
        self.reach(variant, pixel, server).await;
    }

    /// Waits until the Pixel and the server have so many events of a page.
    async fn reach(&self, variant: &Variant, pixel: usize, server: usize) {
        self.front.scenery.board.until(|hits| self.pixel(variant.name, hits).len() >= pixel, PATIENCE).await;
        self.front.scenery.graph.until(|taken| self.server(variant.name, taken).len() >= server, PATIENCE).await;
    }

    /// Opens one page of the table by itself and through the proxy; what is wrong with it.
    async fn visit(&self, browser: &Browser, variant: &Variant) -> Vec<String> {
        let mut faults = Vec::new();
        browser.open(&format!("{}/{}/", self.site, variant.name)).await;
        let own = browser.run(SHAPE).await;
        browser.forget().await;
        browser.open(&format!("{}/{}/", self.front.url, variant.name)).await;
        let through = browser.run(SHAPE).await;
        let site = |shape: &Value, address: &str| shape.to_string().replace(address.trim_start_matches("http://"), "HOST");
        if site(&own, &self.site) != site(&through, &self.front.url) {
            faults.push(format!("the page is another one\n  {}\n  {}", short(&own), short(&through)));
        }
        let ours = browser.run(OURS).await;
        if ours != variant.ours {
            faults.push(format!("our scripts are {ours}, not {:?}", variant.ours));
        }
        if !variant.then.is_empty() {
            browser.run(variant.then).await;
        }
        self.arrive(variant).await;
        faults.extend(self.faults(variant));
        faults
    }
}

fn short(shape: &Value) -> String {
    shape.to_string().chars().take(700).collect()
}

/// Opens all pages in one browser. At the end an ordinary page goes the same way, behind which nothing of the others can
/// still be on its way, and all are counted once more.
async fn tour(make: Make, mut variants: Vec<Variant>) {
    variants.push(Variant::new("last", &shop()));
    let (table, browser) = (Table::start(&variants).await, Browser::of(make).await);
    let mut faults = BTreeMap::new();
    for variant in &variants {
        let found = table.visit(&browser, variant).await;
        if !found.is_empty() {
            faults.insert(variant.name, found);
        }
    }
    for variant in &variants {
        if let Some(fault) = table.faults(variant) {
            faults.entry(variant.name).or_insert_with(|| vec![format!("later {fault}")]);
        }
    }
    browser.close().await;
    let told: Vec<String> = faults.iter().map(|(name, found)| format!("{name}: {}\n", found.join("\n  and "))).collect();
    assert!(faults.is_empty(), "{make:?}, {} of {} pages:\n{}", faults.len(), variants.len(), told.join("\n"));
}
