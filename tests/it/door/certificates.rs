//! What the operator is told of certificate files, at a start, by `check` and at a reload.

use rcgen::KeyPair;
use rcgen::date_time_ymd;

use crate::door::Authority;
use crate::door::der;
use crate::door::faults;
use crate::door::loaded;
use crate::door::shake;
use crate::door::shown;
use crate::harness::site::Site;
use crate::whole;
use crate::whole::process::Process;
use clicksieve::server::tls::certificates::Files;

const GRAPH: &str = "http://127.0.0.1:9";

#[test]
fn all_faults_of_all_files_come_at_once() {
    let authority = Authority::new();
    let (good, other) = (authority.issues("good", &["a.example"]), authority.issues("other", &["b.example"]));
    std::fs::write(authority.path("empty.pem"), "nothing here\n").unwrap();
    let key = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
    std::fs::write(authority.path("locked.key"), key).unwrap();
    let pair = |certificate: &std::path::Path, key: &std::path::Path| Files { certificate: certificate.into(), key: key.into() };
    let found = faults(&[
        pair(&authority.path("absent.pem"), &authority.path("locked.key")),
        pair(&authority.path("empty.pem"), &good.key),
        pair(&good.certificate, &other.key),
        pair(&good.certificate, &authority.path("empty.pem")),
    ]);
    let wanted = [
        "absent.pem: cannot be read: No such file",
        "locked.key: the key is encrypted\nhint: ",
        "empty.pem: there is no certificate in it\nhint: ",
        "other.key: the key does not fit the certificate `",
        "empty.pem: there is no key in it\nhint: ",
    ];
    assert_eq!(found.len(), wanted.len(), "{found:#?}");
    for (fault, wanted) in found.iter().zip(wanted) {
        assert!(fault.contains(wanted), "{fault}");
    }
}

#[test]
fn a_key_is_never_shown() {
    let authority = Authority::new();
    let files = authority.issues("good", &["a.example"]);
    let key = std::fs::read_to_string(&files.key).unwrap();
    let cut = key.replace("-----END", "----END");
    std::fs::write(&files.key, &cut).unwrap();
    let said = faults(&[files]).join("\n");
    let secret = key.lines().nth(1).unwrap();
    assert!(said.contains("is no PEM file: a section has no end") && !said.contains(&secret[..16]), "{said}");
}

#[test]
fn an_expired_certificate_is_served_with_a_warning() {
    let authority = Authority::new();
    let files = authority.issues_with("old", &["a.example"], |params| params.not_after = date_time_ymd(2020, 1, 1));
    let warnings = loaded(&[files]).warnings().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("old.pem: the certificate has expired on Jan  1"), "{warnings:?}");
}

/// A folder with a configuration whose listener has TLS.
pub(crate) fn place(authority: &Authority, site: &Site) -> std::path::PathBuf {
    let tls = "tls: { certificates: [{ certificate: shop.pem, key: shop.key }] }\n";
    let path = authority.path("clicksieve.yaml");
    std::fs::write(&path, whole::configuration(site.address, GRAPH, &format!("{tls}{}", whole::ADMIN))).unwrap();
    path
}

#[test]
fn a_start_with_a_bad_pair_is_refused_and_check_says_the_same() {
    let authority = Authority::new();
    let site = Site::answers("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let config = place(&authority, &site);
    authority.issues("shop", &["shop.example"]);
    std::fs::write(authority.path("shop.key"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let (status, said) = Process::try_start(&config).err().expect("it must not start");
    assert_eq!(status.code(), Some(1), "{said}");
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let arguments = [std::ffi::OsString::from("clicksieve"), "check".into(), config.into_os_string()];
    clicksieve::cli::main(arguments, Box::new(std::io::empty()), &mut out, &mut err);
    let checked = String::from_utf8(err).unwrap();
    for said in [said, checked] {
        assert!(said.contains("shop.key: the key does not fit the certificate"), "{said}");
    }
}

#[test]
fn a_changed_pair_is_taken_and_a_bad_one_leaves_the_old_in_force() {
    let authority = Authority::new();
    let site = Site::answers("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let config = place(&authority, &site);
    let files = authority.issues("shop", &["shop.example"]);
    let process = Process::start(&config);
    // A client that knows nothing yet, as one that resumes a session remembers the certificate it saw.
    let serves = || shown(&shake(process.shop, &authority.client(&[]), "shop.example").unwrap());
    let first = der(&files.certificate);
    assert!(serves() == first);
    std::fs::write(&files.certificate, "cut").unwrap();
    process.signal("HUP");
    process.until_said("what was in force stays");
    assert!(serves() == first);
    let renewed = authority.issues("next", &["shop.example"]);
    std::fs::rename(&renewed.key, &files.key).unwrap();
    std::fs::rename(&renewed.certificate, &files.certificate).unwrap();
    process.signal("HUP");
    process.until_said("certificates\" version=\"for 1 names");
    assert!(serves() == der(&files.certificate) && serves() != first);
}

#[test]
fn a_pair_that_changes_on_disk_is_taken_without_being_told() {
    let authority = Authority::new();
    let site = Site::answers("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let config = place(&authority, &site);
    authority.issues("shop", &["shop.example"]);
    let process = Process::start(&config);
    // The process may not watch its files yet when they change for the first time.
    let taken = (0..10).any(|_| {
        let files = authority.issues("shop", &["shop.example"]);
        let serves = || shown(&shake(process.shop, &authority.client(&[]), "shop.example").unwrap()) == der(&files.certificate);
        (0..100).any(|_| {
            serves() || {
                std::thread::park_timeout(std::time::Duration::from_millis(20));
                false
            }
        })
    });
    assert!(taken);
}
