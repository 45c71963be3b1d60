//! WebSocket under MQTT (MQTT 5, chapter 6; RFC 6455): an HTTP request first, then binary frames in both directions.
//!
//! No socket is touched here: what was read is handed in, and what is to be written is asked for. MQTT takes the payload
//! of the binary frames as one stream of bytes, so packets may be split over frames or share one (MQTT-6.0.0-2). A frame
//! is never held as a whole: its payload passes on as it comes, and what bounds a packet bounds the memory.
//!
//! Whatever breaks a rule is a [`Breach`]. It is told after what came before it has been passed on.

mod breach;
mod frames;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod outgoing;
mod upgrade;

use super::unsent::Unsent;
use crate::codec::ReasonCode;
use crate::config::WebSocketConfig;
use frames::Incoming;
use outgoing::Outgoing;
use std::sync::Arc;
use upgrade::Upgrade;

pub(crate) use breach::Breach;

/// The WebSocket of a connection.
pub(crate) struct WebSocket {
    state: State,
    outgoing: Outgoing,
    /// Told with the next read.
    fault: Option<Breach>,
}

enum State {
    /// The HTTP request is not complete.
    Upgrading(Upgrade),
    /// Frames pass.
    Open(Incoming),
    /// Refused; nothing that comes is looked at any more.
    Refused,
}

// === impl WebSocket ===

impl WebSocket {
    pub(crate) fn new(config: Arc<WebSocketConfig>) -> Self {
        Self { state: State::Upgrading(Upgrade::new(config)), outgoing: Outgoing::default(), fault: None }
    }

    /// Whether nothing more comes: the peer has closed, or broke a rule in what was taken before.
    pub(super) fn is_over(&self) -> bool {
        self.fault.is_some() || matches!(&self.state, State::Open(incoming) if incoming.close_code().is_some())
    }

    /// The rule that was broken in what was taken before.
    pub(super) fn take_fault(&mut self) -> Option<Breach> {
        self.fault.take()
    }

    /// Takes bytes from the peer and leaves the MQTT bytes among them at the front. Returns how many those are.
    pub(super) fn take(&mut self, bytes: &mut [u8]) -> Result<usize, Breach> {
        let mut bytes = bytes;
        if let State::Upgrading(upgrade) = &mut self.state {
            let Some(answer) = upgrade.take(bytes) else { return Ok(0) };
            self.outgoing.answer(&answer.response);
            if let Some(breach) = answer.refused {
                self.state = State::Refused;
                return Err(breach);
            }
            self.state = State::Open(Incoming::default());
            let rest = bytes.len().saturating_sub(answer.rest);
            bytes.copy_within(rest.., 0);
            bytes = &mut bytes[..answer.rest];
        }
        let State::Open(incoming) = &mut self.state else { return Ok(0) };
        let (length, result) = incoming.take(bytes);
        if let Some(payload) = incoming.take_ping() {
            self.outgoing.pong(payload);
        }
        if let Some(code) = incoming.close_code() {
            self.outgoing.close_with(code, "");
        }
        match result {
            Ok(()) => Ok(length),
            Err(fault) => {
                self.outgoing.close_with(fault.close, fault.violation.detail);
                let breach = Breach::Violation(fault.violation);
                if length == 0 {
                    return Err(breach);
                }
                self.fault = Some(breach);
                Ok(length)
            }
        }
    }

    /// What is to be written next. Empty when nothing is.
    pub(super) fn wire(&mut self, packets: &mut Unsent) -> &[u8] {
        self.outgoing.wire(packets)
    }

    /// The first `count` bytes of [`WebSocket::wire`] are on their way.
    pub(super) fn sent(&mut self, count: usize) {
        self.outgoing.sent(count);
    }

    /// Bytes that were framed and not yet taken by the socket.
    pub(super) fn unsent(&self) -> usize {
        self.outgoing.len()
    }

    pub(super) fn wants_write(&self) -> bool {
        self.outgoing.wants_write()
    }

    /// Says what the Close frame will say. The first word counts.
    pub(super) fn close_for(&mut self, reason: Option<ReasonCode>, why: &str) {
        self.outgoing.close_with(outgoing::close_code(reason), why);
    }

    /// Adds the Close frame; nothing may be sent after it (RFC 6455, 5.5.1).
    pub(super) fn close(&mut self) {
        if matches!(self.state, State::Open(_)) {
            self.outgoing.close();
        }
    }

    /// Forgets what was not sent.
    pub(super) fn clear(&mut self) {
        self.outgoing = Outgoing::default();
    }
}
