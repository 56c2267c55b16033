//! HTTP/2 on both sides: a shop that speaks it as a script, requests and answers whose halves move by themselves, trailers,
//! gRPC and `WebSocket`.

mod grpc;
mod socket;
mod trailers;
mod upstream;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use clicksieve::proxy::Origin;
use h2::RecvStream;
use h2::server::SendResponse;
use http::HeaderMap;
use http::Request;
use http::Response;
use http::request::Parts;
use tokio::net::TcpListener;

use crate::door::Shop;
use crate::door::http2::runtime;
use crate::harness::site::Site;

/// A shop that speaks HTTP/2 by prior knowledge, on a thread of its own.
struct StreamSite {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    came: Arc<Mutex<Vec<Parts>>>,
}

impl StreamSite {
    /// Plays `script` for every request.
    fn start<F>(script: impl Fn(RecvStream, SendResponse<Bytes>, usize) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::with(h2::server::Builder::new(), script)
    }

    /// The same with settings of its own; the last argument counts requests from 0.
    fn with<F>(
        builder: h2::server::Builder,
        script: impl Fn(RecvStream, SendResponse<Bytes>, usize) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let site = Self { address: listener.local_addr().unwrap(), connections: Arc::default(), came: Arc::default() };
        let (connections, came, script) = (Arc::clone(&site.connections), Arc::clone(&site.came), Arc::new(script));
        std::thread::spawn(move || {
            runtime().block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    connections.fetch_add(1, Ordering::SeqCst);
                    let (builder, script, came) = (builder.clone(), Arc::clone(&script), Arc::clone(&came));
                    tokio::spawn(async move {
                        let Ok(mut line) = builder.handshake::<_, Bytes>(stream).await else { return };
                        while let Some(Ok((request, respond))) = line.accept().await {
                            let (head, body) = request.into_parts();
                            let number = {
                                let mut came = came.lock().unwrap();
                                came.push(head);
                                came.len() - 1
                            };
                            tokio::spawn(script(body, respond, number));
                        }
                    });
                }
            });
        });
        site
    }

    fn came(&self) -> Vec<Parts> {
        self.came.lock().unwrap().clone()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// A door with TLS in front of it.
    fn shop(&self) -> Shop {
        self.shop_with(|_, _| {})
    }

    fn shop_with(&self, change: impl FnOnce(&mut clicksieve::server::Settings, &mut clicksieve::proxy::Settings)) -> Shop {
        let origin = Origin::parse(&format!("h2c://{}", self.address)).unwrap();
        // Both halves of the settings are changed in one place.
        let mut server_settings = None;
        let mut proxy_change = None;
        let mut server = clicksieve::server::Settings::default();
        let mut proxy = clicksieve::proxy::Settings { upstream: origin, ..clicksieve::proxy::Settings::default() };
        change(&mut server, &mut proxy);
        server_settings.replace((server.write, server.http2, server.idle));
        proxy_change.replace(proxy);
        Shop::with_proxy(
            Site::answers(""),
            |settings| (settings.write, settings.http2, settings.idle) = server_settings.take().unwrap(),
            |settings| *settings = proxy_change.take().unwrap(),
        )
    }
}

/// An answer with this status.
fn status(status: u16) -> Response<()> {
    Response::builder().status(status).body(()).unwrap()
}

/// Reads a body to its end, with what stands behind it; the error where it was cut.
async fn read(body: &mut RecvStream) -> Result<(Vec<u8>, Option<HeaderMap>), h2::Error> {
    let mut bytes = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        let _ = body.flow_control().release_capacity(piece.len());
        bytes.extend_from_slice(&piece);
    }
    Ok((bytes, body.trailers().await?))
}

/// A request with a body to come.
fn post(path: &str) -> Request<()> {
    Request::post(format!("https://shop.example{path}")).body(()).unwrap()
}
