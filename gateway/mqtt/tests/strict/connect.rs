//! Sections 3.1 and 3.2: CONNECT and CONNACK.

use crate::support::{Bench, Hello, LASTING, connect, packet};
use crate::table::{BadConnect, V, V5, V31, V311, illegal, refuse_all, stranger, turn_away_all};

/// A CONNECT of protocol name and level, flags, and everything behind the keep-alive.
fn raw(name_and_level: &[u8], flags: u8, rest: &[u8]) -> Vec<u8> {
    packet(0x10, &[name_and_level, &[flags], b"\0\0", rest])
}

const MQTT31: &[u8] = b"\0\x06MQIsdp\x03";
const MQTT311: &[u8] = b"\0\x04MQTT\x04";
const MQTT5: &[u8] = b"\0\x04MQTT\x05";

fn row(rule: &'static str, bytes: Vec<u8>, answer: Option<u8>) -> BadConnect {
    BadConnect { rule, bytes, answer }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_does_not_begin_with_connect_is_closed_without_an_answer() {
    let first = "MQTT-3.1.0-1";
    turn_away_all(vec![
        row(first, packet(0x30, &[b"\0\x01tx"]), None),
        row(first, packet(0x82, &[b"\0\x01\0\x01t\0"]), None),
        row(first, vec![0xC0, 0], None),
        row(first, vec![0xE0, 0], None),
        row(first, vec![0xF0, 0], None),
        row(first, vec![0x40, 2, 0, 1], None),
        row("MQTT-2.1.3-1", packet(0x11, &[MQTT5, b"\x02\0\0\0\0\x01a"]), Some(0x81)),
        row("MQTT-2.1.3-1", packet(0x11, &[MQTT311, b"\x02\0\0\0\x01a"]), None),
        row("MQTT5 2.1.2", vec![0x20, 2, 0, 0], None),
        row("MQTT5 2.1.2", vec![0x00, 0], None),
        // Other protocols.
        row("MQTT-2.1.3-1", b"GET / HTTP/1.1\r\n\r\n".to_vec(), None),
        row("MQTT-2.1.3-1", vec![0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3], None),
        row("MQTT5 1.5.5", vec![0x10, 0xFF, 0xFF, 0xFF, 0xFF, 1], None),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_protocol_is_told_so_in_the_closest_version() {
    let (name, level) = ("MQTT-3.1.2-1", "MQTT-3.1.2-2");
    turn_away_all(vec![
        row(name, raw(b"\0\x04MQTX\x04", 2, b"\0\x01a"), None),
        row(name, raw(b"\0\x04mqtt\x04", 2, b"\0\x01a"), None),
        row(name, raw(b"\0\x00\x04", 2, b"\0\x01a"), None),
        row(name, raw(b"\0\x06MQIsdq\x03", 2, b"\0\x01a"), None),
        row(level, raw(b"\0\x04MQTT\x03", 2, b"\0\x01a"), Some(1)),
        row(level, raw(b"\0\x04MQTT\x00", 2, b"\0\x01a"), Some(1)),
        row(level, raw(b"\0\x06MQIsdp\x04", 2, b"\0\x01a"), Some(1)),
        row(level, raw(b"\0\x04MQTT\x06", 2, b"\0\0\x01a"), Some(0x84)),
        row(level, raw(b"\0\x04MQTT\x7F", 2, b"\0\0\x01a"), Some(0x84)),
        // Bridges ask with the highest bit set and try again without.
        row(level, raw(b"\0\x04MQTT\x84", 2, b"\0\x01a"), Some(1)),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connect_of_mqtt_5_that_breaks_a_rule_is_told_why() {
    let five = |flags, rest: &[u8]| raw(MQTT5, flags, rest);
    let held =
        |properties: &[u8]| five(2, &[&[u8::try_from(properties.len()).unwrap()], properties, b"\0\x01a"].concat());
    let large = [&[0, 0xC0, 0x84, 0x3D], vec![0; 1_000_000].as_slice()].concat();
    turn_away_all(vec![
        row("MQTT-3.1.2-3", five(0b11, b"\0\0\x01a"), Some(0x81)),
        row("MQTT-3.1.2-11", five(0b0_1010, b"\0\0\x01a"), Some(0x81)),
        row("MQTT-3.1.2-12", five(0b1_1110, b"\0\0\x01a\0\0\x01w\0\0"), Some(0x81)),
        row("MQTT-3.1.2-13", five(0b10_0010, b"\0\0\x01a"), Some(0x81)),
        // Fields that a flag announces and that are missing (3.1.2-9, -17, -19), or that none announces (-16, -18).
        row("MQTT5 2.1.4", five(0b110, b"\0\0\x01a"), Some(0x81)),
        row("MQTT5 2.1.4", five(0b1000_0010, b"\0\0\x01a"), Some(0x81)),
        row("MQTT5 2.1.4", five(0b0100_0010, b"\0\0\x01a"), Some(0x81)),
        row("MQTT5 2.1.4", five(0b10, b"\0\0\x01a\0\x01u"), Some(0x81)),
        row("MQTT5 2.1.4", five(0b10, b"\0"), Some(0x81)),
        row("MQTT5 2.2.2.1", five(0b10, b"\x7F\0\x01a"), Some(0x81)),
        row("MQTT5 3.1.2.11.3", held(b"\x21\0\0"), Some(0x82)),
        row("MQTT5 3.1.2.11.4", held(b"\x27\0\0\0\0"), Some(0x82)),
        row("MQTT5 3.1.2.11.6", held(b"\x19\x02"), Some(0x82)),
        row("MQTT5 3.1.2.11.7", held(b"\x17\x02"), Some(0x82)),
        row("MQTT5 3.1.2.11.10", held(b"\x16\0\x01d"), Some(0x82)),
        row("MQTT-4.12.0-1", held(b"\x15\0\x01m"), Some(0x8C)),
        row("MQTT-4.12.0-1", held(b"\x15\0\x01m\x16\0\x01d"), Some(0x8C)),
        row("MQTT-1.5.4-1", five(2, b"\0\0\x03\xED\xA0\x80"), Some(0x81)),
        row("MQTT-1.5.4-2", five(2, b"\0\0\x01\0"), Some(0x81)),
        row("MQTT-1.5.4-1", five(0b1000_0010, b"\0\0\x01a\0\x01\xFF"), Some(0x81)),
        row("MQTT-1.5.4-1", five(0b110, b"\0\0\x01a\0\0\x01\xFF\0\0"), Some(0x81)),
        row("MQTT-4.7.0-1", five(0b110, b"\0\0\x01a\0\0\x03w/#\0\0"), Some(0x81)),
        row("MQTT-4.7.0-1", five(0b110, b"\0\0\x01a\0\0\x03w/+\0\0"), Some(0x81)),
        row("MQTT-4.7.3-1", five(0b110, b"\0\0\x01a\0\0\0\0\0"), Some(0x81)),
        row("MQTT5 3.1.3.2.3", five(0b110, b"\0\0\x01a\x02\x01\x01\0\x01w\0\x01\xFF"), Some(0x99)),
        row("MQTT-1.5.5-1", [&[0x10, 0x8E, 0x00], MQTT5, b"\x02\0\0\0\0\x01a"].concat(), Some(0x81)),
        row("MQTT-3.2.2-15", five(2, &large), Some(0x95)),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connect_of_mqtt_3_that_breaks_a_rule_is_told_what_its_return_codes_can_say() {
    let three = |flags, rest: &[u8]| raw(MQTT311, flags, rest);
    turn_away_all(vec![
        row("MQTT-3.1.2-3", three(0b11, b"\0\x01a"), None),
        row("MQTT-3.1.2-13", three(0b0_1010, b"\0\x01a"), None),
        row("MQTT-3.1.2-14", three(0b1_1110, b"\0\x01a\0\x01w\0\0"), None),
        row("MQTT-3.1.2-15", three(0b10_0010, b"\0\x01a"), None),
        row("MQTT-3.1.2-22", three(0b0100_0010, b"\0\x01a\0\x01p"), None),
        row("MQTT3 2.2.3", three(0b1000_0010, b"\0\x01a"), None),
        row("MQTT3 2.2.3", three(0b10, b"\0\x01a\0\x01u"), None),
        row("MQTT3 2.2.3", three(0b10, b"\0\x05a"), None),
        row("MQTT-3.1.3-8", three(0, b"\0\0"), Some(2)),
        row("MQTT-3.1.3-8", raw(MQTT31, 2, b"\0\0"), Some(2)),
        row("MQTT-4.7.1-1", three(0b110, b"\0\x01a\0\x01#\0\0"), None),
        row("MQTT-4.7.3-1", three(0b110, b"\0\x01a\0\0\0\0"), None),
        row("MQTT-1.5.3-1", three(2, b"\0\x02\xC0\x80"), None),
        row("MQTT-1.5.3-2", three(2, b"\0\x01\0"), None),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_connect_is_a_protocol_error() {
    for (version, head) in [(V31, MQTT31), (V311, MQTT311), (V5, MQTT5)] {
        let rest: &[u8] = if version == V5 { b"\x02\0\0\0\0\x01a" } else { b"\x02\0\0\0\x01a" };
        let again = [head, rest].concat();
        refuse_all(
            version,
            vec![illegal("MQTT-3.1.0-2", 0x10, &again, 0x82), illegal("MQTT-3.1.0-2", 0x10, b"", 0x82)],
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_legal_connect_is_let_in() {
    let bench = Bench::start().await;
    let long = [&[0xFF, 0xFF][..], &[b'x'; 65_535]].concat();
    let everything: &[u8] =
        b"\x1E\x11\0\0\0\x05\x21\0\x05\x27\0\x01\0\0\x22\0\x05\x19\x01\x17\x00\x26\0\0\0\0\x26\0\0\0\0";
    let rows: Vec<(V, u8, Vec<u8>)> = vec![
        (V31, 2, b"\0\x1Fan id of more than twenty-three".to_vec()),
        // MQTT 3.1: unused flags are ignored, and the packet's length outweighs the user name and password flags.
        (V31, 0b11, b"\0\x01b".to_vec()),
        (V31, 0b1100_0010, b"\0\x01c".to_vec()),
        (V31, 0b1100_0010, b"\0\x01d\0\x01u".to_vec()),
        (V311, 2, b"\0\0".to_vec()),
        (V311, 0, b"\0\x01e".to_vec()),
        (V311, 0b1100_0010, b"\0\x01f\0\x01u\0\x01\xFF".to_vec()),
        (V311, 0b1000_0010, b"\0\x01g\0\0".to_vec()),
        (V311, 0b11_0110, b"\0\x01h\0\x01w\0\0".to_vec()),
        (V311, 0b00_1110, b"\0\x01i\0\x01w\0\x02\xFF\0".to_vec()),
        (V311, 2, b"\0\x05+/#$ ".to_vec()),
        (V311, 2, long.clone()),
        (V5, 2, b"\0\0\0".to_vec()),
        (V5, 0, b"\0\0\0".to_vec()),
        (V5, 2, [b"\0", &long[..]].concat()),
        (V5, 0b0100_0010, b"\0\0\x01j\0\x01p".to_vec()),
        (V5, 2, [everything, b"\0\x01k"].concat()),
        (V5, 2, b"\0\0\x03\xEF\xBB\xBF".to_vec()),
        (V5, 2, b"\x03\x21\xFF\xFF\0\x01l".to_vec()),
        (V5, 2, b"\x05\x27\xFF\xFF\xFF\xFF\0\x01m".to_vec()),
        (V5, 2, b"\x05\x11\xFF\xFF\xFF\xFF\0\x01n".to_vec()),
        (V5, 0b110, b"\0\0\x01o\x05\x18\xFF\xFF\xFF\xFF\0\x01w\0\0".to_vec()),
        (V5, 0b110, b"\0\0\x01p\x0A\x01\x01\x02\0\0\0\0\x09\0\0\0\x01w\0\x02\xC3\xA9".to_vec()),
    ];
    for (number, (version, flags, rest)) in rows.into_iter().enumerate() {
        let head = match version {
            V31 => MQTT31,
            V311 => MQTT311,
            V5 => MQTT5,
        };
        let mut client = stranger(&bench);
        client.send(&raw(head, flags, &rest));
        let connack = client.try_next().unwrap_or_else(|| panic!("row {number} is refused"));
        assert_eq!((connack.first, connack.body[1]), (0x20, 0), "row {number}: {connack:02x?}");
        assert!(client.ping().is_empty(), "row {number}");
    }
    assert_eq!(bench.handle.meters().violations.get(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_present_tells_whether_there_was_a_session() {
    let bench = Bench::start().await;
    for v5 in [false, true] {
        let properties: &[u8] = if v5 { LASTING } else { &[] };
        let id = if v5 { "five" } else { "three" };
        let lasting = Hello { id, v5, clean: false, properties, ..Hello::default() };
        assert!(!bench.client_with(&lasting).present, "MQTT-3.2.2-3: there was none");
        assert!(bench.client_with(&lasting).present, "MQTT-3.2.2-3: there was one");
        assert!(!bench.client_with(&Hello { clean: true, ..lasting.clone() }).present, "MQTT-3.2.2-2");
        assert_eq!(bench.client_with(&lasting).present, v5, "a clean session of MQTT 3 leaves none behind");
        let mut refused = stranger(&bench);
        refused.send(&connect(&Hello { properties: if v5 { b"\x21\0\0" } else { &[] }, ..lasting }));
        assert_eq!(refused.next().body[0], u8::from(!v5), "MQTT-3.2.2-6: a refusal never says so");
    }
    let mut old = stranger(&bench);
    old.send(&raw(MQTT31, 0, b"\0\x05three"));
    assert_eq!(old.next().body, [0, 0], "MQTT 3.1 does not know the flag");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_without_an_id_is_given_one_that_it_can_come_back_with() {
    let bench = Bench::start().await;
    let mut nameless = stranger(&bench);
    nameless.send(&connect(&Hello { id: "", properties: LASTING, clean: false, ..Hello::default() }));
    let connack = nameless.next();
    let at = connack.body.windows(2).position(|pair| pair == [0x12, 0]).expect("MQTT-3.1.3-7") + 3;
    let length = usize::from(connack.body[at - 1]);
    let id = String::from_utf8(connack.body[at..at + length].to_vec()).unwrap();
    drop(nameless);
    let again = bench.client_with(&Hello { id: &id, properties: LASTING, clean: false, ..Hello::default() });
    assert!(again.present);
    let _others = [bench.client(""), bench.client("")];
    assert_eq!(bench.handle.sessions().await.len(), 3, "MQTT-3.2.2-16: ids of their own");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn response_information_is_not_offered() {
    let bench = Bench::start().await;
    let mut client = stranger(&bench);
    client.send(&connect(&Hello { id: "a", properties: &[0x19, 1], ..Hello::default() }));
    let connack = client.next();
    // What it says: receive maximum, maximum packet size, topic alias maximum, server keep alive.
    let ids: Vec<u8> = properties_of(&connack.body[3..]);
    assert_eq!(ids, [0x21, 0x22, 0x13, 0x27], "MQTT-3.1.2-28 leaves it to the server");
}

/// The identifiers of a block of numeric properties.
fn properties_of(mut block: &[u8]) -> Vec<u8> {
    let mut ids = Vec::new();
    while let Some((&id, rest)) = block.split_first() {
        ids.push(id);
        block = &rest[if matches!(id, 0x11 | 0x27) { 4 } else { 2 }..];
    }
    ids
}
