//! One connection: CONNACK, subscriptions, then publishes until it ends.
//!
//! Publishes begin after SUBACK. What ends the connection before that is then plainly not the fault of an entry, and
//! what ends it afterwards is not the fault of a subscription.

use super::{Broken, Driver, End, Lost, stopping};
use crate::config::FILTERS_PER_SUBSCRIBE;
use crate::delivery::{Next, Outcome};
use crate::link::{Heard, Link, Loss, LossKind};
use crate::reason::describe;
use crate::status::LinkState;
use crate::storage::Call;
use bytes::Bytes;
use cordon_core::event::{Code, Event};
use serde::Deserialize;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// After how many connections that ended between SUBSCRIBE and SUBACK the uplink goes without subscriptions.
const SUBSCRIBE_FAILURES: u32 = 2;

/// How long to wait for DISCONNECT to be written when ending.
const GOODBYE: Duration = Duration::from_secs(1);

/// How far a connection has come.
struct Talk {
    link: Link,
    phase: Phase,
    connected: Option<Instant>,
    /// Filters of each SUBSCRIBE that waits for its SUBACK.
    subscribing: VecDeque<Vec<String>>,
}

enum Phase {
    Connecting,
    Subscribing { until: Instant },
    Delivering,
}

/// What ended a connection.
enum Failed {
    Link(Loss),
    Storage(Broken),
}

/// The body of a message on a `rejected` topic of AWS IoT.
#[derive(Deserialize)]
struct Rejected {
    code: serde_json::Value,
    #[serde(default)]
    message: String,
}

// === impl Failed ===

impl From<Loss> for Failed {
    fn from(loss: Loss) -> Self {
        Self::Link(loss)
    }
}

impl From<Broken> for Failed {
    fn from(broken: Broken) -> Self {
        Self::Storage(broken)
    }
}

// === impl Driver ===

impl Driver {
    /// Makes one connection and uses it until it ends.
    pub(super) async fn connect_and_talk(&mut self) -> End {
        let link = self.parts.dial.dial(&self.parts.config, self.protocol);
        let mut talk = Talk { link, phase: Phase::Connecting, connected: None, subscribing: VecDeque::new() };
        match self.talk(&mut talk).await {
            Ok(()) => End::Stopped,
            Err(Failed::Storage(Broken)) => End::Broken,
            Err(Failed::Link(loss)) => {
                let subscribing = matches!(talk.phase, Phase::Subscribing { .. });
                End::Lost(Lost { loss, connected: talk.connected, subscribing })
            }
        }
    }

    async fn talk(&mut self, talk: &mut Talk) -> Result<(), Failed> {
        loop {
            let now = Instant::now();
            let stop_by = self.stop_by(now);
            if let Some(end) = stop_by {
                if !matches!(talk.phase, Phase::Delivering) || self.delivery.is_idle() || now >= end {
                    if talk.connected.is_some() {
                        goodbye(&mut talk.link).await;
                    }
                    return Ok(());
                }
            } else if matches!(talk.phase, Phase::Delivering) {
                self.look(now);
            }
            let more = if stop_by.is_none() { self.feed(talk, now) } else { None };
            let due = self.deadline(talk, now)?;
            // What is due of delivery concerns what is sent next, and nothing is sent any more when ending.
            let wake = stop_by.or_else(|| [more, due].into_iter().flatten().min());
            let idle = self.delivery.waits_beyond().filter(|_| matches!(talk.phase, Phase::Delivering));
            tokio::select! {
                heard = talk.link.heard.recv() => {
                    self.hear(talk, heard.ok_or_else(|| Loss::new(LossKind::Fault, "the connection's task failed"))?)?;
                }
                reply = self.storage.replies.recv() => self.on_reply(reply.ok_or(Broken)?),
                () = self.parts.outbox.wait_beyond(idle.unwrap_or(u64::MAX)), if idle.is_some() => self.delivery.more(),
                () = tokio::time::sleep_until(wake.unwrap_or(now)), if wake.is_some() => {}
                // Nobody left to change it counts as told to stop: see `stop_by`.
                _ = self.stop.changed(), if !stopping(&self.stop) => {}
            }
        }
    }

    /// The time by which to be done, once told to stop.
    fn stop_by(&self, now: Instant) -> Option<Instant> {
        let by = *self.stop.borrow();
        by.or_else(|| stopping(&self.stop).then_some(now))
    }

    fn look(&mut self, now: Instant) {
        if let Some(look) = self.delivery.look(now) {
            self.call(Call::Peek(look));
        }
    }

    /// Sends what may be sent; when more may be, if only time is missing.
    ///
    /// A link that takes nothing has ended, and why will be heard on it.
    fn feed(&mut self, talk: &Talk, now: Instant) -> Option<Instant> {
        if !matches!(talk.phase, Phase::Delivering) {
            return None;
        }
        loop {
            let opens = self.publishes.opens(now).max(self.bytes.opens(now));
            if opens.is_some() {
                return opens;
            }
            match self.delivery.next(now) {
                Next::Send(entry) => {
                    self.publishes.spend(1);
                    self.bytes.spend(entry.bytes());
                    if talk.link.requests.publish(&entry.topic, entry.payload).is_err() {
                        return None;
                    }
                }
                Next::Undeliverable(entry, error) => {
                    self.refused("iot:Publish", entry.topic.as_str(), format!("not sent: {error}"));
                    self.give_up(entry.id, &entry.topic, error.to_string());
                }
                Next::Nothing => {
                    self.look(now);
                    return None;
                }
            }
        }
    }

    /// When something is overdue if nothing else happens; an error if it is.
    fn deadline(&self, talk: &Talk, now: Instant) -> Result<Option<Instant>, Loss> {
        match talk.phase {
            Phase::Connecting => Ok(None),
            Phase::Subscribing { until } if now >= until => {
                Err(Loss::new(LossKind::Network, "no answer to SUBSCRIBE in time"))
            }
            Phase::Subscribing { until } => Ok(Some(until)),
            Phase::Delivering if self.delivery.overdue(now) => {
                Err(Loss::new(LossKind::Network, "no answer to a publish in time"))
            }
            Phase::Delivering => Ok(self.delivery.poll_timeout()),
        }
    }

    fn hear(&mut self, talk: &mut Talk, heard: Heard) -> Result<(), Loss> {
        match heard {
            Heard::Connected { session_present, receive_max, max_packet } => {
                self.delivery.connected(receive_max, max_packet);
                self.on_connected(talk, session_present);
            }
            Heard::Subscribed { reasons } => self.on_subscribed(talk, &reasons),
            Heard::Sent { pkid } => {
                self.count(|counters| counters.sent += 1);
                if !self.delivery.sent(pkid, Instant::now()) {
                    return Err(Loss::new(LossKind::Fault, "a publish was written that was not asked for"));
                }
            }
            Heard::Answered { pkid, code } => self.on_answer(pkid, code),
            Heard::Message { topic, payload } => self.on_message(topic, &payload),
            Heard::Goodbye => {}
            Heard::Lost(loss) => return Err(loss),
        }
        Ok(())
    }

    fn on_connected(&mut self, talk: &mut Talk, session_present: bool) {
        let since = self.parts.sink.now();
        talk.connected = Some(Instant::now());
        self.count(|counters| counters.connects += 1);
        self.set_link(LinkState::Connected { since, protocol: self.protocol });
        let config = &self.parts.config;
        self.parts.sink.record(
            Event::new(Code::UplinkConnected, since)
                .principal("gateway")
                .client_id(config.gateway.as_str())
                .detail("endpoint", format!("{}:{}", config.host, config.port))
                .detail("protocol", self.protocol.to_string())
                .detail("session_present", session_present.to_string()),
        );
        talk.phase = Phase::Delivering;
        if self.subscribe_failures < SUBSCRIBE_FAILURES {
            for filters in config.subscriptions.chunks(FILTERS_PER_SUBSCRIBE) {
                if talk.link.requests.subscribe(filters).is_err() {
                    return;
                }
                talk.subscribing.push_back(filters.to_vec());
                talk.phase = Phase::Subscribing { until: Instant::now() + config.ack_timeout };
            }
        }
    }

    fn on_subscribed(&mut self, talk: &mut Talk, reasons: &[u8]) {
        let filters = talk.subscribing.pop_front().unwrap_or_default();
        for (filter, reason) in filters.into_iter().zip(reasons) {
            if *reason >= 128 {
                self.refused("iot:Subscribe", filter, describe(*reason));
            }
        }
        if talk.subscribing.is_empty() {
            self.subscribe_failures = 0;
            talk.phase = Phase::Delivering;
        }
    }

    fn on_answer(&mut self, pkid: u16, code: u8) {
        match self.delivery.answered(pkid, code, Instant::now()) {
            Outcome::Accepted { id } => {
                self.count(|counters| counters.acked += 1);
                self.call(Call::Ack(id));
            }
            Outcome::SentAgain { id, topic } => {
                tracing::info!(id, %topic, code, "refused; the entry stays in the outbox");
                self.refused("iot:Publish", topic, describe(code));
            }
            Outcome::GivenUp { id, topic, refusals } => {
                self.refused("iot:Publish", topic.as_str(), describe(code));
                self.give_up(id, &topic, format!("refused {refusals} times, last with {}", describe(code)));
            }
            Outcome::Unknown => tracing::warn!(pkid, "an answer to no publish in flight"),
        }
    }

    fn on_message(&mut self, topic: String, payload: &Bytes) {
        self.count(|counters| counters.received += 1);
        if topic.ends_with("/rejected") {
            let reason = match serde_json::from_slice(payload) {
                Ok(Rejected { code, message }) => format!("{code} {message}"),
                Err(_) => "rejected without a readable reason".to_owned(),
            };
            self.refused("iot:Publish", topic, reason);
        } else {
            tracing::info!(%topic, bytes = payload.len(), "a message from the far side");
        }
    }
}

/// Says DISCONNECT and waits a little until it is written.
async fn goodbye(link: &mut Link) {
    if link.requests.disconnect().is_err() {
        return;
    }
    let written = async {
        while let Some(heard) = link.heard.recv().await {
            if matches!(heard, Heard::Goodbye | Heard::Lost(_)) {
                return;
            }
        }
    };
    // A far side that does not read is left without a goodbye.
    let _ = tokio::time::timeout(GOODBYE, written).await;
}
