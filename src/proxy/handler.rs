//! The way of one request through the room. [`Proxy::handle`] cannot fail: what fails inside becomes an answer.
//! Must not know the door.

use std::sync::Arc;

use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::Version;
use http::header;
use http::request::Parts;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use tokio::time::Instant;

use crate::click::Scheme;
use crate::inject;
use crate::proxy::Settings;
use crate::proxy::action;
use crate::proxy::action::Order;
use crate::proxy::action::Unviewed;
use crate::proxy::body::ProxyBody;
use crate::proxy::body::VisitorBody;
use crate::proxy::bypass::Bypass;
use crate::proxy::bypass::Exempt;
use crate::proxy::client::Client;
use crate::proxy::connection::ConnectionState;
use crate::proxy::exchange;
use crate::proxy::exchange::Exchange;
use crate::proxy::exchange::Noted;

use crate::proxy::answer::UpstreamBody;
use crate::proxy::framing;
use crate::proxy::headers;
use crate::proxy::headers::Found;
use crate::proxy::reply;
use crate::proxy::reply::Kind;
use crate::proxy::reply::Tally;
use crate::proxy::rewrite;
use crate::proxy::shop::Asked;
use crate::proxy::shop::Shop;
use crate::proxy::sites::Front;
use crate::proxy::sites::Sites;
use crate::proxy::tunnel;
use crate::proxy::tunnel::Tunnel;
use crate::proxy::websocket;

/// The room as one thread has it.
#[derive(Debug)]
pub struct Proxy {
    settings: Arc<Settings>,
    shop: Arc<Shop>,
    bypass: Bypass,
    exempt: Exempt,
    sites: Sites,
    tally: Tally,
}

impl Proxy {
    /// A room with a pool and counters of its own; everything else is shared between threads.
    pub fn new(settings: Arc<Settings>, shop: Arc<Shop>, bypass: Bypass) -> Self {
        let sites = Sites::new(&settings, &shop.metrics.upstream_connections);
        let tally = Tally::new(&shop.metrics);
        let exempt = Exempt { paths: settings.exempt.clone(), ..Exempt::default() };
        Self { settings, shop, bypass, exempt, sites, tally }
    }

    /// The settings of the room.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Answers one request that came over `connection`.
    pub async fn handle(&self, connection: &Arc<ConnectionState>, request: Request<Incoming>) -> Response<ProxyBody> {
        let (mut head, body) = request.into_parts();
        match self.check(&mut head) {
            Ok(()) => self.serve(connection, head, body).await,
            Err(kind) => self.refuse(kind, head.method == Method::HEAD),
        }
    }

    /// Answers one request whose head went through [`Proxy::check`].
    pub async fn serve(&self, connection: &Arc<ConnectionState>, head: Parts, body: Incoming) -> Response<ProxyBody> {
        let without_body = head.method == Method::HEAD;
        match self.forward(connection, head, body).await {
            Ok(response) => self.counted(response),
            Err(kind) => self.refuse(kind, without_body),
        }
    }

    /// Checks a request head, that it is for a shop of ours, and brings its target into origin form.
    pub fn check(&self, head: &mut Parts) -> Result<(), Kind> {
        framing::check(head, self.settings.target_limit)?;
        if !head.headers.contains_key(header::HOST) {
            head.headers.insert(header::HOST, self.settings.upstream.field().clone());
        }
        self.sites.of(head).map(drop)
    }

    /// The client behind a request.
    pub fn client(&self, connection: &ConnectionState, head: &Parts) -> Client {
        Client::find(connection, &head.headers, &self.settings.trusted_proxies, &self.settings.client_field)
    }

    /// An answer of our own, counted.
    pub fn refuse(&self, kind: Kind, without_body: bool) -> Response<ProxyBody> {
        self.tally.count_kind(kind);
        self.counted(reply::answer(kind, without_body))
    }

    /// An answer of another room, counted.
    pub fn counted<B>(&self, response: Response<B>) -> Response<B> {
        self.tally.count(response.status());
        response
    }

    async fn forward(
        &self,
        connection: &Arc<ConnectionState>,
        mut head: Parts,
        body: Incoming,
    ) -> Result<Response<ProxyBody>, Kind> {
        let front = self.sites.of(&head)?;
        let client = self.client(connection, &head);
        let found = headers::scan(&head.headers);
        headers::strip_own(&mut head.headers, found);
        let visitor_side = visitor_side(&mut head);
        let exempt = self.is_exempt(front, &head);
        let plain = visitor_side.is_some() || exempt;
        let asked = self.asked(connection, &client, found);
        let mut exchange = if plain { None } else { Exchange::open(&self.shop, &mut head, asked) };
        let order =
            if plain { Order::Serve(Vec::new()) } else { action::decide(&self.shop, &mut head, exchange.as_mut(), asked) };
        let Order::Serve(set) = order else {
            // Its record is written now, and nothing of the request stays while it is held.
            drop((exchange, body));
            return Ok(order.answer(connection, head.method == Method::HEAD).await);
        };
        let unviewed = if exempt { None } else { Unviewed::of(&self.shop, &head, exchange.as_ref()) };
        let looked_at = (!plain && head.method == Method::HEAD).then(|| looked_at(&mut head, client.scheme)).flatten();
        let host = front.rewrite_location.then(|| head.headers.get(header::HOST).cloned()).flatten();
        let field = &self.settings.client_field;
        headers::prepare_request(&mut head.headers, found, connection, &client, field, front.host());
        if let Some(ja4) = self.settings.ja4_field.as_ref().filter(|_| !connection.is_trusted()) {
            head.headers.remove(ja4);
        }
        let version = std::mem::replace(&mut head.version, Version::HTTP_11);
        let Settings { body_progress, first_byte, .. } = *self.settings;
        let body = VisitorBody::new(body, version, Arc::clone(connection), body_progress, first_byte);
        let asked_at = self.settings.notes.then(Instant::now);
        let response = match visitor_side {
            Some(visitor_side) => self.tunnel(front, connection, head, body, visitor_side).await?,
            None => front.servers.send(Request::from_parts(head, body), connection).await?,
        };
        framing::check_answer(&response)?;
        let set = match unviewed.filter(|_| !connection.is_tunnelled() && action::is_page(response.status(), response.headers()))
        {
            None => set,
            Some(unviewed) => match unviewed.order(&self.shop, exchange.as_mut(), asked) {
                Order::Serve(set) => set,
                order => {
                    drop((exchange, response));
                    return Ok(order.answer(connection, false).await);
                }
            },
        };
        let mut response = prepared(response, front, &client, host.as_ref());
        if let Some(asked_at) = asked_at {
            let verdict = exchange.as_ref().and_then(Exchange::verdict);
            response.extensions_mut().insert(Noted { upstream: asked_at.elapsed(), verdict });
        }
        let Some(exchange) = exchange else {
            let response = self.unchanged(response, looked_at, plain);
            return Ok(with_cookies(response.map(ProxyBody::Upstream), set));
        };
        let mut answer = with_cookies(exchange.answer(response), set);
        if let ProxyBody::Injected(page) = answer.body_mut() {
            // Once the place is found the page's length is known, and what is broken from the start is still our page to give.
            page.peek().await.map_err(|_| Kind::Broken)?;
        }
        Ok(answer)
    }

    /// An answer that nothing is put into; `looked_at` is the address of the page whose head it is.
    fn unchanged<B>(&self, mut response: Response<B>, looked_at: Option<String>, plain: bool) -> Response<B> {
        if let Some(address) = looked_at {
            exchange::head_of_page(&self.shop, &mut response, &address);
        }
        if !plain {
            inject::tell_apart(response.status(), response.headers_mut());
        }
        response
    }

    fn asked<'a>(&'a self, connection: &'a ConnectionState, client: &Client, found: Found) -> Asked<'a> {
        let ja4 = self.settings.ja4_field.as_ref();
        Asked { connection, address: client.address, scheme: client.scheme, ja4, forwarded: found.client }
    }

    async fn tunnel(
        &self,
        front: &Front,
        connection: &Arc<ConnectionState>,
        mut head: Parts,
        body: VisitorBody,
        visitor_side: OnUpgrade,
    ) -> Result<Response<UpstreamBody>, Kind> {
        tunnel::mark(&mut head.headers);
        let Settings { first_byte, tunnel_idle: idle, .. } = *self.settings;
        let stream = websocket::is_extended(&head);
        let tunnel = Tunnel { servers: &front.servers, visitor: connection, first_byte, idle, stream };
        tunnel.open(Request::from_parts(head, body), visitor_side).await
    }

    fn is_exempt(&self, front: &Front, head: &Parts) -> bool {
        let path = head.uri.path();
        let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        self.exempt.holds(host, path) || front.exempt.holds(host, path) || self.bypass.holds(host, path)
    }
}

fn prepared<B>(mut response: Response<B>, front: &Front, client: &Client, host: Option<&HeaderValue>) -> Response<B> {
    let switching = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers::prepare_response(headers);
    if switching {
        tunnel::mark(headers);
    }
    if let Some(host) = host {
        front.rewrite(headers, |headers, authority| rewrite::location(headers, authority, client.scheme, host));
    }
    if let Some(domain) = &front.cookie_domain {
        rewrite::cookies(headers, domain);
    }
    // The version is the visitor's affair on this hop; the shop's says nothing about it.
    *response.version_mut() = Version::HTTP_11;
    response
}

/// The visitor's end of a tunnel that it asks for; another upgrade is not granted.
fn visitor_side(head: &mut Parts) -> Option<OnUpgrade> {
    let asked = head.extensions.remove::<OnUpgrade>()?;
    if tunnel::is_wanted(head) {
        return Some(asked);
    }
    tunnel::decline(asked);
    None
}

fn with_cookies<B>(mut response: Response<B>, set: Vec<HeaderValue>) -> Response<B> {
    action::set_cookies(response.headers_mut(), set);
    response
}

/// The address of a page that a `HEAD` asks after, where a `GET` with the same fields would be a navigation; the site is asked
/// as it would be asked then.
fn looked_at(head: &mut Parts, scheme: Scheme) -> Option<String> {
    if !inject::is_navigation(&Method::GET, &head.headers) {
        return None;
    }
    inject::prepare_request(&mut head.headers);
    let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    Some(format!("{}://{host}{}", scheme.name(), head.uri.path_and_query().map_or("/", |target| target.as_str())))
}
