//! What travels through the fabric: a message with everything its deliverers need, in one allocation.
//!
//! The router behind the fabric only takes QoS 0 publishes of opaque bytes. The envelope carries the original QoS, the
//! retain flag, the publisher, the epoch under which the publish was permitted, the message's number, the MQTT 5 properties
//! and the body; the receiving side slices it without copying.

use crate::codec::QoS;
use crate::groups::Elected;
use bytes::{BufMut, Bytes, BytesMut};
use cordon_core::judge::Permit;
use cordon_core::time::Mono;
use std::ops::Range;

const HEAD: usize = 1 + 8 + 8 + 8 + 8 + 2 + 2 + 4 + 2;
/// What one elected member of a shared group takes.
const ELECTED: usize = 4 + 8;
const RETAIN: u8 = 0b100;
/// The epoch of what comes from a time before this process. Rulebooks begin at 1.
const NO_EPOCH: u64 = 0;

/// What a publisher says about one message, before it is sealed.
pub(crate) struct Letter<'a> {
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// The client that published, for `no local`; 0 is the gateway.
    pub(crate) publisher: u64,
    /// The thing that published; empty for the gateway.
    pub(crate) thing: &'a str,
    /// The rulebook's epoch when the publish was permitted.
    pub(crate) epoch: u64,
    /// When the message expires (MQTT 5, 3.3.2.3.3).
    pub(crate) expires: Option<Mono>,
    pub(crate) topic: &'a str,
    /// The properties to forward unaltered, encoded.
    pub(crate) properties: &'a [u8],
    pub(crate) payload: &'a [u8],
}

/// A message on its way, in the fabric, in a queue or retained. Cloning shares the bytes.
#[derive(Debug, Clone)]
pub(crate) struct Envelope {
    bytes: Bytes,
    thing_at: usize,
    thing_end: usize,
    topic_end: usize,
    properties_end: usize,
}

// === impl Letter ===

impl<'a> Letter<'a> {
    /// A message of the gateway itself, at QoS 1.
    pub(crate) fn of_gateway(topic: &'a str, payload: &'a [u8], retain: bool, epoch: u64) -> Self {
        let qos = QoS::AtLeastOnce;
        Self { qos, retain, publisher: 0, thing: "", epoch, expires: None, topic, properties: &[], payload }
    }
}

// === impl Envelope ===

impl Envelope {
    /// Seals a letter. The permit proves that its publisher was judged. `number` rises with every message of the gateway;
    /// `elected` are the members of shared groups that it is for.
    pub(crate) fn seal(letter: &Letter<'_>, number: u64, elected: &[Elected], _permit: Permit) -> Self {
        let (thing, topic) = (letter.thing.as_bytes(), letter.topic.as_bytes());
        let elected = &elected[..elected.len().min(usize::from(u16::MAX))];
        let thing_at = HEAD + elected.len() * ELECTED;
        let length = thing_at + thing.len() + topic.len() + letter.properties.len() + letter.payload.len();
        let mut out = BytesMut::with_capacity(length);
        out.put_u8(letter.qos as u8 | if letter.retain { RETAIN } else { 0 });
        out.put_u64(letter.publisher);
        out.put_u64(letter.epoch);
        out.put_u64(letter.expires.map_or(u64::MAX, |at| at.0));
        out.put_u64(number);
        out.put_u16(u16::try_from(thing.len()).unwrap_or(0));
        out.put_u16(u16::try_from(topic.len()).unwrap_or(0));
        out.put_u32(u32::try_from(letter.properties.len()).unwrap_or(0));
        out.put_u16(u16::try_from(elected.len()).unwrap_or(0));
        for member in elected {
            out.put_u32(member.group);
            out.put_u64(member.session);
        }
        out.extend_from_slice(thing);
        out.extend_from_slice(topic);
        out.extend_from_slice(letter.properties);
        out.extend_from_slice(letter.payload);
        let thing_end = thing_at + thing.len();
        let topic_end = thing_end + topic.len();
        Self {
            bytes: out.freeze(),
            thing_at,
            thing_end,
            topic_end,
            properties_end: topic_end + letter.properties.len(),
        }
    }

    /// Opens what came out of the fabric. `None` if the bytes are no envelope.
    pub(crate) fn open(bytes: Bytes) -> Option<Self> {
        let number = |range: Range<usize>| {
            bytes.get(range).map(|part| part.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte)))
        };
        let thing_at = HEAD + number(41..43)? * ELECTED;
        let thing_end = thing_at + number(33..35)?;
        let topic_end = thing_end + number(35..37)?;
        let properties_end = topic_end + number(37..41)?;
        let whole = bytes.len() >= properties_end && std::str::from_utf8(&bytes[thing_end..topic_end]).is_ok();
        whole.then_some(Self { bytes, thing_at, thing_end, topic_end, properties_end })
    }

    /// Opens what was on record. Its epoch is that of no rulebook, so it is judged anew wherever it turns up, and it
    /// expires at `expires`. `None` if the bytes are no envelope.
    pub(crate) fn restore(bytes: &[u8], expires: Option<Mono>) -> Option<Self> {
        let mut bytes = BytesMut::from(bytes);
        bytes.get_mut(9..17)?.copy_from_slice(&NO_EPOCH.to_be_bytes());
        bytes.get_mut(17..25)?.copy_from_slice(&expires.map_or(u64::MAX, |at| at.0).to_be_bytes());
        Self::open(bytes.freeze())
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub(crate) fn qos(&self) -> QoS {
        match self.bytes[0] & 0b11 {
            0 => QoS::AtMostOnce,
            1 => QoS::AtLeastOnce,
            _ => QoS::ExactlyOnce,
        }
    }

    pub(crate) fn retain(&self) -> bool {
        self.bytes[0] & RETAIN != 0
    }

    pub(crate) fn publisher(&self) -> u64 {
        self.long(1)
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.long(9)
    }

    pub(crate) fn expires(&self) -> Option<Mono> {
        Some(self.long(17)).filter(|at| *at != u64::MAX).map(Mono)
    }

    /// Tells whether it was published before or after a subscription began.
    pub(crate) fn number(&self) -> u64 {
        self.long(25)
    }

    /// The session elected in a shared group, if the message is for the group.
    pub(crate) fn elected(&self, group: u32) -> Option<u64> {
        let mut members = self.bytes[HEAD..self.thing_at].chunks_exact(ELECTED);
        let found = members.find(|member| member[..4] == group.to_be_bytes())?;
        Some(found[4..].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    pub(crate) fn thing(&self) -> &str {
        std::str::from_utf8(&self.bytes[self.thing_at..self.thing_end]).unwrap_or_default()
    }

    pub(crate) fn topic(&self) -> &str {
        std::str::from_utf8(&self.bytes[self.thing_end..self.topic_end]).unwrap_or_default()
    }

    pub(crate) fn properties(&self) -> &[u8] {
        &self.bytes[self.topic_end..self.properties_end]
    }

    pub(crate) fn payload(&self) -> &[u8] {
        &self.bytes[self.properties_end..]
    }

    /// The size that queues and limits count, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    fn long(&self, at: usize) -> u64 {
        self.bytes[at..at + 8].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cordon_core::judge;
    use cordon_core::policy::Action;

    #[test]
    fn an_envelope_opens_as_it_was_sealed() {
        let permit = judge::judge_gateway(Action::Publish, "a/b");
        let letter = Letter {
            qos: QoS::ExactlyOnce,
            retain: true,
            publisher: 7,
            thing: "press-01",
            epoch: 3,
            expires: Some(Mono(99)),
            topic: "ü/b",
            properties: &[1, 2, 3],
            payload: b"body",
        };
        let elected = [Elected { group: 1, session: 5 }, Elected { group: 2, session: u64::MAX }];
        let sealed = Envelope::seal(&letter, 8, &elected, permit);
        let opened = Envelope::open(sealed.bytes().clone());
        let opened = opened.as_ref();
        assert_eq!(opened.map(Envelope::topic), Some("ü/b"));
        assert_eq!(opened.map(Envelope::thing), Some("press-01"));
        assert_eq!(opened.map(Envelope::payload), Some(&b"body"[..]));
        assert_eq!(opened.map(Envelope::properties), Some(&[1, 2, 3][..]));
        assert_eq!(opened.map(Envelope::qos), Some(QoS::ExactlyOnce));
        assert_eq!(opened.map(|e| (e.retain(), e.publisher(), e.epoch(), e.number())), Some((true, 7, 3, 8)));
        assert_eq!(opened.and_then(Envelope::expires), Some(Mono(99)));
        let elected = |group| opened.and_then(|message| message.elected(group));
        assert_eq!((elected(1), elected(2), elected(3)), (Some(5), Some(u64::MAX), None));
    }

    #[test]
    fn truncated_bytes_are_no_envelope() {
        let permit = judge::judge_gateway(Action::Publish, "a");
        let letter = Letter {
            qos: QoS::AtMostOnce,
            retain: false,
            publisher: 0,
            thing: "",
            epoch: 0,
            expires: None,
            topic: "abc",
            properties: &[],
            payload: &[],
        };
        let whole = Envelope::seal(&letter, 8, &[], permit).bytes().clone();
        for end in 0..whole.len() {
            assert!(Envelope::open(whole.slice(..end)).is_none(), "{end}");
        }
    }
}
