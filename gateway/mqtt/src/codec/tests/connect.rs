//! CONNECT: the examples of the standards, the freedoms of MQTT 3.1, and every rule it can break.

use super::client::{ConnectBytes, block, field, fields};
use super::packet;
use crate::codec::rules::{self, Broken};
use crate::codec::{QoS, ReasonCode, Version, decode_connect};

/// Illegal ones: name, level, flags, properties, what follows, and the rule.
type Row = (&'static str, u8, u8, &'static [u8], &'static [u8], Broken);

const ID: &[u8] = b"\x00\x01c";

const BAD: &[Row] = &[
    ("MQTT", 4, 0x03, b"", ID, &rules::CONNECT_RESERVED_FLAG),
    ("MQTT", 5, 0x03, b"", ID, &rules::CONNECT_RESERVED_FLAG),
    ("MQTT", 4, 0x0A, b"", ID, &rules::WILL_QOS_WITHOUT_WILL),
    ("MQTT", 5, 0x12, b"", ID, &rules::WILL_QOS_WITHOUT_WILL),
    ("MQTT", 4, 0x22, b"", ID, &rules::WILL_RETAIN_WITHOUT_WILL),
    ("MQTT", 5, 0x22, b"", ID, &rules::WILL_RETAIN_WITHOUT_WILL),
    ("MQIsdp", 3, 0x1E, b"", b"\x00\x01c\x00\x01t\x00\x00", &rules::WILL_QOS_3),
    ("MQTT", 4, 0x1E, b"", b"\x00\x01c\x00\x01t\x00\x00", &rules::WILL_QOS_3),
    ("MQTT", 5, 0x1E, b"", b"\x00\x01c\x00\x00\x01t\x00\x00", &rules::WILL_QOS_3),
    ("MQIsdp", 3, 0x42, b"", b"\x00\x01c\x00\x01p", &rules::PASSWORD_WITHOUT_USERNAME),
    ("MQTT", 4, 0x42, b"", b"\x00\x01c\x00\x01p", &rules::PASSWORD_WITHOUT_USERNAME),
    ("MQIsdp", 3, 0x02, b"", b"\x00\x00", &rules::CLIENT_ID_EMPTY),
    ("MQTT", 4, 0x00, b"", b"\x00\x00", &rules::CLIENT_ID_EMPTY),
    ("MQTT", 4, 0x02, b"", b"", &rules::TRUNCATED),
    ("MQTT", 4, 0x82, b"", ID, &rules::TRUNCATED),
    ("MQTT", 4, 0xC2, b"", b"\x00\x01c\x00\x01u", &rules::TRUNCATED),
    ("MQTT", 4, 0x06, b"", b"\x00\x01c\x00\x01t", &rules::TRUNCATED),
    ("MQTT", 4, 0x02, b"", b"\x00\x01c\x00", &rules::TRAILING),
    ("MQIsdp", 3, 0x02, b"", b"\x00\x01cx", &rules::TRAILING),
    ("MQTT", 5, 0x02, b"", b"\x00\x01c\x00", &rules::TRAILING),
    ("MQTT", 4, 0x02, b"", b"\x00\x01\xFF", &rules::UTF8),
    ("MQTT", 4, 0x02, b"", b"\x00\x01\x00", &rules::UTF8_NUL),
    ("MQTT", 4, 0x82, b"", b"\x00\x01c\x00\x01\xFF", &rules::UTF8),
    ("MQTT", 4, 0x06, b"", b"\x00\x01c\x00\x00\x00\x00", &rules::TOPIC_EMPTY),
    ("MQTT", 4, 0x06, b"", b"\x00\x01c\x00\x01#\x00\x00", &rules::TOPIC_HAS_WILDCARD),
    ("MQTT", 5, 0x06, b"", b"\x00\x01c\x00\x00\x01+\x00\x00", &rules::TOPIC_HAS_WILDCARD),
    ("MQTT", 5, 0x06, b"", b"\x00\x01c\x02\x01\x01\x00\x01t\x00\x01\xFF", &rules::WILL_PAYLOAD_NOT_UTF8),
    ("MQTT", 5, 0x06, b"", b"\x00\x01c\x03\x23\x00\x01\x00\x01t\x00\x00", &rules::PROPERTY_UNKNOWN),
    ("MQTT", 5, 0x06, b"", b"\x00\x01c\x02\x0B\x01\x00\x01t\x00\x00", &rules::PROPERTY_UNKNOWN),
    ("MQTT", 5, 0x06, b"", b"\x00\x01c\x7F\x00\x01t\x00\x00", &rules::PROPERTY_LENGTH),
    ("MQTT", 5, 0x02, b"\x21\x00\x00", ID, &rules::RECEIVE_MAXIMUM_ZERO),
    ("MQTT", 5, 0x02, b"\x27\x00\x00\x00\x00", ID, &rules::MAXIMUM_PACKET_SIZE_ZERO),
    ("MQTT", 5, 0x02, b"\x19\x02", ID, &rules::REQUEST_RESPONSE_VALUE),
    ("MQTT", 5, 0x02, b"\x17\x02", ID, &rules::REQUEST_PROBLEM_VALUE),
    ("MQTT", 5, 0x02, b"\x16\x00\x01x", ID, &rules::AUTHENTICATION_DATA_ALONE),
    ("MQTT", 5, 0x02, b"\x22\x00\x01\x22\x00\x01", ID, &rules::PROPERTY_TWICE),
    ("MQTT", 5, 0x02, b"\x18\x00\x00\x00\x01", ID, &rules::PROPERTY_UNKNOWN),
    ("MQTT", 5, 0x02, b"\x01\x00", ID, &rules::PROPERTY_UNKNOWN),
];

pub(super) fn rules_shown() -> impl Iterator<Item = Broken> {
    let before = [&rules::FIRST_NOT_CONNECT, &rules::PROTOCOL_NAME, &rules::PROTOCOL_LEVEL];
    BAD.iter().map(|row| row.5).chain(before)
}

#[test]
fn an_illegal_connect_is_refused_with_its_rule() {
    for &(name, level, flags, properties, payload, rule) in BAD {
        let version = match level {
            3 => Version::V31,
            4 => Version::V311,
            _ => Version::V5,
        };
        let payload = payload.to_vec();
        let bytes = ConnectBytes { name, level, flags, properties, payload, ..ConnectBytes::default() }.write();
        let refused = decode_connect(&bytes).expect_err(&format!("{bytes:02x?}"));
        assert_eq!(refused.violation, rule.cite(version), "{bytes:02x?}");
        // MQTT 3 has a return code for a rejected identifier and none for a malformed packet.
        let told = version.is_v5() || rule.cite(version).reason == ReasonCode::ClientIdentifierNotValid;
        assert_eq!(refused.answer, told.then_some(version), "{bytes:02x?}");
    }
}

#[test]
fn the_first_packet_must_be_a_connect() {
    for bytes in [&b"\xC0\x00"[..], b"\x30\x03\x00\x01a", b"\xF0\x00", b"\x20\x02\x00\x00"] {
        let refused = decode_connect(bytes).unwrap_err();
        assert_eq!(refused.violation, rules::FIRST_NOT_CONNECT.cite(Version::V5));
        assert_eq!(refused.answer, None);
    }
}

#[test]
fn an_unknown_protocol_is_refused_in_words_its_client_can_read() {
    let rows = [
        ("MQTT", 3, Some(Version::V311)),
        ("MQIsdp", 4, Some(Version::V311)),
        ("MQTT", 0, Some(Version::V311)),
        ("MQTT", 0x84, Some(Version::V311)),
        ("MQTT", 6, Some(Version::V5)),
        ("HTTP", 4, None),
        ("mqtt", 4, None),
        ("", 4, None),
    ];
    for (name, level, answer) in rows {
        let refused =
            decode_connect(&ConnectBytes { name, level, ..ConnectBytes::default() }.write()).map(|_| ()).unwrap_err();
        assert_eq!(refused.violation.reason, ReasonCode::UnsupportedProtocolVersion, "{name} {level}");
        assert_eq!(refused.answer, answer, "{name} {level}");
    }
}

#[test]
fn a_padded_length_of_connect_is_legal_in_mqtt_3_only() {
    for (level, legal) in [(4, true), (5, false)] {
        let mut bytes = ConnectBytes { level, ..ConnectBytes::default() }.write();
        bytes[1] |= 0x80;
        bytes.insert(2, 0);
        assert_eq!(decode_connect(&bytes).is_ok(), legal);
    }
}

#[test]
fn the_examples_of_the_standards_are_read() {
    let payload = fields(&[b"client", b"will/topic", b"gone", b"user", b"password"]);
    let with_will_properties =
        [field(b"client"), block(b""), fields(&[b"will/topic", b"gone", b"user", b"password"])].concat();
    let examples = [
        ("MQIsdp", 3, &b""[..], payload.clone(), Version::V31),
        ("MQTT", 4, b"", payload, Version::V311),
        ("MQTT", 5, b"\x11\x00\x00\x00\x0A", with_will_properties, Version::V5),
    ];
    for (name, level, properties, payload, version) in examples {
        let bytes = ConnectBytes { name, level, flags: 0xCE, keep_alive: 10, properties, payload }.write();
        let connect = decode_connect(&bytes).unwrap();
        assert_eq!(connect.version, version);
        assert!(connect.clean_start);
        assert_eq!(connect.keep_alive, 10);
        assert_eq!(connect.client_id, "client");
        let will = connect.will.as_ref().unwrap();
        assert_eq!((will.qos, will.retain), (QoS::AtLeastOnce, false));
        assert_eq!((will.topic, will.payload), ("will/topic", &b"gone"[..]));
        assert_eq!(connect.username, Some("user"));
        assert_eq!(connect.password, Some(&b"password"[..]));
        assert_eq!(connect.properties.session_expiry, if level == 5 { 10 } else { 0 });
    }
}

#[test]
fn properties_of_connect_and_will_are_read() {
    let properties = b"\x11\xFF\xFF\xFF\xFF\x21\x00\x14\x27\x00\x00\x10\x00\x22\x00\x0A\x19\x01\x17\x00\
        \x26\x00\x01k\x00\x01v\x15\x00\x01m\x16\x00\x01d";
    let will = b"\x18\x00\x00\x00\x1E\x01\x01\x02\x00\x00\x00\x3C\x03\x00\x01t\x26\x00\x01w\x00\x01x";
    let payload = [field(b""), block(will), fields(&[b"t", b"gone", b"pass"])].concat();
    let bytes = ConnectBytes { level: 5, flags: 0x74, properties, payload, ..ConnectBytes::default() }.write();
    let connect = decode_connect(&bytes).unwrap();
    assert_eq!((connect.client_id, connect.clean_start), ("", false));
    assert_eq!((connect.username, connect.password), (None, Some(&b"pass"[..])));
    let found = &connect.properties;
    assert_eq!((found.session_expiry, found.receive_maximum.get()), (u32::MAX, 20));
    assert_eq!((found.maximum_packet_size.unwrap().get(), found.topic_alias_maximum), (4_096, 10));
    assert!(found.request_response_information && !found.request_problem_information);
    assert_eq!((found.authentication_method, found.authentication_data), (Some("m"), Some(&b"d"[..])));
    assert_eq!(found.user_properties.iter().collect::<Vec<_>>(), [("k", "v")]);
    let will = connect.will.unwrap();
    assert_eq!((will.delay, will.qos, will.retain), (30, QoS::ExactlyOnce, true));
    assert_eq!((will.properties.message_expiry, will.properties.payload_is_utf8), (Some(60), true));
    let mut forwarded = Vec::new();
    will.properties.write_forwarded(&mut forwarded);
    assert_eq!(forwarded, b"\x01\x01\x03\x00\x01t\x26\x00\x01w\x00\x01x");
    assert_eq!(will.properties.forwarded_len(), forwarded.len());
}

#[test]
fn what_connect_leaves_out_has_the_standards_default() {
    let bytes = ConnectBytes { level: 5, flags: 0, payload: field(b""), ..ConnectBytes::default() }.write();
    let connect = decode_connect(&bytes).unwrap();
    let found = &connect.properties;
    assert_eq!((found.session_expiry, found.receive_maximum.get(), found.topic_alias_maximum), (0, 65_535, 0));
    assert_eq!(found.maximum_packet_size, None);
    assert!(!found.request_response_information && found.request_problem_information);
}

#[test]
fn a_session_of_mqtt_3_that_is_not_clean_lasts_for_ever() {
    for (flags, expiry) in [(0, u32::MAX), (2, 0)] {
        let bytes = ConnectBytes { flags, ..ConnectBytes::default() }.write();
        assert_eq!(decode_connect(&bytes).unwrap().properties.session_expiry, expiry);
    }
}

#[test]
fn an_empty_client_id_is_legal_with_a_clean_session() {
    let bytes = ConnectBytes { payload: field(b""), ..ConnectBytes::default() }.write();
    assert_eq!(decode_connect(&bytes).unwrap().client_id, "");
}

#[test]
fn mqtt_3_1_may_announce_a_user_name_that_is_not_there() {
    type Row<'a> = (u8, Vec<u8>, Option<&'a str>, Option<&'a [u8]>);
    let rows: [Row<'_>; 5] = [
        (0xC2, field(b"c"), None, None),
        (0xC2, fields(&[b"c", b"u"]), Some("u"), None),
        (0xC2, fields(&[b"c", b"u", b"p"]), Some("u"), Some(b"p")),
        (0x03, field(b"c"), None, None),
        (0x3A, field(b"c"), None, None),
    ];
    for (flags, payload, username, password) in rows {
        let bytes = ConnectBytes { name: "MQIsdp", level: 3, flags, payload, ..ConnectBytes::default() }.write();
        let connect = decode_connect(&bytes).unwrap();
        assert_eq!((connect.username, connect.password), (username, password));
        assert!(connect.will.is_none());
    }
}

#[test]
fn debug_output_never_holds_the_password() {
    let payload = [field(b"c"), block(b""), fields(&[b"t", b"secret", b"user", b"secret"])].concat();
    let properties = b"\x15\x00\x01m\x16\x00\x06secret";
    let bytes = ConnectBytes { level: 5, flags: 0xC6, properties, payload, ..ConnectBytes::default() }.write();
    let shown = format!("{:?}", decode_connect(&bytes).unwrap());
    assert!(shown.contains("user") && shown.contains("hidden"));
    assert!(!shown.contains("secret") && !shown.contains("115, 101, 99"), "{shown}");
}

#[test]
fn a_connect_cut_short_anywhere_is_refused() {
    let payload = fields(&[b"c", b"t", b"gone", b"user", b"pass"]);
    let whole = ConnectBytes { flags: 0xCE, payload, ..ConnectBytes::default() }.write();
    assert!(decode_connect(&whole).is_ok());
    for len in 2..whole.len() {
        assert!(decode_connect(&whole[..len]).is_err());
        assert!(decode_connect(&packet(0x10, &whole[2..len])).is_err(), "{len}");
    }
}
