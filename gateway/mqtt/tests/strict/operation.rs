//! Chapter 4: sessions, delivery and its order, flow control, message expiry.

use crate::support::{Bench, Hello, LASTING, packet, publish};
use crate::table::{V5, V31, V311, client};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_goes_out_at_the_lower_of_both_levels() {
    let bench = Bench::start().await;
    for version in [V31, V311, V5] {
        let v5 = version == V5;
        for granted in 0..=2 {
            let mut subscriber = client(&bench, version, "sub");
            subscriber.subscribe("t", granted);
            let mut publisher = client(&bench, version, "pub");
            for published in 0..=2_u8 {
                let id = (published > 0).then_some(u16::from(published));
                publisher.send(&publish("t", 0x30 | published << 1, id, b"x", v5));
                let level = subscriber.next().first >> 1 & 3;
                assert_eq!(level, published.min(granted), "MQTT-3.8.4-8: {version:?} {published} {granted}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_acknowledged_is_sent_again_with_dup_and_its_identifier_and_only_then() {
    let bench = Bench::start().await;
    for v5 in [false, true] {
        let properties: &[u8] = if v5 { LASTING } else { &[] };
        let lasting = Hello { id: if v5 { "s5" } else { "s3" }, v5, clean: false, properties, ..Hello::default() };
        let mut subscriber = bench.client_with(&lasting);
        subscriber.subscribe("t", 2);
        let mut publisher = bench.client("pub");
        for (id, text) in [(1, "a"), (2, "b"), (3, "c")] {
            publisher.ask(&publish("t", 0x34, Some(id), text.as_bytes(), true), 5);
            publisher.ask(&packet(0x62, &[&id.to_be_bytes()]), 7);
        }
        let ids: Vec<u16> = (0..3).map(|_| subscriber.next().message(v5).1.unwrap()).collect();
        assert!(subscriber.ping().is_empty(), "MQTT-4.4.0-1: not on the same connection");
        // The second one got as far as PUBREL.
        subscriber.ask(&packet(0x50, &[&ids[1].to_be_bytes()]), 6);
        drop(subscriber);
        let mut resumed = bench.client_with(&lasting);
        let again: Vec<_> = resumed.ping().iter().map(|packet| (packet.first, packet.body.clone())).collect();
        assert_eq!(again.len(), 3, "{again:02x?}");
        assert_eq!(again.iter().map(|(first, _)| *first).collect::<Vec<_>>(), [0x3C, 0x62, 0x3C], "MQTT-3.3.1-1");
        assert_eq!(again[1].1, ids[1].to_be_bytes(), "MQTT-4.3.3-6: the message itself is not sent again");
        assert_eq!(again[0].1[3..5], ids[0].to_be_bytes());
        assert_eq!(again[2].1[3..5], ids[2].to_be_bytes());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_receive_maximum_of_the_client_is_kept_at_both_levels_and_nothing_else_waits_for_it() {
    let bench = Bench::start().await;
    let mut subscriber = bench.client_with(&Hello { id: "sub", properties: &[0x21, 0, 2], ..Hello::default() });
    subscriber.subscribe("t", 2);
    let mut publisher = bench.client("pub");
    for (id, first) in [(1, 0x32), (2, 0x34), (3, 0x32), (4, 0x34)] {
        publisher.ask(&publish("t", first, Some(id), &[b'0' + id as u8], true), if first == 0x32 { 4 } else { 5 });
    }
    let held = subscriber.ping();
    assert_eq!(held.len(), 2, "MQTT-3.3.4-9");
    publisher.send(&publish("t", 0x30, None, b"zero", true));
    publisher.ping();
    assert_eq!(subscriber.payload(), "zero", "MQTT-4.9.0-3: QoS 0 and answers go on");
    let id = |packet: &crate::support::Packet| packet.message(true).1.unwrap().to_be_bytes();
    subscriber.send(&packet(0x40, &[&id(&held[0])]));
    assert_eq!(subscriber.payload(), "3");
    subscriber.ask(&packet(0x50, &[&id(&held[1])]), 6);
    assert!(subscriber.ping().is_empty(), "a QoS 2 message counts until PUBCOMP");
    subscriber.send(&packet(0x70, &[&id(&held[1])]));
    assert_eq!(subscriber.payload(), "4");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_one_publisher_come_in_their_order() {
    let bench = Bench::start().await;
    let mut subscriber = client(&bench, V5, "sub");
    subscriber.subscribe("t", 0);
    let mut publisher = client(&bench, V311, "pub");
    let texts: Vec<String> = (0..500).map(|n| n.to_string()).collect();
    let all: Vec<u8> = texts.iter().flat_map(|text| publish("t", 0x30, None, text.as_bytes(), false)).collect();
    publisher.send(&all);
    for text in texts {
        assert_eq!(subscriber.payload(), text, "MQTT-4.6.0-5");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_expires_while_it_waits_and_tells_what_is_left_of_its_time() {
    let bench = Bench::start().await;
    let lasting = Hello { id: "sub", properties: LASTING, clean: false, ..Hello::default() };
    let mut subscriber = bench.client_with(&lasting);
    subscriber.subscribe("t", 1);
    subscriber.send(&[0xE0, 0]);
    assert_eq!(subscriber.try_next(), None);
    let mut publisher = client(&bench, V5, "pub");
    let with_expiry =
        |first: u8, seconds: u8, payload: &[u8]| packet(first, &[b"\0\x01t\0\x01", &[5, 2, 0, 0, 0, seconds], payload]);
    publisher.ask(&with_expiry(0x32, 1, b"short"), 4);
    publisher.ask(&with_expiry(0x33, 100, b"long"), 4);
    let start = std::time::Instant::now();
    // A second message that expires with the first one tells when its time is over.
    let mut probe = client(&bench, V5, "probe");
    publisher.ask(&packet(0x33, &[b"\0\x01p\0\x01", &[5, 2, 0, 0, 0, 1], b"x"]), 4);
    loop {
        probe.subscribe("p", 0);
        if probe.ping().is_empty() {
            break;
        }
    }
    let mut subscriber = bench.client_with(&lasting);
    let got = subscriber.ping();
    let waited = u8::try_from(start.elapsed().as_secs()).unwrap();
    assert_eq!(got.len(), 1, "MQTT-3.3.2-5");
    let body = &got[0].body;
    assert_eq!((&body[5..10], &body[11..]), (&[5, 2, 0, 0, 0][..], &b"long"[..]));
    assert!(body[10] <= 99 && body[10] >= 98 - waited, "MQTT-3.3.2-6: {}", body[10]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_group_gets_each_message_once_at_each_members_own_level() {
    let bench = Bench::start().await;
    let (mut one, mut two) = (client(&bench, V5, "one"), client(&bench, V311, "two"));
    one.subscribe("$share/g/t", 0);
    two.subscribe("$share/g/t", 1);
    let mut publisher = client(&bench, V5, "pub");
    for _ in 0..10 {
        publisher.publish("t", b"x", false);
    }
    let (first, second) = (one.ping(), two.ping());
    assert_eq!(first.len() + second.len(), 10);
    assert!(!first.is_empty() && !second.is_empty(), "they take turns");
    assert!(first.iter().all(|packet| packet.first == 0x30), "MQTT-4.8.2-3");
    assert!(second.iter().all(|packet| packet.first == 0x32), "MQTT-4.8.2-3");
    one.ask(&crate::support::unsubscribe("$share/g/t", true), 11);
    publisher.publish("t", b"x", false);
    assert!(one.ping().is_empty(), "who left gets nothing any more");
    assert_eq!(two.ping().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_qos_2_message_of_a_shared_group_stays_with_the_member_that_has_begun_it() {
    let bench = Bench::start().await;
    let lasting = Hello { id: "one", properties: LASTING, clean: false, ..Hello::default() };
    let mut one = bench.client_with(&lasting);
    one.subscribe("$share/g/t", 2);
    let mut publisher = client(&bench, V5, "pub");
    publisher.ask(&publish("t", 0x34, Some(1), b"x", true), 5);
    let id = one.next().message(true).1;
    let mut two = client(&bench, V5, "two");
    two.subscribe("$share/g/t", 2);
    drop(one);
    let mut one = bench.client_with(&lasting);
    assert_eq!(one.next().message(true).1, id, "MQTT-4.8.2-4");
    assert!(two.ping().is_empty());
}
