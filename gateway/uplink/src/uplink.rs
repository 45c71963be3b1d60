//! The uplink as others see it: spawn, watch, end.

use crate::backoff::ceiling;
use crate::config::{Config, ConfigError};
use crate::driver::{Driver, Parts, stopping};
use crate::link::{Dial, Dialer};
use crate::outbox::Outbox;
use crate::status::{LinkState, Status};
use cordon_core::event::{Code, Event};
use cordon_core::time::Now;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// A run that lasted this long before it failed does not make the next restart wait longer.
const STABLE: Duration = Duration::from_secs(60);

/// Where the uplink's events go, and what time it is. Neither may wait.
pub trait Sink: Send + Sync + 'static {
    /// Both clocks.
    fn now(&self) -> Now;

    /// Takes an event for the journal.
    fn record(&self, event: Event);
}

/// Starts uplinks.
#[derive(Debug)]
pub struct Uplink;

/// A running uplink. Dropping it ends the uplink at once; nothing is lost, since the outbox keeps what is not
/// acknowledged.
#[derive(Debug)]
pub struct Handle {
    stop: watch::Sender<Option<Instant>>,
    status: watch::Receiver<Status>,
    task: JoinHandle<()>,
}

// === impl Uplink ===

impl Uplink {
    /// Starts the uplink on the current tokio runtime and returns at once; connecting goes on by itself.
    ///
    /// # Errors
    ///
    /// The configuration cannot work. Certificate files are read at each connect and are no reason to fail here.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn spawn(config: Config, outbox: Arc<dyn Outbox>, sink: Arc<dyn Sink>) -> Result<Handle, ConfigError> {
        config.check()?;
        Ok(Self::start(config, outbox, sink, Arc::new(Dialer)))
    }

    pub(crate) fn start(config: Config, outbox: Arc<dyn Outbox>, sink: Arc<dyn Sink>, dial: Arc<dyn Dial>) -> Handle {
        let (stop, stopped) = watch::channel(None);
        let (status, seen) = watch::channel(Status::starting(sink.now()));
        let parts = Parts { config: Arc::new(config), outbox, sink, dial, status, stop: stopped, random };
        Handle { stop, status: seen, task: tokio::spawn(supervise(Arc::new(parts))) }
    }
}

// === impl Handle ===

impl Handle {
    /// The status, to look at or to watch.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Ends the uplink: nothing new is sent, answers to what is in flight are waited for until `deadline` has passed,
    /// then the far side is told.
    pub async fn shutdown(self, deadline: Duration) {
        let end = Instant::now() + deadline;
        // Fails only if the uplink has ended.
        let _ = self.stop.send(Some(end));
        // Some time for the goodbye after the deadline.
        if tokio::time::timeout_at(end + Duration::from_secs(2), self.task).await.is_err() {
            tracing::warn!("the uplink did not end in time");
        }
    }
}

/// Runs the driver, and another one if it panics or a task of its own does.
async fn supervise(parts: Arc<Parts>) {
    let mut failures = 0;
    loop {
        let started = Instant::now();
        match tokio::spawn(Driver::new(Arc::clone(&parts)).run()).await {
            Ok(Ok(())) => break,
            // The runtime ends.
            Err(error) if !error.is_panic() => break,
            Ok(Err(_)) | Err(_) => {}
        }
        failures = if started.elapsed() >= STABLE { 0 } else { failures };
        let pause = ceiling(Duration::from_secs(1), STABLE, failures);
        failures = failures.saturating_add(1);
        let now = parts.sink.now();
        let reason = format!("the uplink failed and starts anew in {} s", pause.as_secs());
        parts.sink.record(Event::new(Code::GatewayDegraded, now).reason(reason.as_str()));
        let next_try = Some(now.mono.plus(pause));
        parts.status.send_modify(|status| status.link = LinkState::Disconnected { since: now, reason, next_try });
        let mut stop = parts.stop.clone();
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stop.changed() => {}
        }
        if stopping(&parts.stop) {
            break;
        }
    }
    parts.status.send_modify(|status| status.link = LinkState::Stopped);
}

/// Spreads attempts; without a source of randomness the longest pause is as good.
fn random() -> u64 {
    getrandom::u64().unwrap_or(u64::MAX)
}
