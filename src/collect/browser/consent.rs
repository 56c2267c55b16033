//! What a page tells of the visitor's consent: what waited for it goes on, and the cookies that waited are set. Must not know
//! proofs.

use http::header::HOST;
use http::header::ORIGIN;
use serde_json::Value;

use crate::click::AdNetwork;
use crate::click::Scheme;
use crate::collect::browser::Post;
use crate::collect::reply::Refusal;
use crate::cookie;
use crate::seal::VisitCookie;
use crate::spool::Release;
use crate::verdict::Consent;

/// A page tells of consent once, and once more where the visitor changed his mind before it was sent.
const MOST_CONSENTS: u8 = 2;

impl Post<'_> {
    /// Takes what the visitor said; what waited for it is released, and the cookies that waited are set.
    pub(super) async fn consent(&mut self, item: &Value) -> Result<(), Refusal> {
        if self.consents >= MOST_CONSENTS {
            return Ok(());
        }
        self.consents += 1;
        let granted = item.get("state").and_then(Value::as_str) == Some("granted");
        let state = if granted { Consent::Granted } else { Consent::Waiting };
        self.visit = self.room.visits.consent(self.token.visit, state, self.now).or(self.visit.take());
        if !granted {
            return Ok(());
        }
        self.room.spool.release(self.token.visit, Release::Consent, self.now).await?;
        let host = self.head.headers.get(HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let secure = self.head.headers.get(ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https"));
        let scheme = if secure { Scheme::Https } else { Scheme::Http };
        let stored = |name: &'static str| cookie::find(&self.head.headers, name);
        // The events that waited come in the same post, before the browser has these cookies.
        if stored(cookie::FBP).is_none() {
            let fbp = cookie::new_fbp(self.now, rand::random());
            self.cookies.push(cookie::set_meta(cookie::FBP, &fbp, host, scheme));
            self.user_data.insert("fbp".to_owned(), Value::from(fbp));
        }
        if let Some(visit) = &self.visit {
            let fbclid = visit.ad_ids.iter().find(|(network, _)| *network == AdNetwork::Meta).map(|(_, id)| id.as_str());
            if let Some(fbc) = cookie::fbc_to_set(stored(cookie::FBC), fbclid, self.now) {
                self.cookies.push(cookie::set_meta(cookie::FBC, &fbc, host, scheme));
                self.user_data.insert("fbc".to_owned(), Value::from(fbc));
            }
        }
        // From now on the visit cookie stands for the consent.
        let sealed = self.room.keys.seal_visit(&self.visit_cookie(), rand::random());
        self.cookies.push(cookie::set_visit(&sealed, host, scheme));
        Ok(())
    }

    fn visit_cookie(&self) -> VisitCookie {
        let ids: Vec<&[u8]> = self.visit.iter().flat_map(|visit| visit.ad_ids.iter().map(|(_, id)| id.as_bytes())).collect();
        VisitCookie {
            visit: self.token.visit,
            first_seen: self.visit.as_ref().map_or(self.token.issued, |visit| visit.first_seen),
            class: self.token.class,
            score: self.token.score,
            clicks: if ids.is_empty() { 0 } else { self.room.keys.digest(&ids) },
        }
    }
}
