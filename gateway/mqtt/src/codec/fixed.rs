//! The fixed header (MQTT 5, 2.1): where a packet ends, and whether its type and flags may come from a client.

use super::rules::{self, Broken};
use super::{Version, Violation};

/// The largest remaining length four bytes can say (MQTT 5, 1.5.5).
pub(super) const MAX_REMAINING: usize = 268_435_455;

/// What the fixed header of a packet says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// The type of the packet.
    pub kind: PacketType,
    /// The lower four bits of the first byte.
    pub flags: u8,
    /// How long the fixed header is, in bytes: 2 to 5.
    pub header_len: usize,
    /// How long the packet is with its fixed header, in bytes. The rest may not have arrived yet.
    pub total_len: usize,
}

/// The packet types a client may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PacketType {
    /// CONNECT.
    Connect = 1,
    /// PUBLISH.
    Publish = 3,
    /// PUBACK.
    PubAck = 4,
    /// PUBREC.
    PubRec = 5,
    /// PUBREL.
    PubRel = 6,
    /// PUBCOMP.
    PubComp = 7,
    /// SUBSCRIBE.
    Subscribe = 8,
    /// UNSUBSCRIBE.
    Unsubscribe = 10,
    /// PINGREQ.
    PingReq = 12,
    /// DISCONNECT.
    Disconnect = 14,
    /// AUTH, MQTT 5 only.
    Auth = 15,
}

/// Reads the fixed header at the start of `buf`. None while too few bytes have arrived to tell the length; what can be
/// refused is refused as soon as it can be seen. `max_packet` is the largest whole packet in bytes the server takes.
///
/// The version is not known here. Flags that only MQTT 3.1 allows and lengths that only MQTT 5 forbids pass, and are
/// judged when the packet is decoded.
///
/// # Errors
/// A reserved or server-only packet type, flags no version allows, a length of more than four bytes, or a packet over
/// `max_packet` (before its body arrives).
#[inline]
pub fn frame(buf: &[u8], max_packet: u32) -> Result<Option<Frame>, Violation> {
    frame_header(buf, max_packet).map_err(|rule| rule.cite(Version::V5))
}

/// The same for a client whose version is known.
///
/// # Errors
/// As [`frame`], by the rules of `version`.
#[inline]
pub fn frame_of(version: Version, buf: &[u8], max_packet: u32) -> Result<Option<Frame>, Violation> {
    frame_header(buf, max_packet).map_err(|rule| rule.cite(version))
}

#[inline]
fn frame_header(buf: &[u8], max_packet: u32) -> Result<Option<Frame>, Broken> {
    let Some(header) = read(buf, None)? else {
        return Ok(None);
    };
    if header.total_len > max_packet as usize {
        return Err(&rules::PACKET_TOO_LARGE);
    }
    Ok(Some(header))
}

/// Splits a whole packet into its fixed header and its body, by the rules of `version`.
#[inline]
pub(super) fn split(packet: &[u8], version: Version) -> Result<(Frame, &[u8]), Broken> {
    let header = read(packet, Some(version))?.ok_or(&rules::TRUNCATED)?;
    if packet.len() != header.total_len {
        return Err(if packet.len() < header.total_len { &rules::TRUNCATED } else { &rules::TRAILING });
    }
    let body = packet.get(header.header_len..).ok_or(&rules::TRUNCATED)?;
    Ok((header, body))
}

#[inline]
fn read(buf: &[u8], version: Option<Version>) -> Result<Option<Frame>, Broken> {
    let Some((&first, rest)) = buf.split_first() else {
        return Ok(None);
    };
    let kind = packet_type(first >> 4, version)?;
    let flags = first & 0x0F;
    check_flags(kind, flags, version)?;
    let Some(length) = Varint::read(rest)? else {
        return Ok(None);
    };
    // MQTT 3 does not forbid a length that is padded with zeros (its section 2.2.3).
    if version == Some(Version::V5) && !length.is_minimal() {
        return Err(&rules::VARINT_NOT_MINIMAL);
    }
    let header_len = 1 + length.len;
    Ok(Some(Frame { kind, flags, header_len, total_len: header_len + length.value as usize }))
}

#[inline]
fn packet_type(number: u8, version: Option<Version>) -> Result<PacketType, Broken> {
    Ok(match number {
        1 => PacketType::Connect,
        3 => PacketType::Publish,
        4 => PacketType::PubAck,
        5 => PacketType::PubRec,
        6 => PacketType::PubRel,
        7 => PacketType::PubComp,
        8 => PacketType::Subscribe,
        10 => PacketType::Unsubscribe,
        12 => PacketType::PingReq,
        14 => PacketType::Disconnect,
        15 if version.is_none_or(Version::is_v5) => PacketType::Auth,
        15 => return Err(&rules::AUTH_NEEDS_V5),
        0 => return Err(&rules::RESERVED_TYPE),
        _ => return Err(&rules::SERVER_ONLY_TYPE),
    })
}

/// MQTT 3.1 sets the DUP flag when SUBSCRIBE, UNSUBSCRIBE or PUBREL is sent again (its section 2.1).
#[inline]
fn check_flags(kind: PacketType, flags: u8, version: Option<Version>) -> Result<(), Broken> {
    let repeatable = if matches!(version, None | Some(Version::V31)) { flags & 0x07 } else { flags };
    let (legal, rule): (bool, Broken) = match kind {
        PacketType::Publish => return Ok(()),
        PacketType::PubRel => (repeatable == 2, &rules::PUBREL_FLAGS),
        PacketType::Subscribe => (repeatable == 2, &rules::SUBSCRIBE_FLAGS),
        PacketType::Unsubscribe => (repeatable == 2, &rules::UNSUBSCRIBE_FLAGS),
        PacketType::Disconnect => (flags == 0, &rules::DISCONNECT_FLAGS),
        PacketType::Auth => (flags == 0, &rules::AUTH_FLAGS),
        _ => (flags == 0, &rules::RESERVED_FLAGS),
    };
    if legal { Ok(()) } else { Err(rule) }
}

/// A variable byte integer (MQTT 5, 1.5.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Varint {
    /// At most [`MAX_REMAINING`].
    pub(super) value: u32,
    /// Its length in bytes, 1 to 4.
    pub(super) len: usize,
}

// === impl Varint ===

impl Varint {
    /// Reads from the start of `bytes`; none when they end too early.
    #[inline]
    pub(super) fn read(bytes: &[u8]) -> Result<Option<Self>, Broken> {
        let mut value = 0;
        for (at, &byte) in bytes.iter().take(4).enumerate() {
            value |= u32::from(byte & 0x7F) << (7 * at);
            if byte & 0x80 == 0 {
                return Ok(Some(Self { value, len: at + 1 }));
            }
        }
        if bytes.len() < 4 { Ok(None) } else { Err(&rules::VARINT_TOO_LONG) }
    }

    /// Whether no shorter form says the same (MQTT-1.5.5-1).
    #[inline]
    pub(super) fn is_minimal(self) -> bool {
        self.len == Self::len_of(self.value as usize)
    }

    /// The shortest length of `value`, in bytes.
    #[inline]
    pub(super) const fn len_of(value: usize) -> usize {
        match value {
            0..=0x7F => 1,
            0x80..=0x3FFF => 2,
            0x4000..=0x1F_FFFF => 3,
            _ => 4,
        }
    }
}
