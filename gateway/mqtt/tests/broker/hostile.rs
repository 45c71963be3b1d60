//! Clients that mean harm: memory and time stay bounded, others do not notice.

use crate::support::{Bench, Client, Hello, packet, publish, subscribe, unsubscribe};
use cordon_mqtt::Limits;
use std::io::{ErrorKind, Write};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_deepest_topic_filter_is_refused_and_the_deepest_topic_is_only_a_topic() {
    let bench = Bench::start().await;
    let mut client = bench.client("deep");
    let deepest = "/".repeat(65_535);
    assert_eq!(client.subscribe(&deepest, 0).body.last(), Some(&0x97));
    assert_eq!(client.subscribe(&"/".repeat(199), 0).body.last(), Some(&0));
    client.subscribe("#", 0);
    client.publish(&deepest, b"", false);
    client.ask(&unsubscribe(&"/".repeat(199), true), 11);
    assert_eq!(client.subscribe("a", 0).body.last(), Some(&0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_packets_that_become_large_messages_by_an_alias_neither_fill_the_memory_nor_get_lost() {
    let bench = Bench::start().await;
    let mut subscriber = bench.client("sub");
    subscriber.subscribe("#", 0);
    let mut publisher = bench.client("pub");
    let long = "t".repeat(60_000);
    let alias: &[u8] = &[3, 0x23, 0, 1];
    let first = packet(0x30, &[&60_000_u16.to_be_bytes(), long.as_bytes(), alias]);
    let again = packet(0x30, &[&[0, 0], alias]);
    publisher.send(&first);
    publisher.send(&again.repeat(3000));
    publisher.ping();
    let meters = bench.handle.meters();
    let start = std::time::Instant::now();
    while meters.messages_out.get() + meters.messages_dropped.get() < 3001 {
        assert!(start.elapsed() < Duration::from_secs(10), "messages got lost without being counted");
        tokio::task::yield_now().await;
    }
    assert_eq!(subscriber.next().body.len(), 60_003);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_reads_is_not_listened_to_for_ever() {
    let bench = Bench::with(Limits { max_unsent_bytes: 4096, ..Limits::default() }).await;
    let client = bench.client("deaf");
    client.socket.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let pings = [0xC0, 0].repeat(100_000);
    let mut sent = 0;
    let stuck = loop {
        match (&client.socket).write(&pings) {
            Ok(n) => sent += n,
            Err(error) => break error.kind(),
        }
        assert!(sent < 100_000_000, "the answers to {sent} bytes are held in memory");
    };
    assert!(matches!(stuck, ErrorKind::WouldBlock | ErrorKind::TimedOut));
    bench.client("other").ping();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_subscribes_that_each_find_much_leaves_time_for_others() {
    let bench = Bench::start().await;
    let mut client = bench.client("flood");
    for n in 0..5000 {
        client.send(&publish(&format!("kept/{n}"), 0x31, None, b"x", true));
    }
    client.ping();
    let mut other = bench.client("other");
    // Each finds 5,000 messages, none of which it gets back.
    client.send(&subscribe("kept/#", 0b100, true).repeat(2000));
    let start = std::time::Instant::now();
    other.ping();
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_holds_nobody_up_and_loses_only_qos_0_and_what_its_queue_cannot_hold() {
    let bench = Bench::with(Limits { max_unsent_bytes: 64 * 1024, ..Limits::default() }).await;
    let mut slow = bench.client("slow");
    let mut quick = bench.client("quick");
    slow.subscribe("t", 0);
    quick.subscribe("t", 0);
    let mut publisher = bench.client("pub");
    let body = vec![0; 10_000];
    for _ in 0..2000 {
        publisher.publish("t", &body, false);
        assert_eq!(quick.next().kind(), 3);
    }
    assert!(bench.handle.meters().messages_dropped.get() > 0);
    publisher.publish("end", b"", false);
    slow.subscribe("end", 0);
    assert!(slow.ping().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sessions_of_all_workers_count_against_one_limit() {
    let bench = Bench::with(Limits { max_sessions: 2, workers: 4, ..Limits::default() }).await;
    let _two = [bench.client("a"), bench.client("b")];
    let mut third = Client::over(std::net::TcpStream::connect(bench.address).unwrap());
    third.send(&crate::support::connect(&Hello { id: "c", ..Hello::default() }));
    assert_eq!(third.next().body[1], 0x97);
}
