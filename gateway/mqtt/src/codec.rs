//! The MQTT codec of a server: MQTT 3.1, 3.1.1 and 5.0 on one port.
//!
//! [`frame`] finds where a packet ends, [`decode_connect`] reads the first packet and [`decode`] every later one. What
//! they return borrows from the read buffer: nothing is copied or allocated. [`encode`] writes what a server sends.
//!
//! Invariants: a packet that was decoded is legal as far as it can be told from the packet alone; rules that need the
//! state of a session (alias over the maximum, receive maximum, session expiry raised at the end) are the session's.
//! No input makes the codec panic. It fails with a [`Violation`] that names the reason code to answer with and the
//! statement of the standard that was broken; after a violation the connection must be closed.

mod ack;
mod connect;
pub mod encode;
mod filter;
mod fixed;
mod message;
mod properties;
mod protocol;
mod publish;
mod reader;
mod reason;
mod rules;
mod subscribe;

pub use ack::{Ack, Auth, Disconnect};
pub use connect::{Connect, ConnectProperties, ConnectRefused, Will, version_told};
pub use filter::{Filter, Share};
pub use fixed::{Frame, PacketType, frame, frame_of};
pub use message::PublishProperties;
pub use properties::UserProperties;
pub use protocol::{QoS, Version};
pub use publish::Publish;
pub use reason::ReasonCode;
pub use rules::Violation;
pub use subscribe::{RetainHandling, Subscribe, SubscribeFilters, SubscribeOptions, Unsubscribe, UnsubscribeFilters};

use reader::Reader;

/// The largest packet that can be written on the wire, in bytes, with its fixed header (MQTT 5, 1.5.5 and 2.1.4).
pub const MAX_PACKET_BYTES: usize = fixed::MAX_REMAINING + 5;

/// A packet from a client, valid on its own.
#[derive(Debug, Clone)]
pub enum Packet<'a> {
    /// A CONNECT after the first one. It is not read: the session answers with a protocol error (MQTT-3.1.0-2).
    Connect,
    /// An application message.
    Publish(Publish<'a>),
    /// The answer to a QoS 1 message.
    PubAck(Ack<'a>),
    /// The first answer to a QoS 2 message.
    PubRec(Ack<'a>),
    /// The release of a QoS 2 message that the client published.
    PubRel(Ack<'a>),
    /// The end of a QoS 2 delivery.
    PubComp(Ack<'a>),
    /// A wish for subscriptions.
    Subscribe(Subscribe<'a>),
    /// The end of subscriptions.
    Unsubscribe(Unsubscribe<'a>),
    /// A sign of life.
    PingReq,
    /// The client leaves.
    Disconnect(Disconnect<'a>),
    /// A step of an extended authentication (MQTT 5 only).
    Auth(Auth<'a>),
}

/// Reads the first packet of a connection. `packet` is one whole packet, as [`frame`] measured it.
///
/// # Errors
/// [`ConnectRefused`] holds the violation and says whether, and in which version, a CONNACK may tell the client.
pub fn decode_connect(packet: &[u8]) -> Result<Connect<'_>, ConnectRefused> {
    connect::decode(packet)
}

/// Reads a packet after CONNECT. `packet` is one whole packet, as [`frame`] measured it; `version` is what CONNECT said.
///
/// # Errors
/// A [`Violation`] when the packet is malformed or not allowed from a client.
#[inline]
pub fn decode(version: Version, packet: &[u8]) -> Result<Packet<'_>, Violation> {
    let cite = |rule: rules::Broken| rule.cite(version);
    let (header, body) = fixed::split(packet, version).map_err(cite)?;
    // Every arm maps its own error: mapping the common result would copy the whole packet once more.
    match header.kind {
        PacketType::Publish => publish::decode(version, header.flags, body).map(Packet::Publish).map_err(cite),
        PacketType::PubAck => ack::decode(version, &ack::PUBACK, body).map(Packet::PubAck).map_err(cite),
        PacketType::PubRec => ack::decode(version, &ack::PUBREC, body).map(Packet::PubRec).map_err(cite),
        PacketType::PubRel => ack::decode(version, &ack::PUBREL, body).map(Packet::PubRel).map_err(cite),
        PacketType::PubComp => ack::decode(version, &ack::PUBCOMP, body).map(Packet::PubComp).map_err(cite),
        PacketType::Subscribe => subscribe::decode_subscribe(version, body).map(Packet::Subscribe).map_err(cite),
        PacketType::Unsubscribe => subscribe::decode_unsubscribe(version, body).map(Packet::Unsubscribe).map_err(cite),
        PacketType::PingReq => Reader::new(body).end().map(|()| Packet::PingReq).map_err(cite),
        PacketType::Disconnect => ack::decode_disconnect(version, body).map(Packet::Disconnect).map_err(cite),
        PacketType::Auth => ack::decode_auth(body).map(Packet::Auth).map_err(cite),
        PacketType::Connect => Ok(Packet::Connect),
    }
}

#[cfg(test)]
mod tests;
