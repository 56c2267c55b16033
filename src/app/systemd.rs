//! What systemd is told (`sd_notify(3)`): ready, reloading, stopping, who goes on, and that the threads turn round. Says nothing where
//! nobody listens. Must not decide anything.

use sd_notify::NotifyState;

/// Everything is open and accepts.
pub(super) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// A reload begins; [`ready`] ends it.
pub(super) fn reloading() {
    // `Type=notify-reload` wants to know since when.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now, NotifyState::Status("reloading")]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// The process is about to end.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("finishing what has begun")]);
}

/// Another process goes on.
pub(super) fn succeeded_by(process: u32) {
    tell(&[NotifyState::MainPid(process), NotifyState::Ready]);
}

/// The threads turn round.
pub(super) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// Whether systemd waits for [`alive`].
pub(super) fn is_watching() -> bool {
    sd_notify::watchdog_enabled().is_some()
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd was not told");
    }
}
