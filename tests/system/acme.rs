//! Certificates by themselves: the real binary, and pebble as the authority. pebble finds every name at an address of the
//! test's own on loopback, and trusts nobody's word: it connects, and reads the proofs.

use std::io::Write;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::RootCertStore;
use rustls::StreamOwned;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::far::until;
use crate::harness::PATIENCE;
use crate::harness::site::Site;
use crate::harness::visitor::Visitor;
use crate::judges::certify;
use crate::whole;
use crate::whole::process::Process;

type Stream = StreamOwned<ClientConnection, TcpStream>;

static NEXT: AtomicU8 = AtomicU8::new(1);

/// The key of an account elsewhere, as pebble's own example has it.
const MAC_KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

/// What pebble is told.
struct Told {
    /// Seconds that a certificate holds.
    holds: u64,
    /// Of a hundred good nonces so many are refused.
    refuses: u8,
    /// Whether an account must be bound to one that was opened elsewhere.
    binds: bool,
}

impl Default for Told {
    fn default() -> Self {
        Self { holds: 90 * 86_400, refuses: 0, binds: false }
    }
}

/// An address with the ports of one test, its folder, and a site.
struct Stand {
    address: Ipv4Addr,
    authority: SocketAddr,
    management: SocketAddr,
    shop: SocketAddr,
    plain: SocketAddr,
    names: SocketAddr,
    site: Site,
    folder: tempfile::TempDir,
}

impl Stand {
    fn new() -> Self {
        let [high, low] = [8, 0].map(|shift| u8::try_from(std::process::id() >> shift & 0xff).unwrap());
        // Of 127.0.0.0/8 an address that no other test has, so that nobody takes a port that was found free.
        let address = Ipv4Addr::new(127, high.clamp(1, 250), low, NEXT.fetch_add(1, Ordering::SeqCst));
        let free = || TcpListener::bind((address, 0)).unwrap();
        let held = [free(), free(), free(), free()];
        let [authority, management, shop, plain] = held.each_ref().map(|listener| listener.local_addr().unwrap());
        let folder = tempfile::tempdir().unwrap();
        certify(folder.path(), &address.to_string());
        let names = answers_names(address);
        Self {
            address,
            authority,
            management,
            shop,
            plain,
            names,
            site: Site::answers("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nthe shop"),
            folder,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// pebble, once it answers.
    fn pebble(&self, told: &Told) -> Pebble {
        let config = serde_json::json!({ "pebble": {
            "listenAddress": self.authority.to_string(), "managementListenAddress": self.management.to_string(),
            "certificate": self.path("shop.pem"), "privateKey": self.path("shop.key"),
            "httpPort": self.plain.port(), "tlsPort": self.shop.port(), "ocspResponderURL": "",
            "externalAccountBindingRequired": told.binds, "externalAccountMACKeys": { "kid-1": MAC_KEY },
            "domainBlocklist": ["blocked.example"],
            "certificateValidityPeriod": told.holds,
        }});
        std::fs::write(self.path("pebble.json"), config.to_string()).unwrap();
        let mut command = Command::new("pebble");
        command.arg("-strict").arg("-config").arg(self.path("pebble.json")).arg("-dnsserver").arg(self.names.to_string());
        command
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_AUTHZREUSE", "0")
            .env("PEBBLE_WFE_NONCEREJECT", told.refuses.to_string());
        let said = std::fs::File::create(self.path("pebble.log")).unwrap();
        command.stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}\nhint: `tests/run` installs it"));
        let pebble = Pebble(child);
        until("pebble listens", || [self.authority, self.management].iter().all(|at| TcpStream::connect(at).is_ok()));
        pebble
    }

    /// The program with these names and lines below `acme`.
    fn process(&self, names: &str, more: &str) -> Process {
        self.process_beside("", names, more)
    }

    /// The same with certificates by file beside it.
    fn process_beside(&self, certificates: &str, names: &str, more: &str) -> Process {
        let acme = format!(
            "tls:\n{certificates}  redirect: {}\n  acme: {{ domains: [{names}], contact: \"mailto:ops@shop.example\", terms: agreed, \
             directory: \"https://{}/dir\", directory_ca: ca.pem{more} }}\n",
            self.plain, self.authority
        );
        let config = self.path("clicksieve.yaml");
        let text = whole::configuration(self.site.address, "http://127.0.0.1:9", &format!("{acme}{}", whole::ADMIN));
        std::fs::write(&config, text.replace("listen: 127.0.0.1:0", &format!("listen: {}", self.shop))).unwrap();
        Process::start(&config)
    }

    /// A client that trusts pebble's certificates alone; pebble draws new authorities at each start.
    fn client(&self) -> Arc<ClientConfig> {
        let url = format!("https://{}/roots/0", self.management);
        let root = Command::new("curl").arg("-sf").arg("--cacert").arg(self.path("ca.pem")).arg(url).output().unwrap();
        trusting(&root.stdout)
    }

    /// Shakes hands for a name; what the client makes of it where it comes to nothing.
    fn shake(&self, client: &Arc<ClientConfig>, name: &str) -> Result<Stream, std::io::Error> {
        let socket = TcpStream::connect(self.shop).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let session = ClientConnection::new(Arc::clone(client), name.to_owned().try_into().unwrap()).unwrap();
        let mut stream = StreamOwned::new(session, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(stream)
    }

    /// A name is served by a certificate of pebble's; the certificate.
    fn serves(&self, client: &Arc<ClientConfig>, name: &str) -> Vec<u8> {
        let stream = self.shake(client, name).unwrap();
        let shown = shown(&stream);
        assert_eq!(Visitor::over(stream).get("/").text(), "the shop");
        shown
    }

    fn metrics(&self, process: &Process) -> String {
        let token = std::fs::read_to_string(self.path("state/admin.token")).unwrap();
        let lines = format!("host: localhost\r\nauthorization: Bearer {}\r\n", token.trim());
        Visitor::connect(process.admin).ask(&format!("GET /metrics HTTP/1.1\r\n{lines}\r\n")).text().to_owned()
    }

    /// The files that are kept of the authority.
    fn kept(&self) -> Vec<PathBuf> {
        let places: Vec<PathBuf> =
            std::fs::read_dir(self.path("state/acme")).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(places.len(), 1, "{places:?}");
        let mut files: Vec<PathBuf> = std::fs::read_dir(&places[0]).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }
}

/// A client that trusts one authority, in PEM.
fn trusting(authority: &[u8]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(versions.with_root_certificates(roots).with_no_client_auth())
}

/// The certificate that a connection was shown.
fn shown(stream: &Stream) -> Vec<u8> {
    stream.conn.peer_certificates().unwrap()[0].to_vec()
}

/// The authority; dropping it ends it.
struct Pebble(Child);

impl Drop for Pebble {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Answers every question for an address with this one (RFC 1035 section 4), and others with nothing.
fn answers_names(address: Ipv4Addr) -> SocketAddr {
    let socket = UdpSocket::bind((address, 0)).unwrap();
    let at = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut bytes = [0; 1_500];
        while let Ok((length, from)) = socket.recv_from(&mut bytes) {
            let labels = bytes[12..length].iter().position(|byte| *byte == 0).unwrap();
            let end = 12 + labels + 5;
            let is_address = bytes[end - 4..end - 2] == [0, 1];
            let mut answer = vec![bytes[0], bytes[1], 0x81, 0x80, 0, 1, 0, u8::from(is_address), 0, 0, 0, 0];
            answer.extend(&bytes[12..end]);
            if is_address {
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
                answer.extend(address.octets());
            }
            // Who asked may be gone.
            let _ = socket.send_to(&answer, from);
        }
    });
    at
}

const CAME: &str = "a certificate came from the authority";
/// Where the authority comes late: the second try is made after five seconds, and the third after more than a minute.
const LATE: Duration = Duration::from_mins(3);

#[test]
fn one_certificate_for_all_names_comes_by_handshakes_alone() {
    let stand = Stand::new();
    let _pebble = stand.pebble(&Told::default());
    let process = stand.process("shop.example, www.shop.example", "");
    let said = process.until_said(CAME);
    assert!(said.contains("www.shop.example") && said.contains("until="), "{said}");
    let client = stand.client();
    assert!(stand.serves(&client, "shop.example") == stand.serves(&client, "www.shop.example"));
    let metrics = stand.metrics(&process);
    // pebble looks at each name from several places.
    let proofs = metrics.lines().find_map(|line| line.strip_prefix("clicksieve_tls_handshakes_total{outcome=\"proof\"} "));
    assert!(proofs.unwrap().parse::<u64>().unwrap() >= 2, "{metrics}");
    assert!(metrics.contains("clicksieve_acme_orders_total{outcome=\"issued\"} 1"), "{metrics}");
    let expiry = metrics.lines().find(|line| line.starts_with("clicksieve_certificate_expiry_seconds{name=\"")).unwrap();
    assert!(expiry.contains("shop.example\"} "), "{expiry}");
    // No proof is open any more, and none ever came near the shop.
    let mut prover = ClientConfig::clone(&client);
    prover.alpn_protocols = vec![b"acme-tls/1".to_vec()];
    let refused = stand.shake(&Arc::new(prover), "shop.example").unwrap_err().to_string();
    assert!(refused.contains("NoApplicationProtocol"), "{refused}");
    assert_eq!(stand.site.heads().len(), 2);
}

#[test]
fn a_certificate_comes_by_the_plain_listener_and_foreign_tokens_go_to_the_site() {
    let stand = Stand::new();
    let _pebble = stand.pebble(&Told::default());
    let process = stand.process("shop.example", ", challenge: http-01");
    process.until_said(CAME);
    stand.serves(&stand.client(), "shop.example");
    let metrics = stand.metrics(&process);
    assert!(!metrics.contains("handshakes_total{outcome=\"proof\"} ") || metrics.contains("outcome=\"proof\"} 0"), "{metrics}");
    let mut visitor = Visitor::connect(stand.plain);
    let foreign = visitor.ask("GET /.well-known/acme-challenge/somebody-elses HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    assert_eq!((foreign.status, foreign.text()), (200, "the shop"));
    assert_eq!(visitor.ask("GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n").status, 308);
}

#[test]
fn a_certificate_is_renewed_in_time_and_no_connection_notices() {
    let stand = Stand::new();
    let _pebble = stand.pebble(&Told { holds: 30, ..Told::default() });
    let process = stand.process("shop.example", "");
    process.until_said(CAME);
    let client = stand.client();
    let stream = stand.shake(&client, "shop.example").unwrap();
    let first = shown(&stream);
    let mut kept = Visitor::over(stream);
    assert_eq!(kept.get("/").text(), "the shop");
    process.until_said(CAME);
    assert!(stand.serves(&stand.client(), "shop.example") != first);
    assert_eq!(kept.get("/").text(), "the shop");
    // One for each life, and no more.
    let metrics = stand.metrics(&process);
    assert!(metrics.contains("clicksieve_acme_orders_total{outcome=\"issued\"} 2"), "{metrics}");
}

#[test]
fn a_restart_serves_what_is_kept_and_asks_nobody() {
    let stand = Stand::new();
    let pebble = stand.pebble(&Told::default());
    let mut process = stand.process("shop.example", "");
    process.until_said(CAME);
    let client = stand.client();
    let first = stand.serves(&client, "shop.example");
    for file in stand.kept() {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
    let account = std::fs::read(&stand.kept()[0]).unwrap();
    process.kill();
    drop(pebble);
    let mut process = stand.process("shop.example", "");
    assert!(stand.serves(&client, "shop.example") == first);
    process.signal("TERM");
    assert!(process.ended().success());
    assert!(!process.last_words().iter().any(|line| line.contains("ordering")));
    assert!(std::fs::read(&stand.kept()[0]).unwrap() == account);
}

#[test]
fn without_a_certificate_the_name_is_refused_as_such_until_the_authority_is_there() {
    let stand = Stand::new();
    let process = stand.process("shop.example", "");
    let said = process.until_said("no certificate from the authority");
    assert!(said.contains("shop.example") && said.contains("again_in_seconds=5"), "{said}");
    let nobody = trusting(&std::fs::read(stand.path("ca.pem")).unwrap());
    let refused = stand.shake(&nobody, "shop.example").unwrap_err().to_string();
    assert!(refused.contains("UnrecognisedName"), "{refused}");
    let counted = "clicksieve_tls_handshakes_total{outcome=\"no_certificate\"} 1";
    until("the refusal is counted", || stand.metrics(&process).contains(counted));
    let ready = Visitor::connect(process.admin).ask("GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert_eq!(ready.status, 200);
    let _pebble = stand.pebble(&Told::default());
    process.until_said_within(CAME, LATE);
    stand.serves(&stand.client(), "shop.example");
}

#[test]
fn an_authority_that_refuses_a_name_is_quoted_and_left_alone_for_a_while() {
    let stand = Stand::new();
    let _pebble = stand.pebble(&Told::default());
    let process = stand.process("blocked.example", "");
    let said = process.until_said("no certificate from the authority");
    assert!(said.contains("rejectedIdentifier") && said.contains("again_in_seconds=5"), "{said}");
    let said = process.until_said("no certificate from the authority");
    assert!(said.contains("failures=2") && said.contains("again_in_seconds=6"), "a minute and up to a tenth: {said}");
    let metrics = stand.metrics(&process);
    assert!(metrics.contains("clicksieve_acme_orders_total{outcome=\"failed\"} 2"), "{metrics}");
}

#[test]
fn an_authority_that_refuses_half_of_all_nonces_is_asked_again() {
    let stand = Stand::new();
    let _pebble = stand.pebble(&Told { refuses: 50, ..Told::default() });
    let process = stand.process("shop.example, www.shop.example", "");
    process.until_said(CAME);
    stand.serves(&stand.client(), "www.shop.example");
    assert!(!stand.metrics(&process).contains("outcome=\"failed\"} 1"));
}

#[test]
fn a_name_that_leads_elsewhere_is_not_proved_and_the_authority_says_why() {
    let stand = Stand::new();
    let _pebble = stand.pebble(&Told::default());
    // Somebody else has the port that the authority looks at.
    let mut other = stand.process("shop.example", ", challenge: http-01");
    other.kill();
    let elsewhere = TcpListener::bind(stand.plain).unwrap();
    std::thread::spawn(move || {
        for mut stream in elsewhere.incoming().map_while(Result::ok) {
            // Who asked may be gone.
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    let text = std::fs::read_to_string(stand.path("clicksieve.yaml")).unwrap();
    let moved = text.replace(&format!("redirect: {}", stand.plain), &format!("redirect: {}:0", stand.address));
    std::fs::write(stand.path("clicksieve.yaml"), moved).unwrap();
    std::fs::remove_dir_all(stand.path("state")).unwrap();
    let process = Process::start(&stand.path("clicksieve.yaml"));
    let said = process.until_said("no certificate from the authority");
    assert!(said.contains("unauthorized") && said.contains("shop.example"), "{said}");
}

#[test]
fn a_certificate_by_file_serves_its_names_while_the_others_wait() {
    let stand = Stand::new();
    std::fs::create_dir(stand.path("own")).unwrap();
    certify(&stand.path("own"), "shop.example");
    let own = "  certificates: [{ certificate: own/shop.pem, key: own/shop.key }]\n";
    let process = stand.process_beside(own, "shop.example, www.shop.example", "");
    let client = trusting(&std::fs::read(stand.path("own/ca.pem")).unwrap());
    let file = stand.serves(&client, "shop.example");
    let refused = stand.shake(&client, "www.shop.example").unwrap_err().to_string();
    assert!(refused.contains("UnrecognisedName"), "{refused}");
    let _pebble = stand.pebble(&Told::default());
    process.until_said_within(CAME, LATE);
    assert!(stand.serves(&client, "shop.example") == file);
    stand.serves(&stand.client(), "www.shop.example");
}

#[test]
fn an_account_is_bound_to_one_that_was_opened_elsewhere() {
    let stand = Stand::new();
    let _pebble = stand.pebble(&Told { binds: true, ..Told::default() });
    std::fs::write(stand.path("eab.key"), MAC_KEY).unwrap();
    let process = stand.process("shop.example", ", external_account: { id: kid-1, key_file: eab.key }");
    process.until_said(CAME);
    stand.serves(&stand.client(), "shop.example");
}

#[test]
fn a_folder_that_takes_nothing_is_found_out_before_the_authority_is_asked() {
    let stand = Stand::new();
    let _pebble = stand.pebble(&Told::default());
    std::fs::create_dir(stand.path("state")).unwrap();
    std::fs::write(stand.path("state/acme"), "in the way").unwrap();
    let process = stand.process("shop.example", "");
    let said = process.until_said("no certificate from the authority");
    assert!(said.contains("the state folder takes nothing"), "{said}");
    let asked = std::fs::read_to_string(stand.path("pebble.log")).unwrap();
    assert!(!asked.contains("GET /dir"), "{asked}");
}
