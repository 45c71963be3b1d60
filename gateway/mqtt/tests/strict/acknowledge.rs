//! Sections 3.4 to 3.7: PUBACK, PUBREC, PUBREL and PUBCOMP.

use crate::support::{Bench, Client, Hello, LASTING, packet, publish};
use crate::table::{V, V5, V31, V311, client, illegal, legal, pass_all, recorded, refuse_all, refused};

/// The reason codes a client may send (tables 3-4 to 3-7).
const RECEIVED: &[u8] = &[0x00, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
const RELEASED: &[u8] = &[0x00, 0x92];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_reason_codes_of_the_packet_pass() {
    let kinds: [(u8, &str, &[u8]); 4] = [
        (0x40, "MQTT-3.4.2-1", RECEIVED),
        (0x50, "MQTT-3.5.2-1", RECEIVED),
        (0x62, "MQTT-3.6.2-1", RELEASED),
        (0x70, "MQTT-3.7.2-1", RELEASED),
    ];
    let (mut bad, mut good) = (Vec::new(), Vec::new());
    for (first, rule, allowed) in kinds {
        for code in 0..=0xFF {
            if !allowed.contains(&code) {
                bad.push(illegal(rule, first, &[0, 9, code], 0x82));
                continue;
            }
            let answer = match first {
                0x50 if code < 0x80 => vec![packet(0x62, &[&[0, 9, 0x92]])],
                0x62 => vec![packet(0x70, &[&[0, 9, 0x92]])],
                _ => Vec::new(),
            };
            good.push(legal(rule, packet(first, &[&[0, 9, code]]), &answer));
            good.push(legal(rule, packet(first, &[&[0, 9, code, 0]]), &answer));
        }
    }
    refuse_all(V5, bad).await;
    pass_all(V5, good).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_about_an_unknown_identifier_is_answered_so_or_passed_over() {
    for version in [V31, V311] {
        pass_all(
            version,
            vec![
                legal("MQTT3 3.4", packet(0x40, &[&[0, 9]]), &[]),
                legal("MQTT3 3.5", packet(0x50, &[&[0, 9]]), &[packet(0x62, &[&[0, 9]])]),
                legal("MQTT3 3.6", packet(0x62, &[&[0, 9]]), &[packet(0x70, &[&[0, 9]])]),
                legal("MQTT3 3.7", packet(0x70, &[&[0, 9]]), &[]),
            ],
        )
        .await;
    }
    pass_all(
        V5,
        vec![
            legal("MQTT5 3.4", packet(0x40, &[&[0, 9]]), &[]),
            legal("MQTT5 3.5", packet(0x50, &[&[0, 9]]), &[packet(0x62, &[&[0, 9, 0x92]])]),
            legal("MQTT5 3.6", packet(0x62, &[&[0, 9]]), &[packet(0x70, &[&[0, 9, 0x92]])]),
            legal("MQTT5 3.7", packet(0x70, &[&[0, 9]]), &[]),
        ],
    )
    .await;
}

/// A subscriber that has got one message of this QoS, and the message's identifier.
fn receiver(bench: &Bench, version: V, qos: u8) -> (Client, [u8; 2]) {
    let mut subscriber = client(bench, version, "sub");
    subscriber.subscribe("t", qos);
    let mut publisher = client(bench, version, "pub");
    publisher.send(&publish("t", 0x30 | qos << 1, Some(1), b"x", version == V5));
    let (_, id, _) = subscriber.next().message(version == V5);
    (subscriber, id.unwrap().to_be_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledgement_of_the_wrong_kind_is_a_protocol_error() {
    for version in [V31, V311, V5] {
        let bench = Bench::start().await;
        let rows = [(2, 0x40, "3.4"), (1, 0x50, "3.5"), (1, 0x70, "3.7"), (2, 0x70, "3.7")];
        for (number, (qos, first, section)) in rows.into_iter().enumerate() {
            let (mut subscriber, id) = receiver(&bench, version, qos);
            subscriber.send(&packet(first, &[&id]));
            let name = format!("{version:?}: {first:#x} for QoS {qos}");
            refused(&mut subscriber, version, 0x82, &name);
            let rule = format!("{} {section}", if version == V5 { "MQTT5" } else { "MQTT3" });
            recorded(&bench, number as u64 + 1, &rule, &name);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_qos_2_delivery_takes_its_four_steps_and_bears_repeats() {
    let bench = Bench::start().await;
    for version in [V31, V311, V5] {
        let (mut subscriber, id) = receiver(&bench, version, 2);
        for _ in 0..2 {
            assert_eq!(subscriber.ask(&packet(0x50, &[&id]), 6).0.body, id, "MQTT-4.3.3-4");
        }
        subscriber.send(&packet(0x70, &[&id]).repeat(2));
        assert!(subscriber.ping().is_empty());
        let expected: &[u8] = if version == V5 { &[id[0], id[1], 0x92] } else { &id };
        assert_eq!(subscriber.ask(&packet(0x50, &[&id]), 6).0.body, expected, "it is over");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pubrec_with_a_failure_ends_the_delivery_and_frees_its_place() {
    let bench = Bench::start().await;
    let mut subscriber = bench.client_with(&Hello { id: "sub", properties: &[0x21, 0, 1], ..Hello::default() });
    subscriber.subscribe("t", 2);
    let mut publisher = client(&bench, V5, "pub");
    for text in ["one", "two"] {
        publisher.ask(&publish("t", 0x34, Some(1), text.as_bytes(), true), 5);
        publisher.ask(&packet(0x62, &[&[0, 1]]), 7);
    }
    let (_, id, payload) = subscriber.next().message(true);
    assert_eq!(payload, b"one");
    assert!(subscriber.ping().is_empty(), "MQTT-3.3.4-9: one at a time");
    subscriber.send(&packet(0x50, &[&id.unwrap().to_be_bytes(), &[0x97]]));
    assert_eq!(subscriber.payload(), "two", "MQTT-4.4.0-2");
    assert!(subscriber.ping().is_empty(), "and there is no PUBREL");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledgements_are_taken_in_any_order() {
    let bench = Bench::start().await;
    for version in [V311, V5] {
        let v5 = version == V5;
        let properties: &[u8] = if v5 { LASTING } else { &[] };
        let hello = Hello { id: if v5 { "s5" } else { "s3" }, v5, clean: false, properties, ..Hello::default() };
        let mut subscriber = bench.client_with(&hello);
        subscriber.subscribe("t", 2);
        let mut publisher = client(&bench, version, "pub");
        for qos in [1, 2, 1, 2, 1] {
            let kind = if qos == 1 { 4 } else { 5 };
            publisher.ask(&publish("t", 0x30 | qos << 1, Some(u16::from(qos)), b"x", v5), kind);
            publisher.ask(&packet(0x62, &[&[0, 2]]), 7);
        }
        let ids: Vec<_> = (0..5).map(|_| subscriber.next().message(v5).1.unwrap().to_be_bytes()).collect();
        for at in [4, 2, 0] {
            subscriber.send(&packet(0x40, &[&ids[at]]));
        }
        for at in [3, 1] {
            assert_eq!(subscriber.ask(&packet(0x50, &[&ids[at]]), 6).0.body, ids[at]);
        }
        for at in [1, 3] {
            subscriber.send(&packet(0x70, &[&ids[at]]));
        }
        assert!(subscriber.ping().is_empty());
        drop(subscriber);
        assert!(bench.client_with(&hello).ping().is_empty(), "nothing is left to be sent again");
    }
}
