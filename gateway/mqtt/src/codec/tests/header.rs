//! Framing: what the first two to five bytes tell.

use super::{VERSIONS, packet};
use crate::codec::rules::{self, Broken};
use crate::codec::{Frame, PacketType, ReasonCode, Version, decode, frame};

const BAD: &[(&[u8], Broken)] = &[
    (b"\x00", &rules::RESERVED_TYPE),
    (b"\x20", &rules::SERVER_ONLY_TYPE),
    (b"\x90", &rules::SERVER_ONLY_TYPE),
    (b"\xB0", &rules::SERVER_ONLY_TYPE),
    (b"\xD0\x00", &rules::SERVER_ONLY_TYPE),
    (b"\x11", &rules::RESERVED_FLAGS),
    (b"\x41", &rules::RESERVED_FLAGS),
    (b"\x52", &rules::RESERVED_FLAGS),
    (b"\x78", &rules::RESERVED_FLAGS),
    (b"\xC1", &rules::RESERVED_FLAGS),
    (b"\x60", &rules::PUBREL_FLAGS),
    (b"\x80", &rules::SUBSCRIBE_FLAGS),
    (b"\x83", &rules::SUBSCRIBE_FLAGS),
    (b"\xA0", &rules::UNSUBSCRIBE_FLAGS),
    (b"\xE1", &rules::DISCONNECT_FLAGS),
    (b"\xF8", &rules::AUTH_FLAGS),
    (b"\x30\xFF\xFF\xFF\xFF", &rules::VARINT_TOO_LONG),
    (b"\x30\x80\x80\x80\x80\x01", &rules::VARINT_TOO_LONG),
    (b"\x30\xE7\x07", &rules::PACKET_TOO_LARGE),
    (b"\x30\xFF\xFF\xFF\x7F", &rules::PACKET_TOO_LARGE),
];

pub(super) fn rules_shown() -> impl Iterator<Item = Broken> {
    BAD.iter().map(|&(_, rule)| rule).chain([&rules::AUTH_NEEDS_V5, &rules::VARINT_NOT_MINIMAL])
}

#[test]
fn an_illegal_header_is_refused_before_its_body_arrives() {
    for &(bytes, rule) in BAD {
        assert_eq!(frame(bytes, 1_000), Err(rule.cite(Version::V5)), "{bytes:02x?}");
    }
}

#[test]
fn too_few_bytes_ask_for_more() {
    for bytes in [&b""[..], b"\x30", b"\x30\x80", b"\x30\x80\x80", b"\x30\x80\x80\x80", b"\x82", b"\xF0"] {
        assert_eq!(frame(bytes, 1_000), Ok(None), "{bytes:02x?}");
    }
}

#[test]
fn the_length_is_known_from_the_header_alone() {
    let lengths: &[(&[u8], usize, usize)] = &[
        (b"\x30\x00", 2, 0),
        (b"\x30\x7F", 2, 127),
        (b"\x30\x80\x01", 3, 128),
        (b"\x30\xFF\x7F", 3, 16_383),
        (b"\x30\x80\x80\x01", 4, 16_384),
        (b"\x30\xFF\xFF\x7F", 4, 2_097_151),
        (b"\x30\x80\x80\x80\x01", 5, 2_097_152),
        (b"\x30\xFF\xFF\xFF\x7F", 5, 268_435_455),
    ];
    for &(bytes, header_len, remaining) in lengths {
        let expected = Frame { kind: PacketType::Publish, flags: 0, header_len, total_len: header_len + remaining };
        assert_eq!(frame(bytes, u32::MAX), Ok(Some(expected)), "{bytes:02x?}");
    }
}

#[test]
fn the_size_limit_counts_the_whole_packet() {
    assert_eq!(frame(b"\x30\x08", 10).unwrap().unwrap().total_len, 10);
    assert_eq!(frame(b"\x30\x09", 10).unwrap_err().reason, ReasonCode::PacketTooLarge);
}

#[test]
fn a_padded_length_is_legal_in_mqtt_3_only() {
    let ping = b"\xC0\x80\x00";
    assert_eq!(frame(ping, 1_000).unwrap().unwrap().total_len, 3);
    assert!(decode(Version::V31, ping).is_ok());
    assert!(decode(Version::V311, ping).is_ok());
    assert_eq!(decode(Version::V5, ping).unwrap_err(), rules::VARINT_NOT_MINIMAL.cite(Version::V5));
}

#[test]
fn the_dup_flag_on_a_repeated_subscribe_is_legal_in_mqtt_3_1_only() {
    for (first, rule) in
        [(0x8A, &rules::SUBSCRIBE_FLAGS), (0xAA, &rules::UNSUBSCRIBE_FLAGS), (0x6A, &rules::PUBREL_FLAGS)]
    {
        let body: &[u8] = match first {
            0x8A => b"\x00\x01\x00\x01a\x01",
            0xAA => b"\x00\x01\x00\x01a",
            _ => b"\x00\x01",
        };
        let packet = packet(first, body);
        assert!(frame(&packet, 1_000).is_ok());
        assert!(decode(Version::V31, &packet).is_ok(), "{first:02x}");
        for version in [Version::V311, Version::V5] {
            assert_eq!(decode(version, &packet).unwrap_err(), rule.cite(version), "{first:02x}");
        }
    }
}

#[test]
fn auth_is_a_reserved_type_in_mqtt_3() {
    let packet = packet(0xF0, b"\x18\x04\x15\x00\x01x");
    assert!(decode(Version::V5, &packet).is_ok());
    for version in [Version::V31, Version::V311] {
        assert_eq!(decode(version, &packet).unwrap_err(), rules::AUTH_NEEDS_V5.cite(version));
    }
}

#[test]
fn a_second_connect_is_handed_out_for_the_session_to_answer() {
    for version in VERSIONS {
        let again = packet(0x10, b"anything");
        assert!(matches!(decode(version, &again), Ok(crate::codec::Packet::Connect)));
    }
}
