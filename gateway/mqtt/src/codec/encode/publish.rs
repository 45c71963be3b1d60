//! PUBLISH to a subscriber: the hot path of delivery.

use super::wire::{packet_len, put_binary, put_varint};
use crate::codec::fixed::Varint;
use crate::codec::properties::id;
use crate::codec::{QoS, Version};
use bytes::{BufMut, BytesMut};
use std::fmt;
use std::num::NonZeroU16;

/// A message on its way to a subscriber. Its `Debug` form does not show the payload.
#[derive(Clone, Copy, Default)]
pub struct Outgoing<'a> {
    /// Whether it was sent before; not written with QoS 0 (MQTT-3.3.1-2).
    pub dup: bool,
    /// The level of this delivery.
    pub qos: QoS,
    /// The retain flag.
    pub retain: bool,
    /// The topic name, at most 65,535 bytes. Empty only when `topic_alias` is known to the client.
    pub topic: &'a str,
    /// The packet identifier; needed with QoS 1 and 2 and not written with QoS 0.
    pub packet_id: Option<NonZeroU16>,
    /// Properties forwarded unchanged, without their length, as
    /// [`PublishProperties::write_forwarded`](crate::codec::PublishProperties::write_forwarded) writes them. MQTT 5.
    pub forwarded: &'a [u8],
    /// What is left of the message's lifetime, in seconds (MQTT-3.3.2-6). MQTT 5.
    pub message_expiry: Option<u32>,
    /// The identifiers of the subscriptions it is sent for, none of them 0 or over 268,435,455. MQTT 5.
    pub subscription_ids: &'a [u32],
    /// The number the topic has on this connection, never 0. MQTT 5.
    pub topic_alias: Option<NonZeroU16>,
    /// The message.
    pub payload: &'a [u8],
}

// === impl Outgoing ===

impl Outgoing<'_> {
    fn has_packet_id(&self) -> bool {
        self.qos != QoS::AtMostOnce
    }

    #[inline]
    fn properties_len(&self) -> usize {
        self.forwarded.len()
            + if self.message_expiry.is_some() { 5 } else { 0 }
            + if self.topic_alias.is_some() { 3 } else { 0 }
            + self.subscription_ids.iter().map(|&id| 1 + Varint::len_of(id as usize)).sum::<usize>()
    }

    /// The length of the properties and of everything after the fixed header; none when it cannot be written.
    #[inline]
    fn measure(&self, version: Version) -> Option<(usize, usize)> {
        let sound = self.topic.len() <= usize::from(u16::MAX) && (self.packet_id.is_some() || !self.has_packet_id());
        let mut remaining = 2 + self.topic.len() + self.payload.len() + if self.has_packet_id() { 2 } else { 0 };
        let mut properties = 0;
        if version.is_v5() {
            properties = self.properties_len();
            remaining += Varint::len_of(properties) + properties;
        }
        (sound && packet_len(remaining) != 0).then_some((properties, remaining))
    }
}

impl fmt::Debug for Outgoing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("dup", &self.dup)
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .field("topic", &self.topic)
            .field("packet_id", &self.packet_id)
            .field("forwarded", &format_args!("{} bytes", self.forwarded.len()))
            .field("message_expiry", &self.message_expiry)
            .field("subscription_ids", &self.subscription_ids)
            .field("topic_alias", &self.topic_alias)
            .field("payload", &format_args!("{} bytes", self.payload.len()))
            .finish()
    }
}

/// The length of the packet in bytes; 0 when it cannot be written.
#[inline]
#[must_use]
pub fn publish_len(version: Version, message: &Outgoing<'_>) -> usize {
    message.measure(version).map_or(0, |(_, remaining)| packet_len(remaining))
}

/// Appends a PUBLISH.
#[inline]
pub fn publish(buf: &mut BytesMut, version: Version, message: &Outgoing<'_>) -> usize {
    let Some((properties, remaining)) = message.measure(version) else {
        return 0;
    };
    buf.reserve(packet_len(remaining));
    put_head(buf, version, message, properties, remaining);
    buf.extend_from_slice(message.payload);
    packet_len(remaining)
}

/// Appends a PUBLISH without its payload, which the caller sends right behind from where it lies. Returns the length of
/// the whole packet, payload included.
#[inline]
pub fn publish_header(buf: &mut BytesMut, version: Version, message: &Outgoing<'_>) -> usize {
    let Some((properties, remaining)) = message.measure(version) else {
        return 0;
    };
    buf.reserve(packet_len(remaining) - message.payload.len());
    put_head(buf, version, message, properties, remaining);
    packet_len(remaining)
}

/// The caller has made room.
#[inline]
fn put_head(buf: &mut BytesMut, version: Version, message: &Outgoing<'_>, properties: usize, remaining: usize) {
    let dup = message.dup && message.has_packet_id();
    buf.put_u8(0x30 | u8::from(dup) << 3 | message.qos.as_u8() << 1 | u8::from(message.retain));
    put_varint(buf, remaining);
    put_binary(buf, message.topic.as_bytes());
    if let (true, Some(packet_id)) = (message.has_packet_id(), message.packet_id) {
        buf.put_u16(packet_id.get());
    }
    if !version.is_v5() {
        return;
    }
    put_varint(buf, properties);
    if let Some(expiry) = message.message_expiry {
        buf.put_u8(id::MESSAGE_EXPIRY);
        buf.put_u32(expiry);
    }
    if let Some(alias) = message.topic_alias {
        buf.put_u8(id::TOPIC_ALIAS);
        buf.put_u16(alias.get());
    }
    for &subscription_id in message.subscription_ids {
        buf.put_u8(id::SUBSCRIPTION_IDENTIFIER);
        put_varint(buf, subscription_id as usize);
    }
    buf.extend_from_slice(message.forwarded);
}
