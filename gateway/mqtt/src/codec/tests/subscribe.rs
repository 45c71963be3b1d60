//! SUBSCRIBE and UNSUBSCRIBE: options, filters and their faults.

use super::packet;
use crate::codec::rules::{self, Broken};
use crate::codec::{Packet, QoS, ReasonCode, RetainHandling, Share, SubscribeOptions, Version, decode};

const BAD_FILTERS: &[(&str, Broken)] = &[
    ("", &rules::FILTER_EMPTY),
    ("a#", &rules::MULTI_LEVEL_WILDCARD),
    ("a/#/b", &rules::MULTI_LEVEL_WILDCARD),
    ("#/", &rules::MULTI_LEVEL_WILDCARD),
    ("##", &rules::MULTI_LEVEL_WILDCARD),
    ("a+", &rules::SINGLE_LEVEL_WILDCARD),
    ("+a", &rules::SINGLE_LEVEL_WILDCARD),
    ("a/b+/c", &rules::SINGLE_LEVEL_WILDCARD),
    ("++", &rules::SINGLE_LEVEL_WILDCARD),
    ("+#", &rules::SINGLE_LEVEL_WILDCARD),
    ("$share/g/a#", &rules::MULTI_LEVEL_WILDCARD),
];

/// Filters that are faulty in MQTT 5 and ordinary in MQTT 3, which knows no shared subscriptions.
const BAD_SHARES: &[(&str, Broken)] = &[
    ("$share/", &rules::SHARE_NAME_EMPTY),
    ("$share//a", &rules::SHARE_NAME_EMPTY),
    ("$share/g", &rules::SHARE_MALFORMED),
    ("$share/g/", &rules::SHARE_MALFORMED),
    ("$share/+/a", &rules::SHARE_MALFORMED),
    ("$share/#", &rules::SHARE_MALFORMED),
];

pub(super) fn rules_shown() -> impl Iterator<Item = Broken> {
    BAD_FILTERS.iter().chain(BAD_SHARES).map(|&(_, rule)| rule)
}

fn subscribe(version: Version, filters: &[&str]) -> Vec<u8> {
    let mut body = vec![0, 1];
    body.extend(version.is_v5().then_some(0));
    for filter in filters {
        body.extend_from_slice(&(filter.len() as u16).to_be_bytes());
        body.extend_from_slice(filter.as_bytes());
        body.push(1);
    }
    packet(0x82, &body)
}

fn unsubscribe(version: Version, filters: &[&str]) -> Vec<u8> {
    let mut body = vec![0, 1];
    body.extend(version.is_v5().then_some(0));
    for filter in filters {
        body.extend_from_slice(&(filter.len() as u16).to_be_bytes());
        body.extend_from_slice(filter.as_bytes());
    }
    packet(0xA2, &body)
}

#[test]
fn a_faulty_filter_spoils_the_packet() {
    for version in [Version::V311, Version::V5] {
        let shares: &[_] = if version.is_v5() { BAD_SHARES } else { &[] };
        for &(bad, rule) in BAD_FILTERS.iter().chain(shares) {
            let violation = rule.cite(version);
            assert_eq!(violation.reason, ReasonCode::MalformedPacket);
            let refused = decode(version, &subscribe(version, &["a", bad, "b"])).err();
            assert_eq!(refused, Some(violation), "{version:?} {bad}");
            let refused = decode(version, &unsubscribe(version, &["a", bad, "b"])).err();
            assert_eq!(refused, Some(violation), "{version:?} {bad}");
        }
    }
}

#[test]
fn legal_filters_are_read() {
    let legal = ["#", "+", "/", "//", "+/+", "/+", "a/#", "a/+/b", "+/a/#", "$SYS/#", "$share", "$shared/a", "ä/+"];
    for version in [Version::V31, Version::V311, Version::V5] {
        let bytes = subscribe(version, &legal);
        let Ok(Packet::Subscribe(packet)) = decode(version, &bytes) else { panic!("refused") };
        let filters: Vec<_> = packet.filters().map(|(filter, _)| filter).collect();
        assert_eq!(filters.iter().map(|filter| filter.text).collect::<Vec<_>>(), legal);
        assert!(filters.iter().all(|filter| filter.share.is_none()), "{filters:?}");
    }
}

#[test]
fn shared_subscriptions_are_split_in_every_version() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let bytes = subscribe(version, &["$share/group/a/+", "$share/g//", "$share/g/#"]);
        let Ok(Packet::Subscribe(packet)) = decode(version, &bytes) else { panic!("refused") };
        let shares: Vec<_> = packet.filters().filter_map(|(filter, _)| filter.share).collect();
        let expected = [("group", "a/+"), ("g", "/"), ("g", "#")].map(|(name, filter)| Share { name, filter });
        assert_eq!(shares, expected);
    }
}

#[test]
fn a_malformed_share_is_an_ordinary_filter_in_mqtt_3() {
    let bytes = subscribe(Version::V311, &["$share/g", "$share//a", "$share/+/a"]);
    let Ok(Packet::Subscribe(packet)) = decode(Version::V311, &bytes) else { panic!("refused") };
    assert!(packet.filters().all(|(filter, _)| filter.share.is_none()));
}

#[test]
fn subscription_options_are_read() {
    let bytes = packet(0x82, b"\x00\x09\x03\x0B\x80\x01\x00\x01a\x00\x00\x01b\x2E\x00\x01c\x15");
    let Ok(Packet::Subscribe(packet)) = decode(Version::V5, &bytes) else { panic!("refused") };
    assert_eq!((packet.packet_id.get(), packet.subscription_identifier), (9, Some(128)));
    let options: Vec<_> = packet.filters().map(|(_, options)| options).collect();
    let expected = [
        SubscribeOptions::default(),
        SubscribeOptions {
            qos: QoS::ExactlyOnce,
            no_local: true,
            retain_as_published: true,
            retain_handling: RetainHandling::DoNotSend,
        },
        SubscribeOptions {
            qos: QoS::AtLeastOnce,
            no_local: true,
            retain_as_published: false,
            retain_handling: RetainHandling::SendIfNew,
        },
    ];
    assert_eq!(options, expected);
}

#[test]
fn the_examples_of_the_standard_are_read() {
    let bytes = packet(0x82, b"\x00\x0A\x00\x03a/b\x01\x00\x03c/d\x02");
    let Ok(Packet::Subscribe(subscribe)) = decode(Version::V311, &bytes) else { panic!("refused") };
    let filters: Vec<_> = subscribe.filters().map(|(filter, options)| (filter.text, options.qos)).collect();
    assert_eq!(filters, [("a/b", QoS::AtLeastOnce), ("c/d", QoS::ExactlyOnce)]);

    let bytes = packet(0xA2, b"\x00\x0A\x00\x03a/b\x00\x03c/d");
    let Ok(Packet::Unsubscribe(unsubscribe)) = decode(Version::V311, &bytes) else { panic!("refused") };
    assert_eq!(unsubscribe.packet_id.get(), 10);
    assert_eq!(unsubscribe.filters().map(|filter| filter.text).collect::<Vec<_>>(), ["a/b", "c/d"]);
}

#[test]
fn a_filter_of_65535_levels_is_read() {
    let deep = "/".repeat(65_535);
    let bytes = subscribe(Version::V311, &[&deep]);
    let Ok(Packet::Subscribe(packet)) = decode(Version::V311, &bytes) else { panic!("refused") };
    assert!(packet.filters().all(|(filter, _)| filter.text == deep));
}
