//! Every packet after CONNECT, in each version: what is read reads the same again after it was written.
#![no_main]

use bytes::BytesMut;
use cordon_core::topic;
use cordon_mqtt::codec::encode::{self, Outgoing};
use cordon_mqtt::codec::{Ack, Filter, Packet, Publish, ReasonCode, Version, decode, frame};
use libfuzzer_sys::fuzz_target;
use std::num::NonZeroU16;

type Encode = fn(&mut BytesMut, Version, NonZeroU16, ReasonCode, Option<&str>) -> usize;

fuzz_target!(|input: &[u8]| {
    let Some((version, bytes)) = input.split_first() else { return };
    let version = [Version::V31, Version::V311, Version::V5][usize::from(version % 3)];
    let framed = frame(bytes, u32::MAX);
    let packet = match decode(version, bytes) {
        Ok(packet) => packet,
        Err(violation) => {
            assert!(violation.reason.is_error() && !violation.rule.is_empty());
            return;
        }
    };
    let header = framed.expect("what is read can be framed").expect("what is read is whole");
    assert_eq!(header.total_len, bytes.len());
    match packet {
        Packet::Publish(publish) => publish_again(version, &publish),
        Packet::PubAck(ack) => acknowledge_again(version, &ack, encode::puback),
        Packet::PubRec(ack) => acknowledge_again(version, &ack, encode::pubrec),
        Packet::PubRel(ack) => acknowledge_again(version, &ack, encode::pubrel),
        Packet::PubComp(ack) => acknowledge_again(version, &ack, encode::pubcomp),
        Packet::Subscribe(subscribe) => {
            let filters = subscribe.filters().map(|(filter, _)| check(&filter)).count();
            assert!(filters > 0 && filters <= bytes.len());
        }
        Packet::Unsubscribe(unsubscribe) => {
            let filters = unsubscribe.filters().map(|filter| check(&filter)).count();
            assert!(filters > 0 && filters <= bytes.len());
        }
        Packet::Disconnect(disconnect) if version == Version::V5 => {
            let mut again = BytesMut::new();
            encode::disconnect(&mut again, disconnect.reason, disconnect.reason_string);
            let Ok(Packet::Disconnect(read)) = decode(version, &again) else { panic!("{again:?} does not read back") };
            assert_eq!((read.reason, read.reason_string), (disconnect.reason, disconnect.reason_string));
        }
        Packet::Auth(auth) => drop(format!("{auth:?}{:?}", auth.user_properties)),
        Packet::Connect | Packet::PingReq | Packet::Disconnect(_) => {}
    }
});

fn publish_again(version: Version, publish: &Publish<'_>) {
    assert!(
        publish.topic.is_empty() && publish.properties.topic_alias.is_some() || topic::is_valid_name(publish.topic)
    );
    let mut forwarded = Vec::new();
    publish.properties.write_forwarded(&mut forwarded);
    assert_eq!(forwarded.len(), publish.properties.forwarded_len());
    let message = Outgoing {
        dup: publish.dup,
        qos: publish.qos,
        retain: publish.retain,
        topic: publish.topic,
        packet_id: publish.packet_id,
        forwarded: &forwarded,
        message_expiry: publish.properties.message_expiry,
        subscription_ids: &[],
        topic_alias: publish.properties.topic_alias.and_then(NonZeroU16::new),
        payload: publish.payload,
    };
    let mut again = BytesMut::new();
    let length = encode::publish(&mut again, version, &message);
    assert_eq!((length, encode::publish_len(version, &message)), (again.len(), again.len()));
    let Ok(Packet::Publish(read)) = decode(version, &again) else { panic!("{again:?} does not read back") };
    assert_eq!(
        (read.dup, read.qos, read.retain, read.topic),
        (publish.dup, publish.qos, publish.retain, publish.topic)
    );
    assert_eq!((read.packet_id, read.payload), (publish.packet_id, publish.payload));
    let (read, sent) = (&read.properties, &publish.properties);
    assert_eq!((read.topic_alias, read.message_expiry), (sent.topic_alias, sent.message_expiry));
    assert_eq!((read.content_type, read.response_topic), (sent.content_type, sent.response_topic));
    assert_eq!((read.correlation_data, read.payload_is_utf8), (sent.correlation_data, sent.payload_is_utf8));
    assert!(read.user_properties.iter().eq(sent.user_properties.iter()));
}

fn acknowledge_again(version: Version, ack: &Ack<'_>, encode: Encode) {
    let mut again = BytesMut::new();
    let length = encode(&mut again, version, ack.packet_id, ack.reason, ack.reason_string);
    assert_eq!(length, again.len());
    assert_eq!(length, encode::ack_len(version, ack.reason, ack.reason_string));
    let read = match decode(version, &again) {
        Ok(Packet::PubAck(read) | Packet::PubRec(read) | Packet::PubRel(read) | Packet::PubComp(read)) => read,
        other => panic!("{again:?} reads back as {other:?}"),
    };
    assert_eq!((read.packet_id, read.reason, read.reason_string), (ack.packet_id, ack.reason, ack.reason_string));
}

fn check(filter: &Filter<'_>) {
    match filter.share {
        Some(share) => {
            assert!(!share.name.is_empty() && !share.name.contains(['/', '+', '#']), "{filter:?}");
            assert!(topic::is_valid_filter(share.filter), "{filter:?}");
        }
        None => assert!(topic::is_valid_filter(filter.text), "{filter:?}"),
    }
}
