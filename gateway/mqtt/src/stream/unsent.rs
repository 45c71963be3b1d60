//! What was encoded for a client and not yet taken by its socket.
//!
//! The buffer always begins at the start of a packet, so that packets nobody has begun to send can still be withdrawn
//! when an isolation order comes into force.

use bytes::{Buf, BytesMut};

/// Bytes already taken that may stay in front of the rest before they are given back.
const SLACK: usize = 64 * 1024;

/// Encoded packets, of which the first bytes were taken.
#[derive(Debug, Default)]
pub(crate) struct Unsent {
    packets: BytesMut,
    taken: usize,
}

// === impl Unsent ===

impl Unsent {
    /// The buffer to append whole packets to.
    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.packets
    }

    pub(crate) fn len(&self) -> usize {
        self.packets.len() - self.taken
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is to be sent next.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.packets[self.taken..]
    }

    /// The first `count` bytes of [`Unsent::rest`] are on their way.
    pub(crate) fn take(&mut self, count: usize) {
        self.taken += count;
        if self.taken >= self.packets.len() {
            *self = Self::default();
        } else if self.taken > SLACK {
            let whole = self.begun(false);
            self.packets.advance(whole);
            self.taken -= whole;
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Withdraws the packets that nobody has begun to send and that `keep` does not keep.
    pub(crate) fn withdraw(&mut self, mut keep: impl FnMut(&[u8]) -> bool) {
        let begun = self.begun(true);
        let mut kept = BytesMut::from(&self.packets[..begun]);
        let mut rest = &self.packets[begun..];
        while let Some(length) = packet_len(rest) {
            let (packet, next) = rest.split_at(length);
            if keep(packet) {
                kept.extend_from_slice(packet);
            }
            rest = next;
        }
        self.packets = kept;
        self.take(0);
    }

    /// Where the packet that is being sent begins, or with `past` where it ends.
    fn begun(&self, past: bool) -> usize {
        let mut at = 0;
        while at < self.taken {
            let Some(length) = packet_len(&self.packets[at..]) else { break };
            if at + length > self.taken && !past {
                break;
            }
            at += length;
        }
        at
    }
}

/// The length of the whole packet at the start of `bytes` (MQTT 5, 2.1.4).
fn packet_len(bytes: &[u8]) -> Option<usize> {
    let mut remaining = 0;
    for (at, byte) in bytes.get(1..)?.iter().take(4).enumerate() {
        remaining |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            let length = 2 + at + remaining;
            return (length <= bytes.len()).then_some(length);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(kind: u8, body: usize) -> Vec<u8> {
        let mut packet = vec![kind << 4];
        let mut left = body;
        while left > 0x7F {
            packet.push((left & 0x7F) as u8 | 0x80);
            left >>= 7;
        }
        packet.push(left as u8);
        packet.resize(packet.len() + body, kind);
        packet
    }

    fn filled(packets: &[Vec<u8>]) -> Unsent {
        let mut unsent = Unsent::default();
        packets.iter().for_each(|packet| unsent.buffer().extend_from_slice(packet));
        unsent
    }

    #[test]
    fn a_packet_that_was_begun_is_finished_and_later_ones_can_be_withdrawn() {
        let packets = [packet(3, 10), packet(3, 300), packet(4, 2), packet(3, 5)];
        for taken in 0..packets[0].len() + packets[1].len() {
            let mut unsent = filled(&packets);
            unsent.take(taken);
            unsent.withdraw(|packet| packet[0] >> 4 == 4);
            let mut expected = Vec::new();
            if taken > 0 && taken != packets[0].len() {
                let begun: Vec<u8> = packets[..if taken < packets[0].len() { 1 } else { 2 }].concat();
                expected.extend_from_slice(&begun[taken..]);
            }
            expected.extend_from_slice(&packets[2]);
            assert_eq!(unsent.rest(), expected, "{taken} bytes taken");
        }
    }

    #[test]
    fn a_slow_reader_that_is_never_done_does_not_hold_what_it_has_read() {
        let mut unsent = filled(&[packet(3, 1000), packet(3, 1000)]);
        for _ in 0..1000 {
            unsent.buffer().extend_from_slice(&packet(3, 1000));
            unsent.take(1003);
        }
        assert_eq!(unsent.len(), 2006);
        assert!(unsent.packets.len() < SLACK + 4096);
    }

    #[test]
    fn everything_can_be_withdrawn() {
        let mut unsent = filled(&[packet(3, 1), packet(3, 1)]);
        unsent.withdraw(|_| false);
        assert!(unsent.is_empty());
    }
}
