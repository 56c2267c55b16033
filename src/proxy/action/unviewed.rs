//! Pages that the shop answers with where none was asked for: what a request is for, only its client says, and whoever says
//! `Sec-Fetch-Dest: image` must not read what the view of the page would not show. What it says it wants is believed until the
//! shop's answer is a page; then it is judged as the view that it is.
//! Promises: what is no page goes out untouched, and nothing is kept of a request where no rule keeps pages from anybody. Must
//! not know how a verdict is reached.

use std::sync::Arc;

use http::HeaderMap;
use http::Method;
use http::StatusCode;
use http::header;
use http::request::Parts;
use uuid::Uuid;

use crate::proxy::action::Case;
use crate::proxy::action::Order;
use crate::proxy::action::stand_in;
use crate::proxy::exchange::Exchange;
use crate::proxy::shop::Asked;
use crate::proxy::shop::Shop;
use crate::verdict::ClickAction;
use crate::verdict::Mode;
use crate::verdict::Verdict;

/// The types of pages: a browser shows no other as one that a shop could mean.
const PAGES: [&[u8]; 2] = [b"text/html", b"application/xhtml+xml"];

/// A request that goes to the shop without having been judged as a page view.
#[derive(Debug)]
pub(in crate::proxy) struct Unviewed(Parts);

impl Unviewed {
    /// Keeps what it takes to judge the request once its answer is known to be a page. The answer to what a form sends is never
    /// held back: it may be an order's.
    pub(in crate::proxy) fn of(shop: &Shop, head: &Parts, exchange: Option<&Exchange>) -> Option<Box<Self>> {
        let wanted = shop.settings.mode == Mode::Strict
            && head.method == Method::GET
            && exchange.is_none_or(|exchange| !exchange.navigation)
            && shop.policy.load().intervenes();
        wanted.then(|| Box::new(Self(head.clone())))
    }

    /// What becomes of the answer; the record of a click says it.
    pub(in crate::proxy) fn order(mut self: Box<Self>, shop: &Shop, exchange: Option<&mut Exchange>, asked: Asked<'_>) -> Order {
        let serve = Order::Serve(Vec::new());
        let Some(exchange) = exchange else {
            let verdict = shop.judged(asked, &self.0);
            let carried = shop.carried(&self.0.headers, shop.now()).map(|carried| carried.visit);
            let agent = self.0.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
            let visit = carried.unwrap_or_else(|| stand_in(asked.address, agent));
            return self.done(shop, asked, &verdict, visit).map_or(serve, |(order, _)| order);
        };
        let Some((verdict, visit)) = exchange.record.as_ref().map(|(_, record)| (Arc::clone(&record.verdict), record.visit))
        else {
            return serve;
        };
        // All that leads to no page of ours was done with the click before it was forwarded.
        if !matches!(verdict.click_of(visit), ClickAction::Challenge(_) | ClickAction::Redirect(_)) {
            return serve;
        }
        let Some((order, done)) = self.done(shop, asked, &verdict, visit) else { return serve };
        if let (Some((_, record)), false) = (&mut exchange.record, matches!(order, Order::Serve(_))) {
            record.action = done;
        }
        order.with_visit(done, exchange)
    }

    /// Does with the page what is done with its view, if anything is; says under what name.
    fn done(&mut self, shop: &Shop, asked: Asked<'_>, verdict: &Verdict, visit: Uuid) -> Option<(Order, &'static str)> {
        let click = verdict.click_of(visit);
        let agent = self.0.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        let (network, known) = shop.client(asked.address, agent);
        let case = Case { shop, asked, verdict, click, page: true };
        if !click.intervenes() || case.is_protected(&network, &known) {
            return None;
        }
        let (order, done) = case.order(&mut self.0);
        if !matches!(order, Order::Serve(_)) {
            shop.actions.count(done);
        }
        Some((order, done))
    }
}

/// Whether an answer is a page that somebody could read.
pub(in crate::proxy) fn is_page(status: StatusCode, headers: &HeaderMap) -> bool {
    let is = |kind: &&[u8], field: &[u8]| field.get(..kind.len()).is_some_and(|start| start.eq_ignore_ascii_case(kind));
    let field = headers.get(header::CONTENT_TYPE).map(|field| field.as_bytes().trim_ascii_start()).unwrap_or_default();
    status.is_success() && PAGES.iter().any(|kind| is(kind, field))
}
