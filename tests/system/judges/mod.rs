//! Programs of others judge the door: testssl.sh its TLS, h2load its HTTP/2, slowhttptest its patience, and the `websockets`
//! library what crosses it. All of them against the real binary with TLS on.

mod ciphers;
mod load;
mod patience;
mod web_socket;

use std::process::Command;
use std::process::Output;

use axum::Router;
use axum::routing::get;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::CertifiedIssuer;
use rcgen::DnType;
use rcgen::IsCa;
use rcgen::KeyPair;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::harness::visitor::Visitor;
use crate::whole;
use crate::whole::process::Process;

/// The section of a configuration that turns TLS on.
const TLS: &str = "tls: { certificates: [{ certificate: shop.pem, key: shop.key }] }\n";

/// Writes an authority (`ca.pem`) and a certificate of it for `shop.example` into a folder.
pub(crate) fn certify(folder: &std::path::Path, name: &str) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Under the same name as what it signs, OpenSSL would take that for self-signed.
    params.distinguished_name.push(DnType::CommonName, "test authority");
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    for (file, text) in [("ca.pem", issuer.pem()), ("shop.pem", certificate.pem()), ("shop.key", key.serialize_pem())] {
        std::fs::write(folder.join(file), text).unwrap();
    }
}

/// The program with TLS before a site that answers from memory.
struct Judged {
    process: Process,
    // Ends with the test.
    _runtime: Runtime,
    folder: tempfile::TempDir,
}

impl Judged {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let site = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let large = "what a slow reader reads slowly ".repeat(32 * 1_024);
            // A post waits for its whole body.
            let shop = get(|| async { "ok" }).post(|_: String| async { "ok" });
            let routes = Router::new().route("/", shop).route("/large", get(|| async { large }));
            tokio::spawn(async move { axum::serve(listener, routes).await });
            address
        });
        let folder = tempfile::tempdir().unwrap();
        certify(folder.path(), "shop.example");
        let config = folder.path().join("clicksieve.yaml");
        let text = whole::configuration(site, "http://127.0.0.1:9", &format!("{TLS}{}", whole::ADMIN));
        std::fs::write(&config, text).unwrap();
        Self { process: Process::start(&config), _runtime: runtime, folder }
    }

    /// The shop's address by `https` and its number.
    fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.process.shop)
    }

    /// Whether it is ready, by its own word.
    fn is_ready(&self) -> bool {
        Visitor::connect(self.process.admin).ask("GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n").status == 200
    }
}

/// Runs a program to its end.
fn run(command: &mut Command) -> Output {
    let output = command.stdin(std::process::Stdio::null()).output();
    output.unwrap_or_else(|error| panic!("{command:?}: {error}\nhint: `tests/run` installs it"))
}
