//! slowhttptest: 500 connections that send or read as slowly as they can. The service stays there for everybody else, in
//! bounded memory.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use crate::judges::Judged;
use crate::judges::run;
use crate::usage;

/// What 500 slow connections may take: 250 KiB each, as a slow reader holds, and as much again for the peak of a handshake.
const MEMORY: u64 = 250 << 20;

/// Lets it attack for so long in one mode, while somebody else asks and asks.
fn endures(mode: &str, path: &str, options: &[&str]) {
    let judged = Judged::start();
    let before = usage::resident(&judged.process);
    let ended = Arc::new(AtomicBool::new(false));
    let asking = {
        let (ended, url, folder) = (Arc::clone(&ended), judged.url("/"), judged.folder.path().to_owned());
        std::thread::spawn(move || {
            let mut asked = 0;
            while !ended.load(Ordering::SeqCst) {
                // A connection each, as a new visitor would come.
                let mut curl = Command::new("curl");
                curl.args(["-s", "-m", "20", "-o", "/dev/null", "-w", "%{http_code}", "--connect-to"]);
                let authority = url.trim_start_matches("https://").trim_end_matches('/');
                curl.arg(format!("shop.example:443:{authority}")).arg("--cacert").arg(folder.join("ca.pem"));
                let answer = run(curl.arg("https://shop.example/"));
                assert_eq!(String::from_utf8_lossy(&answer.stdout), "200", "request {asked}: {answer:?}");
                asked += 1;
            }
            asked
        })
    };
    let mut attack = Command::new("slowhttptest");
    attack.args([mode, "-c", "500", "-r", "200", "-l", "15", "-p", "15"]).args(options).arg("-u").arg(judged.url(path));
    let output = run(&mut attack);
    ended.store(true, Ordering::SeqCst);
    let asked = asking.join().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("service available:"), "{said}");
    let available = said.split("service available:").skip(1).all(|rest| rest.lines().next().unwrap().contains("YES"));
    assert!(available, "{said}");
    let grown = usage::peak(&judged.process).saturating_sub(before);
    println!("slowhttptest {mode}: {asked} requests of others answered, memory grew by {} KiB", grown >> 10);
    assert!(asked > 0);
    assert!(grown < MEMORY, "memory grew by {} MiB", grown >> 20);
    assert!(judged.is_ready());
}

#[test]
fn heads_that_never_end_hinder_nobody() {
    endures("-H", "/", &["-i", "3"]);
}

#[test]
fn bodies_that_never_end_hinder_nobody() {
    endures("-B", "/", &["-i", "3", "-s", "65536"]);
}

#[test]
fn ranges_without_number_hinder_nobody() {
    endures("-R", "/large", &["-a", "1", "-b", "3000"]);
}

#[test]
fn readers_that_hardly_read_hinder_nobody() {
    endures("-X", "/large", &["-w", "64", "-y", "512", "-n", "3", "-z", "16", "-k", "3"]);
}
