//! When clients are told that the gateway has their messages, with a disk that is slow, fails, or is not asked.

use super::disk::{Disk, ack, lasting, over, receive, subscribe_and_go, with};
use crate::support::{Client, Hello, packet, publish, subscribe};
use cordon_core::event::Code;
use cordon_mqtt::{Acknowledge, Limits};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The kinds of packets that came before the answer to a PINGREQ.
fn so_far(client: &mut Client) -> Vec<u8> {
    client.ping().iter().map(crate::support::Packet::kind).collect()
}

fn written(disk: &Arc<Disk>) -> usize {
    disk.count(b'm')
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_for_an_absent_client_is_acknowledged_once_it_is_on_disk_and_others_at_once() {
    let disk = Disk::holding(Default::default());
    let bench = over(&disk).await;
    subscribe_and_go(&bench, "sub");
    disk.stick(true);
    let mut publisher = bench.client("pub");
    publisher.send(&publish("nobody", 0x32, Some(1), b"x", true));
    assert_eq!(so_far(&mut publisher), [4], "nothing has to be kept");
    publisher.send(&publish("t/a", 0x32, Some(2), b"x", true));
    assert!(so_far(&mut publisher).is_empty());
    publisher.send(&publish("nobody", 0x32, Some(3), b"x", true));
    assert!(so_far(&mut publisher).is_empty(), "answers keep their order");
    let mut other = bench.client("other");
    other.publish("nobody", b"x", false);
    disk.stick(false);
    let ids: Vec<u8> = (0..2).map(|_| publisher.next().body[1]).collect();
    assert_eq!(ids, [2, 3]);
    assert_eq!(written(&disk), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retained_messages_subscriptions_and_qos_2_identifiers_wait_for_the_disk() {
    let disk = Disk::holding(Default::default());
    let bench = over(&disk).await;
    let mut client = bench.client_with(&lasting("a"));
    let mut plain = bench.client("b");
    plain.publish("t/retained", b"x", true);
    disk.stick(true);
    client.send(&subscribe("t/#", 1, true));
    assert!(so_far(&mut client).is_empty(), "what is retained follows SUBACK");
    plain.send(&publish("t/r", 0x33, Some(1), b"x", true));
    assert!(so_far(&mut plain).is_empty());
    plain.send(&subscribe("other", 1, true));
    assert_eq!(so_far(&mut plain), [9], "this subscription ends with its connection");
    client.send(&publish("elsewhere", 0x34, Some(9), b"x", true));
    disk.stick(false);
    let kinds: Vec<u8> = (0..4).map(|_| client.next().kind()).collect();
    let at = |kind: u8| kinds.iter().position(|each| *each == kind).unwrap();
    assert!(at(9) < at(5), "{kinds:?}");
    assert_eq!(plain.next().kind(), 4);
    disk.stick(true);
    client.send(&ack(0x62, 9));
    assert!(!so_far(&mut client).contains(&7), "the identifier is not free yet");
    disk.stick(false);
    assert_eq!(client.ask(&[0xC0, 0], 7).0.body[1], 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_acknowledges_after_memory_does_not_wait() {
    let disk = Disk::holding(Default::default());
    let bench = with(&disk, Limits::default(), Acknowledge::Memory).await;
    subscribe_and_go(&bench, "sub");
    disk.stick(true);
    let mut publisher = bench.client_with(&lasting("pub"));
    publisher.publish("t/a", b"x", true);
    publisher.ask(&publish("t/a", 0x34, Some(9), b"x", true), 5);
    publisher.ask(&ack(0x62, 9), 7);
    assert_eq!(written(&disk), 0);
    disk.stick(false);
    disk.until(|records| super::disk::count(records, b'm') == 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fails_keeps_nobody_waiting_and_is_told_once_and_when_it_works_again_nothing_is_missing() {
    let disk = Disk::holding(Default::default());
    let bench = over(&disk).await;
    subscribe_and_go(&bench, "sub");
    disk.fail(true);
    let mut publisher = bench.client("pub");
    for number in 0..10 {
        publisher.publish("t/a", number.to_string().as_bytes(), false);
    }
    assert_eq!((bench.log.count(Code::GatewayDegraded), written(&disk)), (1, 0));
    disk.fail(false);
    disk.until(|records| super::disk::count(records, b'm') == 10);
    let end = Instant::now() + Duration::from_secs(10);
    while bench.log.count(Code::GatewayDegraded) < 2 {
        assert!(Instant::now() < end, "that it works again is told too");
        publisher.ping();
    }
    disk.stick(true);
    publisher.send(&publish("t/a", 0x32, Some(2), b"x", true));
    assert!(so_far(&mut publisher).is_empty(), "acknowledgements wait for the disk again");
    disk.stick(false);
    assert_eq!(publisher.next().kind(), 4);
    assert_eq!(bench.log.count(Code::GatewayDegraded), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_with_a_thousand_unanswered_messages_is_not_read_from() {
    let disk = Disk::holding(Default::default());
    let limits = Limits { max_queued_messages: 100_000, max_queued_bytes: 1 << 30, ..Limits::default() };
    let bench = with(&disk, limits, Acknowledge::Disk).await;
    subscribe_and_go(&bench, "sub");
    disk.stick(true);
    let mut publisher = bench.client("pub");
    let all: Vec<u8> = (1..=3000_u16).flat_map(|id| publish("t/a", 0x32, Some(id), b"x", true)).collect();
    publisher.send(&all);
    let mut other = bench.client("other");
    for _ in 0..50 {
        other.ping();
    }
    let waiting = bench.handle.sessions().await.iter().map(|session| session.queued).max().unwrap();
    assert!(waiting <= 1000, "{waiting} messages were taken");
    disk.stick(false);
    for id in 1..=3000_u16 {
        assert_eq!(publisher.next().body[..2], id.to_be_bytes());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_all_sessions_together_is_bounded_and_the_newest_is_dropped() {
    let disk = Disk::holding(Default::default());
    let limits = Limits { max_queued_bytes_total: 10_000, ..Limits::default() };
    let bench = with(&disk, limits, Acknowledge::Disk).await;
    subscribe_and_go(&bench, "one");
    subscribe_and_go(&bench, "two");
    let mut publisher = bench.client("pub");
    for number in 0..10 {
        publisher.publish("t/a", &[b'0' + number; 1500], false);
    }
    let dropped = bench.handle.meters().messages_dropped.get();
    assert!(dropped >= 14, "{dropped}");
    let mut client = bench.client_with(&lasting("one"));
    let first: Vec<u8> = receive(&mut client, 3).iter().map(|(_, text)| text.as_bytes()[0]).collect();
    assert_eq!(first, *b"012");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_nobody_has_to_wait_for_leave_the_disk_alone() {
    let disk = Disk::holding(Default::default());
    let bench = over(&disk).await;
    let mut subscriber = bench.client("sub");
    subscriber.subscribe("t/#", 2);
    let mut publisher = bench.client_with(&Hello { id: "pub", ..Hello::default() });
    for number in 1..100_u16 {
        publisher.ask(&publish("t/a", 0x34, Some(number), b"x", true), 5);
        publisher.ask(&packet(0x62, &[&number.to_be_bytes()]), 7);
    }
    receive(&mut subscriber, 99);
    assert!(disk.crash().is_empty());
}
