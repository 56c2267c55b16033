//! `clicksieve classify` and `normalise` as programs in a pipe.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use serde_json::Value;
use serde_json::json;

fn program(arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_clicksieve"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What comes out for these lines, the exit code, and what is said beside it.
fn run(arguments: &[&str], lines: &[Value]) -> (Vec<Value>, i32, String) {
    let mut child = program(arguments);
    let mut input = child.stdin.take().unwrap();
    for line in lines {
        // A command that refuses its arguments does not read.
        let _ = writeln!(input, "{line}");
    }
    drop(input);
    let done = child.wait_with_output().unwrap();
    let out = done.stdout.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    (out, done.status.code().unwrap(), String::from_utf8(done.stderr).unwrap())
}

#[test]
fn an_address_and_an_agent_are_classified_and_the_rest_of_the_line_is_kept() {
    let facebook = "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)";
    let in_app = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 \
                  [FBAN/FBIOS;FBAV/470.0.0.40.109;FBDV/iPhone14,5]";
    let (lines, code, said) = run(
        &["classify"],
        &[
            json!({ "ip": "66.220.149.5", "ua": facebook, "line": { "of": "a log" } }),
            json!({ "ip": "172.58.10.9", "ua": in_app }),
            json!({ "ua": "curl/8.5.0", "network": "is replaced" }),
        ],
    );
    assert_eq!((code, said.as_str()), (0, ""));
    assert_eq!(
        lines[0],
        json!({
            "ip": "66.220.149.5", "ua": facebook, "line": { "of": "a log" },
            "network": { "kind": "crawler", "asn": 32934, "country": "US", "lists": ["facebook"] },
            "agent": { "kind": "crawler", "family": "facebookexternalhit", "major": 1, "os": null, "robot": "facebookexternalhit", "in_app": null },
        })
    );
    assert_eq!(lines[1]["network"]["kind"], "mobile_carrier");
    assert_eq!((&lines[1]["agent"]["kind"], &lines[1]["agent"]["in_app"]), (&json!("in_app"), &json!("facebook")));
    assert_eq!(lines[2]["network"], json!({ "kind": "unknown", "asn": null, "country": null, "lists": [] }));
    assert_eq!(lines[2]["agent"]["kind"], "library");
}

#[test]
fn a_line_that_cannot_be_read_says_why_and_the_exit_code_tells() {
    let (lines, code, said) = run(&["classify"], &[json!({ "ip": "1.2.3", "ua": "curl/8.5.0" }), json!([1]), json!({ "ip": 7 })]);
    let errors: Vec<&str> = lines.iter().map(|line| line["error"].as_str().unwrap()).collect();
    assert_eq!(errors, ["line 1: `ip` is not an address", "line 2: not a JSON object", "line 3: `ip` is not a text"]);
    assert_eq!(lines[0]["agent"]["kind"], "library");
    assert_eq!((code, said.as_str()), (1, "3 of 3 lines carry an `error`\n"));
}

#[test]
fn a_line_comes_out_before_the_next_one_goes_in() {
    let mut child = program(&["classify"]);
    let mut input = child.stdin.take().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    for agent in ["curl/8.5.0", "Wget/1.21"] {
        writeln!(input, "{}", json!({ "ua": agent })).unwrap();
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert!(line.contains(agent), "{line}");
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_data_folder_replaces_lists_and_its_faults_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    std::fs::create_dir(folder.path().join("tor")).unwrap();
    std::fs::write(folder.path().join("tor/exits-ipv4.txt"), "192.0.43.8\n").unwrap();
    let (lines, code, _) = run(&["classify", "--data", path], &[json!({ "ip": "192.0.43.8" })]);
    assert_eq!((code, &lines[0]["network"]["kind"]), (0, &json!("tor")));

    std::fs::write(folder.path().join("tor/exits-ipv4.txt"), "<!doctype html>\n<title>404</title>\n").unwrap();
    let (lines, code, said) = run(&["classify", "--data", path], &[json!({})]);
    assert_eq!((lines.len(), code), (0, 1));
    assert!(said.contains("tor/exits-ipv4.txt") && said.contains("hint:"), "{said}");
}

#[test]
fn personal_data_shows_what_it_becomes_or_why_it_is_not_used() {
    let (lines, code, said) = run(
        &["normalise", "--country-code", "49"],
        &[
            json!({ "field": "ph", "input": "030 1234567" }),
            json!({ "field": "em", "input": "nobody", "customer": 7 }),
            json!({ "field": "ge", "input": null }),
            json!({ "field": "fbp", "input": "fb.1.1774000000123.1234567890" }),
        ],
    );
    assert_eq!(lines[0]["normalized"], "49301234567");
    assert_eq!(lines[0]["output"].as_str().unwrap().len(), 64);
    assert_eq!(
        lines[1],
        json!({ "field": "em", "input": "nobody", "customer": 7, "error": "line 2: not usable as a value of this key" })
    );
    assert_eq!(lines[2], json!({ "field": "ge", "input": null, "normalized": null, "output": null }));
    assert_eq!(lines[3]["output"], "fb.1.1774000000123.1234567890");
    assert_eq!((code, said.as_str()), (1, "1 of 4 lines carry an `error`\n"));
}

#[test]
fn a_wrong_call_is_told_and_nothing_is_read() {
    let (lines, code, said) = run(&["normalise", "--country-code", "+49"], &[json!({})]);
    assert_eq!((lines.len(), code), (0, 2));
    assert!(said.contains("--country-code"), "{said}");
    let (lines, code, said) = run(&["classify", "/no/such/file"], &[]);
    assert_eq!((lines.len(), code), (0, 2));
    assert!(said.contains("/no/such/file: cannot be read"), "{said}");
}

#[test]
fn the_examples_of_the_documentation_say_what_comes_out() {
    for (page, command) in
        [(include_str!("../../docs/facts.md"), "classify"), (include_str!("../../docs/normalisation.md"), "normalise")]
    {
        let (_, example) = page.split_once("```console\n$ echo '").unwrap();
        let (line, rest) = example.split_once(&format!("' | clicksieve {command}\n")).unwrap();
        let (expected, _) = rest.split_once("\n```").unwrap();
        let (lines, code, said) = run(&[command], &[serde_json::from_str(line).unwrap()]);
        assert_eq!((code, said.as_str()), (0, ""), "{command}");
        assert_eq!(lines, [serde_json::from_str::<Value>(expected).unwrap()], "{command}");
    }
}
