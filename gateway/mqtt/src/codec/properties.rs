//! Properties (MQTT 5, 2.2.2): the block as it came, its identifiers, and user properties.
//!
//! The packet's own decoder checks a block once, property by property. What is handed out afterwards reads the same
//! bytes again and skips what it does not look for.

use super::reader::Reader;
use super::rules::{self, Broken};
use std::fmt;

/// Property identifiers (MQTT 5, table 2-4).
pub(super) mod id {
    pub(in crate::codec) const PAYLOAD_FORMAT: u8 = 0x01;
    pub(in crate::codec) const MESSAGE_EXPIRY: u8 = 0x02;
    pub(in crate::codec) const CONTENT_TYPE: u8 = 0x03;
    pub(in crate::codec) const RESPONSE_TOPIC: u8 = 0x08;
    pub(in crate::codec) const CORRELATION_DATA: u8 = 0x09;
    pub(in crate::codec) const SUBSCRIPTION_IDENTIFIER: u8 = 0x0B;
    pub(in crate::codec) const SESSION_EXPIRY: u8 = 0x11;
    pub(in crate::codec) const ASSIGNED_CLIENT_ID: u8 = 0x12;
    pub(in crate::codec) const SERVER_KEEP_ALIVE: u8 = 0x13;
    pub(in crate::codec) const AUTHENTICATION_METHOD: u8 = 0x15;
    pub(in crate::codec) const AUTHENTICATION_DATA: u8 = 0x16;
    pub(in crate::codec) const REQUEST_PROBLEM_INFORMATION: u8 = 0x17;
    pub(in crate::codec) const WILL_DELAY: u8 = 0x18;
    pub(in crate::codec) const REQUEST_RESPONSE_INFORMATION: u8 = 0x19;
    pub(in crate::codec) const RESPONSE_INFORMATION: u8 = 0x1A;
    pub(in crate::codec) const SERVER_REFERENCE: u8 = 0x1C;
    pub(in crate::codec) const REASON_STRING: u8 = 0x1F;
    pub(in crate::codec) const RECEIVE_MAXIMUM: u8 = 0x21;
    pub(in crate::codec) const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
    pub(in crate::codec) const TOPIC_ALIAS: u8 = 0x23;
    pub(in crate::codec) const MAXIMUM_QOS: u8 = 0x24;
    pub(in crate::codec) const RETAIN_AVAILABLE: u8 = 0x25;
    pub(in crate::codec) const USER_PROPERTY: u8 = 0x26;
    pub(in crate::codec) const MAXIMUM_PACKET_SIZE: u8 = 0x27;
    pub(in crate::codec) const WILDCARD_AVAILABLE: u8 = 0x28;
    pub(in crate::codec) const SUBSCRIPTION_IDS_AVAILABLE: u8 = 0x29;
    pub(in crate::codec) const SHARED_AVAILABLE: u8 = 0x2A;
}

/// User properties, in the order they were sent. Read from the packet each time they are iterated.
#[derive(Clone, Copy, Default)]
pub struct UserProperties<'a> {
    block: PropertyBlock<'a>,
}

/// The bytes of all properties of a packet, without their length.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PropertyBlock<'a> {
    bytes: &'a [u8],
}

/// Which properties have been seen in a block.
#[derive(Debug, Default)]
pub(super) struct Seen {
    bits: u64,
}

// === impl UserProperties ===

impl<'a> UserProperties<'a> {
    /// The whole block they are read from.
    #[inline]
    pub(super) fn block(&self) -> PropertyBlock<'a> {
        self.block
    }

    /// The names and values. A name may appear more than once.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let mut reader = self.block.reader();
        std::iter::from_fn(move || {
            while let Ok(Some((id, property))) = next_property(&mut reader) {
                if id == id::USER_PROPERTY {
                    let mut pair = Reader::new(property.get(1..)?);
                    return Some((pair.string().ok()?, pair.string().ok()?));
                }
            }
            None
        })
    }
}

impl fmt::Debug for UserProperties<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

// === impl PropertyBlock ===

impl<'a> PropertyBlock<'a> {
    #[inline]
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    #[inline]
    pub(super) fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    #[inline]
    pub(super) fn reader(self) -> Reader<'a> {
        Reader::new(self.bytes)
    }

    #[inline]
    pub(super) fn user_properties(self) -> UserProperties<'a> {
        UserProperties { block: self }
    }
}

// === impl Seen ===

impl Seen {
    /// Reads the next property's identifier; none at the end of the block. Only a user property may come twice.
    #[inline]
    pub(super) fn next(&mut self, reader: &mut Reader<'_>) -> Result<Option<u8>, Broken> {
        if reader.is_empty() {
            return Ok(None);
        }
        let id = reader.u8()?;
        let bit = 1_u64.checked_shl(u32::from(id)).ok_or(&rules::PROPERTY_UNKNOWN)?;
        if self.bits & bit != 0 && id != id::USER_PROPERTY {
            return Err(&rules::PROPERTY_TWICE);
        }
        self.bits |= bit;
        Ok(Some(id))
    }
}

/// The next property with its identifier and value, of the kinds a client sends.
pub(super) fn next_property<'a>(reader: &mut Reader<'a>) -> Result<Option<(u8, &'a [u8])>, Broken> {
    if reader.is_empty() {
        return Ok(None);
    }
    let start = reader.rest();
    let id = reader.u8()?;
    match id {
        id::PAYLOAD_FORMAT | id::REQUEST_PROBLEM_INFORMATION | id::REQUEST_RESPONSE_INFORMATION => reader.skip(1)?,
        id::RECEIVE_MAXIMUM | id::TOPIC_ALIAS_MAXIMUM | id::TOPIC_ALIAS => reader.skip(2)?,
        id::MESSAGE_EXPIRY | id::SESSION_EXPIRY | id::WILL_DELAY | id::MAXIMUM_PACKET_SIZE => reader.skip(4)?,
        id::SUBSCRIPTION_IDENTIFIER => reader.varint().map(|_| ())?,
        id::CONTENT_TYPE
        | id::RESPONSE_TOPIC
        | id::CORRELATION_DATA
        | id::AUTHENTICATION_METHOD
        | id::AUTHENTICATION_DATA
        | id::REASON_STRING => reader.skip_binary()?,
        id::USER_PROPERTY => {
            reader.skip_binary()?;
            reader.skip_binary()?;
        }
        _ => return Err(&rules::PROPERTY_UNKNOWN),
    }
    let len = start.len() - reader.rest().len();
    Ok(start.get(..len).map(|property| (id, property)))
}
