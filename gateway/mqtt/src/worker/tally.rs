//! What a worker counts on the packets it handles: in plain cells, handed over to the shared meters with each tick, so
//! that counting costs a packet no atomic operation.

use super::Worker;
use crate::codec::Packet;
use crate::meters::{Meter, Meters};
use crate::session::{Connection, Session};
use crate::shared::lock;
use std::cell::Cell;

/// Counts since the last tick.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    packets_in: Cell<u64>,
    answers_out: Cell<u64>,
    bytes_in: Cell<u64>,
    bytes_out: Cell<u64>,
    payload_in: Cell<u64>,
    payload_out: Cell<u64>,
    /// Messages that wait for this worker's sessions: what the shared gauge holds for it, and what is being summed up.
    queued: Cell<u64>,
    queued_now: Cell<u64>,
}

// === impl Tally ===

impl Tally {
    /// A packet from a client. What it will be answered with is counted at the same time.
    pub(super) fn received(&self, packet: &Packet<'_>) {
        add(&self.packets_in, 1);
        match packet {
            Packet::Publish(publish) => {
                add(&self.payload_in, publish.payload.len());
                add(&self.answers_out, usize::from(publish.packet_id.is_some()));
            }
            Packet::PubRec(_) | Packet::PubRel(_) | Packet::Subscribe(_) | Packet::Unsubscribe(_) | Packet::PingReq => {
                add(&self.answers_out, 1);
            }
            _ => {}
        }
    }

    /// Bytes of whole packets from a client.
    pub(super) fn read(&self, bytes: usize) {
        add(&self.bytes_in, bytes);
    }

    /// A CONNACK or a DISCONNECT.
    pub(super) fn answered(&self) {
        add(&self.answers_out, 1);
    }

    /// A message to a client.
    pub(super) fn delivered(&self, payload: usize) {
        add(&self.payload_out, payload);
    }

    /// What a connection has written since it was last asked.
    pub(super) fn wrote(&self, connection: &Connection) {
        let bytes = connection.stream.borrow_mut().take_written();
        self.bytes_out.set(self.bytes_out.get() + bytes);
    }

    /// Looks at a session, once per tick.
    pub(super) fn look(&self, session: &Session) {
        add(&self.queued_now, session.delivery.borrow().waiting());
        if let Some(connection) = session.connection() {
            self.wrote(&connection);
        }
    }

    fn hand_over(&self, meters: &Meters) {
        for (count, meter) in [
            (&self.packets_in, &meters.packets_in),
            (&self.answers_out, &meters.answers_out),
            (&self.bytes_in, &meters.bytes_in),
            (&self.bytes_out, &meters.bytes_out),
            (&self.payload_in, &meters.payload_bytes_in),
            (&self.payload_out, &meters.payload_bytes_out),
        ] {
            hand(count, meter);
        }
        let now = self.queued_now.take();
        let before = self.queued.replace(now);
        meters.queued.add(now.saturating_sub(before));
        meters.queued.sub(before.saturating_sub(now));
    }
}

// === impl Worker ===

impl Worker {
    /// Brings the meters up to date, after every session was looked at.
    pub(super) fn measure(&self) {
        self.tally.hand_over(&self.shared.meters);
        if self.index == 0 {
            self.shared.meters.retained.set(lock(&self.shared.retained).len() as u64);
        }
    }
}

fn add(count: &Cell<u64>, by: usize) {
    count.set(count.get().wrapping_add(by as u64));
}

fn hand(count: &Cell<u64>, meter: &Meter) {
    let count = count.take();
    if count > 0 {
        meter.add(count);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]
    use super::*;
    use crate::codec::{self, Version};

    #[test]
    fn packets_are_counted_with_what_they_are_answered_with() {
        let (tally, meters) = (Tally::default(), Meters::default());
        for (bytes, answers) in [
            (&[0x30, 4, 0, 1, b't', b'x'][..], 0),
            (&[0x32, 7, 0, 1, b't', 0, 1, b'x', b'y'], 1),
            (&[0x40, 2, 0, 1], 0),
            (&[0x50, 2, 0, 1], 1),
            (&[0x62, 2, 0, 1], 1),
            (&[0x82, 6, 0, 1, 0, 1, b't', 0], 1),
            (&[0xA2, 5, 0, 1, 0, 1, b't'], 1),
            (&[0xC0, 0], 1),
            (&[0xE0, 0], 0),
        ] {
            let before = meters.answers_out.get();
            tally.received(&codec::decode(Version::V311, bytes).unwrap());
            tally.read(bytes.len());
            tally.hand_over(&meters);
            assert_eq!(meters.answers_out.get() - before, answers, "{bytes:?}");
        }
        assert_eq!((meters.packets_in.get(), meters.bytes_in.get(), meters.payload_bytes_in.get()), (9, 46, 3));
    }

    #[test]
    fn messages_that_wait_are_a_gauge_over_all_workers() {
        let (one, two, meters) = (Tally::default(), Tally::default(), Meters::default());
        for (first, second, sum) in [(3, 4, 7), (1, 4, 5), (0, 9, 9), (0, 0, 0)] {
            add(&one.queued_now, first);
            add(&two.queued_now, second);
            one.hand_over(&meters);
            two.hand_over(&meters);
            assert_eq!(meters.queued.get(), sum);
        }
    }
}
