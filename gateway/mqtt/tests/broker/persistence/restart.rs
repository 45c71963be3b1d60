//! Sessions, what waits for them, wills and retained messages come back after a crash.

use super::disk::{Disk, ack, go, lasting, over, receive, restarted, subscribe_and_go, with};
use crate::support::{Bench, Client, Hello, connect, publish, subscribe, unsubscribe};
use cordon_core::event::Code;
use cordon_mqtt::{Acknowledge, Limits};
use std::net::TcpStream;

fn fresh(texts: &[&str]) -> Vec<(bool, String)> {
    texts.iter().map(|text| (false, (*text).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_for_an_absent_client_is_there_in_order_after_a_crash() {
    let disk = Disk::holding(Default::default());
    let bench = over(&disk).await;
    subscribe_and_go(&bench, "sub");
    let mut publisher = bench.client("pub");
    for number in 0..20 {
        publisher.publish("t/a", number.to_string().as_bytes(), false);
    }
    publisher.ask(&publish("t/b", 0x34, Some(5), b"twice safe", true), 5);
    publisher.send(&publish("t/a", 0x30, None, b"qos 0 is not kept", true));
    publisher.ping();
    let (bench, _) = restarted(&disk, None).await;

    let mut client = bench.client_with(&lasting("sub"));
    assert!(client.present);
    let mut expected: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    expected.push("twice safe".into());
    assert_eq!(receive(&mut client, 21), expected.into_iter().map(|text| (false, text)).collect::<Vec<_>>());
    bench.client("other").publish("t/c", b"new", false);
    assert_eq!(receive(&mut client, 1), fresh(&["new"]), "the subscription lives on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_and_not_acknowledged_is_sent_again_as_a_repeat_under_its_identifier() {
    let disk = Disk::holding(Default::default());
    let bench = over(&disk).await;
    subscribe_and_go(&bench, "sub");
    let mut publisher = bench.client("pub");
    publisher.publish("t/a", b"1", false);
    publisher.publish("t/a", b"2", false);
    let mut client = bench.client_with(&lasting("sub"));
    let ids = [client.next().message(true).1, client.next().message(true).1];
    drop(client);
    // The session is on record as without its client.
    let before = disk.crash();
    disk.until(|records| *records != before);
    publisher.publish("t/a", b"3", false);

    let (bench, _) = restarted(&disk, None).await;
    let mut client = bench.client_with(&lasting("sub"));
    let packets = [client.next(), client.next(), client.next()];
    let again: Vec<_> = packets.iter().map(|packet| (packet.first & 8 != 0, packet.message(true))).collect();
    let told: Vec<_> = again.iter().map(|(dup, (_, id, text))| (*dup, *id, text.clone())).collect();
    assert_eq!(told[..2], [(true, ids[0], b"1".to_vec()), (true, ids[1], b"2".to_vec())]);
    assert_eq!((told[2].0, &told[2].2[..]), (false, &b"3"[..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_connected_client_does_not_acknowledge_is_written_after_a_while() {
    let disk = Disk::holding(Default::default());
    let bench = over(&disk).await;
    let mut client = bench.client_with(&lasting("sub"));
    client.subscribe("t/#", 1);
    bench.client("pub").publish("t/a", b"slow", false);
    assert_eq!(client.next().message(true).2, b"slow");
    disk.until(|records| super::disk::count(records, b'm') == 1);

    let (again, _) = restarted(&disk, None).await;
    assert_eq!(receive(&mut again.client_with(&lasting("sub")), 1), [(true, "slow".to_owned())]);
    client.send(&ack(0x40, 1));
    disk.until(|records| super::disk::count(records, b'm') == 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_received_qos_2_message_is_not_delivered_twice_over_a_crash() {
    let disk = Disk::holding(Default::default());
    let bench = over(&disk).await;
    subscribe_and_go(&bench, "sub");
    let mut publisher = bench.client_with(&lasting("pub"));
    let message = publish("t/a", 0x34, Some(7), b"once", true);
    publisher.ask(&message, 5);
    let (bench, disk) = restarted(&disk, None).await;

    let mut publisher = bench.client_with(&lasting("pub"));
    let mut repeat = message.clone();
    repeat[0] |= 8;
    publisher.ask(&repeat, 5);
    publisher.ask(&ack(0x62, 7), 7);
    assert_eq!(disk.count(b'u'), 0, "PUBCOMP says that the identifier is free");
    publisher.ask(&publish("t/a", 0x34, Some(7), b"another", true), 5);
    let mut client = bench.client_with(&lasting("sub"));
    assert_eq!(receive(&mut client, 2), fresh(&["once", "another"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_qos_2_message_that_the_client_has_is_only_released_after_a_crash() {
    let disk = Disk::holding(Default::default());
    let bench = over(&disk).await;
    subscribe_and_go(&bench, "sub");
    bench.client("pub").ask(&publish("t/a", 0x34, Some(1), b"once", true), 5);
    let mut client = bench.client_with(&lasting("sub"));
    let id = client.next().message(true).1.unwrap();
    client.ask(&ack(0x50, id), 6);
    let (bench, disk) = restarted(&disk, None).await;

    let mut client = bench.client_with(&lasting("sub"));
    let next = client.next();
    assert_eq!((next.kind(), &next.body[..2]), (6, &id.to_be_bytes()[..]));
    client.send(&ack(0x70, id));
    assert!(client.ping().is_empty());
    disk.until(|records| super::disk::count(records, b'm') == 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retained_messages_come_back_and_removed_ones_do_not() {
    let disk = Disk::holding(Default::default());
    let bench = over(&disk).await;
    let mut publisher = bench.client("pub");
    publisher.publish("t/kept", b"old", true);
    publisher.publish("t/kept", b"kept", true);
    publisher.publish("t/removed", b"x", true);
    publisher.publish("t/removed", b"", true);
    let (bench, _) = restarted(&disk, None).await;
    let mut client = bench.client("sub");
    client.send(&subscribe("t/#", 1, true));
    assert_eq!(client.next().kind(), 9);
    assert_eq!(receive(&mut client, 1), fresh(&["kept"]));
    assert!(client.ping().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_in_force_at_the_start_cuts_what_waits_and_what_is_retained() {
    let disk = Disk::holding(Default::default());
    let bench = over(&disk).await;
    subscribe_and_go(&bench, "sub");
    bench.client("bad").publish("t/a", b"from bad", true);
    bench.client("good").publish("t/b", b"from good", true);
    let (bench, _) = restarted(&disk, Some("bad")).await;
    let mut client = bench.client_with(&lasting("sub"));
    assert_eq!(receive(&mut client, 1), fresh(&["from good"]));
    assert!(client.ping().is_empty());
    let (_, others) = bench.client("new").ask(&subscribe("t/#", 0, true), 9);
    assert!(others.is_empty());
    assert_eq!(bench.log.count(Code::IsolationCut), 1, "the second is a repeat");

    let (bench, _) = restarted(&disk, Some("sub")).await;
    assert!(bench.client_with(&lasting("sub")).ping().is_empty(), "nothing reaches whom an order cuts off");
}

/// A client whose will is published at QoS 1, so that it waits for a subscriber that is away.
fn mourned(bench: &Bench, hello: &Hello<'_>) -> Client {
    let mut client = Client::over(TcpStream::connect(bench.address).unwrap());
    let mut packet = connect(hello);
    packet[9] |= 0b1000;
    assert_eq!(client.ask(&packet, 2).0.body[1], 0);
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_will_that_waits_and_that_of_a_client_whose_gateway_crashed_are_published() {
    let disk = Disk::holding(Default::default());
    let bench = over(&disk).await;
    subscribe_and_go(&bench, "sub");
    let delay: &[u8] = &[0x18, 0, 0, 0, 1];
    let mut waits = mourned(&bench, &Hello { will: Some((delay, "t/w", "waited")), ..lasting("a") });
    waits.send(&[0xE0, 1, 4]);
    assert_eq!(waits.try_next(), None);
    let _connected = mourned(&bench, &Hello { will: Some((&[], "t/w", "connected")), ..lasting("b") });
    disk.until(|records| super::disk::count(records, b'w') == 2 && super::disk::count(records, b's') == 3);

    let (bench, disk) = restarted(&disk, None).await;
    let mut client = bench.client_with(&lasting("sub"));
    let mut wills = receive(&mut client, 2);
    wills.sort();
    assert_eq!(wills, fresh(&["connected", "waited"]));
    disk.until(|records| super::disk::count(records, b'w') == 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_has_ended_leaves_nothing_on_disk() {
    let disk = Disk::holding(Default::default());
    let bench = over(&disk).await;
    subscribe_and_go(&bench, "sub");
    let mut publisher = bench.client_with(&lasting("pub"));
    publisher.publish("t/a", b"1", false);
    publisher.ask(&publish("t/a", 0x34, Some(7), b"2", true), 5);
    assert_eq!((disk.count(b's'), disk.count(b'm'), disk.count(b'u')), (2, 2, 1));
    bench.client_with(&Hello { id: "sub", ..Hello::default() }).ping();
    let end = [0xE0, 7, 0, 5, 0x11, 0, 0, 0, 0];
    publisher.send(&end);
    assert_eq!(publisher.try_next(), None);
    disk.until(std::collections::BTreeMap::is_empty);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_that_was_given_up_is_not_restored() {
    let disk = Disk::holding(Default::default());
    let bench = over(&disk).await;
    let mut client = bench.client_with(&lasting("sub"));
    client.subscribe("t/a", 1);
    client.subscribe("t/b", 1);
    client.ask(&unsubscribe("t/a", true), 11);
    let (bench, _) = restarted(&disk, None).await;
    assert_eq!(bench.handle.sessions().await[0].subscriptions, ["t/b"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_cannot_be_read_costs_only_itself() {
    let disk = Disk::holding(Default::default());
    let bench = over(&disk).await;
    subscribe_and_go(&bench, "sub");
    bench.client("pub").publish("t/a", b"1", false);
    let mut records = disk.crash();
    let damaged: Vec<_> = records.iter().map(|(key, value)| ([key, &[1][..]].concat(), value.clone())).collect();
    records.extend(damaged);
    records.insert(b"r-strange".to_vec(), vec![9, 9, 9]);
    let (bench, _) = restarted(&Disk::holding(records), None).await;
    assert!(bench.log.count(Code::GatewayDegraded) == 1 && bench.handle.meters().records_skipped.get() > 1);
    assert_eq!(receive(&mut bench.client_with(&lasting("sub")), 1), fresh(&["1"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_cannot_be_read_keeps_nobody_from_connecting() {
    let disk = Disk::holding(Default::default());
    disk.fail(true);
    let bench = over(&disk).await;
    assert_eq!(bench.log.count(Code::GatewayDegraded), 1);
    subscribe_and_go(&bench, "sub");
    bench.client("pub").publish("t/a", b"1", false);
    assert_eq!(receive(&mut bench.client_with(&lasting("sub")), 1), fresh(&["1"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_orderly_stop_leaves_is_all_there_whatever_clients_were_told() {
    let disk = Disk::holding(Default::default());
    let bench = with(&disk, Limits::default(), Acknowledge::Memory).await;
    subscribe_and_go(&bench, "sub");
    let mut publisher = bench.client("pub");
    for number in 0..50 {
        publisher.publish("t/a", number.to_string().as_bytes(), number == 49);
    }
    bench.broker.stop(std::time::Duration::from_secs(5)).await;
    assert_eq!((disk.count(b'm'), disk.count(b'r')), (50, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_several_workers_what_was_acknowledged_is_there_too() {
    let disk = Disk::holding(Default::default());
    let limits = Limits { workers: 4, ..Limits::default() };
    let bench = with(&disk, limits, Acknowledge::Disk).await;
    let names: Vec<String> = (0..8).map(|number| format!("sub-{number}")).collect();
    names.iter().for_each(|name| subscribe_and_go(&bench, name));
    for publisher in ["one", "two", "three"] {
        let mut publisher = bench.client_with(&lasting(publisher));
        publisher.publish("t/a", b"1", false);
        assert_eq!(disk.count(b'm') % names.len(), 0, "every session's message is on disk");
        publisher.ask(&publish("t/a", 0x34, Some(7), b"2", true), 5);
        assert_eq!(disk.count(b'm') % names.len(), 0);
        publisher.ask(&ack(0x62, 7), 7);
        go(publisher);
    }
    let (bench, _) = restarted(&disk, None).await;
    for name in &names {
        assert_eq!(receive(&mut bench.client_with(&lasting(name)), 6), fresh(&["1", "2", "1", "2", "1", "2"]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_mqtt_3_session_lasts_too() {
    let disk = Disk::holding(Default::default());
    let bench = over(&disk).await;
    let hello = Hello { id: "old", v5: false, clean: false, ..Hello::default() };
    let mut client = bench.client_with(&hello);
    client.subscribe("t/#", 1);
    client.send(&[0xE0, 0]);
    assert_eq!(client.try_next(), None);
    bench.client("pub").publish("t/a", b"kept", false);
    let (bench, _) = restarted(&disk, None).await;
    let mut client = bench.client_with(&hello);
    assert!(client.present);
    assert_eq!(client.payload(), "kept");
}
