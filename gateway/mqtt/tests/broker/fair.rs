//! What one session may do: how fast it may send, to how many topics, and how long it may leave unread what it is sent.

use crate::support::{Bench, Hello, publish, subscribe, until};
use cordon_core::event::Code;
use cordon_mqtt::Limits;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_faster_than_it_may_is_read_later_and_loses_nothing() {
    let bench = Bench::with(Limits { max_packets_per_second: 300, ..Limits::default() }).await;
    let mut subscriber = bench.client("sub");
    subscriber.subscribe("t", 0);
    let mut publisher = bench.client("pub");
    for number in 0..900_u32 {
        publisher.send(&publish("t", 0x30, None, &number.to_be_bytes(), true));
    }
    for number in 0..900_u32 {
        assert_eq!(subscriber.next().message(true).2, number.to_be_bytes(), "in order, none missing");
    }
    publisher.ping();
    assert!(bench.handle.meters().throttled.get() > 0);
    assert_eq!(bench.log.told(Code::LimitReached, "limits.max_packets_per_second"), (1, 1), "told once");
    drop(publisher);
    until("the rest is told when it goes", || {
        bench.log.told(Code::LimitReached, "limits.max_packets_per_second").0 == bench.handle.meters().throttled.get()
    });
    bench.client("other").ping();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_not_read_because_it_sent_too_much_is_not_taken_for_silent() {
    let bench = Bench::with(Limits { max_bytes_per_second: 2000, ..Limits::default() }).await;
    let mut client = bench.client_with(&Hello { id: "a", keep_alive: 1, ..Hello::default() });
    // With what it may send at once, this is paid for in two seconds and a half; the keep-alive is over before.
    client.send(&publish("t", 0x30, None, &[0; 7000], true));
    client.ping();
    assert!(bench.log.told(Code::LimitReached, "limits.max_bytes_per_second").0 > 0);
    assert_eq!(bench.log.count(Code::SessionDisconnected), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_begin_a_session_anew_is_no_way_around_its_rate() {
    let bench = Bench::with(Limits { max_bytes_per_second: 4000, ..Limits::default() }).await;
    let mut client = bench.client("a");
    client.send(&publish("t", 0x30, None, &[0; 6000], true));
    client.send(&[0xC0, 0]);
    until("it is throttled", || bench.handle.meters().throttled.get() == 1);
    let mut again = bench.client("a");
    again.ping();
    assert_eq!(bench.handle.meters().throttled.get(), 2, "the new session has to wait too");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_publishes_to_so_many_topics_and_no_more() {
    let bench = Bench::with(Limits { max_topics: 3, ..Limits::default() }).await;
    let mut watcher = bench.client("watcher");
    watcher.subscribe("#", 0);
    let mut client = bench.client("a");
    let refused = |client: &mut crate::support::Client, topic: &str, first: u8, answer: u8| {
        let answer = client.ask(&publish(topic, first, Some(7), b"x", client.v5), answer).0;
        answer.body.get(2).copied()
    };
    for topic in ["t/1", "t/2", "t/3", "t/1"] {
        assert_eq!(refused(&mut client, topic, 0x32, 4), None, "{topic}");
    }
    assert_eq!(refused(&mut client, "t/4", 0x32, 4), Some(0x97));
    assert_eq!(refused(&mut client, "t/5", 0x34, 5), Some(0x97));
    client.send(&publish("t/6", 0x30, None, b"x", true));
    assert_eq!(refused(&mut client, "t/2", 0x32, 4), None);
    let mut old = bench.client_with(&Hello { id: "b", v5: false, ..Hello::default() });
    for topic in ["u/1", "u/2", "u/3", "u/4"] {
        assert_eq!(refused(&mut old, topic, 0x32, 4), None, "MQTT 3 has no word for it");
    }
    let seen: Vec<_> = watcher.ping().iter().map(|packet| packet.message(true).0).collect();
    assert_eq!(seen, ["t/1", "t/2", "t/3", "t/1", "t/2", "u/1", "u/2", "u/3"]);
    assert_eq!(bench.log.told(Code::LimitReached, "limits.max_topics").1, 4, "one for each topic");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_that_change_hold_for_those_who_are_connected() {
    let bench = Bench::start().await;
    let mut client = bench.client("a");
    for topic in ["t/1", "t/2"] {
        client.publish(topic, b"x", false);
    }
    bench.handle.set_limits(&Limits { max_topics: 1, ..Limits::default() });
    let start = std::time::Instant::now();
    let code = |client: &mut crate::support::Client, topic: &str| {
        client.ask(&publish(topic, 0x32, Some(7), b"x", true), 4).0.body.get(2).copied()
    };
    while code(&mut client, "t/1").or_else(|| code(&mut client, "t/2")) != Some(0x97) {
        assert!(start.elapsed() < crate::support::PATIENCE, "the new limit is not in force");
    }
    bench.handle.set_limits(&Limits::default());
    while code(&mut client, "t/2").is_some() {
        assert!(start.elapsed() < crate::support::PATIENCE, "the limit is still in force");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_nothing_of_what_waits_for_it_is_disconnected_and_who_reads_is_not() {
    let limits = Limits { write_timeout: Duration::from_millis(500), ..Limits::default() };
    let bench = Bench::with(limits).await;
    let mut deaf = bench.client("deaf");
    deaf.subscribe("t", 0);
    let mut reader = bench.client("reader");
    reader.subscribe("t", 0);
    let mut publisher = bench.client("pub");
    let start = std::time::Instant::now();
    while bench.log.told(Code::LimitReached, "limits.write_timeout").0 == 0 {
        assert!(start.elapsed() < crate::support::PATIENCE, "it is served for ever");
        publisher.publish("t", &[0; 64 * 1024], false);
        assert_eq!(reader.next().kind(), 3);
    }
    until("its connection is over", || bench.log.count(Code::SessionDisconnected) == 1);
    assert_eq!(bench.handle.meters().writes_timed_out.get(), 1);
    publisher.ping();
    reader.ping();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_nothing_to_read_may_be_silent_for_longer_than_the_write_timeout() {
    let limits = Limits { write_timeout: Duration::from_millis(1), ..Limits::default() };
    let bench = Bench::with(limits).await;
    let mut quiet = bench.client("quiet");
    let mut again = bench.client_with(&Hello { id: "lost", keep_alive: 1, ..Hello::default() });
    // A keep-alive that runs out shows that the worker has looked at every session several times.
    assert_eq!(again.next().body[0], 0x8D);
    quiet.ping();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_packet_does_not_hold_more_topic_filters_than_a_session() {
    let bench = Bench::start().await;
    let mut client = bench.client("a");
    for n in 0..100 {
        client.send(&publish(&format!("kept/{n}"), 0x31, None, b"x", true));
    }
    client.ping();
    let one = &subscribe("kept/#", 0, true)[5..];
    let many = one.repeat(20_000);
    let packet = crate::support::packet(0x82, &[&[0, 1, 0], &many]);
    let (answer, _) = client.ask(&packet, 9);
    // The codes stand last.
    let codes = &answer.body[answer.body.len() - 20_000..];
    assert!(codes[..200].iter().all(|code| *code == 0) && codes[200..].iter().all(|code| *code == 0x97));
    assert_eq!(client.ping().len(), 200 * 100, "what is retained, once for each filter that was granted");
    assert!(bench.log.told(Code::LimitReached, "limits.max_subscriptions").0 > 0);
}
