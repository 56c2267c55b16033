//! Handing over to a new process of the same program, at SIGUSR2. The old one serves until the new one has checked everything;
//! the state folder changes hands while connections wait in the sockets both hold; then the old one finishes what it has
//! begun. Promises: a new process that fails at any point leaves the old one serving as before, with its state.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::app::heir;
use crate::app::heir::Testator;
use crate::app::reload::Reloader;
use crate::app::sockets;
use crate::app::standing::Standing;
use crate::config::Config;

/// How long the new process may take to check its files; lists are large and disks slow.
const CHECKING: Duration = Duration::from_mins(1);
/// How long it may take to open the state folder, a gibibyte of visits and all.
const OPENING: Duration = Duration::from_secs(30);
/// How long new connections wait meanwhile. After that the old process serves them again: a page matters more than an event.
const PAUSED: Duration = Duration::from_secs(2);

/// What handing over takes.
#[derive(Debug)]
pub(super) struct Upgrade {
    program: PathBuf,
    standing: Arc<Standing>,
    reloader: Arc<Reloader>,
    admin: Arc<TcpListener>,
    side: Handle,
}

impl Upgrade {
    /// Must be made at the start: the program's file may be another one later, which is the purpose.
    pub(super) fn new(
        standing: Arc<Standing>,
        reloader: Arc<Reloader>,
        admin: Arc<TcpListener>,
        side: Handle,
    ) -> io::Result<Self> {
        Ok(Self { program: std::env::current_exe()?, standing, reloader, admin, side })
    }

    /// Hands over; the new process's number. Blocks.
    pub(super) fn hand_over(&self) -> io::Result<u32> {
        let (here, there) = UnixStream::pair()?;
        let mut child = Command::new(&self.program)
            .args(std::env::args_os().skip(1))
            .env(heir::SUCCEEDS, "1")
            // It names the process that systemd watches, which is about to be another one.
            .env_remove("WATCHDOG_PID")
            .stdin(Stdio::from(OwnedFd::from(there)))
            .spawn()?;
        tracing::info!(pid = child.id(), "a new process is checking its files");
        let handed = self.to(here);
        if handed.is_err() {
            put_away(&mut child);
        }
        handed.map(|gap| {
            let gap = u64::try_from(gap.as_millis()).unwrap_or(u64::MAX);
            tracing::info!(pid = child.id(), gap_ms = gap, "handed over");
            child.id()
        })
    }

    fn to(&self, stream: UnixStream) -> io::Result<Duration> {
        // No reload meanwhile: it would open what is about to change hands.
        let config = self.reloader.still();
        let mut testator = Testator::send(stream, &self.sockets()?)?;
        testator.until_checked(CHECKING)?;
        self.side.block_on(self.standing.couriers.end());
        let began = self.side.block_on(async { Instant::now() });
        self.standing.pause(true);
        let standing = Arc::clone(&self.standing);
        let resumes = self.side.spawn(async move {
            tokio::time::sleep(PAUSED).await;
            standing.pause(false);
        });
        self.side.block_on(self.standing.give_up_state());
        let ready = testator.until_ready(OPENING);
        resumes.abort();
        if ready.is_err() {
            self.resume(&config);
        }
        // What comes now is the new process's, also where the wait was too long for ours.
        self.standing.pause(ready.is_ok());
        ready.map(|()| began.elapsed())
    }

    fn sockets(&self) -> io::Result<Vec<(&'static str, TcpListener)>> {
        let mut all = vec![(sockets::ADMIN, self.admin.try_clone()?)];
        for (name, live) in self.standing.doors() {
            all.extend(live.sockets()?.into_iter().map(|socket| (name, socket)));
        }
        Ok(all)
    }

    /// Takes the state folder back.
    fn resume(&self, config: &Config) {
        if let Err(error) = self.standing.take_state_back(config) {
            tracing::error!(%error, "the state folder cannot be opened again: events are refused; restart the process");
        }
    }
}

/// Ends a process that did not take over.
fn put_away(child: &mut Child) {
    // It may have ended by itself, which is why.
    let _ = child.kill();
    let _ = child.wait();
}
