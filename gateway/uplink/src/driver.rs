//! The uplink's life: connect, deliver, lose the connection, wait, connect again.
//!
//! All decisions about entries are [`Delivery`]'s; this part moves messages between the link, the outbox, the event sink
//! and the status.

mod loss;
mod talk;
#[cfg(test)]
mod tests;

use crate::backoff::Backoff;
use crate::bucket::Bucket;
use crate::config::Config;
use crate::delivery::Delivery;
use crate::link::{Dial, Loss};
use crate::outbox::Outbox;
use crate::refusals::{Refusal, Refusals};
use crate::status::{LinkState, Protocol, Status};
use crate::storage::{Call, Reply, Storage};
use crate::uplink::Sink;
use cordon_core::event::{Code, Event};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// What the uplink is made of; shared by the drivers that replace one another.
pub(crate) struct Parts {
    pub(crate) config: Arc<Config>,
    pub(crate) outbox: Arc<dyn Outbox>,
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) dial: Arc<dyn Dial>,
    pub(crate) status: watch::Sender<Status>,
    /// The time by which to be done; `None` while there is no hurry.
    pub(crate) stop: watch::Receiver<Option<Instant>>,
    pub(crate) random: fn() -> u64,
}

/// One run of the uplink.
pub(crate) struct Driver {
    parts: Arc<Parts>,
    stop: watch::Receiver<Option<Instant>>,
    storage: Storage,
    delivery: Delivery,
    refusals: Refusals,
    backoff: Backoff,
    publishes: Bucket,
    bytes: Bucket,
    protocol: Protocol,
    /// Whether the far side has said that it does not speak MQTT 5.
    only_v311: bool,
    /// How often an MQTT 5 CONNECT was answered by closing, since the last one that was accepted.
    closed_on_v5: u32,
    /// How many accepted connections in a row the far side closed, without a reason, before they counted as healthy.
    short_lived: u32,
    /// How often in a row the connection ended between SUBSCRIBE and SUBACK.
    subscribe_failures: u32,
    storage_in_trouble: bool,
}

/// How one connection ended.
enum End {
    Stopped,
    Lost(Lost),
    Broken,
}

/// The task that talks to the outbox has failed; a new driver makes a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Broken;

struct Lost {
    loss: Loss,
    /// When the far side accepted the connection, if it did.
    connected: Option<Instant>,
    /// Whether the answer to SUBSCRIBE was being waited for.
    subscribing: bool,
}

// === impl Driver ===

impl Driver {
    pub(crate) fn new(parts: Arc<Parts>) -> Self {
        let (config, now) = (&parts.config, Instant::now());
        Self {
            stop: parts.stop.clone(),
            storage: Storage::spawn(Arc::clone(&parts.outbox)),
            delivery: Delivery::new(config),
            refusals: Refusals::default(),
            backoff: Backoff::new(config.first_pause, config.longest_pause),
            publishes: Bucket::new(config.publishes_per_second, now),
            bytes: Bucket::new(config.bytes_per_second, now),
            protocol: Protocol::V5,
            only_v311: false,
            closed_on_v5: 0,
            short_lived: 0,
            subscribe_failures: 0,
            storage_in_trouble: false,
            parts,
        }
    }

    /// Runs until told to stop.
    pub(crate) async fn run(mut self) -> Result<(), Broken> {
        while !stopping(&self.stop) {
            match self.connect_and_talk().await {
                End::Stopped => break,
                End::Broken => return Err(Broken),
                End::Lost(lost) => {
                    let pause = self.after(lost);
                    self.wait(pause).await?;
                }
            }
        }
        Ok(())
    }

    /// Waits before the next attempt or until told to stop, and goes on hearing from the outbox.
    async fn wait(&mut self, pause: Duration) -> Result<(), Broken> {
        let over = Instant::now() + pause;
        while !stopping(&self.stop) {
            tokio::select! {
                () = tokio::time::sleep_until(over) => break,
                _ = self.stop.changed() => {}
                reply = self.storage.replies.recv() => self.on_reply(reply.ok_or(Broken)?),
            }
        }
        Ok(())
    }

    fn on_reply(&mut self, reply: Reply) {
        match reply {
            Reply::Peeked { look, entries } => {
                self.storage_in_trouble = false;
                self.delivery.found(look, entries);
            }
            Reply::Gone(id) => {
                self.storage_in_trouble = false;
                self.delivery.gone(id);
            }
            Reply::Trouble(error) => {
                tracing::warn!(%error, "the outbox store fails; trying again");
                if !std::mem::replace(&mut self.storage_in_trouble, true) {
                    self.degraded(format!("{error}; the uplink waits until it works again"));
                }
            }
        }
    }

    fn call(&self, call: Call) {
        if !self.storage.call(call) {
            // Cannot be while the window bounds the calls; the entry is sent again at the next start at the latest.
            tracing::error!("the outbox does not take calls");
        }
    }

    fn refused(&mut self, action: &'static str, resource: impl Into<String>, reason: impl Into<String>) {
        let refusal = Refusal { action, resource: resource.into(), reason: reason.into() };
        tracing::warn!(action, resource = %refusal.resource, reason = %refusal.reason, "refused by the far side");
        self.count(|counters| counters.refused += 1);
        self.refusals.note(refusal, &self.parts.config, &*self.parts.sink);
    }

    /// Gives an entry up, which is leaving already.
    fn give_up(&mut self, id: u64, topic: &str, reason: String) {
        self.count(|counters| counters.dead_lettered += 1);
        let event = Event::new(Code::UplinkDropped, self.parts.sink.now())
            .principal("gateway")
            .action("iot:Publish")
            .resource(topic)
            .reason(reason.as_str())
            .detail("outbox_id", id.to_string());
        self.parts.sink.record(event);
        self.call(Call::Discard { id, reason });
    }

    fn degraded(&self, reason: String) {
        self.parts.sink.record(Event::new(Code::GatewayDegraded, self.parts.sink.now()).reason(reason));
    }

    fn count(&self, change: impl FnOnce(&mut crate::status::Counters)) {
        self.parts.status.send_modify(|status| change(&mut status.counters));
    }

    fn set_link(&self, link: LinkState) {
        self.parts.status.send_modify(|status| status.link = link);
    }
}

/// Whether the uplink is told to end; also when nobody is left to tell it.
pub(crate) fn stopping(stop: &watch::Receiver<Option<Instant>>) -> bool {
    stop.borrow().is_some() || stop.has_changed().is_err()
}
