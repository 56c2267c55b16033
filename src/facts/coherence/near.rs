//! What this thread found of requests lately: all people with one browser, language and way here send the same but for the
//! page they ask for. Promises: no answer but for the very same request, as far as any check looks at it; bounded memory;
//! nothing allocated where a place was used before. Must not know what is checked.

use std::cell::RefCell;
use std::hash::Hasher;

use http::HeaderValue;
use rustc_hash::FxHasher;

use crate::click::Field;
use crate::click::Sent;
use crate::fact::Coherence;
use crate::fact::Facts;
use crate::near;

/// Places for requests, each at most [`LONGEST`] bytes and a little.
const PLACES: usize = 512;
/// What is longer is looked at each time; browsers' are half as long.
const LONGEST: usize = 2_048;

/// Fields whose text is looked at; of the others only whether and when they came, and of `Referer` the host, too.
const TEXTS: [Field; 11] = [
    Field::Accept,
    Field::AcceptEncoding,
    Field::AcceptLanguage,
    Field::ChUa,
    Field::ChUaMobile,
    Field::ChUaPlatform,
    Field::FetchDest,
    Field::FetchMode,
    Field::FetchSite,
    Field::FetchUser,
    Field::UserAgent,
];

/// Whatever the checks look at, written one behind the other.
struct Key<'a> {
    written: &'a mut Vec<u8>,
    fits: bool,
}

impl Key<'_> {
    /// What is always as long.
    fn bytes(&mut self, bytes: &[u8]) {
        self.written.extend_from_slice(bytes);
    }

    /// What may lack, with its length before it.
    fn bytes_of(&mut self, bytes: Option<&[u8]>) {
        let bytes = bytes.map(|bytes| (u16::try_from(bytes.len()).ok().filter(|length| *length < u16::MAX), bytes));
        match bytes {
            None => self.bytes(&[u8::MAX; 2]),
            Some((Some(length), bytes)) if self.written.len() + bytes.len() < LONGEST => {
                self.bytes(&length.to_ne_bytes());
                self.bytes(bytes);
            }
            Some(_) => self.fits = false,
        }
    }

    fn text(&mut self, text: Option<&str>) {
        self.bytes_of(text.map(str::as_bytes));
    }

    fn sent(&mut self, sent: &Sent<'_>) {
        self.bytes(sent.order());
        for field in TEXTS {
            self.bytes_of(sent.value(field).map(HeaderValue::as_bytes));
        }
        self.text(sent.referer_host());
    }

    fn facts(&mut self, facts: &Facts<'_>) {
        let (agent, shown) = (facts.agent, facts.shown);
        let (tls, h2) = (shown.tls, shown.h2);
        let flag = |flag: Option<bool>| flag.map_or(0, |flag| 1 + u8::from(flag));
        let weight = h2.and_then(|h2| h2.weight);
        let [high, low] = weight.unwrap_or_default().to_ne_bytes();
        self.bytes(&[
            agent.kind as u8,
            agent.engine.map_or(0, |engine| 1 + engine as u8),
            agent.os.map_or(0, |os| 1 + os as u8),
            agent.form.device.map_or(0, |device| 1 + device as u8),
            u8::from(agent.in_app.is_some()),
            facts.scheme.map_or(0, |scheme| 1 + scheme as u8),
            shown.version.map_or(0, |version| 1 + version as u8),
            flag(shown.spoofed_forwarding),
            u8::from(tls.is_some()),
            flag(tls.and_then(|tls| tls.grease)),
            tls.and_then(|tls| tls.version).map_or(0, |version| 1 + version as u8),
            flag(tls.and_then(|tls| tls.sni)),
            u8::from(weight.is_some()),
            high,
            low,
        ]);
        self.text(Some(&agent.family));
        self.text(facts.host);
        self.text(tls.and_then(|tls| tls.alpn.as_deref()));
        self.text(h2.map(|h2| &*h2.order));
        self.text(h2.map(|h2| &*h2.fingerprint));
        self.text(shown.names);
    }
}

#[derive(Default)]
struct Near {
    asked: Vec<u8>,
    places: Vec<(Vec<u8>, Coherence)>,
}

thread_local! {
    static NEAR: RefCell<Near> = RefCell::default();
}

/// What is coherent in a request; `find` answers where this thread does not remember.
pub(super) fn remembered(facts: &Facts<'_>, sent: &Sent<'_>, find: impl FnOnce() -> Coherence) -> Coherence {
    NEAR.with_borrow_mut(|near| {
        near.asked.clear();
        let mut key = Key { written: &mut near.asked, fits: true };
        key.facts(facts);
        key.sent(sent);
        if !key.fits {
            return find();
        }
        let place = place(&near.asked);
        if near.places.is_empty() {
            near.places.resize_with(PLACES, Default::default);
        }
        let Some((known, coherence)) = near.places.get_mut(place) else { return find() };
        if *known != near.asked {
            *coherence = find();
            known.clone_from(&near.asked);
        }
        *coherence
    })
}

fn place(key: &[u8]) -> usize {
    let mut hasher = FxHasher::default();
    hasher.write(key);
    near::place(hasher.finish(), PLACES)
}
