//! What goes out on a WebSocket: the answer to the request, binary frames, a pong, and the Close frame.
//!
//! Packets stay unframed until the socket takes more, so that they can still be withdrawn. One chunk at most is framed
//! ahead; the rest of the bound is the bound of the packets. At most one pong waits.

use crate::codec::ReasonCode;
use crate::stream::unsent::Unsent;
use bytes::{Buf, BufMut, BytesMut};

/// Bytes of packets that are framed at once.
const CHUNK: usize = 16 * 1024;
/// The longest reason in a Close frame: the longest control payload less the status code.
const LONGEST_REASON: usize = 123;

const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PONG: u8 = 0x8A;

/// Framed bytes and what is to be framed next.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    wire: BytesMut,
    pong: Option<Vec<u8>>,
    /// Status code and reason of the Close frame.
    last: Option<(u16, Box<str>)>,
}

// === impl Outgoing ===

impl Outgoing {
    /// Adds the answer to the HTTP request.
    pub(super) fn answer(&mut self, response: &[u8]) {
        self.wire.extend_from_slice(response);
    }

    /// Answers a ping, in place of an earlier one that is not answered yet.
    pub(super) fn pong(&mut self, payload: Vec<u8>) {
        self.pong = Some(payload);
    }

    pub(super) fn close_with(&mut self, code: u16, why: &str) {
        self.last.get_or_insert_with(|| (code, shortened(why).into()));
    }

    pub(super) fn close(&mut self) {
        let (code, why) = self.last.take().unwrap_or((1000, "".into()));
        let payload = [&code.to_be_bytes()[..], why.as_bytes()].concat();
        self.frame(CLOSE, &payload);
    }

    /// What is to be written next; takes a chunk of `packets` when everything before it is written.
    pub(super) fn wire(&mut self, packets: &mut Unsent) -> &[u8] {
        if self.wire.is_empty() {
            if let Some(payload) = self.pong.take() {
                self.frame(PONG, &payload);
            }
            if !packets.is_empty() {
                let chunk = packets.len().min(CHUNK);
                self.frame(BINARY, &packets.rest()[..chunk]);
                packets.take(chunk);
            }
        }
        &self.wire
    }

    pub(super) fn sent(&mut self, count: usize) {
        if count >= self.wire.len() {
            // An empty buffer still holds memory.
            self.wire = BytesMut::new();
        } else {
            self.wire.advance(count);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.wire.len()
    }

    pub(super) fn wants_write(&self) -> bool {
        !self.wire.is_empty() || self.pong.is_some()
    }

    /// Adds a whole message in one frame; a server does not mask (RFC 6455, 5.1).
    fn frame(&mut self, first: u8, payload: &[u8]) {
        self.wire.reserve(payload.len() + 10);
        self.wire.put_u8(first);
        match payload.len() {
            short @ 0..=125 => self.wire.put_u8(short as u8),
            length => match u16::try_from(length) {
                Ok(length) => {
                    self.wire.put_u8(126);
                    self.wire.put_u16(length);
                }
                Err(_) => {
                    self.wire.put_u8(127);
                    self.wire.put_u64(length as u64);
                }
            },
        }
        self.wire.put_slice(payload);
    }
}

/// The status code (RFC 6455, 7.4.1) that says the same as a reason code of MQTT. Clients of MQTT 3 read no other.
pub(super) fn close_code(reason: Option<ReasonCode>) -> u16 {
    match reason {
        None | Some(ReasonCode::Success) => 1000,
        Some(ReasonCode::ServerShuttingDown) => 1001,
        Some(
            ReasonCode::MalformedPacket
            | ReasonCode::ProtocolError
            | ReasonCode::UnsupportedProtocolVersion
            | ReasonCode::TopicAliasInvalid
            | ReasonCode::TopicFilterInvalid
            | ReasonCode::TopicNameInvalid,
        ) => 1002,
        Some(ReasonCode::PacketTooLarge) => 1009,
        Some(ReasonCode::UnspecifiedError | ReasonCode::ImplementationSpecificError) => 1011,
        Some(ReasonCode::ServerBusy | ReasonCode::ServerUnavailable) => 1013,
        Some(_) => 1008,
    }
}

fn shortened(why: &str) -> &str {
    let mut end = why.len().min(LONGEST_REASON);
    while !why.is_char_boundary(end) {
        end -= 1;
    }
    &why[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(outgoing: &mut Outgoing, packets: &mut Unsent) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let wire = outgoing.wire(packets).to_vec();
            if wire.is_empty() {
                return all;
            }
            outgoing.sent(wire.len());
            all.extend(wire);
        }
    }

    #[test]
    fn packets_go_out_in_unmasked_binary_frames_of_bounded_size() {
        let (mut outgoing, mut packets) = (Outgoing::default(), Unsent::default());
        packets.buffer().extend_from_slice(&[7; CHUNK + 3]);
        let wire = drained(&mut outgoing, &mut packets);
        assert_eq!(wire[..4], [0x82, 126, 0x40, 0]);
        assert_eq!(wire[4 + CHUNK..], [0x82, 3, 7, 7, 7]);
        assert!(!outgoing.wants_write() && packets.is_empty());
    }

    #[test]
    fn of_a_flood_of_pings_the_latest_is_answered_between_two_frames() {
        let (mut outgoing, mut packets) = (Outgoing::default(), Unsent::default());
        packets.buffer().extend_from_slice(&[7; 10]);
        assert_eq!(outgoing.wire(&mut packets).len(), 12);
        outgoing.sent(5);
        for n in 0..100 {
            outgoing.pong(vec![n]);
        }
        assert_eq!(drained(&mut outgoing, &mut packets)[7..], [0x8A, 1, 99]);
    }

    #[test]
    fn the_first_reason_to_close_counts_and_is_cut_between_two_characters() {
        let (mut outgoing, mut packets) = (Outgoing::default(), Unsent::default());
        outgoing.close_with(1003, &"ü".repeat(100));
        outgoing.close_with(1000, "later");
        outgoing.close();
        let wire = drained(&mut outgoing, &mut packets);
        assert_eq!(wire[..4], [0x88, 124, 0x03, 0xEB]);
        assert_eq!(std::str::from_utf8(&wire[4..]), Ok("ü".repeat(61).as_str()));
    }
}
