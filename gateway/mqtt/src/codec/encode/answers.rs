//! The answers to a client's packets, and DISCONNECT.

use super::wire::{packet_len, put_header, put_string_property, put_varint, string_property_len};
use crate::codec::fixed::Varint;
use crate::codec::properties::id;
use crate::codec::{ReasonCode, Version};
use bytes::{BufMut, BytesMut};
use std::num::NonZeroU16;

/// The length of a PUBACK, PUBREC, PUBREL or PUBCOMP in bytes.
#[inline]
#[must_use]
pub fn ack_len(version: Version, reason: ReasonCode, reason_string: Option<&str>) -> usize {
    packet_len(2 + tail_len(version, reason, reason_string))
}

/// Appends a PUBACK.
#[inline]
pub fn puback(
    buf: &mut BytesMut,
    version: Version,
    packet_id: NonZeroU16,
    reason: ReasonCode,
    reason_string: Option<&str>,
) -> usize {
    put_ack(buf, 0x40, version, packet_id, reason, reason_string)
}

/// Appends a PUBREC.
#[inline]
pub fn pubrec(
    buf: &mut BytesMut,
    version: Version,
    packet_id: NonZeroU16,
    reason: ReasonCode,
    reason_string: Option<&str>,
) -> usize {
    put_ack(buf, 0x50, version, packet_id, reason, reason_string)
}

/// Appends a PUBREL.
#[inline]
pub fn pubrel(
    buf: &mut BytesMut,
    version: Version,
    packet_id: NonZeroU16,
    reason: ReasonCode,
    reason_string: Option<&str>,
) -> usize {
    put_ack(buf, 0x62, version, packet_id, reason, reason_string)
}

/// Appends a PUBCOMP.
#[inline]
pub fn pubcomp(
    buf: &mut BytesMut,
    version: Version,
    packet_id: NonZeroU16,
    reason: ReasonCode,
    reason_string: Option<&str>,
) -> usize {
    put_ack(buf, 0x70, version, packet_id, reason, reason_string)
}

/// The length of a SUBACK with `codes` reason codes, in bytes.
#[must_use]
pub fn suback_len(version: Version, codes: usize, reason_string: Option<&str>) -> usize {
    packet_len(2 + block_len(version, reason_string) + codes)
}

/// Appends a SUBACK with one code per topic filter, in the order of the SUBSCRIBE. In MQTT 3 every failure is 0x80.
pub fn suback(
    buf: &mut BytesMut,
    version: Version,
    packet_id: NonZeroU16,
    codes: &[ReasonCode],
    reason_string: Option<&str>,
) -> usize {
    let len = suback_len(version, codes.len(), reason_string);
    if len == 0 {
        return 0;
    }
    put_header(buf, 0x90, 2 + block_len(version, reason_string) + codes.len());
    buf.put_u16(packet_id.get());
    put_block(buf, version, reason_string);
    for code in codes {
        let failed_in_v3 = !version.is_v5() && code.is_error();
        buf.put_u8(if failed_in_v3 { ReasonCode::UnspecifiedError.value() } else { code.value() });
    }
    len
}

/// The length of an UNSUBACK with `codes` reason codes, in bytes.
#[must_use]
pub fn unsuback_len(version: Version, codes: usize, reason_string: Option<&str>) -> usize {
    packet_len(2 + block_len(version, reason_string) + if version.is_v5() { codes } else { 0 })
}

/// Appends an UNSUBACK with one code per topic filter, in the order of the UNSUBSCRIBE. MQTT 3 has no codes here.
pub fn unsuback(
    buf: &mut BytesMut,
    version: Version,
    packet_id: NonZeroU16,
    codes: &[ReasonCode],
    reason_string: Option<&str>,
) -> usize {
    let len = unsuback_len(version, codes.len(), reason_string);
    if len == 0 {
        return 0;
    }
    let codes = if version.is_v5() { codes } else { &[] };
    put_header(buf, 0xB0, 2 + block_len(version, reason_string) + codes.len());
    buf.put_u16(packet_id.get());
    put_block(buf, version, reason_string);
    for code in codes {
        buf.put_u8(code.value());
    }
    len
}

/// Appends a PINGRESP.
#[inline]
pub fn pingresp(buf: &mut BytesMut) -> usize {
    buf.extend_from_slice(&[0xD0, 0]);
    2
}

/// The length of a DISCONNECT in bytes.
#[must_use]
pub fn disconnect_len(reason: ReasonCode, reason_string: Option<&str>) -> usize {
    packet_len(tail_len(Version::V5, reason, reason_string))
}

/// Appends a DISCONNECT. Only an MQTT 5 client may be sent one.
pub fn disconnect(buf: &mut BytesMut, reason: ReasonCode, reason_string: Option<&str>) -> usize {
    put_header(buf, 0xE0, tail_len(Version::V5, reason, reason_string));
    put_tail(buf, Version::V5, reason, reason_string);
    disconnect_len(reason, reason_string)
}

#[inline]
fn put_ack(
    buf: &mut BytesMut,
    first: u8,
    version: Version,
    packet_id: NonZeroU16,
    reason: ReasonCode,
    reason_string: Option<&str>,
) -> usize {
    let [high, low] = packet_id.get().to_be_bytes();
    let tail = tail_len(version, reason, reason_string);
    if tail == 0 {
        buf.extend_from_slice(&[first, 2, high, low]);
        return 4;
    }
    put_header(buf, first, 2 + tail);
    buf.put_slice(&[high, low]);
    put_tail(buf, version, reason, reason_string);
    packet_len(2 + tail)
}

/// The length of a reason code and properties at the end of a packet: nothing for plain success.
#[inline]
fn tail_len(version: Version, reason: ReasonCode, reason_string: Option<&str>) -> usize {
    match (version, reason, reason_string) {
        (Version::V31 | Version::V311, _, _) | (_, ReasonCode::Success, None) => 0,
        (Version::V5, _, None) => 1,
        (Version::V5, _, Some(_)) => 1 + block_len(version, reason_string),
    }
}

fn put_tail(buf: &mut BytesMut, version: Version, reason: ReasonCode, reason_string: Option<&str>) {
    match tail_len(version, reason, reason_string) {
        0 => {}
        1 => buf.put_u8(reason.value()),
        _ => {
            buf.put_u8(reason.value());
            put_block(buf, version, reason_string);
        }
    }
}

/// The length of the properties with their own length field; nothing in MQTT 3.
fn block_len(version: Version, reason_string: Option<&str>) -> usize {
    let len = string_property_len(reason_string);
    if version.is_v5() { Varint::len_of(len) + len } else { 0 }
}

fn put_block(buf: &mut BytesMut, version: Version, reason_string: Option<&str>) {
    if version.is_v5() {
        put_varint(buf, string_property_len(reason_string));
        put_string_property(buf, id::REASON_STRING, reason_string);
    }
}
