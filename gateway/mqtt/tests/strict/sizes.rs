//! The client's Maximum Packet Size (MQTT-3.1.2-24): nothing larger is sent, whatever it is.

use crate::support::{Bench, Hello, connect, packet, publish};
use crate::table::{V5, client, recorded, refused, stranger};
use cordon_mqtt::Limits;

/// A client of this maximum packet size.
fn small<'a>(id: &'a str, size: &'a [u8; 5]) -> Hello<'a> {
    Hello { id, properties: size, ..Hello::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connack_is_shortened_to_what_the_client_takes_or_not_sent() {
    let bench = Bench::start().await;
    // A CONNACK takes 19 bytes, 16 without the offer of topic aliases, 5 as a refusal.
    let sizes: [(u8, Option<(u8, usize)>); 8] = [
        (19, Some((0, 17))),
        (18, Some((0, 14))),
        (16, Some((0, 14))),
        (15, Some((0x95, 3))),
        (5, Some((0x95, 3))),
        (4, None),
        (2, None),
        (1, None),
    ];
    for (size, expected) in sizes {
        let mut client = stranger(&bench);
        client.send(&connect(&small("a", &[0x27, 0, 0, 0, size])));
        let connack = client.try_next();
        assert_eq!(connack.map(|packet| (packet.body[1], packet.body.len())), expected, "{size} bytes");
    }
    bench.client("a");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_leaves_its_reason_string_out_if_it_does_not_fit() {
    let bench = Bench::start().await;
    let ask = |properties: &[u8], flags: u8, rest: &[u8]| {
        let mut client = stranger(&bench);
        let block = [&[u8::try_from(properties.len()).unwrap()], properties].concat();
        client.send(&packet(0x10, &[b"\0\x04MQTT\x05", &[flags], b"\0\0", &block, rest]));
        client.try_next().map(|packet| packet.body)
    };
    let method: &[u8] = b"\x15\0\x01m";
    let bad_id: &[u8] = b"\0\x01\xFF";
    for (properties, rest, code) in [(method, &b"\0\x01a"[..], 0x8C), (b"", bad_id, 0x81)] {
        let sized = |size: u8| [properties, &[0x27, 0, 0, 0, size]].concat();
        let whole = ask(properties, 2, rest).expect("a CONNACK");
        assert_eq!((whole[1], whole[3]), (code, 0x1F), "with a reason string");
        let length = u8::try_from(whole.len() + 2).unwrap();
        assert_eq!(ask(&sized(length), 2, rest).as_ref(), Some(&whole), "equal is not larger");
        assert_eq!(ask(&sized(length - 1), 2, rest), Some(vec![0, code, 0]), "MQTT-3.2.2-19");
        assert_eq!(ask(&sized(4), 2, rest), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suback_and_unsuback_drop_the_reason_string_first_and_then_end_the_connection() {
    let bench = Bench::with(Limits { max_subscriptions: 1, ..Limits::default() }).await;
    let size = [0x27, 0, 0, 0, 30];
    let mut client = bench.client_with(&small("a", &size));
    client.subscribe("a", 0);
    assert_eq!(client.subscribe("b", 0).body, [0, 1, 0, 0x97], "MQTT-3.9.2-1");
    // The answer is five bytes and one for each filter.
    let filters = |count| b"\0\x01f".repeat(count);
    assert_eq!(client.ask(&packet(0xA2, &[b"\0\x01\0", &filters(25)]), 11).0.body.len(), 28);
    client.send(&packet(0xA2, &[b"\0\x01\0", &filters(26)]));
    refused(&mut client, V5, 0x95, "UNSUBACK");
    recorded(&bench, 1, "MQTT-3.1.2-24", "UNSUBACK");
    let mut client = bench.client_with(&small("a", &size));
    client.send(&packet(0x82, &[b"\0\x01\0", &b"\0\x01f\0".repeat(26)]));
    refused(&mut client, V5, 0x95, "SUBACK");
    assert!(bench.handle.sessions().await.is_empty(), "and nothing was subscribed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_too_large_counts_as_sent() {
    let bench = Bench::start().await;
    let narrow = [0x21, 0, 1, 0x27, 0, 0, 0, 40];
    let mut subscriber = bench.client_with(&Hello { id: "sub", properties: &narrow, ..Hello::default() });
    subscriber.subscribe("t", 2);
    let mut publisher = client(&bench, V5, "pub");
    // Fixed header 2, topic 3, identifier 2, properties 1.
    for (size, fits) in [(33, false), (32, true)] {
        publisher.ask(&publish("t", 0x34, Some(1), &vec![b'x'; size], true), 5);
        publisher.ask(&packet(0x62, &[&[0, 1]]), 7);
        let got = subscriber.ping();
        assert_eq!(got.len(), usize::from(fits), "{size} bytes: MQTT-3.1.2-25");
    }
    assert_eq!(bench.handle.meters().messages_dropped.get(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disconnect_leaves_its_reason_string_out_if_it_does_not_fit() {
    let bench = Bench::start().await;
    let mut whole = client(&bench, V5, "a");
    whole.send(&[0, 0]);
    let length = whole.next().body.len();
    assert!(length > 20);
    let size = [0x27, 0, 0, 0, 20];
    let mut small = bench.client_with(&small("b", &size));
    small.send(&[0, 0]);
    assert_eq!(small.next().body, [0x81], "MQTT-3.14.2-3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_wants_no_problem_information_gets_none_but_in_connack_and_disconnect() {
    let limits = Limits { max_subscriptions: 0, ..Limits::default() };
    let bench = Bench::with(limits).await;
    let mut client = bench.client_with(&Hello { id: "a", properties: &[0x17, 0], ..Hello::default() });
    assert_eq!(client.subscribe("t", 0).body, [0, 1, 0, 0x97], "MQTT-3.1.2-29");
    client.send(&[0, 0]);
    assert!(client.next().body.len() > 1);
}
