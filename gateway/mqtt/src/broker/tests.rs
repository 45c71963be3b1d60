//! The supervision of the router, with real clients.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]

#[allow(dead_code, unreachable_pub, reason = "shared with the tests of the whole front door")]
#[path = "../../tests/broker/support.rs"]
mod support;

use super::lock;
use crate::Limits;
use cordon_core::event::Code;
use support::{Bench, Client, publish};

/// Clients of several workers, subscribed to everything.
fn audience(bench: &Bench) -> Vec<Client> {
    (0..8)
        .map(|number| {
            let mut client = bench.client(&format!("sub-{number}"));
            client.subscribe("#", 1);
            client
        })
        .collect()
}

fn hear(client: &mut Client, text: &str) {
    let (_, id, payload) = client.next().message(true);
    assert_eq!(String::from_utf8(payload).unwrap(), text);
    client.send(&[&[0x40, 2][..], &id.unwrap().to_be_bytes()].concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_stay_connected_and_miss_nothing_while_a_dead_router_is_replaced() {
    let bench = Bench::with(Limits { workers: 2, ..Limits::default() }).await;
    let mut audience = audience(&bench);
    let mut publisher = bench.client("pub");
    for round in 0..3 {
        lock(&bench.handle.services).poison();
        for message in 0..100 {
            publisher.send(&publish("t/x", 0x32, Some(message + 1), format!("{round}/{message}").as_bytes(), true));
        }
        for client in &mut audience {
            (0..100).for_each(|message| hear(client, &format!("{round}/{message}")));
        }
        (0..100).for_each(|_| assert_eq!(publisher.next().kind(), 4));
        assert_eq!(bench.log.count(Code::GatewayRouterReplaced), round + 1);
    }
    assert_eq!(bench.log.count(Code::SessionDisconnected), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_would_kill_the_router_crosses_workers_unharmed() {
    let bench = Bench::with(Limits { workers: 2, ..Limits::default() }).await;
    let mut audience = audience(&bench);
    let mut publisher = bench.client("pub");
    for number in 0..2000 {
        publisher.send(&publish(&format!("ü/{number}"), 0x30, None, b"", true));
    }
    for client in &mut audience {
        (0..2000).for_each(|_| assert_eq!(client.next().kind(), 3));
    }
    assert_eq!(bench.log.count(Code::GatewayRouterReplaced), 0);
}
