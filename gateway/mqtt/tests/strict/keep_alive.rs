//! Keep Alive and Server Keep Alive (MQTT 5, 3.1.2.10 and 3.2.2.3.14).

use crate::support::{Bench, Hello, connect};
use crate::table::{V5, refused, stranger};
use cordon_mqtt::Limits;
use std::time::Duration;

/// What CONNACK says about the keep-alive.
fn told(bench: &Bench, keep_alive: u16, v5: bool) -> Option<u16> {
    let mut client = stranger(bench);
    client.send(&connect(&Hello { id: "a", v5, keep_alive, ..Hello::default() }));
    let body = client.next().body;
    let at = body.iter().skip(3).position(|byte| *byte == 0x13)? + 3;
    Some(u16::from_be_bytes([body[at + 1], body[at + 2]]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_for_too_long_a_keep_alive_or_for_none_is_told_the_longest() {
    let limits = Limits { max_keep_alive: Duration::from_secs(60), ..Limits::default() };
    let bench = Bench::with(limits).await;
    let asked = [(1, None), (59, None), (60, None), (61, Some(60)), (u16::MAX, Some(60)), (0, Some(60))];
    for (keep_alive, expected) in asked {
        assert_eq!(told(&bench, keep_alive, true), expected, "{keep_alive} s");
        assert_eq!(told(&bench, keep_alive, false), None, "MQTT 3 has no word for it");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_was_told_is_held_to_it_and_one_that_cannot_be_told_is_not() {
    let limits = Limits { max_keep_alive: Duration::from_secs(1), ..Limits::default() };
    let bench = Bench::with(limits).await;
    let mut never = bench.client_with(&Hello { id: "three", v5: false, ..Hello::default() });
    let mut long = bench.client_with(&Hello { id: "five", keep_alive: 600, ..Hello::default() });
    refused(&mut long, V5, 0x8D, "MQTT-3.1.2-21");
    assert!(never.ping().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_of_one_and_a_half_keep_alives_ends_the_connection_and_publishes_the_will() {
    let bench = Bench::start().await;
    let mut watcher = bench.client("watcher");
    watcher.subscribe("gone", 0);
    for v5 in [false, true] {
        let hello = Hello { id: "w", v5, keep_alive: 1, will: Some((&[], "gone", "w")), ..Hello::default() };
        let start = std::time::Instant::now();
        let mut silent = bench.client_with(&hello);
        let last = silent.try_next().map(|packet| (packet.first, packet.body[0]));
        assert_eq!(last, v5.then_some((0xE0, 0x8D)));
        assert!(start.elapsed() >= Duration::from_millis(1500), "MQTT-3.1.2-22: not before");
        assert_eq!(watcher.payload(), "w");
    }
}
