//! Messages on their way to one client: the queue, the window of unacknowledged ones, and the identifiers of QoS 2
//! messages received but not released (MQTT 5, 4.3 and 4.4). A state machine without I/O.
//!
//! The deliveries of a lasting session keep a log of what must be on record; see [`Delivery::take_log`].

mod lasting;

use super::ledger::{Change, Ledger};
use super::pool::Pool;
use crate::codec::QoS;
use crate::envelope::Envelope;
use std::collections::{BTreeSet, VecDeque};
use std::num::NonZeroU16;
use std::rc::Rc;
use std::sync::Arc;

pub(crate) use lasting::Restored;

/// A message with the terms of its delivery to one client.
#[derive(Debug, Clone)]
pub(crate) struct Queued {
    pub(crate) message: Envelope,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// Identifiers of the subscriptions it matched.
    pub(crate) ids: Option<Rc<[u32]>>,
    pub(crate) slot: Slot,
}

/// Where a message stands in the record of a lasting session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Slot {
    /// Its place; 0 before it has one.
    place: u64,
    /// The packet identifier that it will be sent under.
    planned: Option<NonZeroU16>,
}

/// A message that was sent and not yet acknowledged.
#[derive(Debug, Clone)]
pub(crate) struct Flight {
    pub(crate) packet_id: NonZeroU16,
    pub(crate) queued: Queued,
    /// QoS 2: the client has the message and PUBREL was sent.
    pub(crate) released: bool,
}

/// What became of an offered message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// It waits in the queue.
    Queued,
    /// The queue is full; it was dropped. The newest goes first, so that what was promised stays.
    Dropped,
}

/// The state of a session's deliveries.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    queue: VecDeque<Queued>,
    queued_bytes: usize,
    flights: VecDeque<Flight>,
    /// How many flights, the last ones, have yet to be sent again on this connection.
    due: usize,
    last_id: u16,
    /// QoS 2 messages of the client that were published and not yet released.
    unreleased: BTreeSet<u16>,
    /// How many of them the client may have on top, because it brought them from its last connection: its quota begins
    /// anew with each (MQTT 5, 4.9).
    carried: usize,
    /// What is on record, for a lasting session.
    ledger: Option<Box<Ledger>>,
    /// What all sessions share.
    pool: Option<Arc<Pool>>,
    /// Bytes of unacknowledged messages, while the client is away.
    parked: usize,
}

// === impl Delivery ===

impl Delivery {
    /// Messages that wait for the client: queued and unacknowledged.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len() + self.flights.len()
    }

    /// Whether anything could be sent if the window has room: queued, or to be sent again.
    pub(crate) fn is_waiting(&self) -> bool {
        self.due > 0 || !self.queue.is_empty()
    }

    /// Messages in the queue.
    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Their bytes.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// Whether a message may be sent at once: none waits before it and the window has room.
    pub(crate) fn is_free(&self, window: usize) -> bool {
        self.queue.is_empty() && self.due == 0 && self.flights.len() < window
    }

    /// A new connection begins: everything unacknowledged is to be sent again, in its first order (MQTT-4.4.0-1).
    pub(crate) fn resume(&mut self) {
        self.unpark();
        self.due = self.flights.len();
        self.carried = self.unreleased.len();
    }

    /// The next message to send again, if the window, which may be smaller than that of the last connection, has room.
    pub(crate) fn again(&mut self, window: usize) -> Option<Flight> {
        let sent = self.flights.len() - self.due;
        if self.due == 0 || sent >= window {
            return None;
        }
        self.due -= 1;
        self.flights.get(sent).cloned()
    }

    /// The message that a packet identifier stands for.
    pub(crate) fn flight(&self, packet_id: NonZeroU16) -> Option<&Flight> {
        self.flights.iter().find(|flight| flight.packet_id == packet_id)
    }

    /// Puts a message at the end of the queue.
    pub(crate) fn enqueue(&mut self, mut queued: Queued, max_messages: usize, max_bytes: usize) -> Accepted {
        let size = queued.message.size();
        if self.queue.len() >= max_messages || self.queued_bytes + size > max_bytes {
            return Accepted::Dropped;
        }
        if self.pool.as_ref().is_some_and(|pool| !pool.take(size)) {
            return Accepted::Dropped;
        }
        self.queued_bytes += size;
        if let Some(ledger) = &mut self.ledger {
            queued.slot.place = ledger.place();
        }
        self.queue.push_back(queued);
        Accepted::Queued
    }

    /// The next message to send, if the window has room for it.
    pub(crate) fn next(&mut self, window: usize) -> Option<Queued> {
        if self.due > 0 || self.flights.len() >= window {
            return None;
        }
        let queued = self.queue.pop_front()?;
        self.queued_bytes -= queued.message.size();
        if let Some(pool) = &self.pool {
            pool.give(queued.message.size());
        }
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
        Some(queued)
    }

    /// Gives a QoS 1 or 2 message a packet identifier and keeps it until it is acknowledged.
    pub(crate) fn take_off(&mut self, mut queued: Queued) -> NonZeroU16 {
        let planned = queued.slot.planned.filter(|id| self.flight(*id).is_none());
        let packet_id = planned.unwrap_or_else(|| self.fresh_id());
        if let Some(ledger) = &mut self.ledger {
            ledger.used(packet_id);
            if queued.slot.place == 0 {
                queued.slot.place = ledger.place();
            }
        }
        self.flights.push_back(Flight { packet_id, queued, released: false });
        packet_id
    }

    /// PUBACK for QoS 1, or PUBREC with a failure or PUBCOMP for QoS 2: the message is done. `false` if there is no such
    /// message.
    pub(crate) fn done(&mut self, packet_id: NonZeroU16) -> bool {
        let Some(at) = self.flights.iter().position(|flight| flight.packet_id == packet_id) else { return false };
        if at >= self.flights.len() - self.due {
            self.due -= 1;
        }
        let done = self.flights.remove(at);
        if let (Some(ledger), Some(flight)) = (&mut self.ledger, done) {
            ledger.forget(flight.queued.slot.place, None);
        }
        if self.flights.is_empty() {
            self.flights = VecDeque::new();
        }
        true
    }

    /// PUBREC: the client has the message. `None` if there is no such QoS 2 message; else whether it is on record, which
    /// must say so before PUBREL lets the client forget the identifier.
    pub(crate) fn release(&mut self, packet_id: NonZeroU16) -> Option<bool> {
        let flight = self.flights.iter_mut().find(|flight| flight.packet_id == packet_id)?;
        if flight.queued.qos != QoS::ExactlyOnce {
            return None;
        }
        let known = std::mem::replace(&mut flight.released, true);
        let place = flight.queued.slot.place;
        let Some(ledger) = self.ledger.as_mut().filter(|ledger| ledger.is_kept(place)) else { return Some(false) };
        if !known {
            ledger.kept(place, false);
        }
        Some(true)
    }

    /// Whether the identifier belongs to a QoS 2 message of the client that is not yet released.
    pub(crate) fn is_unreleased(&self, packet_id: NonZeroU16) -> bool {
        self.unreleased.contains(&packet_id.get())
    }

    /// A QoS 2 message arrived. `true` if it is new, `false` if it is a repeat. `None` if `limit` are unreleased, not
    /// counting as many again that came from the last connection.
    pub(crate) fn arrive(&mut self, packet_id: NonZeroU16, limit: usize) -> Option<bool> {
        let known = self.is_unreleased(packet_id);
        if !known && self.unreleased.len() >= limit + self.carried.min(limit) {
            return None;
        }
        Some(self.unreleased.insert(packet_id.get()))
    }

    /// PUBREL for a received QoS 2 message. `false` if there is no such message.
    pub(crate) fn released(&mut self, packet_id: NonZeroU16) -> bool {
        let known = self.unreleased.remove(&packet_id.get());
        if let Some(ledger) = self.ledger.as_mut().filter(|_| known) {
            ledger.log.push(Change::Released(packet_id.get()));
        }
        known
    }

    /// A packet identifier that nothing uses.
    fn fresh_id(&mut self) -> NonZeroU16 {
        let mut tried = 0_u32;
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            let Some(id) = NonZeroU16::new(self.last_id) else { continue };
            tried += 1;
            // When all others are taken, a planned one will do: its message gets another when it is sent.
            let planned =
                tried <= u32::from(u16::MAX) && self.ledger.as_ref().is_some_and(|ledger| ledger.is_planned(id));
            if !planned && !self.flights.iter().any(|flight| flight.packet_id == id) {
                if let Some(ledger) = &mut self.ledger {
                    ledger.reserve(id.get());
                }
                return id;
            }
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(pool) = &self.pool {
            pool.give(self.queued_bytes + self.parked);
        }
    }
}

#[cfg(test)]
mod tests;
