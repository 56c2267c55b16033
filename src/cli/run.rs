//! `clicksieve run`: configuration to running proxy, until SIGTERM or SIGINT. Must not know any room.

use std::io::Write;
use std::path::Path;

use crate::app;
use crate::cli::Ended;
use crate::cli::say;
use crate::config::Config;
use crate::telemetry;

/// Runs the proxy until it is told to stop.
pub(super) fn run(path: &Path, err: &mut dyn Write) -> Ended {
    // Before it is read, so that no change falls between.
    let mut usual = app::Options { sockets: app::Sockets::from_systemd(), ..app::Options::default() };
    match app::Heir::arrive() {
        Ok(Some((heir, sockets))) => (usual.heir, usual.sockets) = (Some(heir), sockets),
        Ok(None) => {}
        Err(error) => {
            say(err, format_args!("no sockets came from the process before: {error}"));
            return Ended::Failed;
        }
    }
    let environment = |name: &str| std::env::var(name).ok();
    let config = match Config::load(path, &environment) {
        Ok(config) => config,
        Err(faults) => {
            for fault in &faults {
                say(err, fault);
            }
            return Ended::Wrong;
        }
    };
    let log = telemetry::log_to_stderr();
    let options = app::Options { config_path: Some(path.to_owned()), ..usual };
    match app::start(&config, options) {
        Ok(running) => {
            running.until_told();
            Ended::Well
        }
        Err(error) => {
            // What was logged on the way comes first.
            drop(log);
            say(err, &error);
            match error {
                app::StartError::Faults(_) => Ended::Wrong,
                _ => Ended::Failed,
            }
        }
    }
}
