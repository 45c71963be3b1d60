//! Topic aliases towards the client (MQTT 5, 3.3.2.3.4).

use crate::support::{Bench, Client, Hello, LASTING, Packet, publish};
use cordon_core::isolation::Level;
use cordon_mqtt::Limits;

/// The topic as it stands in the packet, and the alias beside it.
fn naming(packet: &Packet) -> (String, Option<u16>) {
    let (topic, id, _) = packet.message(true);
    let at = 2 + topic.len() + if id.is_some() { 2 } else { 0 };
    let block = &packet.body[at + 1..][..usize::from(packet.body[at])];
    (topic, (block.first() == Some(&0x23)).then(|| u16::from_be_bytes([block[1], block[2]])))
}

fn subscriber(bench: &Bench, properties: &[u8]) -> Client {
    let mut client = bench.client_with(&Hello { id: "sub", properties, ..Hello::default() });
    client.subscribe("topic/#", 2);
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_topics_get_a_number_and_are_left_out_from_then_on() {
    let bench = Bench::start().await;
    let mut client = subscriber(&bench, &[0x22, 0, 2]);
    let mut publisher = bench.client("pub");
    let mut got = |topic: &str, first: u8| {
        publisher.send(&publish(topic, first, (first != 0x30).then_some(1), b"x", true));
        naming(&client.next())
    };
    assert_eq!(got("topic/a", 0x30), ("topic/a".into(), Some(1)));
    assert_eq!(got("topic/b", 0x32), ("topic/b".into(), Some(2)));
    assert_eq!(got("topic/c", 0x30), ("topic/c".into(), None), "MQTT-3.1.2-26: no more than the client takes");
    assert_eq!(got("topic/a", 0x34), (String::new(), Some(1)), "across the QoS levels");
    assert_eq!(got("topic/b", 0x30), (String::new(), Some(2)));
    let mut again = subscriber(&bench, &[0x22, 0, 2]);
    publisher.send(&publish("topic/b", 0x30, None, b"x", true));
    assert_eq!(naming(&again.next()), ("topic/b".into(), Some(1)), "MQTT-3.3.2-7: each connection begins anew");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_takes_no_alias_gets_none_and_the_gateway_gives_no_more_than_its_limit() {
    let bench = Bench::with(Limits { max_topic_alias: 1, ..Limits::default() }).await;
    let (mut none, mut many) = (bench.client("none"), subscriber(&bench, &[0x22, 0xFF, 0xFF]));
    none.subscribe("topic/#", 0);
    let mut publisher = bench.client("pub");
    for topic in ["topic/a", "topic/b", "topic/a"] {
        publisher.send(&publish(topic, 0x30, None, b"x", true));
        assert_eq!(naming(&none.next()), (topic.into(), None), "MQTT-3.1.2-27");
    }
    let got: Vec<_> = (0..3).map(|_| naming(&many.next())).collect();
    assert_eq!(got, [("topic/a".into(), Some(1)), ("topic/b".into(), None), (String::new(), Some(1))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_too_large_for_the_client_introduces_no_alias() {
    let bench = Bench::start().await;
    let mut client = subscriber(&bench, &[0x22, 0, 2, 0x27, 0, 0, 0, 64]);
    let mut publisher = bench.client("pub");
    publisher.send(&publish("topic/a", 0x30, None, &[b'x'; 100], true));
    publisher.send(&publish("topic/a", 0x30, None, b"small", true));
    assert_eq!(naming(&client.next()), ("topic/a".into(), Some(1)));
    // With the alias beside its topic it would be a byte too large, without it fits.
    publisher.send(&publish("topic/b", 0x30, None, &[b'x'; 51], true));
    let tight = client.next();
    assert_eq!((naming(&tight), tight.body.len()), (("topic/b".into(), None), 61));
    publisher.send(&publish("topic/a", 0x30, None, &[b'x'; 55], true));
    assert_eq!(naming(&client.next()), (String::new(), Some(1)), "a shorter form fits more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_packet_stands_on_an_alias_that_was_withdrawn_by_an_isolation_order() {
    let mut bench = Bench::with(Limits { max_unsent_bytes: 64 << 20, ..Limits::default() }).await;
    let properties = [LASTING, &[0x22, 0, 9]].concat();
    let mut slow = subscriber(&bench, &properties);
    let (mut bad, mut good) = (bench.client("bad"), bench.client("good"));
    // Enough that the system takes no more, then a topic that only waiting packets have named.
    for _ in 0..600 {
        bad.send(&publish("topic/bad", 0x30, None, &[0; 50_000], true));
    }
    bad.ping();
    for text in ["1", "2"] {
        good.publish("topic/good", text.as_bytes(), false);
    }
    bench.isolate("bad", Level::Quarantine, &[]).await;
    let mut good_ones = Vec::new();
    let mut last = None;
    while let Some(packet) = slow.try_next() {
        if packet.kind() == 3 {
            assert_ne!(naming(&packet), (String::new(), Some(2)), "its topic was never told");
            good_ones.extend(Some(packet.message(true).2).filter(|payload| payload.len() == 1));
        }
        last = Some(packet);
    }
    let last = last.expect("a DISCONNECT");
    assert_eq!((last.first, last.body[0], good_ones.len()), (0xE0, 0x98, 0));
    let mut back = bench.client_with(&Hello { id: "sub", clean: false, properties: &properties, ..Hello::default() });
    assert!(back.present);
    assert_eq!([back.payload(), back.payload()], ["1", "2"], "what was promised comes on the next connection");
}
