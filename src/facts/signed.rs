//! Signatures of automated clients: HTTP Message Signatures (RFC 9421) with the tag `web-bot-auth` by Ed25519 keys that the
//! operator lists. Promises: bounded work, at most one signature checked for a request, and only by a key that is listed and for a
//! host that is ours.
//! Must not know what a signature is worth. A signature holds until it expires, so that it may be replayed to the same host
//! until then; nonces are not remembered.

use std::borrow::Cow;
use std::time::Duration;

use aws_lc_rs::signature::ED25519;
use aws_lc_rs::signature::UnparsedPublicKey;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::HeaderName;
use rustc_hash::FxHashMap;
use serde::Deserialize;
use sfv::BareItem;
use sfv::Dictionary;
use sfv::InnerList;
use sfv::Item;
use sfv::ItemSerializer;
use sfv::KeyRef;
use sfv::ListEntry;
use sfv::ListSerializer;
use sfv::Parameters;
use sfv::Parser;
use sfv::StringRef;
use sha2::Digest;
use sha2::Sha256;

use crate::clock::UnixMillis;
use crate::fact::Signed;
use crate::fault::Fault;
use crate::hosts::Hosts;

/// Bytes of the fields that are read; real ones have some 300.
const LONGEST: usize = 4_096;
/// Components that a signature may cover.
const MOST: usize = 16;
/// How far the clocks may lie apart.
const SKEW: Duration = Duration::from_mins(1);
/// How long a signature may hold (draft-meunier-web-bot-auth-architecture: no more than a day).
const LONGEST_LIFE: Duration = Duration::from_hours(24);
const TAG: &str = "web-bot-auth";
const INPUT: HeaderName = HeaderName::from_static("signature-input");
const SIGNATURE: HeaderName = HeaderName::from_static("signature");
const AGENT: HeaderName = HeaderName::from_static("signature-agent");

/// The keys of automated clients that are known here.
#[derive(Clone, Debug, Default)]
pub struct Signers {
    keys: FxHashMap<String, Vec<u8>>,
    hosts: Hosts<()>,
}

/// What of a request can be signed.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The method.
    pub method: &'a str,
    /// `http` or `https`, as the visitor asked.
    pub scheme: &'a str,
    /// The host as asked for, with its port.
    pub authority: &'a str,
    /// The path.
    pub path: &'a str,
    /// The query, without its question mark.
    pub query: Option<&'a str>,
    /// The fields.
    pub headers: &'a HeaderMap,
}

#[derive(Deserialize)]
struct Directory {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    #[serde(default)]
    kty: String,
    #[serde(default)]
    crv: String,
    #[serde(default)]
    x: String,
    #[serde(default)]
    kid: Option<String>,
}

impl Signers {
    /// Adds the Ed25519 keys of a directory (a JWK Set, RFC 7517), or of one JWK; keys of other kinds are passed over.
    ///
    /// # Errors
    /// The file is no directory, or holds no key that could be used.
    pub fn add(&mut self, name: &str, bytes: &[u8]) -> Result<(), Fault> {
        let hint = "a JWK Set such as `{\"keys\": [{\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"x\": \"…\"}]}`";
        let wrong = |what: String| Fault::of_file(name, what).hint(hint);
        let keys = serde_json::from_slice::<Directory>(bytes)
            .map(|directory| directory.keys)
            .or_else(|_| serde_json::from_slice::<Key>(bytes).map(|key| vec![key]))
            .map_err(|error| wrong(format!("not a directory of keys: {error}")))?;
        let before = self.keys.len();
        for key in keys.into_iter().filter(|key| key.kty == "OKP" && key.crv == "Ed25519") {
            let bytes = BASE64_URL_SAFE_NO_PAD.decode(&key.x).ok().filter(|bytes| bytes.len() == 32);
            let bytes = bytes.ok_or_else(|| wrong(format!("`x`: `{}` is not 32 bytes in base64url", key.x)))?;
            self.keys.insert(thumbprint(&key.x), bytes.clone());
            self.keys.extend(key.kid.map(|kid| (kid, bytes)));
        }
        if self.keys.len() == before { Err(wrong("there is no Ed25519 key in it".to_owned())) } else { Ok(()) }
    }

    /// Takes signatures that are made for a host, in the form of [`crate::hosts::pattern`]. What a request says to be its host, it says
    /// itself: without this, one that was signed for anybody's host would be verified here, with that name as its `Host`.
    pub fn serve(&mut self, host: &str) {
        self.hosts.insert(host, ());
    }

    /// How a request's signature stands.
    pub fn check(&self, message: &Message<'_>, now: UnixMillis) -> Signed {
        let Some(inputs) = field(message.headers, &INPUT) else { return Signed::Absent };
        if !inputs.contains(TAG) {
            return Signed::Absent;
        }
        let Some((label, input)) = tagged(&inputs) else { return Signed::Invalid };
        let text = |name: &str| parameter(&input.params, name).and_then(BareItem::as_string).map(StringRef::as_str);
        let Some(key) = text("keyid").and_then(|id| self.keys.get(id)) else { return Signed::Unverified };
        let is_other = parameter(&input.params, "alg").is_some() && text("alg") != Some("ed25519");
        if is_other || self.hosts.find(message.authority).is_none() {
            return Signed::Unverified;
        }
        if !is_timely(&input.params, now) || !covers_enough(&input, message.headers) {
            return Signed::Invalid;
        }
        let Some(signature) = signature(message.headers, &label) else { return Signed::Invalid };
        let Some(base) = base(message, &input) else { return Signed::Unverified };
        match UnparsedPublicKey::new(&ED25519, key).verify(base.as_bytes(), &signature) {
            Ok(()) => Signed::Verified,
            Err(_) => Signed::Invalid,
        }
    }
}

/// The name of a key by its content (RFC 7638, RFC 8037 section 2).
fn thumbprint(x: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"{x}\"}}")))
}

/// A field's lines as one (RFC 9421 section 2.1).
fn field<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Cow<'a, str>> {
    let mut lines = headers.get_all(name).iter().map(|line| line.to_str().ok().map(str::trim));
    let first = lines.next()??;
    let mut all = Cow::Borrowed(first);
    for line in lines {
        let all = all.to_mut();
        all.push_str(", ");
        all.push_str(line?);
    }
    (all.len() <= LONGEST).then_some(all)
}

fn parameter<'a>(params: &'a Parameters, name: &str) -> Option<&'a BareItem> {
    KeyRef::from_str(name).ok().and_then(|name| params.get(name))
}

/// The first signature of our tag: its label, what it covers, and its parameters.
fn tagged(inputs: &str) -> Option<(String, InnerList)> {
    let inputs: Dictionary = Parser::new(inputs).parse().ok()?;
    inputs.into_iter().find_map(|(label, entry)| match entry {
        ListEntry::InnerList(input) => {
            let tag = parameter(&input.params, "tag").and_then(BareItem::as_string).is_some_and(|tag| tag.as_str() == TAG);
            tag.then(|| (label.as_str().to_owned(), input))
        }
        ListEntry::Item(_) => None,
    })
}

fn signature(headers: &HeaderMap, label: &str) -> Option<Vec<u8>> {
    let signatures: Dictionary = Parser::new(&*field(headers, &SIGNATURE)?).parse().ok()?;
    match signatures.get(KeyRef::from_str(label).ok()?)? {
        ListEntry::Item(item) => item.bare_item.as_byte_sequence().map(<[u8]>::to_vec),
        ListEntry::InnerList(_) => None,
    }
}

fn is_timely(params: &Parameters, now: UnixMillis) -> bool {
    let time = |name: &str| {
        let seconds = parameter(params, name).and_then(BareItem::as_integer)?;
        u64::try_from(i64::from(seconds)).ok()
    };
    let (Some(created), Some(expires)) = (time("created"), time("expires")) else { return false };
    let now = now.seconds();
    created <= now.saturating_add(SKEW.as_secs()) && now < expires && expires.saturating_sub(created) <= LONGEST_LIFE.as_secs()
}

/// The host must be signed, or the request could be replayed to another; so must the directory's name where one is given.
fn covers_enough(input: &InnerList, headers: &HeaderMap) -> bool {
    let covers = |name: &str| {
        input.items.iter().any(|item| item.bare_item.as_string().is_some_and(|component| component.as_str() == name))
    };
    let host = covers("@authority") || covers("@target-uri");
    host && (covers("signature-agent") || !headers.contains_key(AGENT))
}

/// What was signed (RFC 9421 section 2.5); `None` where it covers something that is not understood here or not there.
fn base(message: &Message<'_>, input: &InnerList) -> Option<String> {
    if input.items.len() > MOST {
        return None;
    }
    let mut base = String::with_capacity(512);
    for item in &input.items {
        let component = ItemSerializer::new().bare_item(&item.bare_item).parameters(&item.params).finish();
        let value = value(message, item)?;
        base.push_str(&component);
        base.push_str(": ");
        base.push_str(&value);
        base.push('\n');
    }
    let mut params = ListSerializer::new();
    params.members([&ListEntry::InnerList(input.clone())]);
    base.push_str("\"@signature-params\": ");
    base.push_str(&params.finish()?);
    Some(base)
}

fn value<'a>(message: &Message<'a>, item: &Item) -> Option<Cow<'a, str>> {
    let name = item.bare_item.as_string()?.as_str();
    if let Some(key) = parameter(&item.params, "key") {
        let member = (item.params.len() == 1 && !name.starts_with('@')).then(|| key.as_string())??;
        return member_of(message.headers, name, member.as_str()).map(Cow::Owned);
    }
    if !item.params.is_empty() {
        return None;
    }
    let path = if message.path.is_empty() { "/" } else { message.path };
    let query = message.query.map_or_else(String::new, |query| format!("?{query}"));
    let derived = match name {
        "@method" => Cow::Borrowed(message.method),
        "@scheme" => Cow::Borrowed(message.scheme),
        "@path" => Cow::Borrowed(path),
        "@authority" => Cow::Owned(authority(message)),
        // Section 2.2.7: an absent query is signed as a lone question mark.
        "@query" => Cow::Owned(if query.is_empty() { "?".to_owned() } else { query }),
        "@request-target" => Cow::Owned(format!("{path}{query}")),
        "@target-uri" => Cow::Owned(format!("{}://{}{path}{query}", message.scheme, authority(message))),
        _ if name.starts_with('@') => return None,
        _ => return field(message.headers, &HeaderName::from_bytes(name.as_bytes()).ok()?),
    };
    Some(derived)
}

/// One member of a field that is a dictionary (section 2.1.2), as `"signature-agent";key="sig1"`.
fn member_of(headers: &HeaderMap, name: &str, member: &str) -> Option<String> {
    let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
    let members: Dictionary = Parser::new(&*field(headers, &name)?).parse().ok()?;
    match members.get(KeyRef::from_str(member).ok()?)? {
        ListEntry::Item(item) => Some(ItemSerializer::new().bare_item(&item.bare_item).parameters(&item.params).finish()),
        ListEntry::InnerList(_) => None,
    }
}

/// The host in small letters, without the port that is its scheme's own (section 2.2.3).
fn authority(message: &Message<'_>) -> String {
    let host = message.authority.to_ascii_lowercase();
    let own = if message.scheme == "https" { ":443" } else { ":80" };
    host.strip_suffix(own).map(str::to_owned).unwrap_or(host)
}

#[cfg(test)]
mod tests;
