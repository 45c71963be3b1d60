//! PUBLISH (MQTT 5, 3.3): the hot path. One pass over topic and properties, no allocation.

use super::message;
use super::reader::Reader;
use super::rules::{self, Broken};
use super::{PublishProperties, QoS, Version};
use std::fmt;
use std::num::NonZeroU16;

/// An application message from a client. Its `Debug` form does not show the payload.
#[derive(Clone)]
pub struct Publish<'a> {
    /// Whether the client sends it again; never with QoS 0.
    pub dup: bool,
    /// The level the client published with.
    pub qos: QoS,
    /// Whether the message is to be retained.
    pub retain: bool,
    /// A valid topic name. Empty only in MQTT 5 together with a topic alias.
    pub topic: &'a str,
    /// The packet identifier; present exactly with QoS 1 and 2.
    pub packet_id: Option<NonZeroU16>,
    /// The properties; empty in MQTT 3.
    pub properties: PublishProperties<'a>,
    /// The message.
    pub payload: &'a [u8],
}

// === impl Publish ===

impl fmt::Debug for Publish<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish")
            .field("dup", &self.dup)
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .field("topic", &self.topic)
            .field("packet_id", &self.packet_id)
            .field("properties", &self.properties)
            .field("payload", &format_args!("{} bytes", self.payload.len()))
            .finish()
    }
}

// === decoding ===

#[inline]
pub(super) fn decode(version: Version, flags: u8, body: &[u8]) -> Result<Publish<'_>, Broken> {
    let qos = QoS::from_u8((flags >> 1) & 3).ok_or(&rules::PUBLISH_QOS_3)?;
    let dup = flags & 8 != 0;
    if dup && qos == QoS::AtMostOnce {
        return Err(&rules::DUP_WITH_QOS_0);
    }
    let mut reader = Reader::new(body);
    let topic = reader.topic_name(&rules::PUBLISH_TOPIC_HAS_WILDCARD)?;
    let packet_id = if qos == QoS::AtMostOnce { None } else { Some(reader.packet_id()?) };
    let properties =
        if version.is_v5() { message::decode_publish(reader.property_block()?)? } else { PublishProperties::default() };
    if topic.is_empty() && properties.topic_alias.is_none() {
        return Err(if version.is_v5() { &rules::TOPIC_AND_ALIAS_MISSING } else { &rules::TOPIC_EMPTY });
    }
    let payload = reader.rest();
    if properties.payload_is_utf8 && std::str::from_utf8(payload).is_err() {
        return Err(&rules::PAYLOAD_NOT_UTF8);
    }
    Ok(Publish { dup, qos, retain: flags & 1 != 0, topic, packet_id, properties, payload })
}
