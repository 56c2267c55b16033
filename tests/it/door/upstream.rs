//! A shop that is reached by TLS: believed by its certificate only, over connections that are kept.

use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use clicksieve::clock::Clock;
use clicksieve::proxy::Directory;
use clicksieve::proxy::HostField;
use clicksieve::proxy::Origin;
use clicksieve::proxy::Trust;
use clicksieve::proxy::servers::Group;
use clicksieve::proxy::servers::Health;
use clicksieve::proxy::servers::Server;
use clicksieve::proxy::servers::Site as Shop;
use clicksieve::server::tls::certificates::Files;
use clicksieve::telemetry::Metrics;
use rustls::ServerConfig;
use rustls::ServerConnection;
use rustls::StreamOwned;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use crate::door::Authority;
use crate::door::until;
use crate::harness::PATIENCE;
use crate::harness::front::Front;
use crate::harness::site::Site;
use crate::harness::visitor::Visitor;
use crate::whole;
use crate::whole::process::Process;

/// A shop with TLS on a port of its own; the names that its clients asked for.
pub(crate) struct SafeSite {
    pub(crate) address: SocketAddr,
    names: Arc<Mutex<Vec<Option<String>>>>,
    requests: Arc<AtomicUsize>,
}

impl SafeSite {
    pub(crate) fn start(files: &Files, answer: &'static str) -> Self {
        let certificate = CertificateDer::from_pem_file(&files.certificate).unwrap();
        let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(versions.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let site = Self { address: listener.local_addr().unwrap(), names: Arc::default(), requests: Arc::default() };
        let (names, requests) = (Arc::clone(&site.names), Arc::clone(&site.requests));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream);
                let (names, requests) = (Arc::clone(&names), Arc::clone(&requests));
                std::thread::spawn(move || {
                    let mut bytes = Vec::new();
                    let mut piece = [0; 4_096];
                    while let Ok(length @ 1..) = stream.read(&mut piece) {
                        bytes.extend_from_slice(&piece[..length]);
                        if bytes.ends_with(b"\r\n\r\n") {
                            if requests.fetch_add(1, Ordering::SeqCst) == 0 {
                                names.lock().unwrap().push(stream.conn.server_name().map(str::to_owned));
                            }
                            bytes.clear();
                            let _ = stream.write_all(answer.as_bytes());
                            let _ = stream.flush();
                        }
                    }
                });
            }
        });
        site
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A door in front of a place, trusting these authorities.
fn front(origin: &str, trust: Option<Trust>) -> Front {
    let origin = Origin::parse(origin).unwrap();
    Front::with(Site::nobody(), |_, proxy| {
        proxy.upstream = origin;
        proxy.trust = trust;
    })
}

#[test]
fn a_shop_is_reached_by_its_name_over_one_kept_connection() {
    let authority = Authority::new();
    let site = SafeSite::start(&authority.issues("shop", &["localhost"]), OK);
    let trust = Trust::of_file(&authority.path("ca.pem")).unwrap();
    let front = front(&format!("https://localhost:{}", site.address.port()), Some(trust));
    let mut visitor = Visitor::connect(front.address);
    for _ in 0..5 {
        assert_eq!(visitor.get("/").text(), "ok");
    }
    assert_eq!(site.requests.load(Ordering::SeqCst), 5);
    assert_eq!(*site.names.lock().unwrap(), [Some("localhost".to_owned())]);
    assert_eq!(front.metrics.upstream_connections.get(), 1);
}

#[test]
fn a_shop_whose_certificate_does_not_hold_is_not_asked() {
    let authority = Authority::new();
    let own = Trust::of_file(&authority.path("ca.pem")).unwrap();
    let elsewhere = SafeSite::start(&authority.issues("elsewhere", &["elsewhere.example"]), OK);
    let old = authority.issues_with("old", &["localhost"], |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    let old = SafeSite::start(&old, OK);
    let good = SafeSite::start(&authority.issues("good", &["localhost"]), OK);
    let cases = [(&elsewhere, own.clone()), (&old, own), (&good, Trust::of_the_machine().unwrap())];
    for (site, trust) in cases {
        let front = front(&format!("https://localhost:{}", site.address.port()), Some(trust));
        assert_eq!(Visitor::connect(front.address).get("/").status, 502);
        assert_eq!(front.metrics.errors.with(&[("kind", "distrusted")]).get(), 1);
        assert_eq!(site.requests.load(Ordering::SeqCst), 0);
    }
}

#[test]
fn a_shop_by_https_is_never_asked_in_the_open() {
    let authority = Authority::new();
    let plain = Site::answers(OK);
    for trust in [None, Some(Trust::of_file(&authority.path("ca.pem")).unwrap())] {
        let front = front(&format!("https://{}", plain.address), trust);
        assert_eq!(Visitor::connect(front.address).get("/").status, 502);
    }
    assert!(plain.heads().is_empty());
}

#[test]
fn each_of_several_servers_is_believed_by_its_own_name_and_a_false_one_is_left_out() {
    let authority = Authority::new();
    let named = SafeSite::start(&authority.issues("named", &["localhost"]), OK);
    let numbered = SafeSite::start(&authority.issues("numbered", &["127.0.0.1"]), OK);
    let elsewhere = SafeSite::start(&authority.issues("elsewhere", &["elsewhere.example"]), OK);
    let places = [
        format!("https://localhost:{}", named.address.port()),
        format!("https://{}", numbered.address),
        format!("https://{}", elsewhere.address),
    ];
    let servers = places.iter().map(|place| Server::of(Origin::parse(place).unwrap())).collect();
    let health = Health { every: std::time::Duration::from_millis(10), ..Health::of("/".to_owned()) };
    let shop = Shop {
        hosts: Vec::new(),
        group: Group { health: Some(health), ..Group::of(servers) },
        trust: Some(Trust::of_file(&authority.path("ca.pem")).unwrap()),
        host: HostField::Keep,
        rewrite_location: false,
        cookie_domain: None,
        exempt: Vec::new(),
    };
    let directory = Arc::new(Directory::new(vec![shop], &Metrics::default(), &Clock::system()));
    let shared = Arc::clone(&directory);
    let front = Front::with(Site::nobody(), |_, proxy| proxy.directory = Some(shared));
    let mut visitor = Visitor::connect(front.address);
    for _ in 0..9 {
        assert_eq!(visitor.get("/").text(), "ok");
        assert_eq!(visitor.ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n").text(), "ok");
    }
    assert_eq!(elsewhere.requests.load(Ordering::SeqCst), 0);
    assert_eq!(named.names.lock().unwrap()[0].as_deref(), Some("localhost"));
    assert_eq!(numbered.names.lock().unwrap()[0], None, "an address is no name to be shown (RFC 6066 section 3)");
    let state = |number: usize| directory.report()[number].seen.clone().unwrap().state;
    assert_eq!([state(0), state(1), state(2)], ["in", "in", "resting"]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.spawn(directory.watch());
    until(|| state(2) == "down");
    assert_eq!((state(0), state(1), elsewhere.requests.load(Ordering::SeqCst)), ("in", "in", 0));
}

#[test]
fn an_answer_that_ends_without_a_farewell_is_cut_visibly() {
    let authority = Authority::new();
    let site = SafeSite::start(&authority.issues("shop", &["127.0.0.1"]), "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf");
    let trust = Trust::of_file(&authority.path("ca.pem")).unwrap();
    let front = Front::with(Site::nobody(), |_, proxy| {
        proxy.upstream = Origin::parse(&format!("https://{}", site.address)).unwrap();
        proxy.trust = Some(trust);
        proxy.body_progress = std::time::Duration::from_millis(100);
    });
    let mut visitor = Visitor::connect(front.address);
    visitor.say("GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    visitor.head().unwrap();
    assert_eq!(visitor.rest(), b"half");
}

#[test]
fn a_private_authority_is_named_in_the_configuration() {
    let authority = Authority::new();
    let site = SafeSite::start(&authority.issues("shop", &["localhost"]), OK);
    let config = authority.path("clicksieve.yaml");
    let write = |ca: &str| {
        let text = whole::configuration(site.address, "http://127.0.0.1:9", whole::ADMIN);
        let upstream = format!("upstream: https://localhost:{}\nupstream_ca: {ca}", site.address.port());
        std::fs::write(&config, text.replace(&format!("upstream: http://{}", site.address), &upstream)).unwrap();
    };
    write("absent.pem");
    let (status, said) = Process::try_start(&config).err().expect("it must not start");
    assert!(status.code() == Some(1) && said.contains("absent.pem: cannot be read"), "{said}");
    write("ca.pem");
    let process = Process::start(&config);
    assert_eq!(Visitor::connect(process.shop).get("/").text(), "ok");
}
