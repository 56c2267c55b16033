//! testssl.sh on the shop's listener: protocols, ciphers, forward secrecy, what the server shows, and the known attacks.

use std::process::Command;

use serde_json::Value;

use crate::judges::Judged;
use crate::judges::run;

/// What it may say above `LOW`, and why.
const KNOWN: &[(&str, &str)] = &[
    ("engine_problem", "the OpenSSL of the machine that judges has no GOST engine"),
    ("sessionresumption_", "its check cannot read what OpenSSL 3 prints; that sessions are resumed is held by `tests/it/door`"),
    ("cert_", "the certificate is the test's own: signed by nobody known, revoked nowhere"),
    ("BREACH", "pages may be compressed by the shop; what it mixes with a secret is the shop's affair"),
    ("security_headers", "the shop's affair"),
];

#[test]
fn testssl_finds_nothing_above_low_but_the_certificate_of_the_test() {
    let judged = Judged::start();
    let report = judged.folder.path().join("findings.json");
    let mut command = Command::new("testssl");
    command.args(["--quiet", "--color", "0", "--warnings", "batch", "--nodns", "none", "--ip", "127.0.0.1"]);
    // Client simulations take as long as all the rest and find nothing of their own.
    command.args(["-p", "-s", "-f", "-P", "-S", "-U", "--jsonfile"]).arg(&report);
    let output = run(command.arg(format!("https://shop.example:{}", judged.process.shop.port())));
    let said = String::from_utf8_lossy(&output.stdout);
    let text = std::fs::read_to_string(&report).unwrap_or_else(|error| panic!("{error}: {said}"));
    let findings: Vec<Value> = serde_json::from_str(&text).unwrap();
    let found = |id: &str| findings.iter().find(|finding| finding["id"] == id).unwrap_or_else(|| panic!("no `{id}`: {said}"));
    // It has looked at all, and met what is offered.
    assert_eq!(found("TLS1_3")["severity"], "OK", "{said}");
    for old in ["SSLv2", "SSLv3", "TLS1", "TLS1_1"] {
        assert_eq!(found(old)["finding"], "not offered", "{said}");
    }
    for attack in ["heartbleed", "CCS", "ticketbleed", "ROBOT", "secure_renego", "POODLE_SSL", "SWEET32", "LUCKY13"] {
        assert_eq!(found(attack)["severity"], "OK", "{said}");
    }
    let bad = |finding: &&Value| !["OK", "INFO", "LOW"].contains(&finding["severity"].as_str().unwrap());
    let known = |finding: &Value| KNOWN.iter().any(|(id, _)| finding["id"].as_str().unwrap().starts_with(id));
    let unknown: Vec<&Value> = findings.iter().filter(bad).filter(|finding| !known(finding)).collect();
    assert!(unknown.is_empty(), "{unknown:#?}\n{said}");
    assert!(judged.is_ready());
}
