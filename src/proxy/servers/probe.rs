//! Checks of one server, each over a connection of its own. Ends when nobody needs the server any more.
//! Must not know requests of visitors.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http::Request;
use http::StatusCode;
use http::header;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio::time::timeout;

use crate::proxy::Origin;
use crate::proxy::line::Line;
use crate::proxy::servers::Health;
use crate::proxy::servers::farm::Farm;
use crate::proxy::trust::Trust;

/// The largest answer's head that is read.
const HEAD: usize = 16 << 10;

/// What a server is checked by.
pub(super) struct Check {
    pub(super) farm: Arc<Farm>,
    pub(super) index: usize,
    pub(super) health: Health,
    pub(super) host: HeaderValue,
    pub(super) trust: Option<Trust>,
}

impl Check {
    /// Checks until `ending` says that the servers are nobody's.
    pub(super) async fn run(self, mut ending: watch::Receiver<()>) {
        tokio::select! {
            () = self.check() => {}
            // Nothing is ever sent: this ends with the sender.
            _ = ending.changed() => {}
        }
    }

    async fn check(&self) {
        let Some(member) = self.farm.members.get(self.index) else { return };
        let (mut good, mut bad) = (0_u32, 0_u32);
        loop {
            match self.once(&member.server.origin).await {
                Ok(()) => (good, bad) = (good.saturating_add(1), 0),
                Err(why) => {
                    (good, bad) = (0, bad.saturating_add(1));
                    if bad == self.health.unhealthy_after {
                        member.standing.checked(Err(why));
                    }
                }
            }
            if good == self.health.healthy_after {
                member.standing.checked(Ok(()));
            }
            sleep(jittered(self.health.every, rand::random())).await;
        }
    }

    async fn once(&self, origin: &Origin) -> Result<(), String> {
        let (host, port) = origin.place();
        if origin.is_tls() && self.trust.is_none() {
            return Err("nobody to trust".to_owned());
        }
        let trust = self.trust.as_ref().filter(|_| origin.is_tls());
        let asked = async {
            let line = Line::open(host, port, trust).await.map_err(|error| format!("cannot be reached: {error}"))?;
            self.ask(line).await.map_err(|error| format!("gave no proper answer: {error}"))
        };
        let late = || format!("gave no answer within {} ms", self.health.timeout.as_millis());
        match timeout(self.health.timeout, asked).await.map_err(|_| late())?? {
            status if status.is_success() || status.is_redirection() => Ok(()),
            status => Err(format!("answered {}", status.as_u16())),
        }
    }

    async fn ask(&self, line: Line) -> Result<StatusCode, Box<dyn std::error::Error + Send + Sync>> {
        let request = Request::get(&self.health.path)
            .header(header::HOST, self.host.clone())
            .header(header::USER_AGENT, "clicksieve-health")
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())?;
        let mut protocol = http1::Builder::new();
        let (mut sender, line) = protocol.max_buf_size(HEAD).handshake(TokioIo::new(line)).await?;
        let (mut answer, mut line) = (pin!(sender.send_request(request)), pin!(line));
        tokio::select! {
            biased;
            answer = &mut answer => return Ok(answer?.status()),
            // Its end settles the answer.
            _ = &mut line => {}
        }
        Ok(answer.await?.status())
    }
}

/// A tenth less to a tenth more, so that several proxies do not check at the same moments.
fn jittered(every: Duration, chance: u16) -> Duration {
    let tenth = every / 10;
    every.saturating_sub(tenth).saturating_add(tenth.saturating_mul(2).saturating_mul(u32::from(chance)) / u32::from(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_come_a_tenth_early_to_a_tenth_late() {
        let every = Duration::from_secs(10);
        let (early, late) = (Duration::from_secs(9), Duration::from_secs(11));
        assert_eq!((jittered(every, 0), jittered(every, u16::MAX)), (early, late));
        assert!((early..late).contains(&jittered(every, u16::MAX / 2)));
    }
}
