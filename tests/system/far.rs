//! The program as a process between a fake site and visitors, with what the operator's door says of it.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::harness::PATIENCE;
use crate::harness::site::Site;
use crate::harness::visitor::Visitor;
use crate::whole;
use crate::whole::process::Process;

/// A running process and the folder it lives in.
pub(crate) struct Far {
    pub(crate) process: Process,
    pub(crate) site: Site,
    state: PathBuf,
    _folder: tempfile::TempDir,
}

impl Far {
    /// In front of a site; `more` stands at the end of the configuration.
    pub(crate) fn of(site: Site, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("clicksieve.yaml");
        let text = whole::configuration(site.address, "http://127.0.0.1:9", &format!("{more}{}", whole::ADMIN));
        std::fs::write(&config, text).unwrap();
        Self { process: Process::start(&config), site, state: folder.path().join("state"), _folder: folder }
    }

    /// A process that was started otherwise; `state` is its folder as the test sees it.
    pub(crate) fn with(process: Process, site: Site, state: PathBuf, folder: tempfile::TempDir) -> Self {
        Self { process, site, state, _folder: folder }
    }

    pub(crate) fn shop(&self) -> SocketAddr {
        self.process.shop
    }

    /// The value of a metric, with its labels as they are exposed; 0 where it was never counted.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let token = std::fs::read_to_string(self.state.join("admin.token")).unwrap();
        let lines = format!("host: localhost\r\nauthorization: Bearer {}\r\n", token.trim());
        let answer = Visitor::connect(self.process.admin).ask(&format!("GET /metrics HTTP/1.1\r\n{lines}\r\n"));
        assert_eq!(answer.status, 200);
        let value = answer.text().lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or(0)
    }

    /// Waits until no visitor is connected any more.
    pub(crate) fn until_left(&self) {
        until("all visitors are gone", || self.metric("clicksieve_open_connections") == 0);
    }
}

/// Waits for a state; panics where it does not come, also on a busy machine.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let (said, wait) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        std::thread::park_timeout(3 * PATIENCE);
        // Who waited may be done.
        let _ = said.send(());
    });
    while !holds() {
        assert!(wait.try_recv().is_err(), "not in time: {what}");
        std::thread::yield_now();
    }
}
