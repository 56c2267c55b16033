//! The program as a process of its own: started on a configuration file, read until it listens, killed or told to stop.

use std::io::BufRead;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use crate::harness::PATIENCE;
use crate::whole::KEY;
use crate::whole::TOKEN;

/// How long a process may take to end: the grace of its requests, and a busy machine.
const ENDING: Duration = Duration::from_mins(2);

/// A running process; dropping it kills it.
pub(crate) struct Process {
    child: Child,
    pub(crate) shop: SocketAddr,
    pub(crate) graph: SocketAddr,
    pub(crate) admin: SocketAddr,
    log: Receiver<String>,
}

/// The command on a configuration file, its log piped.
pub(crate) fn command(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clicksieve"));
    command.arg("run").arg("--config").arg(config);
    command.env("META_TOKEN", TOKEN).env("GRAPH_KEY", KEY).env("RUST_LOG", "info").env("NO_COLOR", "1");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Reads the log up to the line that names the listeners, or all of it where none comes.
fn listening(log: &mut impl BufRead) -> Result<[SocketAddr; 3], String> {
    let mut said = String::new();
    loop {
        let mut line = String::new();
        if log.read_line(&mut line).unwrap() == 0 {
            return Err(said);
        }
        said.push_str(&line);
        if line.contains(" started ") || line.contains(": started") {
            let address = |key: &str| {
                let (_, rest) = line.split_once(key).expect(key);
                rest.split_whitespace().next().unwrap().parse().expect(key)
            };
            return Ok(["shop=", "graph=", "admin="].map(address));
        }
    }
}

impl Process {
    /// Starts it and waits until it listens; where it ends instead, how it ended and what it said.
    pub(crate) fn try_start(config: &Path) -> Result<Self, (ExitStatus, String)> {
        Self::try_run(command(config))
    }

    /// The same with a command of the caller's that becomes the program.
    pub(crate) fn try_run(mut command: Command) -> Result<Self, (ExitStatus, String)> {
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        match listening(&mut log) {
            Ok([shop, graph, admin]) => {
                let (lines, read) = sync_channel(10_000);
                // Read on also where nobody asks, so that the process never waits for its log.
                std::thread::spawn(move || log.lines().map_while(Result::ok).for_each(|line| drop(lines.try_send(line))));
                Ok(Self { child, shop, graph, admin, log: read })
            }
            Err(said) => Err((child.wait().unwrap(), said)),
        }
    }

    /// The same for a configuration that is known to be good.
    pub(crate) fn start(config: &Path) -> Self {
        Self::try_start(config).unwrap_or_else(|(status, said)| panic!("it ended with {status}:\n{said}"))
    }

    /// The process's number.
    #[allow(dead_code, reason = "`tests/system` shares this file")]
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What is left of the log; waits for its end.
    #[allow(dead_code, reason = "`tests/system` shares this file")]
    pub(crate) fn last_words(&self) -> Vec<String> {
        self.log.iter().collect()
    }

    /// Waits for a line of the log that holds this text, and gives it.
    pub(crate) fn until_said(&self, text: &str) -> String {
        self.until_said_within(text, PATIENCE)
    }

    /// The same for what may rightly take longer than other things.
    pub(crate) fn until_said_within(&self, text: &str, patience: Duration) -> String {
        loop {
            let line = self.log.recv_timeout(patience).unwrap_or_else(|_| panic!("it never said `{text}`"));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Sends a signal by its name, such as `HUP`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status().unwrap();
        assert!(sent.success());
    }

    /// Waits until it has ended by itself; one that never would is killed, and its status says so.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let (over, waited) = sync_channel::<()>(1);
        let id = self.child.id().to_string();
        let watchdog = std::thread::spawn(move || {
            if waited.recv_timeout(ENDING) == Err(RecvTimeoutError::Timeout) {
                Command::new("kill").arg("-KILL").arg(id).status().unwrap();
            }
        });
        let status = self.child.wait().unwrap();
        drop(over);
        watchdog.join().unwrap();
        status
    }

    /// SIGKILL: it gets no chance to write anything.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
