//! Tests of the codec against tables of bytes and by properties.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]

mod client;
mod connect;
mod encoders;
mod header;
mod illegal;
mod legal;
mod random;
mod subscribe;

use super::{Version, rules};
use std::collections::BTreeSet;

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

/// A packet with its first byte, its remaining length and `body`.
fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut len = body.len();
    while len > 0x7F {
        packet.push((len & 0x7F) as u8 | 0x80);
        len >>= 7;
    }
    packet.push(len as u8);
    packet.extend_from_slice(body);
    packet
}

#[test]
fn every_rule_is_broken_by_a_packet_in_these_tables() {
    let shown: BTreeSet<_> = illegal::rules_shown()
        .chain(connect::rules_shown())
        .chain(header::rules_shown())
        .chain(subscribe::rules_shown())
        .map(|rule| rule.cite(Version::V5).detail)
        .collect();
    let missing: Vec<_> =
        rules::ALL.iter().map(|rule| rule.cite(Version::V5).detail).filter(|rule| !shown.contains(rule)).collect();
    assert!(missing.is_empty(), "no packet shows: {missing:?}");
}

#[test]
fn a_violation_reads_as_a_sentence_with_its_rule() {
    assert_eq!(rules::PUBLISH_QOS_3.cite(Version::V5).to_string(), "the QoS of PUBLISH is 3 (MQTT-3.3.1-4)");
    assert_eq!(rules::PACKET_ID_ZERO.cite(Version::V311).rule, "MQTT-2.3.1-1");
    assert_eq!(rules::PACKET_ID_ZERO.cite(Version::V5).rule, "MQTT-2.2.1-3");
}
