//! The properties of an application message and what is forwarded of them (MQTT 5, 3.3.2.3 and 3.1.3.2).

use super::UserProperties;
use super::properties::{PropertyBlock, Seen, id, next_property};
use super::rules::{self, Broken};
use bytes::BufMut;

/// The properties of an application message: of a PUBLISH (MQTT 5, 3.3.2.3) or of a will (3.1.3.2).
#[derive(Debug, Clone, Default)]
pub struct PublishProperties<'a> {
    /// The number that stands for the topic, never 0. The session checks it against the maximum it announced.
    pub topic_alias: Option<u16>,
    /// How long the message may wait, in seconds from when it was received.
    pub message_expiry: Option<u32>,
    /// Whether the payload is declared as UTF-8 (payload format 1); it has been checked then.
    pub payload_is_utf8: bool,
    /// The sender's description of the content.
    pub content_type: Option<&'a str>,
    /// Where an answer is awaited; a valid topic name.
    pub response_topic: Option<&'a str>,
    /// What the sender knows its request by.
    pub correlation_data: Option<&'a [u8]>,
    /// The user properties.
    pub user_properties: UserProperties<'a>,
    /// How many bytes of the block are not forwarded.
    not_forwarded: usize,
}

// === impl PublishProperties ===

impl<'a> PublishProperties<'a> {
    /// How many bytes [`write_forwarded`](Self::write_forwarded) writes.
    #[inline]
    #[must_use]
    pub fn forwarded_len(&self) -> usize {
        self.user_properties.block().bytes().len() - self.not_forwarded
    }

    /// The properties that must reach subscribers unchanged and in order, when the packet holds no other: all but topic
    /// alias, message expiry and will delay. None when they have to be picked out (see
    /// [`write_forwarded`](Self::write_forwarded)).
    #[inline]
    #[must_use]
    pub fn forwarded_verbatim(&self) -> Option<&'a [u8]> {
        (self.not_forwarded == 0).then_some(self.user_properties.block().bytes())
    }

    /// Appends the properties that must reach subscribers unchanged and in order (MQTT-3.3.2-4, -15 to -18, -20),
    /// without a length, as [`Outgoing::forwarded`](super::encode::Outgoing::forwarded) takes them.
    #[inline]
    pub fn write_forwarded(&self, buf: &mut impl BufMut) {
        if let Some(all) = self.forwarded_verbatim() {
            buf.put_slice(all);
            return;
        }
        let mut reader = self.user_properties.block().reader();
        while let Ok(Some((id, property))) = next_property(&mut reader) {
            if !matches!(id, id::TOPIC_ALIAS | id::MESSAGE_EXPIRY | id::WILL_DELAY) {
                buf.put_slice(property);
            }
        }
    }
}

// === decoding ===

/// The properties of a PUBLISH.
#[inline]
pub(super) fn decode_publish(block: PropertyBlock<'_>) -> Result<PublishProperties<'_>, Broken> {
    if block.bytes().is_empty() { Ok(PublishProperties::default()) } else { decode_message(block, None) }
}

/// The will delay in seconds and the properties of the message.
pub(super) fn decode_will(block: PropertyBlock<'_>) -> Result<(u32, PublishProperties<'_>), Broken> {
    let mut delay = 0;
    let properties = decode_message(block, Some(&mut delay))?;
    Ok((delay, properties))
}

/// `will_delay` is where a will's delay goes; a will has no topic alias and a PUBLISH has no delay.
fn decode_message<'a>(
    block: PropertyBlock<'a>,
    mut will_delay: Option<&mut u32>,
) -> Result<PublishProperties<'a>, Broken> {
    let mut found = PublishProperties { user_properties: block.user_properties(), ..PublishProperties::default() };
    let mut seen = Seen::default();
    let mut reader = block.reader();
    while let Some(id) = seen.next(&mut reader)? {
        match (id, &mut will_delay) {
            (id::PAYLOAD_FORMAT, _) => found.payload_is_utf8 = reader.flag(&rules::PAYLOAD_FORMAT_VALUE)?,
            (id::MESSAGE_EXPIRY, _) => {
                found.message_expiry = Some(reader.u32()?);
                found.not_forwarded += 5;
            }
            (id::CONTENT_TYPE, _) => found.content_type = Some(reader.string()?),
            (id::RESPONSE_TOPIC, _) => {
                let topic = reader.topic_name(&rules::RESPONSE_TOPIC_HAS_WILDCARD)?;
                if topic.is_empty() {
                    return Err(&rules::TOPIC_EMPTY);
                }
                found.response_topic = Some(topic);
            }
            (id::CORRELATION_DATA, _) => found.correlation_data = Some(reader.binary()?),
            (id::USER_PROPERTY, _) => reader.string_pair()?,
            (id::WILL_DELAY, Some(delay)) => {
                **delay = reader.u32()?;
                found.not_forwarded += 5;
            }
            (id::TOPIC_ALIAS, None) => {
                let alias = reader.u16()?;
                if alias == 0 {
                    return Err(&rules::TOPIC_ALIAS_ZERO);
                }
                found.topic_alias = Some(alias);
                found.not_forwarded += 3;
            }
            (id::SUBSCRIPTION_IDENTIFIER, None) => return Err(&rules::SUBSCRIPTION_IDENTIFIER_FROM_CLIENT),
            _ => return Err(&rules::PROPERTY_UNKNOWN),
        }
    }
    Ok(found)
}
