//! `clicksieve demo`: a small shop with an ordinary Meta Pixel, a mock of the Graph API, a page that shows both halves of
//! every event, and scripted visitors. The proxy between them is built by the command, which hands it in as a [`Stand`].

pub mod board;
mod failure;
pub mod front;
pub mod graph;
pub mod pages;
pub mod refusals;
pub mod shop;
pub mod tour;
pub mod visitor;

use std::io;
use std::net::SocketAddr;

use crate::clock::Clock;
use crate::demo::board::Board;
use crate::demo::board::Records;
use crate::demo::graph::Account;
use crate::demo::graph::Graph;
use crate::demo::shop::Shop;

/// Where the three pieces listen; port 0 takes a free one.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// The shop, that is the proxy's site.
    pub shop: SocketAddr,
    /// The mock Graph API.
    pub graph: SocketAddr,
    /// The page with both halves.
    pub board: SocketAddr,
}

/// The pieces that stand around the proxy.
#[derive(Clone)]
pub struct Scenery {
    /// The shop, that is the proxy's site.
    pub shop: Shop,
    /// The mock Graph API.
    pub graph: Graph,
    /// The page with both halves.
    pub board: Board,
}

impl Scenery {
    /// Starts shop, mock and board for one pixel. The shop's back end reports nothing until [`Shop::report_to`] is called.
    pub async fn start(places: Places, account: Account, records: Records, clock: Clock) -> io::Result<Self> {
        let pixel = account.pixel.clone();
        let graph = Graph::start(places.graph, vec![account], clock.clone()).await?;
        let board = Board::start(places.board, graph.clone(), records).await?;
        let settings = shop::Settings { pixel, pixel_report: board.pixel_url(), clock };
        let shop = Shop::start(places.shop, settings).await?;
        Ok(Self { shop, graph, board })
    }
}

/// The whole demo as the tour meets it. The command fills it in and calls [`Stand::connect`] once.
#[derive(Clone)]
pub struct Stand {
    /// The pieces around the proxy.
    pub scenery: Scenery,
    /// The shop through the proxy, such as `http://127.0.0.1:8080`.
    pub shop_url: String,
    /// The Graph-compatible endpoint's host, such as `http://127.0.0.1:8088`.
    pub graph_endpoint: String,
    /// The decision records, newest first.
    pub records: Records,
    /// Whether the proxy believes `X-Forwarded-For` of this machine; the visitors then come from different networks.
    pub forwarded: bool,
}

impl Stand {
    /// Tells the shop's back end where the Graph-compatible endpoint is, and puts links on the board.
    pub fn connect(&self) {
        self.scenery.shop.report_to(front::backend(&self.graph_endpoint));
        self.scenery.board.link("The shop, through the proxy", &self.shop_url);
        self.scenery.board.link("The shop by itself", &self.scenery.shop.url());
    }
}

/// A client that follows no redirects and needs no provider to be installed before.
fn client() -> reqwest::Client {
    // A provider that stands already is as good.
    let _stands = rustls::crypto::aws_lc_rs::default_provider().install_default();
    // All of the demo is on this machine and without TLS, so no certificate authority is needed, nor looked for.
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).tls_certs_only([]).build().unwrap_or_default()
}
