//! One page view from its request to its answer: injected, given its cookies, kept out of shared caches, recorded.
//! Whatever goes wrong here, the page goes out unchanged. Must not know connections to the site.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header::SET_COOKIE;
use http::header::TRAILER;
use http::request::Parts;

use crate::inject;
use crate::inject::InjectBody;
use crate::inject::Injection;
use crate::inject::PageData;
use crate::inject::Plan;
use crate::ledger::PageRecord;
use crate::ledger::Record;
use crate::proxy::answer::UpstreamBody;
use crate::proxy::body::ProxyBody;
use crate::proxy::shop::Asked;
use crate::proxy::shop::Shop;
use crate::seal::PageToken;
use crate::verdict::Band;
use crate::verdict::Class;
use crate::verdict::Consent;
use crate::verdict::Score;

/// One page view on its way. Dropping it writes its record, so that a click counts also where the site failed or the
/// visitor left.
pub struct Exchange {
    pub(super) shop: Arc<Shop>,
    pub(super) navigation: bool,
    pub(super) token: PageToken,
    pub(super) consent: Consent,
    pub(super) cookies: Vec<HeaderValue>,
    pub(super) record: Option<(RecordKind, PageRecord)>,
}

/// What the door's log says of a forwarded request; an extension of its answer.
#[derive(Clone, Copy, Debug)]
pub struct Noted {
    /// How long the site took to the head of its answer.
    pub upstream: Duration,
    /// Score and band of a page view.
    pub verdict: Option<(Score, Band)>,
}

/// Brings the answer to a `HEAD` of a page in line with what a `GET` would give (RFC 9110 section 9.3.2): the page would be
/// injected, and so has another length and no validators.
pub(super) fn head_of_page<B>(shop: &Shop, response: &mut Response<B>, address: &str) {
    let settings = &shop.settings.inject;
    if let Plan::Inject(injection) = inject::plan(settings, true, response.status(), response.headers(), address) {
        inject::rewrite_head(response.headers_mut(), &injection, 0);
    }
}

/// Which record a page view gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecordKind {
    Click,
    Page,
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let Some((kind, record)) = self.record.take() else { return };
        let record = match kind {
            RecordKind::Click => Record::Click(record),
            RecordKind::Page if self.shop.settings.record_pages => Record::Page(record),
            RecordKind::Page => return,
        };
        if !self.shop.ledger.append(record) {
            self.shop.counts.metrics.records_dropped.inc();
        }
    }
}

impl Exchange {
    /// Looks at a request before it is forwarded, and tells the site what is known of it. A page view opens an exchange;
    /// for everything else the site is told the verdict of address and agent, and there is nothing to do on the way back.
    pub(super) fn open(shop: &Arc<Shop>, head: &mut Parts, asked: Asked<'_>) -> Option<Self> {
        shop.look(asked, head)
    }

    /// Score and band of the page view.
    pub(super) fn verdict(&self) -> Option<(Score, Band)> {
        self.record.as_ref().map(|(_, record)| (record.verdict.score, record.verdict.band))
    }

    /// Turns the site's answer into the visitor's: injects where the answer is a page, sets cookies, keeps it out of
    /// shared caches.
    pub fn answer(mut self, response: Response<UpstreamBody>) -> Response<ProxyBody> {
        let (mut head, body) = response.into_parts();
        let settings = &self.shop.settings;
        let address = self.record.as_ref().map_or("", |(_, record)| record.url.as_str());
        match inject::plan(&settings.inject, self.navigation, head.status, &head.headers, address) {
            Plan::Inject(injection) => {
                self.shop.counts.injected.inc();
                // Before consent the tag is silent, and of nobody's visit nothing is expected.
                if self.token.class == Class::Visit && self.consent != Consent::Waiting {
                    self.shop.visits.tagged(self.token.visit, self.token.issued);
                }
                self.set_cookies(&mut head.headers);
                let snippet = self.snippet(&injection);
                inject::rewrite_head(&mut head.headers, &injection, snippet.len());
                head.headers.remove(TRAILER);
                let body = InjectBody::new(body, &injection, snippet, &self.shop.settings.inject)
                    .on_miss(Arc::clone(&self.shop.counts.missed));
                Response::from_parts(head, ProxyBody::Injected(Box::new(body)))
            }
            Plan::Pass(why) => {
                if self.navigation {
                    self.shop.counts.metrics.injections.with(&[("outcome", why.name())]).inc();
                } else {
                    inject::tell_apart(head.status, &mut head.headers);
                }
                // A redirect is where most ad clicks land first; whatever else passes is left as the site sent it.
                if head.status.is_redirection() && head.status != StatusCode::NOT_MODIFIED && self.is_click() {
                    self.set_cookies(&mut head.headers);
                }
                Response::from_parts(head, ProxyBody::Upstream(body))
            }
        }
    }

    fn is_click(&self) -> bool {
        matches!(self.record, Some((RecordKind::Click, _)))
    }

    fn snippet(&self, injection: &Injection) -> Bytes {
        let token = self.shop.keys.seal_page(&self.token, rand::random());
        let PageToken { page, pixel, .. } = self.token;
        let data = PageData { page, token: &token, pixel, consent: self.consent, worker: injection.worker };
        inject::snippet(&self.shop.settings.inject, &data, &injection.way)
    }

    /// An answer with a visitor's cookies is that visitor's alone (RFC 9111 section 7.3).
    fn set_cookies(&mut self, headers: &mut HeaderMap) {
        if self.cookies.is_empty() {
            return;
        }
        for cookie in self.cookies.drain(..) {
            headers.append(SET_COOKIE, cookie);
        }
        inject::keep_from_caches(headers);
    }
}
