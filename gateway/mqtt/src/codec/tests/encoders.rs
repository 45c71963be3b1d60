//! What the server writes, byte by byte, and the lengths it announces.

use crate::codec::encode::{self, ConnackProperties, Outgoing};
use crate::codec::{MAX_PACKET_BYTES, QoS, ReasonCode, Version, frame};
use bytes::BytesMut;
use std::num::{NonZeroU16, NonZeroU32};

const ID: NonZeroU16 = NonZeroU16::new(10).unwrap();

/// Encodes once and checks that the length returned is the length written.
fn written(encode: impl FnOnce(&mut BytesMut) -> usize) -> Vec<u8> {
    let mut buf = BytesMut::new();
    let len = encode(&mut buf);
    assert_eq!(len, buf.len());
    buf.to_vec()
}

#[test]
fn connack_has_the_form_of_its_version() {
    let none = ConnackProperties::default();
    let rows: [(Version, bool, ReasonCode, &[u8]); 10] = [
        (Version::V31, true, ReasonCode::Success, b"\x20\x02\x00\x00"),
        (Version::V311, true, ReasonCode::Success, b"\x20\x02\x01\x00"),
        (Version::V311, true, ReasonCode::NotAuthorized, b"\x20\x02\x00\x05"),
        (Version::V311, false, ReasonCode::UnsupportedProtocolVersion, b"\x20\x02\x00\x01"),
        (Version::V311, false, ReasonCode::ClientIdentifierNotValid, b"\x20\x02\x00\x02"),
        (Version::V311, false, ReasonCode::ServerBusy, b"\x20\x02\x00\x03"),
        (Version::V311, false, ReasonCode::BadUserNameOrPassword, b"\x20\x02\x00\x04"),
        (Version::V311, false, ReasonCode::MalformedPacket, b""),
        (Version::V5, true, ReasonCode::Success, b"\x20\x03\x01\x00\x00"),
        (Version::V5, true, ReasonCode::MalformedPacket, b"\x20\x03\x00\x81\x00"),
    ];
    for (version, present, code, expected) in rows {
        let bytes = written(|buf| encode::connack(buf, version, present, code, &none));
        assert_eq!(bytes, expected, "{version:?} {code:?}");
        assert_eq!(encode::connack_len(version, code, &none), bytes.len());
    }
}

#[test]
fn connack_writes_every_property() {
    let all = ConnackProperties {
        session_expiry: Some(1),
        receive_maximum: NonZeroU16::new(2),
        maximum_qos: Some(QoS::AtLeastOnce),
        retain_available: Some(false),
        maximum_packet_size: NonZeroU32::new(3),
        assigned_client_id: Some("id"),
        topic_alias_maximum: Some(4),
        reason_string: Some("r"),
        wildcard_available: Some(true),
        subscription_ids_available: Some(true),
        shared_available: Some(false),
        server_keep_alive: Some(5),
        response_information: Some("i"),
        server_reference: Some("s"),
        authentication_method: Some("m"),
        authentication_data: Some(b"d"),
    };
    let expected = b"\x20\x39\x00\x00\x36\x24\x01\x25\x00\x28\x01\x29\x01\x2A\x00\
        \x21\x00\x02\x22\x00\x04\x13\x00\x05\x11\x00\x00\x00\x01\x27\x00\x00\x00\x03\
        \x12\x00\x02id\x1F\x00\x01r\x1A\x00\x01i\x1C\x00\x01s\x15\x00\x01m\x16\x00\x01d";
    let bytes = written(|buf| encode::connack(buf, Version::V5, false, ReasonCode::Success, &all));
    assert_eq!(bytes, expected);
    let highest = ConnackProperties { maximum_qos: Some(QoS::ExactlyOnce), ..ConnackProperties::default() };
    let bytes = written(|buf| encode::connack(buf, Version::V5, false, ReasonCode::Success, &highest));
    assert_eq!(bytes, b"\x20\x03\x00\x00\x00");
}

#[test]
fn publish_has_the_form_of_its_version() {
    let message = Outgoing {
        dup: true,
        qos: QoS::AtLeastOnce,
        retain: true,
        topic: "a/b",
        packet_id: Some(ID),
        forwarded: b"\x01\x00",
        message_expiry: Some(60),
        subscription_ids: &[1, 300],
        topic_alias: NonZeroU16::new(2),
        payload: b"hi",
    };
    let rows: [(Version, &[u8]); 2] = [
        (Version::V311, b"\x3B\x09\x00\x03a/b\x00\x0Ahi"),
        (Version::V5, b"\x3B\x19\x00\x03a/b\x00\x0A\x0F\x02\x00\x00\x00\x3C\x23\x00\x02\x0B\x01\x0B\xAC\x02\x01\x00hi"),
    ];
    for (version, expected) in rows {
        assert_eq!(written(|buf| encode::publish(buf, version, &message)), expected);
        assert_eq!(encode::publish_len(version, &message), expected.len());
        let mut head = BytesMut::new();
        assert_eq!(encode::publish_header(&mut head, version, &message), expected.len());
        assert_eq!(head, expected[..expected.len() - 2]);
    }
    let plain = Outgoing { dup: true, packet_id: Some(ID), topic: "a", ..Outgoing::default() };
    assert_eq!(written(|buf| encode::publish(buf, Version::V311, &plain)), b"\x30\x03\x00\x01a");
}

#[test]
fn a_publish_that_cannot_be_written_leaves_the_buffer_alone() {
    let long = "t".repeat(65_536);
    let huge = vec![0; MAX_PACKET_BYTES];
    let impossible = [
        Outgoing { topic: &long, ..Outgoing::default() },
        Outgoing { topic: "a", payload: &huge, ..Outgoing::default() },
        Outgoing { topic: "a", qos: QoS::AtLeastOnce, ..Outgoing::default() },
    ];
    for message in impossible {
        assert_eq!(encode::publish_len(Version::V5, &message), 0);
        assert_eq!(written(|buf| encode::publish(buf, Version::V5, &message)), b"");
        assert_eq!(written(|buf| encode::publish_header(buf, Version::V5, &message)), b"");
    }
}

#[test]
fn acknowledgements_are_as_short_as_they_can_be() {
    type Ack = fn(&mut BytesMut, Version, NonZeroU16, ReasonCode, Option<&str>) -> usize;
    let kinds: [(u8, Ack); 4] =
        [(0x40, encode::puback), (0x50, encode::pubrec), (0x62, encode::pubrel), (0x70, encode::pubcomp)];
    let rows: [(Version, ReasonCode, Option<&str>, &[u8]); 5] = [
        (Version::V311, ReasonCode::NotAuthorized, Some("no"), b"\x02\x00\x0A"),
        (Version::V5, ReasonCode::Success, None, b"\x02\x00\x0A"),
        (Version::V5, ReasonCode::NotAuthorized, None, b"\x03\x00\x0A\x87"),
        (Version::V5, ReasonCode::NotAuthorized, Some("no"), b"\x09\x00\x0A\x87\x05\x1F\x00\x02no"),
        (Version::V5, ReasonCode::Success, Some("ok"), b"\x09\x00\x0A\x00\x05\x1F\x00\x02ok"),
    ];
    for (first, encode) in kinds {
        for (version, reason, words, expected) in rows {
            let bytes = written(|buf| encode(buf, version, ID, reason, words));
            assert_eq!(bytes, [&[first], expected].concat(), "{version:?} {reason:?} {words:?}");
            assert_eq!(encode::ack_len(version, reason, words), bytes.len());
        }
    }
}

#[test]
fn suback_and_unsuback_answer_every_filter() {
    let codes = [ReasonCode::Success, ReasonCode::GrantedQoS2, ReasonCode::NotAuthorized];
    type Row<'a> = (Version, Option<&'a str>, &'a [u8], &'a [u8]);
    let rows: [Row<'_>; 3] = [
        (Version::V311, Some("no"), b"\x90\x05\x00\x0A\x00\x02\x80", b"\xB0\x02\x00\x0A"),
        (Version::V5, None, b"\x90\x06\x00\x0A\x00\x00\x02\x87", b"\xB0\x06\x00\x0A\x00\x00\x02\x87"),
        (
            Version::V5,
            Some("no"),
            b"\x90\x0B\x00\x0A\x05\x1F\x00\x02no\x00\x02\x87",
            b"\xB0\x0B\x00\x0A\x05\x1F\x00\x02no\x00\x02\x87",
        ),
    ];
    for (version, words, suback, unsuback) in rows {
        assert_eq!(written(|buf| encode::suback(buf, version, ID, &codes, words)), suback);
        assert_eq!(encode::suback_len(version, codes.len(), words), suback.len());
        assert_eq!(written(|buf| encode::unsuback(buf, version, ID, &codes, words)), unsuback);
        assert_eq!(encode::unsuback_len(version, codes.len(), words), unsuback.len());
    }
}

#[test]
fn disconnect_and_pingresp_are_written() {
    assert_eq!(written(encode::pingresp), b"\xD0\x00");
    let rows: [(ReasonCode, Option<&str>, &[u8]); 3] = [
        (ReasonCode::Success, None, b"\xE0\x00"),
        (ReasonCode::KeepAliveTimeout, None, b"\xE0\x01\x8D"),
        (ReasonCode::ProtocolError, Some("x"), b"\xE0\x06\x82\x04\x1F\x00\x01x"),
    ];
    for (reason, words, expected) in rows {
        assert_eq!(written(|buf| encode::disconnect(buf, reason, words)), expected);
        assert_eq!(encode::disconnect_len(reason, words), expected.len());
    }
}

#[test]
fn a_string_too_long_for_the_wire_is_cut_between_characters() {
    let words = "é".repeat(40_000);
    let bytes = written(|buf| encode::disconnect(buf, ReasonCode::UnspecifiedError, Some(&words)));
    let header = frame(&bytes, u32::MAX).unwrap().unwrap();
    assert_eq!(header.total_len, bytes.len());
    let text = &bytes[header.header_len + 1 + 3 + 3..];
    assert_eq!(std::str::from_utf8(text).unwrap(), "é".repeat(32_767));
}

#[test]
fn reason_codes_keep_their_values_and_names() {
    assert_eq!(ReasonCode::ALL.len(), 43);
    for &code in ReasonCode::ALL {
        assert_eq!(ReasonCode::from_u8(code.value()), Some(code));
        assert_eq!(code.is_error(), code.value() >= 0x80);
        assert!(!code.name().is_empty());
    }
    assert_eq!((ReasonCode::NotAuthorized.value(), ReasonCode::NotAuthorized.name()), (0x87, "Not authorized"));
    assert_eq!(ReasonCode::from_u8(0x03), None);
}
