//! First-party identifiers of a page view and the cookies that give them. Must not know verdicts beyond their class.

use http::HeaderValue;

use crate::click::AdNetwork;
use crate::click::Click;
use crate::cookie;
use crate::proxy::shop::Shop;
use crate::seal::PageToken;
use crate::seal::VisitCookie;
use crate::verdict::Class;
use crate::verdict::Consent;

/// First-party identifiers of a page view: what the visitor brought or gets, and the cookies that give it.
#[derive(Default)]
pub(super) struct FirstParty {
    pub(super) fbp: Option<String>,
    pub(super) fbc: Option<String>,
    pub(super) set: Vec<HeaderValue>,
}

impl FirstParty {
    /// What a visitor brought stays; what is missing is made and set, unless the visitor has not agreed yet or is nobody's
    /// visitor.
    pub(super) fn of(
        shop: &Shop,
        click: &Click<'_>,
        host: &str,
        token: &PageToken,
        consent: Consent,
        carried: Option<VisitCookie>,
    ) -> Self {
        let own = |name: &'static str| cookie::find(click.sent.all(), name).filter(|value| cookie::payload(value).is_some());
        let (fbp, fbc) = (own(cookie::FBP).map(str::to_owned), own(cookie::FBC).map(str::to_owned));
        if consent == Consent::Waiting || token.class == Class::Skip {
            return Self { fbp, fbc, set: Vec::new() };
        }
        let mut set = Vec::with_capacity(3);
        let mut give = |cookie: String| set.extend(HeaderValue::from_str(&cookie).ok());
        let fbp = fbp.unwrap_or_else(|| {
            let fresh = cookie::new_fbp(token.issued, rand::random());
            give(cookie::set_meta(cookie::FBP, &fresh, host, click.scheme));
            fresh
        });
        let fresh = cookie::fbc_to_set(fbc.as_deref(), click.ad_ids.of(AdNetwork::Meta), token.issued);
        if let Some(fresh) = &fresh {
            give(cookie::set_meta(cookie::FBC, fresh, host, click.scheme));
        }
        if carried.is_none() {
            give(cookie::set_visit(&shop.seal_visit(token, click), host, click.scheme));
        }
        Self { fbp: Some(fbp), fbc: fresh.or(fbc), set }
    }
}
