//! The records: what is written about a session, a message, a will.
//!
//! Each begins with the number of its format. A record of another format, or one that is damaged, reads as `None`.

mod session;

use super::times::Deadline;
use super::wire::{Read, Write};
use crate::codec::QoS;
use crate::envelope::Envelope;
use crate::session::Will;
use cordon_core::time::Mono;
use std::num::NonZeroU16;

pub(crate) use session::SessionRecord;

const FORMAT: u8 = 1;

/// A record.
#[derive(Debug)]
pub(crate) enum Value {
    Session(Box<SessionRecord>),
    Progress(ProgressRecord),
    Will(Box<WillRecord>),
    Message(MessageRecord),
    /// That a packet identifier is in use is all there is to say.
    Unreleased,
    Retained(RetainedRecord),
}

/// How far the deliveries of a session have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ProgressRecord {
    /// Packet identifiers up to this one may have been used.
    pub(crate) last_id: u16,
    /// Messages up to this place were sent, and not all of them acknowledged.
    pub(crate) sent: u64,
}

/// A will that may have to be published.
#[derive(Debug, Clone)]
pub(crate) struct WillRecord {
    pub(crate) will: Will,
    /// When it is due; `None` while the client is connected.
    pub(crate) due: Option<Deadline>,
}

/// A message that waits for a session.
#[derive(Debug, Clone)]
pub(crate) struct MessageRecord {
    /// The identifier it is sent under, if that is decided.
    pub(crate) packet_id: Option<NonZeroU16>,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// The subscription identifiers it matched.
    pub(crate) ids: Vec<u32>,
    /// The message; `None` once the client has it (QoS 2) and only PUBREL is left to be sent.
    pub(crate) message: Option<RetainedRecord>,
}

/// A message as it was published.
#[derive(Debug, Clone)]
pub(crate) struct RetainedRecord {
    pub(crate) message: Envelope,
    pub(crate) expires: Option<Deadline>,
}

// === impl Value ===

impl Value {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        match self {
            Self::Session(record) => record.write(&mut out),
            Self::Progress(record) => {
                out.short(record.last_id);
                out.long(record.sent);
            }
            Self::Will(record) => record.write(&mut out),
            Self::Message(record) => record.write(&mut out),
            Self::Unreleased => {}
            Self::Retained(record) => record.write(&mut out),
        }
        out
    }
}

/// What comes after the format's number, if this is the format.
fn open(bytes: &[u8]) -> Option<Read<'_>> {
    let (format, rest) = bytes.split_first()?;
    (*format == FORMAT).then_some(Read(rest))
}

/// Whether this is the record of an identifier in use.
pub(super) fn is_unreleased(bytes: &[u8]) -> bool {
    open(bytes).and_then(|read| read.end(())).is_some()
}

// === impl ProgressRecord ===

impl ProgressRecord {
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut from = open(bytes)?;
        let record = Self { last_id: from.short()?, sent: from.long()? };
        from.end(record)
    }
}

// === impl WillRecord ===

impl WillRecord {
    fn write(&self, out: &mut Vec<u8>) {
        let Will { qos, retain, topic, payload, properties, message_expiry, delay } = &self.will;
        out.byte(qos.as_u8());
        out.byte(u8::from(*retain));
        out.text(topic);
        out.bytes(payload);
        out.bytes(properties);
        out.byte(u8::from(message_expiry.is_some()));
        out.int(message_expiry.unwrap_or(0));
        out.int(*delay);
        write_deadline(out, self.due);
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut from = open(bytes)?;
        let will = Will {
            qos: QoS::from_u8(from.byte()?)?,
            retain: from.flag()?,
            topic: from.text()?,
            payload: from.bytes()?.to_vec(),
            properties: from.bytes()?.to_vec(),
            message_expiry: {
                let (given, seconds) = (from.flag()?, from.int()?);
                given.then_some(seconds)
            },
            delay: from.int()?,
        };
        let due = read_deadline(&mut from)?;
        from.end(Self { will, due })
    }
}

// === impl MessageRecord ===

impl MessageRecord {
    fn write(&self, out: &mut Vec<u8>) {
        out.short(self.packet_id.map_or(0, NonZeroU16::get));
        out.byte(self.qos.as_u8());
        out.byte(u8::from(self.retain));
        out.int(u32::try_from(self.ids.len()).unwrap_or(u32::MAX));
        self.ids.iter().for_each(|id| out.int(*id));
        out.byte(u8::from(self.message.is_some()));
        if let Some(message) = &self.message {
            message.write(out);
        }
    }

    /// The record, with the message's expiry told by `end`.
    pub(super) fn read(bytes: &[u8], end: impl Fn(Deadline) -> Mono) -> Option<Self> {
        let mut from = open(bytes)?;
        let packet_id = NonZeroU16::new(from.short()?);
        let qos = QoS::from_u8(from.byte()?)?;
        let retain = from.flag()?;
        let ids = from.list(Read::int)?;
        let message = if from.flag()? { Some(RetainedRecord::take(&mut from, end)?) } else { None };
        let record = Self { packet_id, qos, retain, ids, message };
        from.end(record)
    }
}

// === impl RetainedRecord ===

impl RetainedRecord {
    fn write(&self, out: &mut Vec<u8>) {
        write_deadline(out, self.expires);
        out.bytes(self.message.bytes());
    }

    /// The record, with the message's expiry told by `end`.
    pub(super) fn read(bytes: &[u8], end: impl Fn(Deadline) -> Mono) -> Option<Self> {
        let mut from = open(bytes)?;
        let record = Self::take(&mut from, end)?;
        from.end(record)
    }

    fn take(from: &mut Read<'_>, end: impl Fn(Deadline) -> Mono) -> Option<Self> {
        let expires = read_deadline(from)?;
        let message = Envelope::restore(from.bytes()?, expires.map(end))?;
        Some(Self { message, expires })
    }
}

fn write_deadline(out: &mut Vec<u8>, deadline: Option<Deadline>) {
    out.byte(u8::from(deadline.is_some()));
    if let Some(deadline) = deadline {
        deadline.write(out);
    }
}

fn read_deadline(from: &mut Read<'_>) -> Option<Option<Deadline>> {
    Some(if from.flag()? { Some(Deadline::read(from)?) } else { None })
}

#[cfg(test)]
mod tests;
