//! Sources that behave and sources that do not, over loopback; what is kept over a restart.

use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use super::*;
use crate::fact::NetworkKind;
use crate::facts::Role;
use crate::lists::Format;

/// A source that answers each request with the next of these bytes and closes; what was asked comes out.
fn scripted(answers: Vec<Vec<u8>>) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, requests) = std::sync::mpsc::sync_channel(8);
    std::thread::spawn(move || {
        for answer in answers {
            let Ok((mut stream, _)) = listener.accept() else { return };
            let mut request = Vec::new();
            let mut byte = [0_u8; 1];
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
                request.push(byte[0]);
            }
            let _ = asked.send(String::from_utf8_lossy(&request).to_ascii_lowercase());
            let _ = stream.write_all(&answer);
            // An answer of nothing at all is one that never comes: the other side gives up first.
            if answer.is_empty() {
                let _ = stream.read(&mut byte);
            }
        }
    });
    (format!("http://{address}/list.txt?key=secret"), requests)
}

fn ok(head: &str, body: &[u8]) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n{head}\r\n", body.len()).into_bytes();
    answer.extend_from_slice(body);
    answer
}

fn addresses(count: u32) -> Vec<u8> {
    (0..count).flat_map(|n| format!("11.0.{}.{}\n", n / 250, n % 250).into_bytes()).collect()
}

fn source(url: &str) -> Source {
    Source {
        name: "mine".to_owned(),
        role: Role::Kind(NetworkKind::Tor),
        content: Content::Networks,
        origin: Origin::Url(url.parse().unwrap()),
        format: Format::Auto,
        every: Duration::from_hours(1),
        max_age: Duration::from_hours(48),
        disable_when_stale: false,
        bounds: Bounds { bytes: 200_000, ..Bounds::default() },
        protected: false,
    }
}

fn look(source: &Source, folder: &Path, at: u64) -> Outcome {
    looked(source, folder, at, Duration::from_secs(20), false)
}

fn looked(source: &Source, folder: &Path, at: u64, patience: Duration, force: bool) -> Outcome {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(refresh(source, folder, &Client::new(patience).unwrap(), UnixMillis(at), force))
}

fn entries(source: &Source, folder: &Path) -> Option<usize> {
    load(std::slice::from_ref(source), folder).given.first().map(|given| given.entries.len())
}

#[test]
fn a_list_is_fetched_kept_and_asked_for_only_if_it_has_changed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("lists");
    let not_modified = b"HTTP/1.1 304 Not Modified\r\nconnection: close\r\n\r\n".to_vec();
    let validators = "etag: \"one\"\r\nlast-modified: Sun, 22 Nov 2026 10:00:00 GMT\r\n";
    let (url, requests) = scripted(vec![ok(validators, &addresses(100)), not_modified, ok("", &addresses(120))]);
    let source = source(&url);
    assert_eq!(look(&source, &folder, 1_000), Outcome::Taken(100));
    let first = requests.recv().unwrap();
    assert!(!first.contains("if-none-match") && first.contains("accept-encoding: gzip"), "{first}");
    assert_eq!(look(&source, &folder, 2_000), Outcome::Unchanged(UnixMillis(1_000)));
    let second = requests.recv().unwrap();
    assert!(second.contains("if-none-match: \"one\"") && second.contains("if-modified-since: sun, 22 nov 2026"), "{second}");
    assert_eq!(load(std::slice::from_ref(&source), &folder).given[0].as_of, UnixMillis(2_000));
    assert_eq!(due(&source, &folder), UnixMillis(2_000).plus(source.every));
    assert_eq!(look(&source, &folder, 3_000), Outcome::Taken(120));
    // A start without a network has the last good copy, for its owner's eyes only.
    assert_eq!(entries(&source, &folder), Some(120));
    let mode = std::fs::metadata(folder.join("mine.list")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(folder.join("mine.list")).unwrap();
    assert!(!text.contains("secret"), "{}", &text[..300]);
}

#[test]
fn what_a_broken_or_hostile_source_sends_leaves_the_last_good_copy() {
    let cut = {
        let mut answer = ok("", &addresses(100));
        answer.truncate(answer.len() - 300);
        answer
    };
    let bomb = {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(&vec![b'\n'; 4 << 20]).unwrap();
        ok("content-encoding: gzip\r\n", &packer.finish().unwrap())
    };
    let html = b"<!DOCTYPE html><html><title>Blocked</title></html>";
    let elsewhere =
        b"HTTP/1.1 302 Found\r\nlocation: http://192.0.2.1/x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec();
    let cases: Vec<(Vec<u8>, &str, &str)> = vec![
        (cut, "failed", ""),
        (ok("content-type: text/html\r\n", html), "refused", "list.txt:1:1: an HTML or XML page, not a list"),
        (ok("", b""), "refused", "the list is empty"),
        (ok("", b"# nothing today\n"), "refused", "the list is empty"),
        (ok("", &addresses(1_000)), "refused", "the list has grown from 100 to 1000 entries"),
        (ok("", &addresses(40)), "refused", "the list has shrunk from 100 to 40 entries"),
        (
            ok("", &[addresses(90), b"11.1.1.1\noops here\n".to_vec()].concat()),
            "refused",
            "list.txt:92:1: `oops here` is no network",
        ),
        (ok("", &[addresses(100), b"0.0.0.0/0\n".to_vec()].concat()), "refused", "`0.0.0.0/0` is too much of the internet"),
        (ok("", &[b"11.0.0.1 # ".to_vec(), vec![b'x'; 300_000]].concat()), "failed", "has more than 200000 bytes"),
        (bomb, "failed", "has more than 200000 bytes unpacked"),
        (ok("content-encoding: br\r\n", b"\x0b"), "failed", "came in a coding that was not asked for"),
        (b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec(), "failed", "status 503"),
        (elsewhere, "failed", "a redirect to an address without TLS"),
        (ok("", b"{\"prefixes\":[{\"ip\":\"11.0.0.0/24\"},"), "refused", "broken JSON"),
    ];
    for (answer, outcome, said) in cases {
        let folder = tempfile::tempdir().unwrap();
        let (url, _requests) = scripted(vec![ok("", &addresses(100)), answer]);
        let source = source(&url);
        assert_eq!(look(&source, folder.path(), 1), Outcome::Taken(100));
        let came = look(&source, folder.path(), 2);
        assert_eq!(came.name(), outcome, "{said}: {came:?}");
        assert!(came.says().contains(said) && !came.says().contains("secret"), "{said}: {came:?}");
        assert_eq!(entries(&source, folder.path()), Some(100), "{said}");
    }
}

#[test]
fn a_source_that_never_answers_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let (url, _requests) = scripted(vec![Vec::new()]);
    let came = looked(&source(&url), folder.path(), 1, Duration::from_millis(200), false);
    assert!(matches!(&came, Outcome::Failed(why) if why.starts_with("took too long")), "{came:?}");
}

#[test]
fn packed_lists_are_unpacked_and_bounds_give_way_when_forced() {
    let folder = tempfile::tempdir().unwrap();
    let packed = {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(&addresses(100)).unwrap();
        packer.finish().unwrap()
    };
    let (url, _requests) =
        scripted(vec![ok("content-encoding: gzip\r\n", &packed), ok("", &addresses(5)), ok("", &addresses(5))]);
    let source = source(&url);
    assert_eq!(look(&source, folder.path(), 1), Outcome::Taken(100));
    assert_eq!(look(&source, folder.path(), 2).name(), "refused");
    assert_eq!(looked(&source, folder.path(), 3, Duration::from_secs(20), true), Outcome::Taken(5));
}

#[test]
fn a_damaged_copy_is_refused_by_name_and_fetched_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (url, requests) = scripted(vec![ok("etag: \"one\"\r\n", &addresses(100)), ok("", &addresses(100))]);
    let source = source(&url);
    assert_eq!(look(&source, folder.path(), 1), Outcome::Taken(100));
    requests.recv().unwrap();
    let path = folder.path().join("mine.list");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.truncate(bytes.len() - 20);
    std::fs::write(&path, bytes).unwrap();
    let loaded = load(std::slice::from_ref(&source), folder.path());
    assert!(loaded.given.is_empty() && loaded.faults.is_empty());
    let said = loaded.damaged[0].to_string();
    assert!(said.contains("mine.list: the kept copy is damaged: its checksum is wrong"), "{said}");
    assert_eq!(due(&source, folder.path()), UnixMillis(0));
    assert_eq!(look(&source, folder.path(), 2), Outcome::Taken(100));
    assert!(!requests.recv().unwrap().contains("if-none-match"));
}

#[test]
fn a_copy_of_another_source_is_not_taken_for_this_one() {
    let folder = tempfile::tempdir().unwrap();
    let (url, _requests) = scripted(vec![ok("", &addresses(100))]);
    let one = source(&url);
    assert_eq!(look(&one, folder.path(), 1), Outcome::Taken(100));
    assert_eq!(entries(&source("https://other.example/list"), folder.path()), None);
}

#[test]
fn a_file_of_the_operators_with_faults_is_a_fault_of_his() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("office.txt");
    std::fs::write(&path, "192.0.2.0/24\n192.0.2.1/24\n").unwrap();
    let of_file = Source { origin: Origin::File(path), ..source("https://a.example/") };
    let loaded = load(&[of_file], folder.path());
    assert_eq!(loaded.faults[0].line, 2);
}

/// Networks of IPv4 of this length, one beside the other.
fn networks(count: u32, length: u8) -> Vec<u8> {
    (0..count).flat_map(|n| format!("{}/{length}\n", std::net::Ipv4Addr::from(n << (32 - length))).into_bytes()).collect()
}

#[test]
fn a_list_that_reaches_everybody_by_small_steps_or_many_entries_is_refused() {
    let check = |bytes: &[u8], before: Option<&[u8]>, role| {
        let source = Source { role, ..source("http://127.0.0.1/list.txt") };
        let before = before.map(|bytes| check(&source, "before", bytes, None).unwrap().size);
        check(&source, "list", bytes, before).map(|weighed| weighed.size.entries).map_err(|faults| faults[0].message.clone())
    };
    let tor = Role::Kind(NetworkKind::Tor);
    // Each entry is small enough, and there are not many more of them.
    let everybody = "its entries together are too much of the internet".to_owned();
    assert_eq!(check(&networks(128, 8), None, tor), Err(everybody.clone()));
    assert_eq!(check(&networks(4_096, 12), Some(&networks(4_000, 24)), tor), Err(everybody));
    assert_eq!(
        check(&networks(900, 16), Some(&networks(1_000, 32)), tor),
        Err("the list has grown from 1000 to 58982400 addresses".to_owned())
    );
    assert_eq!(
        check(b"2001:db8::/32\n2a00::/12\n", Some(b"2001:db8::/32\n2a00::/32\n"), tor),
        Err("the list has grown from 8589934592 to 4503603922337792 /64s".to_owned())
    );
    // What grows as lists do is taken, and so are lists that hold no one against anybody.
    assert_eq!(check(&networks(1_100, 24), Some(&networks(1_000, 24)), tor), Ok(1_100));
    assert_eq!(check(&networks(1_010, 22), Some(&networks(1_000, 24)), tor), Ok(1_010));
    assert_eq!(check(&networks(128, 8), None, Role::Kind(NetworkKind::Residential)), Ok(128));
    assert_eq!(check(&networks(128, 8), None, Role::Plain), Ok(128));
}
