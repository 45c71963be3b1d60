//! Wills of many clients that are lost together.

use crate::support::{Bench, Client, Hello, LASTING, connect, listener};
use cordon_core::event::Code;
use cordon_mqtt::{Limits, ListenerConfig};
use std::collections::BTreeSet;
use std::net::TcpStream;

/// A will delay of one second (MQTT 5, 3.1.3.2.2).
const SOON: &[u8] = &[0x18, 0, 0, 0, 1];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wills_of_many_clients_that_are_due_together_all_arrive() {
    const COUNT: usize = 600;
    let mut bench = Bench::with(Limits { max_queued_messages: 100, ..Limits::default() }).await;
    let config = ListenerConfig { max_connections: 1000, max_pending: 1000, ..listener(None) };
    let address = bench.broker.listen(vec![config]).await.unwrap()[0];
    let mut watcher = bench.client("watcher");
    watcher.subscribe("gone/#", 1);
    let lost: Vec<_> = (0..COUNT)
        .map(|number| {
            let (id, topic) = (format!("c{number}"), format!("gone/{number}"));
            let will = Some((SOON, topic.as_str(), "x"));
            let mut hello = connect(&Hello { id: &id, will, properties: LASTING, ..Hello::default() });
            // At QoS 1 (MQTT 5, 3.1.2.6).
            hello[9] |= 0b1000;
            let mut client = Client::over(TcpStream::connect(address).unwrap());
            client.send(&hello);
            assert_eq!(client.next().body[1], 0);
            client
        })
        .collect();
    drop(lost);
    let mut seen = BTreeSet::new();
    while seen.len() < COUNT {
        let (topic, id, _) = watcher.next().message(true);
        assert!(seen.insert(topic), "once each");
        watcher.send(&[&[0x40, 2][..], &id.unwrap().to_be_bytes()].concat());
    }
    assert_eq!(bench.log.count(Code::MessageDropped), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_will_that_is_due_is_published_even_if_the_client_is_back_at_once() {
    let bench = Bench::start().await;
    let mut watcher = bench.client("watcher");
    watcher.subscribe("gone", 0);
    let will = Some((&[][..], "gone", "x"));
    let hello = Hello { id: "a", will, properties: LASTING, clean: false, ..Hello::default() };
    let mut clients = Vec::new();
    for round in 0..20 {
        clients.push(bench.client_with(&hello));
        assert_eq!(clients[round].present, round > 0);
    }
    for _ in 0..19 {
        assert_eq!(watcher.payload(), "x");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wills_are_published_when_the_gateway_stops() {
    let bench = Bench::start().await;
    let mut watcher = bench.client("watcher");
    watcher.subscribe("gone/#", 0);
    let clients: Vec<_> = (0..50)
        .map(|number| {
            let (id, topic) = (format!("c{number}"), format!("gone/{number}"));
            bench.client_with(&Hello { id: &id, will: Some((&[], &topic, "x")), ..Hello::default() })
        })
        .collect();
    drop(clients);
    let got = std::thread::spawn(move || std::iter::from_fn(|| watcher.try_next()).filter(|p| p.kind() == 3).count());
    crate::support::until("they are lost", || bench.log.count(Code::SessionDisconnected) == 50);
    bench.broker.stop(crate::support::PATIENCE).await;
    assert_eq!(got.join().unwrap(), 50);
}
