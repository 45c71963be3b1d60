//! What the gateway itself retains, and the numbers it can tell.

use crate::support::{Bench, Hello, LASTING, publish, subscribe};
use bytes::Bytes;
use cordon_core::judge::judge_gateway;
use cordon_core::policy::Action;

async fn retain(bench: &Bench, topic: &str, text: &'static str) {
    let permit = judge_gateway(Action::Publish, topic);
    bench.handle.publish_retained(topic.to_owned(), Bytes::from_static(text.as_bytes()), permit).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_gateway_retains_is_found_by_readers_alone_and_removed_when_empty() {
    let mut bench = Bench::start().await;
    let mut outsider = bench.client("outsider");
    assert_eq!(outsider.subscribe("$SYS/#", 0).body.last(), Some(&0x87));
    assert_eq!(outsider.subscribe("$share/g/$SYS/#", 0).body.last(), Some(&0x87));
    bench.let_all_read().await;
    retain(&bench, "$SYS/broker/uptime", "10 seconds").await;
    let mut reader = bench.client("reader");
    reader.send(&subscribe("$SYS/#", 1, true));
    assert_eq!(reader.next().kind(), 9);
    let packet = reader.next();
    assert_eq!((packet.first & 1, packet.message(true).0.as_str()), (1, "$SYS/broker/uptime"));
    retain(&bench, "$SYS/broker/uptime", "20 seconds").await;
    assert_eq!(reader.payload(), "20 seconds");
    let mut wide = bench.client("wide");
    wide.subscribe("#", 0);
    wide.subscribe("+/broker/uptime", 0);
    assert!(wide.ping().is_empty(), "a leading wildcard selects no topic with `$`");
    retain(&bench, "$SYS/broker/uptime", "").await;
    let mut late = bench.client("late");
    late.subscribe("$SYS/#", 0);
    assert!(late.ping().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_is_no_longer_named_receives_nothing_more() {
    let mut bench = Bench::start().await;
    bench.let_all_read().await;
    let mut reader = bench.client("reader");
    assert_eq!(reader.subscribe("$SYS/#", 0).body.last(), Some(&0));
    bench.let_nobody_read().await;
    retain(&bench, "$SYS/broker/uptime", "10 seconds").await;
    while bench.handle.meters().receives_refused.get() == 0 {
        tokio::task::yield_now().await;
    }
    assert!(reader.ping().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_meters_tell_what_went_over_the_sockets() {
    let bench = Bench::start().await;
    let meters = bench.handle.meters();
    let mut subscriber = bench.client_with(&Hello { id: "s", clean: false, properties: LASTING, ..Hello::default() });
    subscriber.subscribe("t", 1);
    let mut publisher = bench.client("p");
    publisher.publish("t", b"12345", true);
    assert_eq!(subscriber.payload(), "12345");
    publisher.send(&publish("t", 0x30, None, b"678", true));
    assert_eq!(subscriber.payload(), "678");
    // Two CONNECTs, a SUBSCRIBE and two PUBLISHes came; CONNACKs, a SUBACK, a PUBACK and two messages went.
    let packets = [(&meters.connects, 2), (&meters.packets_in, 5), (&meters.answers_out, 4)];
    let bodies = [(&meters.payload_bytes_in, 8), (&meters.payload_bytes_out, 8)];
    // Two CONNECTs of 21 and 16 bytes, a SUBSCRIBE of 9, PUBLISHes of 13 and 9.
    let bytes = [(&meters.bytes_in, 68), (&meters.bytes_out, subscriber.got + publisher.got)];
    // One message is not acknowledged.
    let held = [(&meters.subscriptions, 1), (&meters.retained, 1), (&meters.queued, 1)];
    for (meter, count) in packets.into_iter().chain(bodies).chain(bytes).chain(held) {
        while meter.get() < count {
            tokio::task::yield_now().await;
        }
        assert_eq!(meter.get(), count, "{meters:#?}");
    }
    drop((subscriber, publisher));
    while meters.connections.get() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(meters.subscriptions.get(), 1, "the session and its subscription stay");
}
