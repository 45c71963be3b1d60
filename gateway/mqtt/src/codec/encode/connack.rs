//! CONNACK (MQTT 5, 3.2).

use super::wire::{
    fitting_bytes, packet_len, put_binary, put_header, put_string_property, put_varint, string_property_len,
};
use crate::codec::fixed::Varint;
use crate::codec::properties::id;
use crate::codec::{QoS, ReasonCode, Version};
use bytes::{BufMut, BytesMut};
use std::fmt;
use std::num::{NonZeroU16, NonZeroU32};

/// The properties of CONNACK (MQTT 5, 3.2.2.3). What is `None` is not written and has the standard's default. Its
/// `Debug` form does not show the authentication data.
#[derive(Clone, Copy, Default)]
pub struct ConnackProperties<'a> {
    /// How long the session outlives the connection, in seconds, when it is not what the client asked for.
    pub session_expiry: Option<u32>,
    /// How many QoS 1 and 2 messages the server takes unacknowledged; 65,535 by default.
    pub receive_maximum: Option<NonZeroU16>,
    /// The highest QoS the server takes. QoS 2 is the default and not written (MQTT 5, 3.2.2.3.4).
    pub maximum_qos: Option<QoS>,
    /// Whether retained messages are supported; true by default.
    pub retain_available: Option<bool>,
    /// The largest packet the server takes, in bytes; no limit by default.
    pub maximum_packet_size: Option<NonZeroU32>,
    /// The client identifier the server chose.
    pub assigned_client_id: Option<&'a str>,
    /// The highest topic alias the server takes; 0 by default.
    pub topic_alias_maximum: Option<u16>,
    /// Why the connection is refused, for people.
    pub reason_string: Option<&'a str>,
    /// Whether wildcard subscriptions are supported; true by default.
    pub wildcard_available: Option<bool>,
    /// Whether subscription identifiers are supported; true by default.
    pub subscription_ids_available: Option<bool>,
    /// Whether shared subscriptions are supported; true by default.
    pub shared_available: Option<bool>,
    /// The keep alive the client must use, in seconds, when it is not what it asked for.
    pub server_keep_alive: Option<u16>,
    /// A basis for response topics, when the client asked for it.
    pub response_information: Option<&'a str>,
    /// Another server to use.
    pub server_reference: Option<&'a str>,
    /// The method of the extended authentication.
    pub authentication_method: Option<&'a str>,
    /// Data for that method.
    pub authentication_data: Option<&'a [u8]>,
}

// === impl ConnackProperties ===

impl ConnackProperties<'_> {
    fn encoded_len(&self) -> usize {
        let numbers = [
            (self.session_expiry.is_some(), 5),
            (self.receive_maximum.is_some(), 3),
            (self.written_qos().is_some(), 2),
            (self.retain_available.is_some(), 2),
            (self.maximum_packet_size.is_some(), 5),
            (self.topic_alias_maximum.is_some(), 3),
            (self.wildcard_available.is_some(), 2),
            (self.subscription_ids_available.is_some(), 2),
            (self.shared_available.is_some(), 2),
            (self.server_keep_alive.is_some(), 3),
        ];
        let numbers: usize = numbers.iter().map(|&(present, len)| if present { len } else { 0 }).sum();
        let strings: usize = self.strings().iter().map(|&(_, text)| string_property_len(text)).sum();
        numbers + strings + self.authentication_data.map_or(0, |data| 3 + fitting_bytes(data).len())
    }

    fn strings(&self) -> [(u8, Option<&str>); 5] {
        [
            (id::ASSIGNED_CLIENT_ID, self.assigned_client_id),
            (id::REASON_STRING, self.reason_string),
            (id::RESPONSE_INFORMATION, self.response_information),
            (id::SERVER_REFERENCE, self.server_reference),
            (id::AUTHENTICATION_METHOD, self.authentication_method),
        ]
    }

    /// Only 0 and 1 are values of the property.
    fn written_qos(&self) -> Option<u8> {
        self.maximum_qos.filter(|&qos| qos != QoS::ExactlyOnce).map(QoS::as_u8)
    }

    fn put(&self, buf: &mut BytesMut) {
        let bytes = [
            (id::MAXIMUM_QOS, self.written_qos()),
            (id::RETAIN_AVAILABLE, self.retain_available.map(u8::from)),
            (id::WILDCARD_AVAILABLE, self.wildcard_available.map(u8::from)),
            (id::SUBSCRIPTION_IDS_AVAILABLE, self.subscription_ids_available.map(u8::from)),
            (id::SHARED_AVAILABLE, self.shared_available.map(u8::from)),
        ];
        for (id, value) in bytes {
            if let Some(value) = value {
                buf.put_u8(id);
                buf.put_u8(value);
            }
        }
        let shorts = [
            (id::RECEIVE_MAXIMUM, self.receive_maximum.map(NonZeroU16::get)),
            (id::TOPIC_ALIAS_MAXIMUM, self.topic_alias_maximum),
            (id::SERVER_KEEP_ALIVE, self.server_keep_alive),
        ];
        for (id, value) in shorts {
            if let Some(value) = value {
                buf.put_u8(id);
                buf.put_u16(value);
            }
        }
        let longs = [
            (id::SESSION_EXPIRY, self.session_expiry),
            (id::MAXIMUM_PACKET_SIZE, self.maximum_packet_size.map(NonZeroU32::get)),
        ];
        for (id, value) in longs {
            if let Some(value) = value {
                buf.put_u8(id);
                buf.put_u32(value);
            }
        }
        for (id, text) in self.strings() {
            put_string_property(buf, id, text);
        }
        if let Some(data) = self.authentication_data {
            buf.put_u8(id::AUTHENTICATION_DATA);
            put_binary(buf, data);
        }
    }
}

impl fmt::Debug for ConnackProperties<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnackProperties")
            .field("session_expiry", &self.session_expiry)
            .field("receive_maximum", &self.receive_maximum)
            .field("maximum_qos", &self.maximum_qos)
            .field("retain_available", &self.retain_available)
            .field("maximum_packet_size", &self.maximum_packet_size)
            .field("assigned_client_id", &self.assigned_client_id)
            .field("topic_alias_maximum", &self.topic_alias_maximum)
            .field("reason_string", &self.reason_string)
            .field("wildcard_available", &self.wildcard_available)
            .field("subscription_ids_available", &self.subscription_ids_available)
            .field("shared_available", &self.shared_available)
            .field("server_keep_alive", &self.server_keep_alive)
            .field("response_information", &self.response_information)
            .field("server_reference", &self.server_reference)
            .field("authentication_method", &self.authentication_method)
            .field("authentication_data", &self.authentication_data.map(|_| "hidden"))
            .finish()
    }
}

/// The length of the CONNACK in bytes; 0 when none can be sent.
#[must_use]
pub fn connack_len(version: Version, code: ReasonCode, properties: &ConnackProperties<'_>) -> usize {
    if version.is_v5() {
        let len = properties.encoded_len();
        packet_len(2 + Varint::len_of(len) + len)
    } else if code.connack_v3().is_some() {
        4
    } else {
        0
    }
}

/// Appends a CONNACK. A refusal never says that a session is present (MQTT-3.2.2-6), nor does MQTT 3.1 know the flag.
/// In MQTT 3 the code is mapped by [`ReasonCode::connack_v3`]; nothing is written when it has no counterpart.
pub fn connack(
    buf: &mut BytesMut,
    version: Version,
    session_present: bool,
    code: ReasonCode,
    properties: &ConnackProperties<'_>,
) -> usize {
    let present = u8::from(session_present && code == ReasonCode::Success && version != Version::V31);
    if version.is_v5() {
        let len = properties.encoded_len();
        put_header(buf, 0x20, 2 + Varint::len_of(len) + len);
        buf.put_slice(&[present, code.value()]);
        put_varint(buf, len);
        properties.put(buf);
    } else {
        let Some(code) = code.connack_v3() else {
            return 0;
        };
        buf.put_slice(&[0x20, 2, present, code]);
    }
    connack_len(version, code, properties)
}
