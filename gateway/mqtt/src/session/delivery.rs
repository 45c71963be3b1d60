//! Messages on their way to one client: the queue, the window of unacknowledged ones, and the identifiers of QoS 2
//! messages received but not released (MQTT 5, 4.3 and 4.4). A state machine without I/O.

use crate::codec::QoS;
use crate::envelope::Envelope;
use std::collections::{BTreeSet, VecDeque};
use std::num::NonZeroU16;
use std::rc::Rc;

/// A message with the terms of its delivery to one client.
#[derive(Debug, Clone)]
pub(crate) struct Queued {
    pub(crate) message: Envelope,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// Identifiers of the subscriptions it matched.
    pub(crate) ids: Option<Rc<[u32]>>,
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
    pub(crate) fn enqueue(&mut self, queued: Queued, max_messages: usize, max_bytes: usize) -> Accepted {
        let size = queued.message.size();
        if self.queue.len() >= max_messages || self.queued_bytes + size > max_bytes {
            return Accepted::Dropped;
        }
        self.queued_bytes += size;
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
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
        Some(queued)
    }

    /// Gives a QoS 1 or 2 message a packet identifier and keeps it until it is acknowledged.
    pub(crate) fn take_off(&mut self, queued: Queued) -> NonZeroU16 {
        let packet_id = loop {
            self.last_id = self.last_id.wrapping_add(1);
            if let Some(id) = NonZeroU16::new(self.last_id)
                && !self.flights.iter().any(|flight| flight.packet_id == id)
            {
                break id;
            }
        };
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
        self.flights.remove(at);
        if self.flights.is_empty() {
            self.flights = VecDeque::new();
        }
        true
    }

    /// PUBREC: the client has the message. `false` if there is no such QoS 2 message.
    pub(crate) fn release(&mut self, packet_id: NonZeroU16) -> bool {
        let flight = self.flights.iter_mut().find(|flight| flight.packet_id == packet_id);
        flight.is_some_and(|flight| {
            let fits = flight.queued.qos == QoS::ExactlyOnce;
            flight.released |= fits;
            fits
        })
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
        self.unreleased.remove(&packet_id.get())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]
    use super::*;
    use crate::envelope::Letter;
    use cordon_core::judge;
    use cordon_core::policy::Action;

    fn queued(payload: &str, qos: QoS) -> Queued {
        let letter = Letter {
            qos,
            retain: false,
            publisher: 1,
            thing: "",
            epoch: 0,
            expires: None,
            topic: "t",
            properties: &[],
            payload: payload.as_bytes(),
        };
        let message = Envelope::seal(&letter, 0, &[], judge::judge_gateway(Action::Publish, "t"));
        Queued { message, qos, retain: false, ids: None }
    }

    #[test]
    fn the_window_bounds_what_is_unacknowledged_and_order_is_kept() {
        let mut delivery = Delivery::default();
        for name in ["a", "b", "c"] {
            assert_eq!(delivery.enqueue(queued(name, QoS::AtLeastOnce), 10, 1000), Accepted::Queued);
        }
        let mut sent = Vec::new();
        while let Some(next) = delivery.next(2) {
            sent.push(String::from_utf8(next.message.payload().to_vec()).unwrap());
            delivery.take_off(next);
        }
        assert_eq!(sent, ["a", "b"]);
        assert!(delivery.done(NonZeroU16::new(2).unwrap()), "acknowledgements may come out of order");
        assert_eq!(delivery.next(2).unwrap().message.payload(), b"c");
    }

    #[test]
    fn a_full_queue_drops_the_newest() {
        let mut delivery = Delivery::default();
        assert_eq!(delivery.enqueue(queued("a", QoS::AtLeastOnce), 1, 1000), Accepted::Queued);
        assert_eq!(delivery.enqueue(queued("b", QoS::AtLeastOnce), 1, 1000), Accepted::Dropped);
        assert_eq!(delivery.enqueue(queued("b", QoS::AtLeastOnce), 10, 1), Accepted::Dropped);
        assert_eq!(delivery.next(1).unwrap().message.payload(), b"a");
    }

    #[test]
    fn identifiers_in_use_are_not_given_twice() {
        let mut delivery = Delivery::default();
        let first = delivery.take_off(queued("a", QoS::AtLeastOnce));
        for _ in 0..65_534 {
            let id = delivery.take_off(queued("b", QoS::AtLeastOnce));
            assert!(delivery.done(id));
        }
        assert_ne!(delivery.take_off(queued("c", QoS::AtLeastOnce)), first);
    }

    #[test]
    fn a_repeated_qos_2_message_is_recognised_until_it_is_released() {
        let (mut delivery, id) = (Delivery::default(), NonZeroU16::new(7).unwrap());
        assert_eq!(delivery.arrive(id, 1), Some(true));
        assert_eq!(delivery.arrive(id, 1), Some(false));
        assert_eq!(delivery.arrive(NonZeroU16::new(8).unwrap(), 1), None);
        assert!(delivery.released(id));
        assert!(!delivery.released(id));
        assert_eq!(delivery.arrive(id, 1), Some(true));
    }

    #[test]
    fn a_resumed_client_has_its_whole_quota_again_but_not_without_end() {
        let mut delivery = Delivery::default();
        let arrive = |delivery: &mut Delivery, id| delivery.arrive(NonZeroU16::new(id).unwrap(), 2);
        for (resumed, ids) in [(false, 1..=2), (true, 3..=4)] {
            if resumed {
                delivery.resume();
            }
            assert!(ids.clone().all(|id| arrive(&mut delivery, id) == Some(true)));
            assert_eq!(arrive(&mut delivery, ids.end() + 1), None);
        }
        delivery.resume();
        assert_eq!(arrive(&mut delivery, 5), None, "who never releases gets no further quota");
    }

    #[test]
    fn only_a_qos_2_message_can_be_released() {
        let mut delivery = Delivery::default();
        let once = delivery.take_off(queued("a", QoS::AtLeastOnce));
        let exactly = delivery.take_off(queued("b", QoS::ExactlyOnce));
        assert!(!delivery.release(once));
        assert!(delivery.release(exactly));
        assert!(delivery.flight(exactly).unwrap().released);
    }

    #[test]
    fn a_resumed_session_sends_again_in_order_within_the_window_and_before_anything_new() {
        let mut delivery = Delivery::default();
        let ids = ["a", "b", "c"].map(|name| delivery.take_off(queued(name, QoS::AtLeastOnce)));
        delivery.enqueue(queued("d", QoS::AtLeastOnce), 10, 1000);
        delivery.resume();
        assert_eq!(delivery.again(2).unwrap().packet_id, ids[0]);
        assert_eq!(delivery.again(2).unwrap().packet_id, ids[1]);
        assert!(delivery.again(2).is_none() && delivery.next(2).is_none() && !delivery.is_free(2));
        assert!(delivery.done(ids[1]));
        assert_eq!(delivery.again(2).unwrap().packet_id, ids[2]);
        assert!(delivery.done(ids[0]));
        assert_eq!(delivery.next(2).unwrap().message.payload(), b"d");
    }
}
