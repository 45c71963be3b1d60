//! Packets after CONNECT that no server may refuse, and what is read from them.

use super::{VERSIONS, packet};
use crate::codec::{Packet, QoS, ReasonCode, Version, decode};

const MQTT_3: &[(u8, &[u8])] = &[
    (0x30, b"\x00\x03a/b"),
    (0x31, b"\x00\x01/payload"),
    (0x3A, b"\x00\x01a\xFF\xFF"),
    (0x3D, b"\x00\x01a\x00\x01x"),
    (0x30, b"\x00\x05A\xF0\xAA\x9B\x94"),
    (0x30, b"\x00\x04\xEF\xBB\xBFa"),
    (0x30, b"\x00\x02\x01\x7F"),
    (0x30, b"\x00\x03\xEF\xBF\xBF"),
    (0x30, b"\x00\x05 a b "),
    (0x30, b"\x00\x06$SYS/x"),
    (0x40, b"\x00\x01"),
    (0x50, b"\xFF\xFF"),
    (0x62, b"\x00\x01"),
    (0x70, b"\x00\x01"),
    (0x82, b"\x00\x0A\x00\x03a/b\x01\x00\x03c/d\x02"),
    (0x82, b"\x00\x01\x00\x01#\x00"),
    (0xA2, b"\x00\x0A\x00\x03a/b\x00\x03c/d"),
    (0xC0, b""),
    (0xE0, b""),
];

const MQTT_5: &[(u8, &[u8])] = &[
    (0x30, b"\x00\x03a/b\x00"),
    (0x34, b"\x00\x01a\x00\x01\x00\xFF\x00"),
    (0x30, b"\x00\x00\x03\x23\x00\x01"),
    (0x30, b"\x00\x01a\x03\x23\xFF\xFF"),
    (0x30, b"\x00\x01a\x02\x01\x00\xFF"),
    (0x30, b"\x00\x01a\x02\x01\x01nul \x00 in a payload"),
    (0x30, b"\x00\x01a\x0E\x26\x00\x01k\x00\x01v\x26\x00\x01k\x00\x01v"),
    (0x30, b"\x00\x01a\x05\x26\x00\x00\x00\x00"),
    (0x30, b"\x00\x01a\x05\x02\x00\x00\x00\x00"),
    (0x30, b"\x00\x01a\x03\x03\x00\x00"),
    (0x30, b"\x00\x01a\x05\x09\x00\x02\x00\xFF"),
    (0x40, b"\x00\x01"),
    (0x40, b"\x00\x01\x00"),
    (0x40, b"\x00\x01\x00\x00"),
    (0x40, b"\x00\x01\x80"),
    (0x40, b"\x00\x01\x83"),
    (0x40, b"\x00\x01\x87\x04\x1F\x00\x01x"),
    (0x50, b"\x00\x01\x90"),
    (0x50, b"\x00\x01\x91"),
    (0x50, b"\x00\x01\x97"),
    (0x50, b"\x00\x01\x99\x07\x26\x00\x01k\x00\x01v"),
    (0x62, b"\x00\x01\x92"),
    (0x70, b"\x00\x01\x92\x00"),
    (0x82, b"\x00\x01\x00\x00\x01a\x2E"),
    (0x82, b"\x00\x01\x05\x0B\xFF\xFF\xFF\x7F\x00\x01a\x00"),
    (0x82, b"\x00\x01\x02\x0B\x01\x00\x0A$share/g/#\x02"),
    (0xA2, b"\x00\x01\x07\x26\x00\x01k\x00\x01v\x00\x01a"),
    (0xC0, b""),
    (0xE0, b""),
    (0xE0, b"\x00"),
    (0xE0, b"\x04\x00"),
    (0xE0, b"\x04\x05\x11\x00\x00\x00\x01"),
    (0xE0, b"\x80"),
    (0xE0, b"\x81"),
    (0xE0, b"\x82"),
    (0xE0, b"\x83"),
    (0xE0, b"\x90"),
    (0xE0, b"\x93"),
    (0xE0, b"\x94"),
    (0xE0, b"\x95"),
    (0xE0, b"\x96"),
    (0xE0, b"\x97"),
    (0xE0, b"\x98"),
    (0xE0, b"\x99"),
    (0xF0, b"\x18\x04\x15\x00\x01x"),
    (0xF0, b"\x19\x09\x15\x00\x01x\x16\x00\x02\x00\xFF"),
];

#[test]
fn legal_packets_of_mqtt_3_are_taken() {
    for version in [Version::V31, Version::V311] {
        for &(first, body) in MQTT_3 {
            let packet = packet(first, body);
            assert!(decode(version, &packet).is_ok(), "{version:?} {packet:02x?}: {:?}", decode(version, &packet));
        }
    }
}

#[test]
fn legal_packets_of_mqtt_5_are_taken() {
    for &(first, body) in MQTT_5 {
        let packet = packet(first, body);
        assert!(decode(Version::V5, &packet).is_ok(), "{packet:02x?}: {:?}", decode(Version::V5, &packet));
    }
}

#[test]
fn a_publish_of_mqtt_3_is_read_field_by_field() {
    let bytes = packet(0x3D, b"\x00\x03a/b\x00\x0Ahello");
    let Ok(Packet::Publish(publish)) = decode(Version::V311, &bytes) else { panic!("not a publish") };
    assert!(publish.dup && publish.retain);
    assert_eq!(publish.qos, QoS::ExactlyOnce);
    assert_eq!(publish.topic, "a/b");
    assert_eq!(publish.packet_id.unwrap().get(), 10);
    assert_eq!(publish.payload, b"hello");
    assert_eq!(publish.properties.forwarded_len(), 0);
}

#[test]
fn a_publish_of_mqtt_5_is_read_with_all_its_properties() {
    let body = b"\x00\x01a\x00\x07\x2F\
        \x01\x01\x02\x00\x00\x00\x3C\x23\x00\x05\x08\x00\x01r\x09\x00\x02\x00\xFF\
        \x26\x00\x02k1\x00\x02v1\x03\x00\x04text\x26\x00\x01k\x00\x01vhi";
    let mut body = body.to_vec();
    body[5] = (body.len() - 6 - 2) as u8;
    let bytes = packet(0x32, &body);
    let Ok(Packet::Publish(publish)) = decode(Version::V5, &bytes) else { panic!("not a publish") };
    let properties = &publish.properties;
    assert_eq!(properties.topic_alias, Some(5));
    assert_eq!(properties.message_expiry, Some(60));
    assert!(properties.payload_is_utf8);
    assert_eq!(properties.content_type, Some("text"));
    assert_eq!(properties.response_topic, Some("r"));
    assert_eq!(properties.correlation_data, Some(&b"\x00\xFF"[..]));
    assert_eq!(properties.user_properties.iter().collect::<Vec<_>>(), [("k1", "v1"), ("k", "v")]);
    assert_eq!(publish.payload, b"hi");
}

#[test]
fn properties_are_forwarded_in_order_without_alias_and_expiry() {
    let kept = b"\x01\x00\x26\x00\x01k\x00\x01v\x08\x00\x01r\x26\x00\x01a\x00\x01b";
    let mut properties = b"\x23\x00\x05".to_vec();
    properties.extend_from_slice(&kept[..9]);
    properties.extend_from_slice(b"\x02\x00\x00\x00\x3C");
    properties.extend_from_slice(&kept[9..]);
    for (block, verbatim) in [(&properties[..], false), (&kept[..], true)] {
        let mut body = b"\x00\x01a".to_vec();
        body.push(block.len() as u8);
        body.extend_from_slice(block);
        let bytes = packet(0x30, &body);
        let Ok(Packet::Publish(publish)) = decode(Version::V5, &bytes) else { panic!("not a publish") };
        let mut forwarded = Vec::new();
        publish.properties.write_forwarded(&mut forwarded);
        assert_eq!(forwarded, kept);
        assert_eq!(publish.properties.forwarded_len(), kept.len());
        assert_eq!(publish.properties.forwarded_verbatim().is_some(), verbatim);
    }
}

#[test]
fn acknowledgements_are_read_in_all_their_forms() {
    let forms: &[(&[u8], ReasonCode, Option<&str>)] = &[
        (b"\x00\x07", ReasonCode::Success, None),
        (b"\x00\x07\x97", ReasonCode::QuotaExceeded, None),
        (b"\x00\x07\x97\x00", ReasonCode::QuotaExceeded, None),
        (b"\x00\x07\x97\x07\x1F\x00\x04full", ReasonCode::QuotaExceeded, Some("full")),
    ];
    for &(body, reason, words) in forms {
        let bytes = packet(0x40, body);
        let Ok(Packet::PubAck(ack)) = decode(Version::V5, &bytes) else { panic!("not a puback") };
        assert_eq!((ack.packet_id.get(), ack.reason, ack.reason_string), (7, reason, words));
    }
}

#[test]
fn a_disconnect_says_why_and_how_long_the_session_stays() {
    for version in VERSIONS {
        let Ok(Packet::Disconnect(bye)) = decode(version, b"\xE0\x00") else { panic!("not a disconnect") };
        assert_eq!((bye.reason, bye.session_expiry), (ReasonCode::Success, None));
    }
    let bytes = packet(0xE0, b"\x04\x05\x11\x00\x00\x0E\x10");
    let Ok(Packet::Disconnect(bye)) = decode(Version::V5, &bytes) else { panic!("not a disconnect") };
    assert_eq!((bye.reason, bye.session_expiry), (ReasonCode::DisconnectWithWillMessage, Some(3_600)));
}

#[test]
fn debug_output_holds_no_payload_and_no_authentication_data() {
    for (first, body) in [(0x30, &b"\x00\x01a\x00secret"[..]), (0xF0, b"\x18\x0D\x15\x00\x01x\x16\x00\x06secret")] {
        let bytes = packet(first, body);
        let shown = format!("{:?}", decode(Version::V5, &bytes).unwrap());
        assert!(!shown.contains("secret") && !shown.contains("115, 101, 99"), "{shown}");
    }
}
