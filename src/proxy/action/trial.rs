//! A challenge: puts a puzzle before a visitor, judges what comes back, keeps the request as it was. Puzzle and pass are sealed
//! and travel with the visitor; kept here is only from where they were shown.
//! Promises: nobody is challenged for ever, and never led to another host. Must not know rules or records.

use std::net::IpAddr;
use std::time::Duration;

use http::HeaderMap;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header;
use http::request::Parts;
use sha2::Digest;
use sha2::Sha256;

use crate::click::Scheme;
use crate::clock::UnixMillis;
use crate::cookie;
use crate::proxy::action::is_shared;
use crate::proxy::action::page;
use crate::proxy::action::page::Given;
use crate::proxy::action::passes::Of;
use crate::proxy::action::passes::Passes;
use crate::proxy::action::words;
use crate::proxy::body::ProxyBody;
use crate::proxy::shop::Asked;
use crate::proxy::shop::Shop;
use crate::seal::Keys;
use crate::seal::Pass;
use crate::seal::Puzzle;
use crate::verdict::Challenge;
use crate::verdict::Trial;

/// The cookie of a pass.
const PASS: &str = "_cs_p";
/// The cookie of a puzzle and its answer; the page's script sets it under the same name.
const ANSWER: &str = "_cs_a";
/// What marks the address of a visitor without scripts who comes back, and counts.
const MARK: &str = "_cs_n=";
/// How long a puzzle can be solved.
const PATIENCE: Duration = Duration::from_mins(10);
/// How long its cookie lives; it is solved and sent back at once.
const ANSWER_SECONDS: u32 = 120;
/// Challenges that a visitor gets in a row.
const MOST: u8 = 3;
/// The end of a sealed puzzle, its tag: what the visitor works on. `challenge.js` has it, too.
const TAIL: usize = 24;

/// What is done with a challenged request.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It goes on, and these cookies with its answer.
    Passed(Vec<HeaderValue>),
    /// It has passed, and its address is cleaned.
    Led(Response<ProxyBody>),
    /// It gets a puzzle, and has failed one before, or not.
    Given(Response<ProxyBody>, bool),
    /// It had its puzzles.
    GaveUp(Response<ProxyBody>),
}

/// One look at a request that is to be challenged.
pub(super) struct Look<'a> {
    keys: &'a Keys,
    passes: &'a Passes,
    scheme: Scheme,
    now: UnixMillis,
    wanted: Challenge,
    client: u64,
    /// Its address, and whether many share it.
    place: Option<(IpAddr, bool)>,
}

/// Whether a visitor has passed a challenge, of whichever kind.
pub(super) fn has_passed(shop: &Shop, asked: Asked<'_>, headers: &HeaderMap) -> bool {
    let wanted = Challenge { trial: Trial::Refresh, bits: 0, pass: Duration::ZERO };
    // Most visitors never met one, and the digest is dear.
    if cookie::find(headers, PASS).is_none() && cookie::find(headers, ANSWER).is_none() {
        return false;
    }
    let look = Look::of(shop, asked, headers, wanted);
    look.has_pass(headers) || look.answered(headers).is_some_and(|(_, solved)| solved)
}

impl<'a> Look<'a> {
    /// What is known of the request.
    pub(super) fn of(shop: &'a Shop, asked: Asked<'_>, headers: &HeaderMap, mut wanted: Challenge) -> Self {
        // `crypto.subtle` is there in secure contexts only (Web Cryptography API): by TLS, or on the own machine.
        if wanted.trial == Trial::Pow && asked.scheme == Scheme::Http && !is_local(headers) {
            wanted.trial = Trial::Js;
        }
        let (keys, passes, now) = (&*shop.keys, shop.actions.passes(), shop.now());
        let place = asked.address.map(|address| (address, is_shared(shop, address)));
        Self { keys, passes, scheme: asked.scheme, now, wanted, client: client(keys, asked, headers), place }
    }

    /// What is asked, as far as it can be asked there.
    pub(super) fn trial(&self) -> Trial {
        self.wanted.trial
    }

    /// Judges what came; a request that goes on gets its referrer back.
    pub(super) fn judge(&self, head: &mut Parts) -> Outcome {
        let asked_for = head.uri.path_and_query().map_or("/", |target| target.as_str());
        let (bare, marks) = unmarked(asked_for);
        let bare = own(bare);
        let target = self.keys.digest(&[b"target", bare.as_bytes()]);
        let answered = self.answered(&head.headers);
        let solved = answered.as_ref().filter(|(_, solved)| *solved).map(|(puzzle, _)| puzzle);
        let has_pass = self.has_pass(&head.headers);
        if !has_pass && solved.is_none() {
            return self.put(head, &bare, target, marks, answered.map(|(puzzle, _)| puzzle));
        }
        let mut set = Vec::with_capacity(2);
        if let Some(puzzle) = solved.filter(|_| !has_pass) {
            set.extend(self.pass(puzzle));
        }
        if marks > 0 {
            return Outcome::Led(led(&bare, set));
        }
        if let Some((puzzle, _)) = answered {
            set.extend(self.cookie(ANSWER, "", 0));
            if puzzle.target == target && puzzle.client == self.client {
                restore(&mut head.headers, &puzzle.referer);
            }
        }
        Outcome::Passed(set)
    }

    fn has_pass(&self, headers: &HeaderMap) -> bool {
        let pass = cookie::find(headers, PASS).and_then(|text| self.keys.open_pass(text).ok());
        let fits = |pass: &Pass| pass.client == self.client && pass.until > self.now && pass.trial >= self.wanted.trial;
        pass.filter(fits).is_some_and(|pass| self.serves_here(pass.until))
    }

    /// Whether the pass that ends then, or the answer that earns it, was not shown from too many places yet.
    fn serves_here(&self, until: UnixMillis) -> bool {
        let of = Of { client: self.client, until };
        self.place.is_none_or(|(address, shared)| self.passes.serve(of, address, shared, self.now))
    }

    /// The puzzle that came back, and whether it is one that serves here and is solved.
    fn answered(&self, headers: &HeaderMap) -> Option<(Puzzle, bool)> {
        let (sealed, answer) = cookie::find(headers, ANSWER)?.rsplit_once('.')?;
        let puzzle = self.keys.open_puzzle(sealed).ok()?;
        if self.now.since(puzzle.issued) > PATIENCE {
            return None;
        }
        let hard = puzzle.trial > self.wanted.trial || (puzzle.trial == self.wanted.trial && puzzle.bits >= self.wanted.bits);
        let solved = hard && puzzle.client == self.client && is_solved(&puzzle, sealed, answer);
        let solved = solved && self.serves_here(until(&puzzle));
        Some((puzzle, solved))
    }

    fn put(&self, head: &Parts, bare: &str, target: u64, marks: u8, failed: Option<Puzzle>) -> Outcome {
        let words = words::of(&head.headers);
        let failures = failed.map_or(0, |puzzle| puzzle.failures.saturating_add(1)).max(marks);
        if failures >= MOST {
            let mut answer = page::cookies(words, bare).answer();
            // Who allows cookies now begins anew.
            answer.headers_mut().extend(self.cookie(ANSWER, "", 0).map(|cookie| (header::SET_COOKIE, cookie)));
            return Outcome::GaveUp(answer);
        }
        let referer = head.headers.get(header::REFERER).map(|referer| referer.as_bytes().to_vec()).unwrap_or_default();
        let Challenge { trial, bits, pass } = self.wanted;
        let pass_seconds = u32::try_from(pass.as_secs()).unwrap_or(u32::MAX);
        let puzzle = Puzzle { issued: self.now, trial, bits, failures, pass_seconds, client: self.client, target, referer };
        let sealed = self.keys.seal_puzzle(&puzzle, rand::random());
        let marked = format!("{bare}{}{MARK}{}", if bare.contains('?') { '&' } else { '?' }, failures.saturating_add(1));
        let mut answer = page::challenge(words, Given { sealed: &sealed, trial, bits, marked: &marked }).answer();
        if trial == Trial::Refresh {
            let cookie = self.cookie(ANSWER, &format!("{sealed}.r"), ANSWER_SECONDS);
            answer.headers_mut().extend(cookie.map(|cookie| (header::SET_COOKIE, cookie)));
        }
        Outcome::Given(answer, failures > 0)
    }

    /// The pass that a solved puzzle earns: counted from the puzzle, so that an answer sent twice earns no more time.
    fn pass(&self, puzzle: &Puzzle) -> Option<HeaderValue> {
        let pass = Pass { until: until(puzzle), trial: puzzle.trial, client: self.client };
        let sealed = self.keys.seal_pass(&pass, rand::random());
        self.cookie(PASS, &sealed, puzzle.pass_seconds)
    }

    /// A cookie of this host alone.
    fn cookie(&self, name: &str, value: &str, seconds: u32) -> Option<HeaderValue> {
        let secure = if self.scheme == Scheme::Https { "; Secure" } else { "" };
        // The page's script looks whether the browser took the answer's.
        let hidden = if name == PASS { "; HttpOnly" } else { "" };
        HeaderValue::from_str(&format!("{name}={value}; Max-Age={seconds}; Path=/; SameSite=Lax{secure}{hidden}")).ok()
    }
}

/// A coarse key of the client: its agent, what of its handshake lasts, and the host. Not its address, which changes between
/// IPv4 and IPv6 and between networks in the middle of a visit.
fn client(keys: &Keys, asked: Asked<'_>, headers: &HeaderMap) -> u64 {
    let field = |name: &header::HeaderName| headers.get(name).map(HeaderValue::as_bytes).unwrap_or_default();
    let tls = asked.connection.tls();
    let lasting = tls.and_then(|tls| tls.ja4_stable.as_deref()).unwrap_or_default();
    keys.digest(&[b"challenged", field(&header::USER_AGENT), lasting.as_bytes(), field(&header::HOST)])
}

/// When the pass ends that a puzzle earns.
fn until(puzzle: &Puzzle) -> UnixMillis {
    puzzle.issued.plus(Duration::from_secs(u64::from(puzzle.pass_seconds)))
}

fn is_solved(puzzle: &Puzzle, sealed: &str, answer: &str) -> bool {
    let Some(tail) = sealed.len().checked_sub(TAIL).and_then(|at| sealed.get(at..)) else { return false };
    match puzzle.trial {
        Trial::Refresh => true,
        Trial::Js => answer.chars().rev().eq(tail.chars()),
        Trial::Pow => {
            let is_number = (1..=20).contains(&answer.len()) && answer.bytes().all(|byte| byte.is_ascii_digit());
            is_number && zeros(&Sha256::digest(format!("{tail}:{answer}"))) >= u32::from(puzzle.bits)
        }
    }
}

fn zeros(digest: &[u8]) -> u32 {
    let whole = digest.iter().take_while(|byte| **byte == 0).count();
    let part = digest.get(whole).map_or(0, |byte| byte.leading_zeros());
    u32::try_from(whole).unwrap_or(0) * 8 + part
}

/// An address without our mark, and what it counted.
fn unmarked(target: &str) -> (&str, u8) {
    let marked = target.rsplit_once(['?', '&']).and_then(|(bare, last)| Some((bare, last.strip_prefix(MARK)?)));
    match marked {
        Some((bare, count)) if count.len() == 1 => (bare, count.parse().unwrap_or(0)),
        _ => (target, 0),
    }
}

/// A path as a browser cannot take it for a host: `//name` and `/\name` name one (WHATWG URL, relative slash state).
pub(super) fn own(target: &str) -> String {
    let dot = if target.starts_with("//") || target.starts_with("/\\") { "/." } else { "" };
    let slash = if target.starts_with('/') { "" } else { "/" };
    format!("{dot}{slash}{target}")
}

fn led(to: &str, set: Vec<HeaderValue>) -> Response<ProxyBody> {
    let mut response = Response::new(ProxyBody::Empty);
    *response.status_mut() = StatusCode::FOUND;
    response.headers_mut().extend(HeaderValue::from_str(to).ok().map(|to| (header::LOCATION, to)));
    response.headers_mut().extend(set.into_iter().map(|cookie| (header::SET_COOKIE, cookie)));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    page::kept_by_nobody(&mut response);
    response
}

/// The referrer that the visitor came with; our own page is nobody's.
fn restore(headers: &mut HeaderMap, referer: &[u8]) {
    match HeaderValue::from_bytes(referer) {
        Ok(referer) if !referer.is_empty() => drop(headers.insert(header::REFERER, referer)),
        _ => drop(headers.remove(header::REFERER)),
    }
}

fn is_local(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost" || name.ends_with(".localhost") || name == "[::1]" || name.starts_with("127.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_taken_off_where_we_put_it() {
        assert_eq!(unmarked("/p?fbclid=x&_cs_n=2"), ("/p?fbclid=x", 2));
        assert_eq!(unmarked("/p?_cs_n=1"), ("/p", 1));
        for other in ["/p?_cs_n=", "/p?_cs_n=12", "/p?_cs_n=1&x=2", "/_cs_n=1", "/p?x_cs_n=1"] {
            assert_eq!(unmarked(other), (other, 0));
        }
        assert_eq!(unmarked("/p?_cs_n=x"), ("/p", 0));
    }

    #[test]
    fn no_path_leads_to_another_host() {
        assert_eq!(own("/p?x=//y"), "/p?x=//y");
        assert_eq!(own("//evil.example/p"), "/.//evil.example/p");
        assert_eq!(own("/\\evil.example"), "/./\\evil.example");
    }

    #[test]
    fn leading_zero_bits_are_counted_over_bytes() {
        assert_eq!((zeros(&[0, 0x1f]), zeros(&[0x80]), zeros(&[0, 0])), (11, 0, 16));
    }
}
