//! What the uplink is doing, for people and metrics.

use cordon_core::time::{Mono, Now};
use serde::Serialize;
use std::fmt;

/// The uplink at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The link.
    pub link: LinkState,
    /// What has happened since the start.
    pub counters: Counters,
}

/// Whether the uplink is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    /// Connected and accepted.
    Connected {
        /// Since when.
        since: Now,
        /// The version of MQTT that is spoken.
        protocol: Protocol,
    },
    /// Not connected.
    Disconnected {
        /// Since when.
        since: Now,
        /// Why, in words.
        reason: String,
        /// When the next attempt is made; `None` while one is under way.
        next_try: Option<Mono>,
    },
    /// Ended in order.
    Stopped,
}

/// A version of MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// MQTT 5: refusals carry reasons.
    V5,
    /// MQTT 3.1.1, for endpoints that do not know MQTT 5.
    V311,
}

/// Counts since the start; they only rise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counters {
    /// Connections that the far side accepted.
    pub connects: u64,
    /// Publishes written to a connection, repeats included.
    pub sent: u64,
    /// Publishes that the far side acknowledged as accepted.
    pub acked: u64,
    /// Refusals of any kind by the far side.
    pub refused: u64,
    /// Entries given up as undeliverable.
    pub dead_lettered: u64,
    /// Messages received.
    pub received: u64,
}

// === impl Protocol ===

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::V5 => "MQTT 5",
            Self::V311 => "MQTT 3.1.1",
        })
    }
}

// === impl Status ===

impl Status {
    pub(crate) fn starting(now: Now) -> Self {
        let link = LinkState::Disconnected { since: now, reason: "not connected yet".to_owned(), next_try: None };
        Self { link, counters: Counters::default() }
    }
}
