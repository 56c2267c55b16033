//! Listening sockets that were open before this process: from systemd (`LISTEN_FDS`) or from the process it succeeds. They are
//! never closed while connections wait in them. Must not accept from any.

use std::net::SocketAddr;
use std::net::TcpListener;

use listenfd::ListenFd;

/// What the sockets are called, in `FileDescriptorName=` and between us and our successor.
pub(super) const SHOP: &str = "shop";
pub(super) const REDIRECT: &str = "redirect";
pub(super) const GRAPH: &str = "graph";
pub(super) const ADMIN: &str = "admin";

/// Sockets that were handed over and are not yet in use.
#[derive(Debug, Default)]
pub struct Sockets(Vec<(String, TcpListener)>);

impl Sockets {
    /// Those that systemd hands over. Must be called before the process has threads, as it takes the variables away.
    pub fn from_systemd() -> Self {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut given = ListenFd::from_env();
        let mut sockets = Vec::new();
        for at in 0..given.len() {
            let name = names.next().unwrap_or_default().to_owned();
            // A socket of another kind was not meant for us.
            if let Ok(Some(socket)) = given.take_tcp_listener(at) {
                sockets.push((name, socket));
            }
        }
        Self(sockets)
    }

    pub(super) fn of(sockets: Vec<(String, TcpListener)>) -> Self {
        Self(sockets)
    }

    /// Takes the sockets for a listener: those of its name, else those without a name of ours that have its address.
    pub(super) fn take(&mut self, name: &str, key: &'static str, address: SocketAddr) -> Vec<TcpListener> {
        let is_named = |(given, _): &mut (String, TcpListener)| given == name;
        let mut taken: Vec<_> = self.0.extract_if(.., is_named).map(|(_, socket)| socket).collect();
        if taken.is_empty() {
            let is_there = |(given, socket): &mut (String, TcpListener)| {
                ![SHOP, REDIRECT, GRAPH, ADMIN].contains(&given.as_str())
                    && socket.local_addr().is_ok_and(|found| is_meant(found, address))
            };
            taken = self.0.extract_if(.., is_there).map(|(_, socket)| socket).collect();
        }
        if let Some(found) = taken.first().and_then(|socket| socket.local_addr().ok())
            && !is_meant(found, address)
        {
            tracing::warn!(key, %address, %found, "the socket that was handed over is used, not the configured address");
        }
        taken
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        for (name, socket) in &self.0 {
            let address = socket.local_addr().map(|address| address.to_string()).unwrap_or_default();
            tracing::warn!(name, address, "a socket was handed over that no listener is configured for");
        }
    }
}

/// Whether a socket is where the configuration wants the listener; port 0 is any.
fn is_meant(found: SocketAddr, wanted: SocketAddr) -> bool {
    found == wanted || (wanted.port() == 0 && found.ip() == wanted.ip())
}
