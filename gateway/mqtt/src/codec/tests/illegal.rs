//! Packets after CONNECT that break a rule. The tables name the rule; the version chooses the citation.

use super::packet;
use crate::codec::rules::{self, Broken};
use crate::codec::{Version, decode};

type Row = (u8, &'static [u8], Broken);

/// Illegal in every version: the body is read alike up to the fault.
const ALL_VERSIONS: &[Row] = &[
    (0x20, b"\x00\x00", &rules::SERVER_ONLY_TYPE),
    (0x90, b"\x00\x01\x00", &rules::SERVER_ONLY_TYPE),
    (0xD0, b"", &rules::SERVER_ONLY_TYPE),
    (0x00, b"", &rules::RESERVED_TYPE),
    (0x36, b"\x00\x01a\x00\x01", &rules::PUBLISH_QOS_3),
    (0x3E, b"\x00\x01a\x00\x01", &rules::PUBLISH_QOS_3),
    (0x38, b"\x00\x01a\x00", &rules::DUP_WITH_QOS_0),
    (0x30, b"", &rules::TRUNCATED),
    (0x30, b"\x00", &rules::TRUNCATED),
    (0x30, b"\x00\x05abcd", &rules::TRUNCATED),
    (0x32, b"\x00\x01a\x00", &rules::TRUNCATED),
    (0x32, b"\x00\x01a\x00\x00\x00", &rules::PACKET_ID_ZERO),
    (0x34, b"\x00\x01a\x00\x00\x00", &rules::PACKET_ID_ZERO),
    (0x30, b"\x00\x03a/+\x00", &rules::PUBLISH_TOPIC_HAS_WILDCARD),
    (0x30, b"\x00\x01#\x00", &rules::PUBLISH_TOPIC_HAS_WILDCARD),
    (0x30, b"\x00\x03a\x00b\x00", &rules::UTF8_NUL),
    (0x30, b"\x00\x03a\xED\xA0\x00", &rules::UTF8),
    (0x30, b"\x00\x03\xED\xA0\x80\x00", &rules::UTF8),
    (0x30, b"\x00\x03\xED\xBF\xBF\x00", &rules::UTF8),
    (0x30, b"\x00\x02\xC0\x80\x00", &rules::UTF8),
    (0x30, b"\x00\x04\xF4\x90\x80\x80\x00", &rules::UTF8),
    (0x30, b"\x00\x01\xFF\x00", &rules::UTF8),
    (0x40, b"\x00\x00", &rules::PACKET_ID_ZERO),
    (0x50, b"\x00\x00", &rules::PACKET_ID_ZERO),
    (0x62, b"\x00\x00", &rules::PACKET_ID_ZERO),
    (0x70, b"\x00\x00", &rules::PACKET_ID_ZERO),
    (0x40, b"\x01", &rules::TRUNCATED),
    (0x40, b"", &rules::TRUNCATED),
    (0x82, b"\x00\x00\x00\x00\x01a\x00", &rules::PACKET_ID_ZERO),
    (0xA2, b"\x00\x00\x00\x00\x01a", &rules::PACKET_ID_ZERO),
    (0xC0, b"\x00", &rules::TRAILING),
];

const MQTT_3: &[Row] = &[
    (0x30, b"\x00\x00x", &rules::TOPIC_EMPTY),
    (0x40, b"\x00\x01\x00", &rules::TRAILING),
    (0x62, b"\x00\x01\x00\x00", &rules::TRAILING),
    (0xE0, b"\x00", &rules::TRAILING),
    (0x82, b"\x00\x01", &rules::SUBSCRIBE_WITHOUT_FILTER),
    (0x82, b"\x00\x01\x00\x01a\x03", &rules::SUBSCRIBE_QOS_3),
    (0x82, b"\x00\x01\x00\x01a\x04", &rules::SUBSCRIBE_OPTIONS_RESERVED),
    (0x82, b"\x00\x01\x00\x01a\x11", &rules::SUBSCRIBE_OPTIONS_RESERVED),
    (0x82, b"\x00\x01\x00\x01a", &rules::TRUNCATED),
    (0x82, b"\x00\x01\x00\x01a\x00\x00", &rules::TRUNCATED),
    (0x82, b"\x00\x01\x00\x02a\x00\x00", &rules::UTF8_NUL),
    (0xA2, b"\x00\x01", &rules::UNSUBSCRIBE_WITHOUT_FILTER),
    (0xA2, b"\x00\x01\x00\x02a", &rules::TRUNCATED),
    (0xA2, b"\x00\x01\x00\x01\xFF", &rules::UTF8),
];

const MQTT_5: &[Row] = &[
    // PUBLISH
    (0x30, b"\x00\x01a", &rules::TRUNCATED),
    (0x30, b"\x00\x00\x00x", &rules::TOPIC_AND_ALIAS_MISSING),
    (0x30, b"\x00\x00\x03\x23\x00\x00", &rules::TOPIC_ALIAS_ZERO),
    (0x30, b"\x00\x01a\x03\x23\x00\x00", &rules::TOPIC_ALIAS_ZERO),
    (0x30, b"\x00\x01a\x05\x23\x00\x01", &rules::PROPERTY_LENGTH),
    (0x30, b"\x00\x01a\x02\x23\x00", &rules::TRUNCATED),
    (0x30, b"\x00\x01a\x80\x00", &rules::VARINT_NOT_MINIMAL),
    (0x30, b"\x00\x01a\x80\x80\x80\x80\x01", &rules::VARINT_TOO_LONG),
    (0x30, b"\x00\x01a\x80", &rules::TRUNCATED),
    (0x30, b"\x00\x01a\x06\x23\x00\x01\x23\x00\x01", &rules::PROPERTY_TWICE),
    (0x30, b"\x00\x01a\x04\x01\x00\x01\x00", &rules::PROPERTY_TWICE),
    (0x30, b"\x00\x01a\x02\x0B\x01", &rules::SUBSCRIPTION_IDENTIFIER_FROM_CLIENT),
    (0x30, b"\x00\x01a\x05\x11\x00\x00\x00\x01", &rules::PROPERTY_UNKNOWN),
    (0x30, b"\x00\x01a\x05\x18\x00\x00\x00\x01", &rules::PROPERTY_UNKNOWN),
    (0x30, b"\x00\x01a\x04\x1F\x00\x01x", &rules::PROPERTY_UNKNOWN),
    (0x30, b"\x00\x01a\x01\x00", &rules::PROPERTY_UNKNOWN),
    (0x30, b"\x00\x01a\x02\x7F\x00", &rules::PROPERTY_UNKNOWN),
    (0x30, b"\x00\x01a\x02\x81\x00", &rules::PROPERTY_UNKNOWN),
    (0x30, b"\x00\x01a\x02\x01\x02", &rules::PAYLOAD_FORMAT_VALUE),
    (0x30, b"\x00\x01a\x02\x01\x01\xFF", &rules::PAYLOAD_NOT_UTF8),
    (0x30, b"\x00\x01a\x04\x08\x00\x01#", &rules::RESPONSE_TOPIC_HAS_WILDCARD),
    (0x30, b"\x00\x01a\x04\x08\x00\x01+", &rules::RESPONSE_TOPIC_HAS_WILDCARD),
    (0x30, b"\x00\x01a\x03\x08\x00\x00", &rules::TOPIC_EMPTY),
    (0x30, b"\x00\x01a\x04\x03\x00\x01\xFF", &rules::UTF8),
    (0x30, b"\x00\x01a\x04\x03\x00\x01\x00", &rules::UTF8_NUL),
    (0x30, b"\x00\x01a\x06\x26\x00\x01k\x00\x01", &rules::TRUNCATED),
    (0x30, b"\x00\x01a\x06\x26\x00\x01\x00\x00\x00", &rules::UTF8_NUL),
    (0x30, b"\x00\x01a\x06\x26\x00\x00\x00\x01\xFF", &rules::UTF8),
    // PUBACK, PUBREC, PUBREL, PUBCOMP
    (0x40, b"\x00\x01\x10", &rules::PUBACK_REASON),
    (0x40, b"\x00\x01\x92", &rules::PUBACK_REASON),
    (0x40, b"\x00\x01\x01", &rules::PUBACK_REASON),
    (0x40, b"\x00\x01\xFF", &rules::PUBACK_REASON),
    (0x50, b"\x00\x01\x10", &rules::PUBREC_REASON),
    (0x62, b"\x00\x01\x80", &rules::PUBREL_REASON),
    (0x62, b"\x00\x01\x91", &rules::PUBREL_REASON),
    (0x70, b"\x00\x01\x87", &rules::PUBCOMP_REASON),
    (0x40, b"\x00\x01\x00\x00\x00", &rules::TRAILING),
    (0x40, b"\x00\x01\x00\x01", &rules::PROPERTY_LENGTH),
    (0x40, b"\x00\x01\x00\x02\x01\x00", &rules::PROPERTY_UNKNOWN),
    (0x40, b"\x00\x01\x00\x08\x1F\x00\x01a\x1F\x00\x01b", &rules::PROPERTY_TWICE),
    // SUBSCRIBE
    (0x82, b"\x00\x01", &rules::TRUNCATED),
    (0x82, b"\x00\x01\x00", &rules::SUBSCRIBE_WITHOUT_FILTER),
    (0x82, b"\x00\x01\x00\x00\x01a", &rules::TRUNCATED),
    (0x82, b"\x00\x01\x00\x00\x01a\x03", &rules::SUBSCRIBE_QOS_3),
    (0x82, b"\x00\x01\x00\x00\x01a\x30", &rules::RETAIN_HANDLING_3),
    (0x82, b"\x00\x01\x00\x00\x01a\x40", &rules::SUBSCRIBE_OPTIONS_RESERVED),
    (0x82, b"\x00\x01\x00\x00\x01a\x80", &rules::SUBSCRIBE_OPTIONS_RESERVED),
    (0x82, b"\x00\x01\x00\x00\x01a\x00\x00\x01b\x80", &rules::SUBSCRIBE_OPTIONS_RESERVED),
    (0x82, b"\x00\x01\x00\x00\x0A$share/g/a\x04", &rules::NO_LOCAL_ON_SHARED),
    (0x82, b"\x00\x01\x02\x0B\x00\x00\x01a\x00", &rules::SUBSCRIPTION_IDENTIFIER_ZERO),
    (0x82, b"\x00\x01\x04\x0B\x01\x0B\x02\x00\x01a\x00", &rules::PROPERTY_TWICE),
    (0x82, b"\x00\x01\x03\x0B\x81\x00\x00\x01a\x00", &rules::VARINT_NOT_MINIMAL),
    (0x82, b"\x00\x01\x06\x0B\x80\x80\x80\x80\x01\x00\x01a\x00", &rules::VARINT_TOO_LONG),
    (0x82, b"\x00\x01\x02\x01\x00\x00\x01a\x00", &rules::PROPERTY_UNKNOWN),
    // UNSUBSCRIBE
    (0xA2, b"\x00\x01\x00", &rules::UNSUBSCRIBE_WITHOUT_FILTER),
    (0xA2, b"\x00\x01", &rules::TRUNCATED),
    (0xA2, b"\x00\x01\x02\x0B\x01\x00\x01a", &rules::PROPERTY_UNKNOWN),
    // DISCONNECT
    (0xE0, b"\x8D", &rules::DISCONNECT_REASON),
    (0xE0, b"\x8E", &rules::DISCONNECT_REASON),
    (0xE0, b"\x01", &rules::DISCONNECT_REASON),
    (0xE0, b"\x7F", &rules::DISCONNECT_REASON),
    (0xE0, b"\x00\x04\x1C\x00\x01x", &rules::SERVER_REFERENCE_FROM_CLIENT),
    (0xE0, b"\x00\x03\x21\x00\x01", &rules::PROPERTY_UNKNOWN),
    (0xE0, b"\x00\x0A\x11\x00\x00\x00\x01\x11\x00\x00\x00\x01", &rules::PROPERTY_TWICE),
    (0xE0, b"\x00\x00\x00", &rules::TRAILING),
    // AUTH
    (0xF0, b"", &rules::AUTH_REASON),
    (0xF0, b"\x00\x00", &rules::AUTH_REASON),
    (0xF0, b"\x8C\x00", &rules::AUTH_REASON),
    (0xF0, b"\x18", &rules::TRUNCATED),
    (0xF0, b"\x18\x00", &rules::AUTH_WITHOUT_METHOD),
    (0xF0, b"\x18\x04\x15\x00\x01x\x00", &rules::TRAILING),
    (0xF0, b"\x18\x02\x01\x00", &rules::PROPERTY_UNKNOWN),
    (0xF1, b"\x18\x04\x15\x00\x01x", &rules::AUTH_FLAGS),
];

pub(super) fn rules_shown() -> impl Iterator<Item = Broken> {
    [ALL_VERSIONS, MQTT_3, MQTT_5].into_iter().flatten().map(|&(_, _, rule)| rule)
}

fn assert_refused(versions: &[Version], rows: &[Row]) {
    for &version in versions {
        for &(first, body, rule) in rows {
            let packet = packet(first, body);
            let outcome = decode(version, &packet).map(|legal| format!("{legal:?}"));
            assert_eq!(outcome, Err(rule.cite(version)), "{version:?} {packet:02x?}");
        }
    }
}

#[test]
fn what_every_version_forbids_is_refused_with_its_rule() {
    assert_refused(&[Version::V31, Version::V311, Version::V5], ALL_VERSIONS);
}

#[test]
fn what_mqtt_3_forbids_is_refused_with_its_rule() {
    assert_refused(&[Version::V31, Version::V311], MQTT_3);
}

#[test]
fn what_mqtt_5_forbids_is_refused_with_its_rule() {
    assert_refused(&[Version::V5], MQTT_5);
}

#[test]
fn a_slice_that_is_not_one_whole_packet_is_refused() {
    let short = decode(Version::V311, b"\x30\x05\x00\x01a").unwrap_err();
    assert_eq!(short, rules::TRUNCATED.cite(Version::V311));
    let long = decode(Version::V311, b"\xC0\x00\xC0\x00").unwrap_err();
    assert_eq!(long, rules::TRAILING.cite(Version::V311));
    assert!(decode(Version::V5, b"").is_err());
}
