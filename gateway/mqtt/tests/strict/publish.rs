//! Section 3.3: PUBLISH.

use crate::support::{Bench, Hello, packet, publish};
use crate::table::{V5, V31, V311, client, illegal, legal, pass_all, recorded, refuse_all, refused};
use cordon_core::isolation::Level;

fn v3_rows() -> Vec<crate::table::Illegal> {
    vec![
        illegal("MQTT-3.3.1-4", 0x36, b"\0\x01t\0\x01", 0),
        illegal("MQTT-3.3.1-4", 0x3F, b"\0\x01t\0\x01", 0),
        illegal("MQTT-3.3.1-2", 0x38, b"\0\x01t", 0),
        illegal("MQTT-3.3.1-2", 0x39, b"\0\x01t", 0),
        illegal("MQTT-3.3.2-2", 0x30, b"\0\x03t/#", 0),
        illegal("MQTT-3.3.2-2", 0x32, b"\0\x03t/+\0\x01", 0),
        illegal("MQTT-3.3.2-2", 0x30, b"\0\x02t#", 0),
        illegal("MQTT-3.3.2-2", 0x30, b"\0\x02+t", 0),
        illegal("MQTT-4.7.3-1", 0x30, b"\0\0", 0),
        illegal("MQTT-4.7.3-1", 0x32, b"\0\0\0\x01x", 0),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_illegal_publish_passes() {
    refuse_all(V31, v3_rows()).await;
    refuse_all(V311, v3_rows()).await;
    let format = "MQTT5 3.3.2.3.2";
    refuse_all(
        V5,
        vec![
            illegal("MQTT-3.3.1-4", 0x36, b"\0\x01t\0\x01\0", 0x81),
            illegal("MQTT-3.3.1-2", 0x38, b"\0\x01t\0", 0x81),
            illegal("MQTT-3.3.2-2", 0x30, b"\0\x03t/#\0", 0x81),
            illegal("MQTT-3.3.2-2", 0x34, b"\0\x03+/t\0\x01\0", 0x81),
            illegal("MQTT5 3.3.2.1", 0x30, b"\0\0\0", 0x82),
            illegal("MQTT5 3.3.2.1", 0x32, b"\0\0\0\x01\0x", 0x82),
            illegal("MQTT-3.3.2-8", 0x30, b"\0\x01t\x03\x23\0\0", 0x94),
            illegal("MQTT-3.3.2-9", 0x30, b"\0\x01t\x03\x23\0\x11", 0x94),
            illegal("MQTT-3.3.2-9", 0x30, b"\0\x01t\x03\x23\xFF\xFF", 0x94),
            illegal("MQTT5 3.3.2.3.4", 0x30, b"\0\0\x03\x23\0\x10", 0x82),
            illegal("MQTT-3.3.2-14", 0x30, b"\0\x01t\x06\x08\0\x03r/#", 0x82),
            illegal("MQTT-3.3.2-14", 0x30, b"\0\x01t\x04\x08\0\x01+", 0x82),
            illegal("MQTT-4.7.3-1", 0x30, b"\0\x01t\x03\x08\0\0", 0x81),
            illegal("MQTT-3.3.4-6", 0x30, b"\0\x01t\x02\x0B\x01", 0x82),
            illegal(format, 0x30, b"\0\x01t\x02\x01\x02", 0x82),
            illegal(format, 0x30, b"\0\x01t\x02\x01\x01\xFF", 0x99),
            illegal(format, 0x32, b"\0\x01t\0\x01\x02\x01\x01\xED\xA0\x80", 0x99),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_legal_publish_is_answered_as_its_qos_demands() {
    for version in [V31, V311, V5] {
        let v5 = version == V5;
        let deepest = "/".repeat(65_535);
        let widest = "x".repeat(65_535);
        let (puback, pubrec) = ([packet(0x40, &[&[0, 7]])], [packet(0x50, &[&[0, 7]])]);
        let mut rows = vec![
            legal("MQTT-3.3.4-1", publish("t", 0x30, None, b"x", v5), &[]),
            legal("MQTT-3.3.4-1", publish("t", 0x32, Some(7), b"x", v5), &puback),
            legal("MQTT-3.3.4-1", publish("t", 0x34, Some(7), b"x", v5), &pubrec),
            legal("MQTT-3.3.1-1", publish("t", 0x3A, Some(7), b"x", v5), &puback),
            legal("MQTT-3.3.1-1", publish("t", 0x3C, Some(7), b"x", v5), &pubrec),
            legal("MQTT-3.3.1-5", publish("t", 0x33, Some(7), b"x", v5), &puback),
            legal("MQTT-3.3.1-6", publish("t", 0x33, Some(7), b"", v5), &puback),
            legal("MQTT-4.7.3-3", publish(&deepest, 0x32, Some(7), b"", v5), &puback),
            legal("MQTT-4.7.3-3", publish(&widest, 0x32, Some(7), b"", v5), &puback),
            legal(
                "MQTT-2.2.1-3",
                publish("t", 0x32, Some(7), b"", v5).repeat(2),
                &[puback.clone(), puback.clone()].concat(),
            ),
        ];
        let last = [packet(0x40, &[&[0xFF, 0xFF]])];
        rows.push(legal("MQTT-2.2.1-3", publish("t", 0x32, Some(u16::MAX), b"", v5), &last));
        pass_all(version, rows).await;
    }
    let alias =
        |topic: &[u8], alias| packet(0x30, &[&[0, u8::try_from(topic.len()).unwrap()], topic, &[3, 0x23, 0, alias]]);
    let user = b"\x26\0\x01n\0\x01v".repeat(2000);
    let many = packet(0x32, &[b"\0\x01t\0\x07", &[0xB0, 0x6D], &user]);
    let puback = [packet(0x40, &[&[0, 7]])];
    pass_all(
        V5,
        vec![
            legal("MQTT-3.3.2-12", [alias(b"t", 16), alias(b"", 16)].concat(), &[]),
            legal("MQTT5 3.3.2.3.4", [alias(b"t", 1), alias(b"u", 1), alias(b"", 1)].concat(), &[]),
            legal("MQTT5 3.3.2.3.2", packet(0x30, &[b"\0\x01t\x02\x01\x00\xFF\xFE"]), &[]),
            legal("MQTT5 3.3.2.3.2", packet(0x30, &[b"\0\x01t\x02\x01\x01"]), &[]),
            legal("MQTT-3.3.2-17", many, &puback),
            legal("MQTT5 3.3.2.3.3", packet(0x30, &[b"\0\x01t\x05\x02\0\0\0\0"]), &[]),
            legal("MQTT5 3.3.2.3.6", packet(0x30, &[b"\0\x01t\x03\x09\0\0"]), &[]),
            legal("MQTT5 3.3.2.3.9", packet(0x30, &[b"\0\x01t\x03\x03\0\0"]), &[]),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn properties_reach_the_subscriber_unaltered_and_in_order() {
    let bench = Bench::start().await;
    let mut subscriber = client(&bench, V5, "sub");
    subscriber.subscribe("t", 0);
    let mut publisher = client(&bench, V5, "pub");
    let kept: &[u8] = b"\x26\0\x01b\0\x01\x31\x01\x01\x26\0\x01a\0\x01\x32\x03\0\x02ct\x08\0\x01r\x09\0\x02\xFF\0\x26\0\x01b\0\x01\x31";
    // The alias is for this connection alone (MQTT-3.3.2-7); the rest is for the subscriber.
    let sent = [b"\x23\0\x01", kept].concat();
    publisher.send(&packet(0x30, &[b"\0\x01t", &[u8::try_from(sent.len()).unwrap()], &sent, "é".as_bytes()]));
    let got = subscriber.next();
    assert_eq!(got.body, [b"\0\x01t", &[u8::try_from(kept.len()).unwrap()][..], kept, "é".as_bytes()].concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alias_that_changes_its_meaning_is_followed_and_ends_with_the_connection() {
    let bench = Bench::start().await;
    let mut subscriber = client(&bench, V5, "sub");
    subscriber.subscribe("#", 0);
    let alias = |topic: &[u8]| packet(0x30, &[&[0, u8::try_from(topic.len()).unwrap()], topic, &[3, 0x23, 0, 2], b"x"]);
    let mut publisher = client(&bench, V5, "pub");
    publisher.send(&[alias(b"one"), alias(b""), alias(b"two"), alias(b"")].concat());
    for topic in ["one", "one", "two", "two"] {
        assert_eq!(subscriber.next().message(true).0, topic);
    }
    let mut again = client(&bench, V5, "pub");
    again.send(&alias(b""));
    refused(&mut again, V5, 0x82, "MQTT-3.3.2-7");
    assert!(subscriber.ping().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_qos_2_message_is_delivered_once_until_it_is_released() {
    let bench = Bench::start().await;
    for version in [V31, V311, V5] {
        let v5 = version == V5;
        let mut subscriber = client(&bench, version, "sub");
        subscriber.subscribe("t", 0);
        let mut publisher = client(&bench, version, "pub");
        let once = publish("t", 0x34, Some(5), b"once", v5);
        for bytes in [once.clone(), once.clone(), publish("t", 0x3C, Some(5), b"once", v5)] {
            assert_eq!(publisher.ask(&bytes, 5).0.body, [0, 5], "MQTT-4.3.3-10");
        }
        assert_eq!(publisher.ask(&packet(0x62, &[&[0, 5]]), 7).0.body, [0, 5], "MQTT-4.3.3-11");
        publisher.ask(&publish("t", 0x34, Some(5), b"new", v5), 5);
        assert_eq!([subscriber.payload(), subscriber.payload()], ["once", "new"], "MQTT-4.3.3-12");
        assert!(subscriber.ping().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_qos_1_message_under_the_identifier_of_an_unreleased_one_is_refused_where_that_can_be_said() {
    let bench = Bench::start().await;
    let mut five = client(&bench, V5, "five");
    five.ask(&publish("t", 0x34, Some(5), b"x", true), 5);
    let puback = five.ask(&publish("t", 0x32, Some(5), b"x", true), 4).0;
    assert_eq!(puback.body[..3], [0, 5, 0x91]);
    assert!(five.ping().is_empty(), "the connection goes on");
    recorded(&bench, 1, "MQTT-2.2.1-3", "the identifier");
    let mut three = client(&bench, V311, "three");
    three.ask(&publish("t", 0x34, Some(5), b"x", false), 5);
    assert_eq!(three.ask(&publish("t", 0x32, Some(5), b"x", false), 4).0.body, [0, 5]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_unreleased_qos_2_messages_than_the_receive_maximum_are_refused() {
    let limits = cordon_mqtt::Limits { max_inflight: 3, ..cordon_mqtt::Limits::default() };
    let bench = Bench::with(limits).await;
    let lasting = Hello { id: "a", properties: crate::support::LASTING, clean: false, ..Hello::default() };
    let mut publisher = bench.client_with(&lasting);
    let send = |id| publish("t", 0x34, Some(id), b"x", true);
    for id in 1..=3 {
        publisher.ask(&send(id), 5);
    }
    // QoS 1 is acknowledged at once and takes no place.
    publisher.publish("t", b"x", false);
    publisher.ask(&send(2), 5);
    publisher.ask(&packet(0x62, &[&[0, 1]]), 7);
    publisher.ask(&send(4), 5);
    drop(publisher);
    let mut resumed = bench.client_with(&lasting);
    for id in 5..=7 {
        resumed.ask(&send(id), 5);
    }
    resumed.send(&send(8));
    refused(&mut resumed, V5, 0x93, "MQTT-3.3.4-7");
    recorded(&bench, 1, "MQTT-3.3.4-7", "the quota is whole again with a new connection");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeat_that_is_refused_by_now_frees_its_identifier() {
    let mut bench = Bench::start().await;
    let mut publisher = client(&bench, V5, "pub");
    publisher.ask(&publish("t", 0x34, Some(5), b"x", true), 5);
    bench.isolate("pub", Level::Restrict, &["t"]).await;
    let pubrec = publisher.ask(&publish("t", 0x3C, Some(5), b"x", true), 5).0;
    assert_eq!(pubrec.body[..3], [0, 5, 0x87]);
    let pubcomp = publisher.ask(&packet(0x62, &[&[0, 5]]), 7).0;
    assert_eq!(pubcomp.body, [0, 5, 0x92], "MQTT-4.3.3-9");
}
