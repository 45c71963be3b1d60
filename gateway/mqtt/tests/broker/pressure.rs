//! What a fast publisher and a slow subscriber do to each other, and to everybody else.

use crate::support::{Bench, publish};
use cordon_core::event::Code;
use std::io::Write;
use std::thread;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_reads_loses_nothing_to_a_publisher_that_is_faster() {
    const COUNT: u32 = 20_000;
    let bench = Bench::start().await;
    let mut subscriber = bench.client("sub");
    subscriber.subscribe("t", 1);
    let publisher = bench.client("pub");
    let sending = thread::spawn(move || {
        let mut socket = &publisher.socket;
        for number in 0..COUNT {
            let id = u16::try_from(number % 60_000 + 1).unwrap();
            socket.write_all(&publish("t", 0x32, Some(id), &number.to_be_bytes(), true)).unwrap();
        }
        publisher
    });
    for number in 0..COUNT {
        let (_, id, payload) = subscriber.next().message(true);
        assert_eq!(payload, number.to_be_bytes(), "in order, none missing");
        subscriber.send(&[&[0x40, 2][..], &id.unwrap().to_be_bytes()].concat());
    }
    let mut publisher = sending.join().unwrap();
    assert!(publisher.ping().iter().filter(|packet| packet.kind() == 4).count() > 0);
    assert_eq!(bench.log.count(Code::MessageDropped), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_never_reads_holds_a_publisher_back_for_a_moment_only() {
    let bench = Bench::start().await;
    let mut dead = bench.client("dead");
    dead.subscribe("t", 1);
    let mut alive = bench.client("alive");
    alive.subscribe("t", 0);
    let mut publisher = bench.client("pub");
    let body = vec![0; 8 * 1024];
    for _ in 0..3000 {
        publisher.publish("t", &body, false);
        assert_eq!(alive.next().kind(), 3);
    }
    let held = bench.handle.meters().all().into_iter().find(|meter| meter.0 == "publishers_held").unwrap().2;
    assert!((1..10).contains(&held), "held {held} times");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_clients_that_flood_each_other_both_go_on() {
    const COUNT: u32 = 3000;
    let bench = Bench::start().await;
    let clients = [("a", "to/b", "to/a"), ("b", "to/a", "to/b")].map(|(id, to, from)| {
        let mut client = bench.client(id);
        client.subscribe(from, 1);
        (client, to)
    });
    let done = clients.map(|(mut client, to)| {
        let mut socket = client.socket.try_clone().unwrap();
        let sending = thread::spawn(move || {
            for number in 0..COUNT {
                let id = u16::try_from(number + 1).unwrap();
                socket.write_all(&publish(to, 0x32, Some(id), &number.to_be_bytes(), true)).unwrap();
            }
        });
        thread::spawn(move || {
            let (mut acknowledged, mut last) = (0, None);
            while acknowledged < COUNT || last.is_none() {
                let packet = client.next();
                if packet.kind() == 4 {
                    acknowledged += 1;
                } else {
                    let (_, id, payload) = packet.message(true);
                    let number = u32::from_be_bytes(payload.try_into().unwrap());
                    assert!(last.is_none_or(|last| last < number), "in order");
                    last = Some(number);
                    client.send(&[&[0x40, 2][..], &id.unwrap().to_be_bytes()].concat());
                }
            }
            sending.join().unwrap();
        })
    });
    done.into_iter().for_each(|thread| thread.join().unwrap());
}
