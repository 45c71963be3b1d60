//! Properties: nothing a client sends makes the codec panic, and what is written reads back as it was.

use super::client::{ConnectBytes, block, field};
use super::{VERSIONS, packet};
use crate::codec::encode::{self, Outgoing};
use crate::codec::{Packet, QoS, Version, decode, decode_connect, frame};
use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;
use std::num::NonZeroU16;

/// Reads everything that can be read from `bytes`.
fn read_all(bytes: &[u8]) {
    if let Ok(Some(header)) = frame(bytes, u32::MAX) {
        assert!(header.header_len <= header.total_len);
    }
    if let Ok(connect) = decode_connect(bytes) {
        let _ = format!("{connect:?}");
    }
    for version in VERSIONS {
        match decode(version, bytes) {
            Ok(Packet::Publish(publish)) => {
                let mut forwarded = Vec::new();
                publish.properties.write_forwarded(&mut forwarded);
                assert_eq!(forwarded.len(), publish.properties.forwarded_len());
            }
            Ok(Packet::Subscribe(subscribe)) => assert!(subscribe.filters().count() > 0),
            Ok(Packet::Unsubscribe(unsubscribe)) => assert!(unsubscribe.filters().count() > 0),
            Ok(other) => drop(format!("{other:?}")),
            Err(violation) => assert!(violation.reason.is_error() && !violation.rule.is_empty()),
        }
    }
}

fn user_property((name, value): (String, String)) -> Vec<u8> {
    [vec![0x26], field(name.as_bytes()), field(value.as_bytes())].concat()
}

fn text() -> impl Strategy<Value = String> {
    "[^\u{0}]{0,12}"
}

fn topic() -> impl Strategy<Value = String> {
    "[^\u{0}+#]{1,40}"
}

/// Legal properties of a message, each as it is written, in any order.
fn message_properties() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let single = (
        proptest::option::of(Just(vec![0x01, 0x00])),
        proptest::option::of(any::<u32>().prop_map(|n| [&[0x02][..], &n.to_be_bytes()].concat())),
        proptest::option::of(text().prop_map(|s| [vec![0x03], field(s.as_bytes())].concat())),
        proptest::option::of(topic().prop_map(|s| [vec![0x08], field(s.as_bytes())].concat())),
        proptest::option::of(vec(any::<u8>(), 0..20).prop_map(|b| [vec![0x09], field(&b)].concat())),
        proptest::option::of((1..=u16::MAX).prop_map(|n| [&[0x23][..], &n.to_be_bytes()].concat())),
    );
    let user = vec((text(), text()).prop_map(user_property), 0..4);
    (single, user)
        .prop_map(|((a, b, c, d, e, f), user)| [a, b, c, d, e, f].into_iter().flatten().chain(user).collect())
        .prop_shuffle()
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..200)) {
        read_all(&bytes);
    }

    #[test]
    fn random_bodies_behind_a_sound_header_never_panic(first in any::<u8>(), body in vec(any::<u8>(), 0..200)) {
        read_all(&packet(first, &body));
    }

    #[test]
    fn small_values_that_reach_deep_into_the_decoders_never_panic(
        first in prop_oneof![Just(0x30), Just(0x32), Just(0x82), Just(0xA2), Just(0xE0), Just(0xF0), Just(0x40)],
        body in vec(prop_oneof![0_u8..4, Just(0x26), Just(0x0B), Just(0x1F), Just(b'a'), any::<u8>()], 0..60),
    ) {
        read_all(&packet(first, &body));
    }

    #[test]
    fn damaged_connects_never_panic(
        level in 3_u8..7,
        flags in any::<u8>(),
        properties in vec(any::<u8>(), 0..40),
        payload in vec(prop_oneof![0_u8..4, any::<u8>()], 0..60),
    ) {
        let name = if level == 3 { "MQIsdp" } else { "MQTT" };
        let connect = ConnectBytes { name, level, flags, properties: &properties, payload, ..ConnectBytes::default() };
        read_all(&connect.write());
    }

    #[test]
    fn a_message_reaches_the_subscriber_as_it_was_published(
        qos in 0_u8..3,
        retain in any::<bool>(),
        topic in topic(),
        properties in message_properties(),
        payload in vec(any::<u8>(), 0..300),
        expiry in proptest::option::of(any::<u32>()),
        alias in proptest::option::of((1..=u16::MAX).prop_map(|n| NonZeroU16::new(n).unwrap())),
    ) {
        let mut body = field(topic.as_bytes());
        if qos > 0 {
            body.extend_from_slice(&[0, 9]);
        }
        body.extend(block(&properties.concat()));
        body.extend_from_slice(&payload);
        let published = packet(0x30 | qos << 1 | u8::from(retain), &body);
        let Ok(Packet::Publish(publish)) = decode(Version::V5, &published) else { panic!("a legal publish was refused") };
        prop_assert_eq!(publish.payload, &payload[..]);

        let mut forwarded = Vec::new();
        publish.properties.write_forwarded(&mut forwarded);
        let kept: Vec<u8> =
            properties.iter().filter(|property| !matches!(property[0], 0x02 | 0x23)).flatten().copied().collect();
        prop_assert_eq!(&forwarded, &kept);

        let message = Outgoing {
            dup: false,
            qos: QoS::from_u8(qos).unwrap(),
            retain,
            topic: publish.topic,
            packet_id: NonZeroU16::new(77),
            forwarded: &forwarded,
            message_expiry: expiry,
            subscription_ids: &[],
            topic_alias: alias,
            payload: publish.payload,
        };
        for version in VERSIONS {
            let mut buf = BytesMut::new();
            let len = encode::publish(&mut buf, version, &message);
            prop_assert_eq!((len, encode::publish_len(version, &message)), (buf.len(), buf.len()));
            prop_assert_eq!(frame(&buf, u32::MAX).unwrap().unwrap().total_len, len);
            let Ok(Packet::Publish(delivered)) = decode(version, &buf) else { panic!("what was written is illegal") };
            prop_assert_eq!(delivered.topic, &topic);
            prop_assert_eq!((delivered.qos.as_u8(), delivered.retain, delivered.dup), (qos, retain, false));
            prop_assert_eq!(delivered.packet_id, if qos > 0 { NonZeroU16::new(77) } else { None });
            prop_assert_eq!(delivered.payload, &payload[..]);
            if version == Version::V5 {
                let (sent, got) = (&publish.properties, &delivered.properties);
                prop_assert_eq!(got.message_expiry, expiry);
                prop_assert_eq!(got.topic_alias, alias.map(NonZeroU16::get));
                prop_assert_eq!(got.content_type, sent.content_type);
                prop_assert_eq!(got.response_topic, sent.response_topic);
                prop_assert_eq!(got.correlation_data, sent.correlation_data);
                prop_assert!(got.user_properties.iter().eq(sent.user_properties.iter()));
            }
        }
    }

    #[test]
    fn a_legal_packet_is_framed_the_same_however_slowly_it_arrives(body in vec(any::<u8>(), 0..400)) {
        let whole = packet(0x30, &body);
        let expected = frame(&whole, u32::MAX).unwrap();
        for len in 0..whole.len() {
            let early = frame(&whole[..len], u32::MAX).unwrap();
            prop_assert!(early.is_none() || early == expected);
        }
        prop_assert_eq!(expected.unwrap().total_len, whole.len());
    }

    #[test]
    fn a_client_id_user_and_password_read_back(id in text(), user in text(), password in vec(any::<u8>(), 0..50)) {
        for level in [4, 5] {
            let payload = [field(id.as_bytes()), field(user.as_bytes()), field(&password)].concat();
            let bytes = ConnectBytes { level, flags: 0xC2, payload, ..ConnectBytes::default() }.write();
            let connect = decode_connect(&bytes).unwrap();
            prop_assert_eq!(connect.client_id, &id);
            prop_assert_eq!(connect.username, Some(&user[..]));
            prop_assert_eq!(connect.password, Some(&password[..]));
        }
    }
}
