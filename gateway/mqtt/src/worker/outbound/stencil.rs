//! One encoding for many receivers: a message that goes to several clients on the same terms is encoded once, and copied
//! with a fresh packet identifier for each.

use crate::codec::encode::{self, Outgoing};
use crate::codec::{QoS, Version};
use bytes::BytesMut;

/// The encoding of the message that is being delivered.
#[derive(Debug, Default)]
pub(crate) struct Stencil {
    terms: Option<Terms>,
    packet: Vec<u8>,
    id_at: usize,
    /// The message that was encoded last. Only what is encoded a second time is kept: most messages go to one client.
    last: u64,
}

/// What must be the same for the bytes to be the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Terms {
    number: u64,
    v5: bool,
    qos: QoS,
    retain: bool,
}

// === impl Stencil ===

impl Stencil {
    /// Appends a packet of at most `limit` bytes. Returns whether it did.
    #[inline]
    pub(crate) fn encode(
        &mut self,
        into: &mut BytesMut,
        number: u64,
        version: Version,
        message: &Outgoing<'_>,
        limit: usize,
    ) -> bool {
        let suits = suits(message);
        let terms = terms(number, version, message);
        if suits && self.terms == Some(terms) {
            return self.packet.len() <= limit && self.copy(into, message);
        }
        let length = encode::publish_len(version, message);
        if length == 0 || length > limit {
            return false;
        }
        let start = into.len();
        encode::publish(into, version, message);
        if suits && self.last == number {
            self.keep(&into[start..], terms, message);
        }
        self.last = number;
        true
    }

    fn copy(&self, into: &mut BytesMut, message: &Outgoing<'_>) -> bool {
        let start = into.len();
        into.extend_from_slice(&self.packet);
        if let Some(id) = message.packet_id {
            let at = start + self.id_at;
            into[at..at + 2].copy_from_slice(&id.get().to_be_bytes());
        }
        true
    }

    fn keep(&mut self, packet: &[u8], terms: Terms, message: &Outgoing<'_>) {
        self.terms = Some(terms);
        self.packet.clear();
        self.packet.extend_from_slice(packet);
        // The identifier follows the topic (MQTT 5, 3.3.2): first byte, remaining length, length of the topic, topic.
        let header = packet.iter().skip(1).position(|byte| byte & 0x80 == 0).map_or(0, |last| last + 2);
        self.id_at = header + 2 + message.topic.len();
    }
}

/// Whether the bytes depend on nothing but the terms and the packet identifier.
fn suits(message: &Outgoing<'_>) -> bool {
    !message.dup
        && message.message_expiry.is_none()
        && message.subscription_ids.is_empty()
        && message.topic_alias.is_none()
}

fn terms(number: u64, version: Version, message: &Outgoing<'_>) -> Terms {
    Terms { number, v5: version.is_v5(), qos: message.qos, retain: message.retain }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]
    use super::*;
    use std::num::NonZeroU16;

    #[test]
    fn a_copy_is_what_encoding_would_have_given() {
        let payload = vec![7; 300];
        for version in [Version::V311, Version::V5] {
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                let id = |id| (qos != QoS::AtMostOnce).then(|| NonZeroU16::new(id).unwrap());
                let first = Outgoing { qos, topic: "a/b", packet_id: id(1), payload: &payload, ..Outgoing::default() };
                let second = Outgoing { packet_id: id(0x1234), ..first };
                let (mut expected, mut copied) = (BytesMut::new(), BytesMut::from("x"));
                encode::publish(&mut expected, version, &second);
                let mut stencil = Stencil::default();
                for (number, message) in [(8, &first), (9, &first), (9, &first)] {
                    assert!(stencil.encode(&mut BytesMut::new(), number, version, message, 1000));
                }
                assert_eq!(stencil.terms.map(|terms| terms.number), Some(9), "kept when it is sent twice");
                assert!(stencil.encode(&mut copied, 9, version, &second, 1000));
                assert!(!stencil.encode(&mut BytesMut::new(), 9, version, &second, expected.len() - 1), "too large");
                assert_eq!(copied[1..], expected[..], "{version:?} {qos:?}");
            }
        }
    }
}
