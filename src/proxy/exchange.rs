//! What clicksieve adds to one request and its answer. Everything else of the room works without it.
//! Must not know connections to the shop.

use std::net::IpAddr;

use http::Response;
use http::request::Parts;

use crate::click::Scheme;
use crate::proxy::body::ProxyBody;
use crate::proxy::connection::ConnectionState;
use crate::proxy::upstream::UpstreamBody;
use crate::telemetry::Metrics;

/// What all threads share of the shop that is served.
#[derive(Clone, Debug)]
pub struct Shop {
    /// The metrics of the process.
    pub metrics: Metrics,
}

/// One request that is looked at, from its head to its answer.
#[derive(Debug)]
pub struct Exchange {}

impl Exchange {
    /// Looks at a request before it is forwarded; nothing where it is none of our business.
    pub fn open(
        _shop: &Shop,
        _connection: &ConnectionState,
        _head: &mut Parts,
        _address: Option<IpAddr>,
        _scheme: Scheme,
    ) -> Option<Self> {
        None
    }

    /// Turns the shop's answer into the visitor's.
    pub fn answer(self, response: Response<UpstreamBody>) -> Response<ProxyBody> {
        response.map(ProxyBody::Upstream)
    }
}
