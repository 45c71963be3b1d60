//! Packets a server sends. Every function appends one packet to `buf` and returns its length in bytes.
//!
//! A client may limit the size of packets (MQTT-3.1.2-24): ask the matching `_len` function first, and leave out the
//! reason string, or drop the message, when the packet would be too large. A string over 65,535 bytes is cut at a
//! character boundary. A packet that cannot be written at all (over [`MAX_PACKET_BYTES`](super::MAX_PACKET_BYTES), or
//! not in this version) leaves `buf` alone and has length 0. What MQTT 3 has no place for is left out for its clients.

mod answers;
mod connack;
mod publish;
mod wire;

pub use answers::{
    ack_len, disconnect, disconnect_len, pingresp, puback, pubcomp, pubrec, pubrel, suback, suback_len, unsuback,
    unsuback_len,
};
pub use connack::{ConnackProperties, connack, connack_len};
pub use publish::{Outgoing, publish, publish_header, publish_len};
