//! Telling systemd how the daemon is (`Type=notify`): ready, reloading, stopping, alive. Without systemd nothing happens.

use sd_notify::NotifyState;
use std::time::Duration;

/// Serving has begun.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The daemon is shutting down.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// The daemon is alive.
pub(crate) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often [`alive`] must be told: half of the unit's `WatchdogSec`.
pub(crate) fn watchdog() -> Option<Duration> {
    let mut micros = 0;
    sd_notify::watchdog_enabled(false, &mut micros).then(|| Duration::from_micros(micros) / 2)
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, states) {
        tracing::debug!(%error, "systemd could not be told.");
    }
}
