//! Sealed values that visitors carry for us: the page token and the visit cookie. Authenticated encryption, so that
//! nobody reads their score or makes their own. A sealed value is base64url of: version, key id, 12 bytes of nonce,
//! the encrypted fields, 16 bytes of tag. Nonces and fresh keys are handed in. Must not know how the values travel.

use aws_lc_rs::aead::AES_256_GCM;
use aws_lc_rs::aead::Aad;
use aws_lc_rs::aead::LessSafeKey;
use aws_lc_rs::aead::Nonce;
use aws_lc_rs::aead::UnboundKey;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::verdict::Class;
use crate::verdict::PixelAction;
use crate::verdict::Score;

mod file;
mod trial;

pub use trial::Pass;
pub use trial::Puzzle;

/// The version of the layout; a newer one is refused.
const VERSION: u8 = 1;
const NONCE: usize = 12;
const TAG: usize = 16;
/// The longest text that is looked at: all layouts but a challenge's are shorter than 100 bytes of text.
const LONGEST_TEXT: usize = 160;

/// What a page carries so that the collector knows which view an event comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageToken {
    /// The page view's id, which is the id of its first event of each name.
    pub page: Uuid,
    /// The visit.
    pub visit: Uuid,
    /// When it was sealed.
    pub issued: UnixMillis,
    /// The class at that time.
    pub class: Class,
    /// The score at that time.
    pub score: Score,
    /// What the Pixel was told to do.
    pub pixel: PixelAction,
}

/// What a visitor's cookie carries so that a restart or another replica understands the visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VisitCookie {
    /// The visit.
    pub visit: Uuid,
    /// When it began.
    pub first_seen: UnixMillis,
    /// The class at landing.
    pub class: Class,
    /// The score at landing.
    pub score: Score,
    /// A digest of the click ids of the landing; 0 for none.
    pub clicks: u64,
}

/// Why a sealed value or a key store is not taken.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The text is not one of ours: wrong alphabet, length, version, purpose, or it was altered.
    #[error("not a sealed value of ours")]
    Foreign,
    /// It was sealed with a key that is no longer live.
    #[error("sealed with a key that is no longer live")]
    RetiredKey,
    /// Keys could not be read or written.
    #[error("cannot use the key file `{path}`\nhint: it must be readable and writable by this user alone")]
    File {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The keys' text is not what it should be; `line` counts from 1.
    #[error(
        "line {line}: expected `<id> <key>`, an id from 0 to 255 and 32 bytes in base64url, at most two lines\nhint: remove the file to have new keys made; sealed cookies then start afresh"
    )]
    Text {
        /// The line.
        line: usize,
    },
}

/// The keys that seal; the first is used for new values, a second one still opens old ones. `Debug` shows ids only.
pub struct Keys {
    current: Key,
    former: Option<Key>,
}

struct Key {
    id: u8,
    root: [u8; 32],
    page: LessSafeKey,
    visit: LessSafeKey,
    puzzle: LessSafeKey,
    pass: LessSafeKey,
    digest: hmac::Key,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Page = 1,
    Visit = 2,
    Puzzle = 3,
    Pass = 4,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids: Vec<u8> = std::iter::once(&self.current).chain(&self.former).map(|key| key.id).collect();
        out.debug_struct("Keys").field("ids", &ids).finish_non_exhaustive()
    }
}

impl Keys {
    /// Keys from 32 random bytes, with the id 1.
    pub fn generate(fresh: [u8; 32]) -> Result<Self, SealError> {
        Ok(Self { current: Key::of(1, fresh)?, former: None })
    }

    /// The same keys with a new current one; the former current one still opens what it sealed.
    pub fn rotated(self, fresh: [u8; 32]) -> Result<Self, SealError> {
        Ok(Self { current: Key::of(self.current.id.wrapping_add(1), fresh)?, former: Some(self.current) })
    }

    /// Seals a page token into visible ASCII without padding (94 bytes). A nonce must never be used twice.
    pub fn seal_page(&self, token: &PageToken, nonce: [u8; NONCE]) -> String {
        let mut plain = Vec::with_capacity(40 + TAG);
        plain.extend_from_slice(token.page.as_bytes());
        plain.extend_from_slice(token.visit.as_bytes());
        plain.extend_from_slice(&moment(token.issued));
        plain.push(class_code(token.class) | (pixel_code(token.pixel) << 4));
        plain.push(token.score.points());
        self.current.seal(Purpose::Page, nonce, plain)
    }

    /// Opens a page token, whoever wrote it.
    pub fn open_page(&self, text: &str) -> Result<PageToken, SealError> {
        let plain = self.open(Purpose::Page, text)?;
        let mut fields = Fields(&plain);
        let token = (|| {
            let (page, visit, issued) = (fields.uuid()?, fields.uuid()?, fields.moment()?);
            let [codes] = fields.take::<1>()?;
            let [score] = fields.take::<1>()?;
            let (class, pixel) = (class_of(codes & 15)?, pixel_of(codes >> 4)?);
            Some(PageToken { page, visit, issued, class, score: Score::clamped(i32::from(score)), pixel })
        })();
        token.filter(|_| fields.0.is_empty()).ok_or(SealError::Foreign)
    }

    /// Seals a visit cookie into visible ASCII without padding (83 bytes). A nonce must never be used twice.
    pub fn seal_visit(&self, cookie: &VisitCookie, nonce: [u8; NONCE]) -> String {
        let mut plain = Vec::with_capacity(32 + TAG);
        plain.extend_from_slice(cookie.visit.as_bytes());
        plain.extend_from_slice(&moment(cookie.first_seen));
        plain.push(class_code(cookie.class));
        plain.push(cookie.score.points());
        plain.extend_from_slice(&cookie.clicks.to_be_bytes());
        self.current.seal(Purpose::Visit, nonce, plain)
    }

    /// Opens a visit cookie, whoever wrote it.
    pub fn open_visit(&self, text: &str) -> Result<VisitCookie, SealError> {
        let plain = self.open(Purpose::Visit, text)?;
        let mut fields = Fields(&plain);
        let cookie = (|| {
            let (visit, first_seen) = (fields.uuid()?, fields.moment()?);
            let [class] = fields.take::<1>()?;
            let [score] = fields.take::<1>()?;
            let clicks = u64::from_be_bytes(fields.take::<8>()?);
            Some(VisitCookie { visit, first_seen, class: class_of(class)?, score: Score::clamped(i32::from(score)), clicks })
        })();
        cookie.filter(|_| fields.0.is_empty()).ok_or(SealError::Foreign)
    }

    /// A keyed hash of several parts, of which none can run into the next; never 0, so that 0 can mean none.
    pub fn digest(&self, parts: &[&[u8]]) -> u64 {
        let mut context = hmac::Context::with_key(&self.current.digest);
        for part in parts {
            context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(part);
        }
        let tag = context.sign();
        tag.as_ref().first_chunk::<8>().map_or(1, |bytes| u64::from_be_bytes(*bytes)).max(1)
    }

    fn open(&self, purpose: Purpose, text: &str) -> Result<Vec<u8>, SealError> {
        let longest = if purpose == Purpose::Puzzle { trial::LONGEST_TEXT } else { LONGEST_TEXT };
        if text.len() > longest {
            return Err(SealError::Foreign);
        }
        let mut sealed = URL_SAFE_NO_PAD.decode(text).map_err(|_| SealError::Foreign)?;
        let mut fields = Fields(&sealed);
        let head = fields.take::<2>().zip(fields.take::<NONCE>());
        let Some(([VERSION, id], nonce)) = head else { return Err(SealError::Foreign) };
        let live = std::iter::once(&self.current).chain(&self.former).find(|key| key.id == id);
        let key = live.ok_or(SealError::RetiredKey)?;
        let mut body = sealed.split_off(2 + NONCE);
        let opened = key
            .aead(purpose)
            .open_in_place(Nonce::assume_unique_for_key(nonce), key.aad(purpose), &mut body)
            .map_err(|_| SealError::Foreign)?;
        Ok(opened.to_vec())
    }
}

impl Key {
    fn of(id: u8, root: [u8; 32]) -> Result<Self, SealError> {
        let derived = |label: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &root), label.as_bytes());
        let aead = |label: &str| {
            UnboundKey::new(&AES_256_GCM, derived(label).as_ref()).map(LessSafeKey::new).map_err(|_| SealError::Text { line: 1 })
        };
        Ok(Self {
            id,
            root,
            page: aead("clicksieve page token 1")?,
            visit: aead("clicksieve visit cookie 1")?,
            puzzle: aead("clicksieve challenge 1")?,
            pass: aead("clicksieve pass 1")?,
            digest: hmac::Key::new(hmac::HMAC_SHA256, derived("clicksieve digest 1").as_ref()),
        })
    }

    fn aead(&self, purpose: Purpose) -> &LessSafeKey {
        match purpose {
            Purpose::Page => &self.page,
            Purpose::Visit => &self.visit,
            Purpose::Puzzle => &self.puzzle,
            Purpose::Pass => &self.pass,
        }
    }

    fn aad(&self, purpose: Purpose) -> Aad<[u8; 3]> {
        Aad::from([VERSION, purpose as u8, self.id])
    }

    fn seal(&self, purpose: Purpose, nonce: [u8; NONCE], mut body: Vec<u8>) -> String {
        let sealing =
            self.aead(purpose).seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), self.aad(purpose), &mut body);
        // AES-GCM refuses only texts of many gigabytes. An empty value opens nowhere.
        if sealing.is_err() {
            return String::new();
        }
        let mut sealed = Vec::with_capacity(2 + NONCE + body.len());
        sealed.extend_from_slice(&[VERSION, self.id]);
        sealed.extend_from_slice(&nonce);
        sealed.append(&mut body);
        URL_SAFE_NO_PAD.encode(sealed)
    }
}

/// Six bytes hold milliseconds until the year 10889.
fn moment(at: UnixMillis) -> [u8; 6] {
    let [_, _, rest @ ..] = at.0.to_be_bytes();
    rest
}

fn class_code(class: Class) -> u8 {
    match class {
        Class::Visit => 0,
        Class::Skip => 1,
        Class::Allow => 2,
        Class::Deny => 3,
    }
}

fn class_of(code: u8) -> Option<Class> {
    [Class::Visit, Class::Skip, Class::Allow, Class::Deny].get(usize::from(code)).copied()
}

fn pixel_code(pixel: PixelAction) -> u8 {
    match pixel {
        PixelAction::Leave => 0,
        PixelAction::Gate => 1,
        PixelAction::Withhold => 2,
    }
}

fn pixel_of(code: u8) -> Option<PixelAction> {
    [PixelAction::Leave, PixelAction::Gate, PixelAction::Withhold].get(usize::from(code)).copied()
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn number(&mut self) -> Option<u64> {
        self.take::<8>().map(u64::from_be_bytes)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn uuid(&mut self) -> Option<Uuid> {
        self.take::<16>().map(Uuid::from_bytes)
    }

    fn moment(&mut self) -> Option<UnixMillis> {
        let millis = self.take::<6>()?.into_iter().fold(0, |millis, byte| (millis << 8) | u64::from(byte));
        Some(UnixMillis(millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys() -> Keys {
        Keys::generate([7; 32]).unwrap()
    }

    fn token() -> PageToken {
        PageToken {
            page: Uuid::from_u128(1),
            visit: Uuid::from_u128(2),
            issued: UnixMillis(1_774_000_000_123),
            class: Class::Deny,
            score: Score::clamped(77),
            pixel: PixelAction::Withhold,
        }
    }

    #[test]
    fn a_page_token_comes_back_as_it_went_and_is_short() {
        let text = keys().seal_page(&token(), [3; 12]);
        assert!(text.len() <= 120, "{}", text.len());
        assert_eq!(keys().open_page(&text).unwrap(), token());
    }

    #[test]
    fn a_value_sealed_for_one_purpose_does_not_open_for_the_other() {
        let cookie = VisitCookie {
            visit: Uuid::from_u128(2),
            first_seen: UnixMillis(9),
            class: Class::Visit,
            score: Score::clamped(3),
            clicks: u64::MAX,
        };
        let text = keys().seal_visit(&cookie, [3; 12]);
        assert_eq!(keys().open_visit(&text).unwrap(), cookie);
        assert!(keys().open_page(&text).is_err());
        assert!(keys().open_visit(&keys().seal_page(&token(), [3; 12])).is_err());
    }

    #[test]
    fn the_former_key_opens_until_the_next_rotation() {
        let text = keys().seal_page(&token(), [3; 12]);
        let once = keys().rotated([8; 32]).unwrap();
        assert_eq!(once.open_page(&text).unwrap(), token());
        assert!(matches!(once.rotated([9; 32]).unwrap().open_page(&text), Err(SealError::RetiredKey)));
    }

    #[test]
    fn digests_tell_the_borders_of_parts_apart() {
        assert_ne!(keys().digest(&[b"ab", b"c"]), keys().digest(&[b"a", b"bc"]));
        assert_ne!(keys().digest(&[b"a"]), Keys::generate([8; 32]).unwrap().digest(&[b"a"]));
    }

    proptest! {
        #[test]
        fn no_text_makes_opening_panic_or_succeed(text in "\\PC*") {
            prop_assert!(keys().open_page(&text).is_err());
            prop_assert!(keys().open_visit(&text).is_err());
        }

        #[test]
        fn no_altered_byte_goes_unnoticed(at in 0_usize..70, flip in 1_u8..) {
            let mut bytes = URL_SAFE_NO_PAD.decode(keys().seal_page(&token(), [3; 12])).unwrap();
            bytes[at] ^= flip;
            prop_assert!(keys().open_page(&URL_SAFE_NO_PAD.encode(bytes)).is_err());
        }
    }
}
