//! What MQTT promises: flows, order, resumed sessions, retained messages, wills.

use crate::support::{Bench, Client, Hello, LASTING, connect, packet, publish, subscribe, unsubscribe};
use cordon_mqtt::Limits;
use std::io::Write;
use std::net::TcpStream;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retained_message_reaches_a_new_subscription_once_although_it_is_still_on_its_way() {
    let bench = Bench::start().await;
    let mut client = bench.client("a");
    for round in 0..50 {
        let topic = format!("t/{round}");
        let both = [publish(&topic, 0x33, Some(7), b"once", true), subscribe(&topic, 1, true)].concat();
        client.send(&both);
        client.publish("end", b"", false);
        let mut messages = client.ask(&subscribe("end", 0, true), 9).1;
        client.publish("end", b"", false);
        messages.extend(client.ping());
        let retained = messages.iter().filter(|packet| packet.kind() == 3 && packet.message(true).0 == topic).count();
        assert!(retained <= 1, "round {round}: {messages:?}");
        client.ask(&unsubscribe(&topic, true), 11);
        client.ask(&unsubscribe("end", true), 11);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_published_before_a_subscription_is_not_for_it() {
    let bench = Bench::start().await;
    let mut client = bench.client("a");
    client.send(&[publish("t", 0x30, None, b"early", true), subscribe("t", 0, true)].concat());
    client.send(&publish("t", 0x30, None, b"late", true));
    assert_eq!(client.next().kind(), 9);
    assert_eq!(client.payload(), "late");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resumed_session_gets_its_unacknowledged_messages_in_order_and_within_its_new_window() {
    let bench = Bench::start().await;
    let hello = Hello { id: "sub", properties: LASTING, clean: false, ..Hello::default() };
    let mut subscriber = bench.client_with(&hello);
    subscriber.subscribe("t", 1);
    let mut publisher = bench.client("pub");
    for text in ["1", "2", "3", "4"] {
        publisher.publish("t", text.as_bytes(), false);
        assert_eq!(subscriber.payload(), text);
    }
    drop(subscriber);
    publisher.publish("t", b"5", false);
    let narrow = [LASTING, &[0x21, 0, 2]].concat();
    let mut subscriber = bench.client_with(&Hello { properties: &narrow, ..hello });
    assert!(subscriber.present);
    let mut seen = Vec::new();
    let mut waiting = subscriber.ping();
    while seen.len() < 5 {
        assert!(waiting.len() <= 2, "more than the receive maximum at once: {waiting:?}");
        let packet = if waiting.is_empty() { subscriber.next() } else { waiting.remove(0) };
        let (_, id, payload) = packet.message(true);
        seen.push((packet.first & 8 != 0, String::from_utf8(payload).unwrap()));
        subscriber.send(&packet_ack(0x40, id.unwrap()));
    }
    let expected = [(true, "1"), (true, "2"), (true, "3"), (true, "4"), (false, "5")];
    assert_eq!(seen, expected.map(|(again, text)| (again, text.to_owned())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_mqtt_3_client_may_have_more_qos_2_messages_open_than_an_mqtt_5_client_is_told() {
    let bench = Bench::start().await;
    let mut client = bench.client_with(&Hello { id: "old", v5: false, ..Hello::default() });
    let ids = 1..=1000_u16;
    ids.clone().for_each(|id| client.send(&publish("t", 0x34, Some(id), b"x", false)));
    ids.for_each(|_| assert_eq!(client.next().kind(), 5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_sent_together_with_connect_are_processed() {
    let bench = Bench::start().await;
    let mut socket = TcpStream::connect(bench.address).unwrap();
    let mut all = connect(&Hello { id: "eager", ..Hello::default() });
    all.extend(subscribe("t", 0, true));
    all.extend(publish("t", 0x30, None, &[b'x'; 100], true).repeat(300));
    socket.write_all(&all).unwrap();
    let mut client = Client::over(socket);
    assert_eq!((client.next().kind(), client.next().kind()), (2, 9));
    for _ in 0..300 {
        assert_eq!(client.payload().len(), 100);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clean_start_ends_the_old_session_and_with_it_the_delay_of_its_will() {
    let bench = Bench::start().await;
    let mut watcher = bench.client("watcher");
    watcher.subscribe("gone", 0);
    let delay: &[u8] = &[0x18, 0, 0, 14, 16];
    let hello =
        Hello { id: "w", properties: LASTING, clean: false, will: Some((delay, "gone", "w")), ..Hello::default() };
    drop(bench.client_with(&hello));
    let resumed = bench.client_with(&hello);
    assert!(watcher.ping().is_empty(), "a session that is resumed in time keeps its will");
    drop(resumed);
    bench.client_with(&Hello { id: "w", ..Hello::default() });
    assert_eq!(watcher.payload(), "w");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retained_message_does_not_come_back_to_its_publisher_under_no_local() {
    let bench = Bench::start().await;
    let mut client = bench.client("a");
    client.publish("t", b"mine", true);
    client.subscribe("t", 0b100);
    assert!(client.ping().is_empty());
    client.subscribe("t", 0);
    assert_eq!(client.payload(), "mine");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_does_not_come_back_to_its_publisher_under_no_local_in_a_later_session_either() {
    let bench = Bench::start().await;
    let mut client = bench.client_with(&Hello { id: "a", will: Some((&[], "gone", "w")), ..Hello::default() });
    client.publish("t", b"mine", true);
    drop(client);
    let mut client = bench.client("a");
    client.subscribe("#", 0b100);
    assert!(client.ping().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_that_only_looks_shared_can_be_given_up() {
    let bench = Bench::start().await;
    let mut client = bench.client_with(&Hello { id: "old", v5: false, ..Hello::default() });
    client.subscribe("$share//t", 1);
    client.ask(&unsubscribe("$share//t", false), 11);
    let mut other = bench.client("other");
    other.publish("$share//t", b"x", false);
    other.publish("t", b"x", false);
    assert!(client.ping().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_that_stands_twice_in_one_subscribe_is_a_subscription_like_any_other() {
    let bench = Bench::start().await;
    let mut client = bench.client("a");
    let wish: &[u8] = &[0, 1, b't', 0];
    client.ask(&packet(0x82, &[&[0, 1, 0], wish, wish]), 9);
    client.send(&publish("t", 0x30, None, b"x", true));
    assert_eq!(client.payload(), "x");
}

fn packet_ack(first: u8, id: u16) -> Vec<u8> {
    packet(first, &[&id.to_be_bytes()])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_message_for_a_shared_group_reaches_one_member_whatever_worker_holds_it() {
    for workers in [1, 3] {
        let bench = Bench::with(Limits { workers, ..Limits::default() }).await;
        let mut members: Vec<Client> = (0..6).map(|number| bench.client(&format!("member-{number}"))).collect();
        for member in &mut members {
            assert_eq!(member.subscribe("$share/g/t/+", 1).body.last(), Some(&1), "granted");
        }
        let away = Hello { id: "away", properties: LASTING, clean: false, ..Hello::default() };
        bench.client_with(&away).subscribe("$share/g/t/+", 1);
        let mut publisher = bench.client("pub");
        for number in 0..60_u8 {
            publisher.publish("t/x", &[number], false);
        }
        // A member's share is on its way when the publisher has its acknowledgements; the last message tells that it came.
        let mut got = Vec::new();
        for (number, member) in members.iter_mut().enumerate() {
            let (_, before) = member.ask(&subscribe("end", 0, true), 9);
            publisher.publish("end", &[], false);
            let mut mine: Vec<u8> = before.iter().flat_map(|packet| packet.message(true).2).collect();
            loop {
                let (topic, _, payload) = member.next().message(true);
                if topic == "end" {
                    break;
                }
                mine.extend(payload);
            }
            assert_eq!(mine.len(), 10, "member {number} of {workers} workers has its turn: {mine:?}");
            assert!(mine.is_sorted());
            got.extend(mine);
        }
        got.sort_unstable();
        assert_eq!(got, (0..60).collect::<Vec<_>>());
    }
}
