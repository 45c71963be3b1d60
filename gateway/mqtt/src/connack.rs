//! What CONNACK tells (MQTT 5, 3.2): the terms of a connection, or why there is none; never more than the client takes.
//!
//! Response Information is not offered: the standard leaves it to the server (3.2.2.3.15), and a topic to answer on is
//! part of the policy here.

use crate::codec::encode::{self, ConnackProperties};
use crate::codec::{ReasonCode, Version};
use crate::config::Limits;
use crate::session::ConnectedAs;
use bytes::BytesMut;
use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

/// The keep-alive in seconds that a client is told to use in place of its own (MQTT-3.1.2-21). Only an MQTT 5 client can
/// be told.
pub(crate) fn server_keep_alive(connect: &ConnectedAs, longest: Duration) -> Option<u16> {
    let longest = u16::try_from(longest.as_secs()).unwrap_or(u16::MAX).max(1);
    let own = connect.keep_alive;
    (connect.version.is_v5() && (own == 0 || own > longest)).then_some(longest)
}

/// The properties of a CONNACK that lets a client in. `None` if the client takes no packet as large as that.
pub(crate) fn terms<'a>(connect: &'a ConnectedAs, limits: &Limits) -> Option<ConnackProperties<'a>> {
    if !connect.version.is_v5() {
        return Some(ConnackProperties::default());
    }
    let longest = u32::try_from(limits.max_session_expiry.as_secs()).unwrap_or(u32::MAX);
    let binding = ConnackProperties {
        session_expiry: (connect.session_expiry > longest).then_some(longest),
        receive_maximum: NonZeroU16::new(limits.max_inflight),
        maximum_packet_size: NonZeroU32::new(limits.max_packet_size),
        assigned_client_id: connect.assigned.then_some(connect.client_id.as_str()),
        server_keep_alive: server_keep_alive(connect, limits.max_keep_alive),
        ..ConnackProperties::default()
    };
    // Aliases are an offer: without it the client uses none.
    let offering = ConnackProperties {
        topic_alias_maximum: (limits.max_topic_alias > 0).then_some(limits.max_topic_alias),
        ..binding
    };
    let fits = |properties: &ConnackProperties<'_>| {
        let length = encode::connack_len(Version::V5, ReasonCode::Success, properties);
        connect.max_packet.is_none_or(|max| length <= max as usize)
    };
    [offering, binding].into_iter().find(fits)
}

/// Appends the CONNACK of a refusal. The reason string is left out if the client does not take it (MQTT-3.2.2-19), and
/// the packet if it does not take that (MQTT-3.1.2-24): the close has to tell then.
pub(crate) fn refuse(
    out: &mut BytesMut,
    version: Version,
    code: ReasonCode,
    why: Option<&str>,
    max_packet: Option<u32>,
) {
    for reason_string in [why, None] {
        let properties = ConnackProperties { reason_string, ..ConnackProperties::default() };
        let length = encode::connack_len(version, code, &properties);
        if max_packet.is_none_or(|max| length <= max as usize) {
            encode::connack(out, version, false, code, &properties);
            return;
        }
    }
}
