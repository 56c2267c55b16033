//! What connections of real clients show: each recorded `ClientHello` gives the recorded JA4, and each HTTP/2 opening, built
//! anew from what was recorded of it, the recorded fingerprint.

use clicksieve::server::shown::hello;
use clicksieve::server::shown::opening;
use serde_json::Value;

pub(crate) fn recorded() -> impl Iterator<Item = Value> {
    include_str!("../data/captures/openings.jsonl").lines().map(|line| serde_json::from_str(line).unwrap())
}

pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn every_recorded_hello_gives_the_recorded_fingerprint() {
    for client in recorded() {
        let hello = hello::read(&bytes(client["hello"].as_str().unwrap())).unwrap().unwrap();
        assert_eq!(client["ja4"], hello.ja4(), "{}", client["client"]);
        assert_eq!(client["ja4_r"], hello.ja4_raw(), "{}", client["client"]);
        assert_eq!(client["grease"], hello.grease, "{}", client["client"]);
        let first = client["alpn"][0].as_str().map(|name| name.as_bytes().to_vec());
        assert_eq!(first, hello.alpn, "{}", client["client"]);
    }
    assert_eq!(recorded().count(), 62);
}

fn number(value: &Value) -> u32 {
    value.as_u64().unwrap().try_into().unwrap()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A priority written `exclusive:dependency:weight`.
fn priority(text: &str) -> Vec<u8> {
    let numbers: Vec<u32> = text.split(':').map(|number| number.parse().unwrap()).collect();
    let [exclusive, dependency, weight] = numbers[..] else { panic!("{text}") };
    [(exclusive << 31 | dependency).to_be_bytes().to_vec(), vec![u8::try_from(weight - 1).unwrap()]].concat()
}

/// The opening of a client: its frames in their order, the first request with its pseudo-header fields and nothing else.
pub(crate) fn built(client: &Value, path: &str) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    for recorded in client["frames"].as_array().unwrap() {
        let (kind, flags, stream) = (number(&recorded["type"]), number(&recorded["flags"]), number(&recorded["stream"]));
        let flags = u8::try_from(flags).unwrap();
        let payload = match kind {
            4 if flags == 0 => client["settings"]
                .as_array()
                .unwrap()
                .iter()
                .flat_map(|pair| {
                    let identifier = u16::try_from(number(&pair[0])).unwrap();
                    [&identifier.to_be_bytes()[..], &number(&pair[1]).to_be_bytes()].concat()
                })
                .collect(),
            8 if stream == 0 => number(&client["window_update"]).to_be_bytes().to_vec(),
            1 => {
                let own = client["headers_priority"].as_str().map(priority).unwrap_or_default();
                let names = client["pseudo_order"].as_array().unwrap().iter();
                let fields = names.flat_map(|name| match name.as_str().unwrap() {
                    ":method" => vec![0x82],
                    ":path" => [&[0x44, u8::try_from(path.len()).unwrap()], path.as_bytes()].concat(),
                    ":authority" => vec![0x41, 1, b'a'],
                    ":scheme" => vec![0x87],
                    other => panic!("{other}"),
                });
                own.into_iter().chain(fields).collect()
            }
            _ => Vec::new(),
        };
        bytes.extend(frame(u8::try_from(kind).unwrap(), flags, stream, &payload));
    }
    bytes
}

#[test]
fn every_recorded_opening_gives_the_recorded_fingerprint() {
    let mut seen = 0;
    for client in recorded().filter(|client| client["h2"].is_object()) {
        let opening = opening::read(&built(&client["h2"], "/")).unwrap().unwrap();
        assert_eq!(client["h2"]["akamai"], opening.akamai(), "{}", client["client"]);
        seen += 1;
    }
    assert_eq!(seen, 42);
}
