//! After a connection: who ended it, what that means for entries, and when to try again.

use super::{Driver, Lost};
use crate::link::{Loss, LossKind};
use crate::reason::blames_a_packet;
use crate::status::{LinkState, Protocol};
use cordon_core::event::{Code, Event};
use std::time::Duration;
use tokio::time::Instant;

/// AWS IoT Core takes one CONNECT per second and client id.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// DISCONNECT 142: another connection came with the gateway's client id.
const SESSION_TAKEN_OVER: u8 = 142;

/// DISCONNECT 139: the far side is shutting down; operation as usual.
const SHUTTING_DOWN: u8 = 139;

/// After how many MQTT 5 connects in a row that were answered by closing MQTT 3.1.1 is tried.
const CLOSED_ON_V5: u32 = 2;

/// After how many short-lived connections in a row another client with the gateway's id is suspected.
const SHORT_LIVED: u32 = 3;

// === impl Driver ===

impl Driver {
    /// Draws the conclusions; the pause before the next attempt.
    pub(super) fn after(&mut self, lost: Lost) -> Duration {
        let Lost { loss, connected, subscribing } = lost;
        let healthy = connected.is_some_and(|since| since.elapsed() >= self.parts.config.healthy_after);
        if healthy {
            self.backoff.reset();
        }
        self.record_refusal(&loss, connected.is_some(), subscribing);
        self.suspect_a_rival(&loss, connected.is_some(), healthy);
        if subscribing {
            self.subscribe_failures += 1;
        } else if connected.is_some() {
            self.blame_entries(&loss);
        }
        let pause = self.pause(&loss, connected.is_some());
        self.record_end(&loss, connected.is_some(), pause);
        pause
    }

    /// A session that is taken over should be told so, but may just be closed: by AWS with MQTT 3.1.1, or with a
    /// DISCONNECT that rumqttc passes over.
    fn suspect_a_rival(&mut self, loss: &Loss, connected: bool, healthy: bool) {
        let closed = loss.kind == LossKind::Closed && connected;
        self.short_lived = if closed && !healthy { self.short_lived + 1 } else { 0 };
        if self.short_lived >= SHORT_LIVED {
            let reason = "connections are accepted and soon closed, time and again; does another client use this id?";
            self.refused("iot:Connect", format!("client/{}", self.parts.config.gateway), reason);
        }
    }

    fn blame_entries(&mut self, loss: &Loss) {
        let blamed = match loss.kind {
            LossKind::Closed => true,
            LossKind::Disconnected(code) => blames_a_packet(code),
            _ => false,
        };
        if let Some((id, topic)) = self.delivery.lost(blamed, Instant::now()) {
            let reason = format!("the far side ended the connection twice on this entry: {}", loss.text);
            self.refused("iot:Publish", topic.as_str(), reason.as_str());
            self.give_up(id, &topic, reason);
        }
    }

    fn record_refusal(&mut self, loss: &Loss, connected: bool, subscribing: bool) {
        let client = format!("client/{}", self.parts.config.gateway);
        match loss.kind {
            LossKind::ConnectRefused | LossKind::Tls => self.refused("iot:Connect", client, loss.text.as_str()),
            LossKind::VersionRefused if self.protocol == Protocol::V311 => {
                self.refused("iot:Connect", client, loss.text.as_str());
            }
            // AWS refuses an MQTT 3.1.1 connect, and a certificate that is not active, just by closing.
            LossKind::Closed if !connected => {
                self.refused("iot:Connect", client, format!("closed before CONNACK: {}", loss.text));
            }
            LossKind::Closed if subscribing => {
                let filters = self.parts.config.subscriptions.join(" ");
                self.refused("iot:Subscribe", filters, format!("closed before SUBACK: {}", loss.text));
            }
            LossKind::Disconnected(SHUTTING_DOWN) => {}
            LossKind::Disconnected(code) => match self.delivery.alone().map(str::to_owned) {
                Some(topic) if blames_a_packet(code) => self.refused("iot:Publish", topic, loss.text.as_str()),
                _ => self.refused("iot:Connect", client, loss.text.as_str()),
            },
            LossKind::Local => self.degraded_once(&loss.text),
            LossKind::Fault => self.degraded(format!("the uplink's connection failed and is made anew: {}", loss.text)),
            LossKind::Closed | LossKind::VersionRefused | LossKind::Network | LossKind::Protocol => {}
        }
    }

    fn pause(&mut self, loss: &Loss, connected: bool) -> Duration {
        let switched = self.choose_protocol(loss, connected);
        match loss.kind {
            LossKind::VersionRefused if switched && self.protocol == Protocol::V311 => SHORTEST_PAUSE,
            LossKind::Disconnected(SESSION_TAKEN_OVER) => self.parts.config.takeover_pause,
            _ => self.backoff.next((self.parts.random)()),
        }
    }

    /// Which version the next attempt speaks; whether that is another one.
    ///
    /// A far side that does not know MQTT 5 says so in CONNACK, or in a CONNACK of MQTT 3.1.1, which an MQTT 5 client
    /// cannot read: it shows as a connection that was closed. What was only guessed is guessed anew after each connection.
    fn choose_protocol(&mut self, loss: &Loss, connected: bool) -> bool {
        let before = self.protocol;
        match (self.protocol, loss.kind) {
            (Protocol::V5, LossKind::VersionRefused) => {
                self.only_v311 = true;
                self.protocol = Protocol::V311;
            }
            (Protocol::V5, LossKind::Closed) if !connected => {
                self.closed_on_v5 += 1;
                if self.closed_on_v5 >= CLOSED_ON_V5 {
                    self.protocol = Protocol::V311;
                }
            }
            (Protocol::V5, _) if connected => self.closed_on_v5 = 0,
            (Protocol::V311, LossKind::VersionRefused) => {
                self.only_v311 = false;
                self.protocol = Protocol::V5;
            }
            (Protocol::V311, _) if !self.only_v311 => self.protocol = Protocol::V5,
            _ => {}
        }
        before != self.protocol
    }

    /// One event per outage; the status always knows the latest reason.
    fn record_end(&mut self, loss: &Loss, connected: bool, pause: Duration) {
        tracing::info!(reason = %loss.text, ?pause, "the uplink is not connected");
        let now = self.parts.sink.now();
        let known = match &self.parts.status.borrow().link {
            LinkState::Disconnected { since, next_try: Some(_), .. } if !connected => Some(*since),
            _ => None,
        };
        if known.is_none() {
            let config = &self.parts.config;
            self.parts.sink.record(
                Event::new(Code::UplinkDisconnected, now)
                    .principal("gateway")
                    .client_id(config.gateway.as_str())
                    .reason(loss.text.as_str())
                    .detail("endpoint", format!("{}:{}", config.host, config.port)),
            );
        }
        self.set_link(LinkState::Disconnected {
            since: known.unwrap_or(now),
            reason: loss.text.clone(),
            next_try: Some(now.mono.plus(pause)),
        });
    }

    /// The gateway's own files: said when it begins, not at every attempt.
    fn degraded_once(&self, text: &str) {
        let said = matches!(&self.parts.status.borrow().link, LinkState::Disconnected { reason, .. } if reason == text);
        if !said {
            self.degraded(format!("the uplink cannot use its certificate files: {text}"));
        }
    }
}
