//! Signatures as RFC 9421 gives them, and what becomes of them when anything is changed.

use super::*;
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::prelude::BASE64_STANDARD;
use http::HeaderValue;

/// RFC 9421 appendix B.1.4.
const JWK: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"test-key-ed25519","x":"JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs"}"#;
const SECRET: &str = "n4Ni-HpISpVObnQMW0wOhCKROaIKqKtW_2ZYb2p9KcU";
const NOW: UnixMillis = UnixMillis(1_750_000_000_000);

fn signers() -> Signers {
    let mut signers = Signers::default();
    signers.add("keys.json", format!("{{\"keys\": [{JWK}, {{\"kty\": \"RSA\", \"n\": \"x\"}}]}}").as_bytes()).unwrap();
    signers.serve("shop.example");
    signers
}

fn message(headers: &HeaderMap) -> Message<'_> {
    Message { method: "GET", scheme: "https", authority: "Shop.example:443", path: "/p", query: Some("fbclid=x"), headers }
}

/// A request signed over these components with these parameters.
fn signed(components: &str, params: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(AGENT, HeaderValue::from_static("agent2=\"https://agent.example\""));
    let input = format!("sig2=({components});{params}");
    headers.insert(INPUT, HeaderValue::from_str(&input).unwrap());
    let parsed: Dictionary = Parser::new(&input).parse().unwrap();
    let ListEntry::InnerList(list) = parsed.into_iter().next().unwrap().1 else { unreachable!() };
    let base = base(&message(&headers), &list).unwrap();
    let pair = Ed25519KeyPair::from_seed_unchecked(&BASE64_URL_SAFE_NO_PAD.decode(SECRET).unwrap()).unwrap();
    let signature = format!("sig2=:{}:", BASE64_STANDARD.encode(pair.sign(base.as_bytes())));
    headers.insert(SIGNATURE, HeaderValue::from_str(&signature).unwrap());
    headers
}

const COVERED: &str = "\"@authority\" \"signature-agent\";key=\"agent2\"";

fn params(created: u64, expires: u64, rest: &str) -> String {
    format!(
        "created={created};expires={expires};keyid=\"poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U\";tag=\"web-bot-auth\"{rest}"
    )
}

fn check(headers: &HeaderMap) -> Signed {
    signers().check(&message(headers), NOW)
}

#[test]
fn the_signature_of_the_rfc_is_one_over_our_base() {
    // Appendix B.2.6.
    let mut headers = HeaderMap::new();
    for (name, value) in
        [("date", "Tue, 20 Apr 2021 02:07:55 GMT"), ("content-type", "application/json"), ("content-length", "18")]
    {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let message = Message {
        method: "POST",
        scheme: "https",
        authority: "example.com",
        path: "/foo",
        query: Some("param=Value&Pet=dog"),
        headers: &headers,
    };
    let input = "s=(\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" \"content-length\");created=1618884473;keyid=\"test-key-ed25519\"";
    let parsed: Dictionary = Parser::new(input).parse().unwrap();
    let ListEntry::InnerList(list) = parsed.into_iter().next().unwrap().1 else { unreachable!() };
    let base = base(&message, &list).unwrap();
    let signature = "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==";
    let signature = BASE64_STANDARD.decode(signature).unwrap();
    let key = &signers().keys["test-key-ed25519"];
    assert!(UnparsedPublicKey::new(&ED25519, key).verify(base.as_bytes(), &signature).is_ok(), "{base}");
}

#[test]
fn a_signature_by_a_listed_key_over_host_and_directory_is_verified() {
    assert_eq!(check(&signed(COVERED, &params(1_749_999_990, 1_750_000_060, ""))), Signed::Verified);
    let more = format!("\"@method\" \"@target-uri\" \"@path\" \"@query\" \"@scheme\" \"@request-target\" {COVERED}");
    assert_eq!(check(&signed(&more, &params(1_749_999_990, 1_750_000_060, ";alg=\"ed25519\";nonce=\"n\""))), Signed::Verified);
}

#[test]
fn a_request_without_a_signature_of_the_tag_has_none() {
    assert_eq!(check(&HeaderMap::new()), Signed::Absent);
    let mut headers = HeaderMap::new();
    headers.insert(INPUT, HeaderValue::from_static("sig1=(\"@authority\");created=1;keyid=\"x\""));
    assert_eq!(check(&headers), Signed::Absent);
}

#[test]
fn a_signature_by_an_unknown_key_or_over_what_is_not_understood_is_unverified() {
    let good = signed(COVERED, &params(1_749_999_990, 1_750_000_060, ""));
    assert_eq!(Signers::default().check(&message(&good), NOW), Signed::Unverified);
    let mut other = good.clone();
    let input = good[INPUT].to_str().unwrap();
    other.insert(INPUT, HeaderValue::from_str(&input.replace("\"@authority\"", "\"@authority\" \"@status\"")).unwrap());
    assert_eq!(check(&other), Signed::Unverified);
    other.insert(INPUT, HeaderValue::from_str(&format!("{input};alg=\"rsa-pss-sha512\"")).unwrap());
    assert_eq!(check(&other), Signed::Unverified);
}

#[test]
fn a_signature_for_a_host_that_is_not_ours_is_unverified_whatever_the_request_says_its_host_is() {
    let good = signed(COVERED, &params(1_749_999_990, 1_750_000_060, ""));
    assert_eq!(check(&good), Signed::Verified);
    let mut elsewhere = Signers::default();
    elsewhere.add("keys.json", JWK.as_bytes()).unwrap();
    assert_eq!(elsewhere.check(&message(&good), NOW), Signed::Unverified);
    elsewhere.serve("other.example");
    assert_eq!(elsewhere.check(&message(&good), NOW), Signed::Unverified);
}

#[test]
fn a_signature_for_another_host_time_or_text_is_invalid() {
    let good = signed(COVERED, &params(1_749_999_990, 1_750_000_060, ""));
    let elsewhere = Message { authority: "other.example", ..message(&good) };
    let mut both = signers();
    both.serve("other.example");
    assert_eq!(both.check(&elsewhere, NOW), Signed::Invalid);
    for (created, expires) in [(1_749_999_000, 1_750_000_000), (1_750_000_100, 1_750_000_200), (1_749_999_990, 1_750_099_990)] {
        assert_eq!(check(&signed(COVERED, &params(created, expires, ""))), Signed::Invalid, "{created} {expires}");
    }
    let uncovered = signed("\"@method\" \"signature-agent\";key=\"agent2\"", &params(1_749_999_990, 1_750_000_060, ""));
    assert_eq!(check(&uncovered), Signed::Invalid);
    let agent_uncovered = signed("\"@authority\"", &params(1_749_999_990, 1_750_000_060, ""));
    assert_eq!(check(&agent_uncovered), Signed::Invalid);
    let mut changed = good.clone();
    changed.insert(AGENT, HeaderValue::from_static("agent2=\"https://other.example\""));
    assert_eq!(check(&changed), Signed::Invalid);
    let mut stripped = good.clone();
    stripped.remove(SIGNATURE);
    assert_eq!(check(&stripped), Signed::Invalid);
    let mut broken = good;
    broken.insert(INPUT, HeaderValue::from_static("sig2=(((;tag=\"web-bot-auth\""));
    assert_eq!(check(&broken), Signed::Invalid);
}

#[test]
fn directories_without_a_usable_key_are_refused() {
    for (text, says) in [
        ("<html>", "not a directory of keys"),
        ("{\"keys\": []}", "no Ed25519 key"),
        ("{\"keys\": [{\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"x\": \"AAAA\"}]}", "not 32 bytes"),
    ] {
        let fault = Signers::default().add("keys.json", text.as_bytes()).unwrap_err().to_string();
        assert!(fault.contains(says) && fault.contains("keys.json"), "{fault}");
    }
    assert!(Signers::default().add("key.json", JWK.as_bytes()).is_ok());
}

#[test]
fn hostile_fields_are_bounded() {
    let mut headers = HeaderMap::new();
    let many = "\"@path\" ".repeat(300);
    let input = format!("s=({}\"@authority\");{}", many.trim_end().to_owned() + " ", params(1_749_999_990, 1_750_000_060, ""));
    headers.insert(INPUT, HeaderValue::from_str(&input).unwrap());
    headers.insert(SIGNATURE, HeaderValue::from_static("s=:AAAA:"));
    assert_eq!(check(&headers), Signed::Unverified);
    headers.insert(INPUT, HeaderValue::from_str(&format!("{input};x=\"{}\"", "a".repeat(LONGEST))).unwrap());
    assert_eq!(check(&headers), Signed::Absent);
}
