//! One test per trap of rumqttd 0.20's router, and that Cordon is not in it. Its server's traps have a file of their own.
//!
//! Tested elsewhere: that a router may die all the same, with the supervision; that ever-new topics leave no memory behind,
//! end to end, because memory is a process's; that a silent TLS client stops nobody and what an idle client takes, with TLS
//! and the benchmarks.

use crate::support::{Bench, Client, Hello, LASTING, packet, publish, unsubscribe, until};
use cordon_mqtt::Limits;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_or_filter_whose_first_character_is_not_ascii_kills_nothing() {
    let bench = Bench::with(Limits { workers: 2, ..Limits::default() }).await;
    // Enough clients that some sit on each of the two workers, so that messages cross the router.
    let mut clients: Vec<_> = ["ä", "日", "🌡", "b"].iter().map(|id| bench.client(id)).collect();
    for (client, filter) in clients.iter_mut().zip(["ü/#", "日本", "+/°C", "\u{fffe}"]) {
        client.subscribe(filter, 0);
    }
    let mut publisher = bench.client("pub");
    for topic in ["ü/x", "日本", "🌡/°C", "\u{fffe}"] {
        publisher.publish(topic, topic.as_bytes(), false);
    }
    for (client, topic) in clients.iter_mut().zip(["ü/x", "日本", "🌡/°C", "\u{fffe}"]) {
        assert_eq!(client.payload(), topic);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_persistent_member_of_a_shared_group_may_leave_with_unacknowledged_messages() {
    let bench = Bench::start().await;
    let hello = Hello { id: "member", properties: LASTING, clean: false, ..Hello::default() };
    let mut member = bench.client_with(&hello);
    member.subscribe("$share/g/t", 1);
    let mut publisher = bench.client("pub");
    for text in ["1", "2"] {
        publisher.publish("t", text.as_bytes(), false);
        assert_eq!(member.payload(), text);
    }
    drop(member);
    publisher.publish("t", b"3", false);
    let mut member = bench.client_with(&hello);
    assert_eq!([member.payload(), member.payload(), member.payload()], ["1", "2", "3"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_misses_no_qos_1_message_although_far_more_passes_than_a_log_holds() {
    let bench = Bench::with(Limits { workers: 2, max_queued_bytes: 64 << 20, ..Limits::default() }).await;
    let mut slow = bench.client("slow");
    slow.subscribe("t", 1);
    let mut publisher = bench.client("publisher");
    let body = vec![b'x'; 100_000];
    for _ in 0..300 {
        publisher.publish("t", &body, false);
    }
    for number in 0..300 {
        let (_, id, payload) = slow.next().message(true);
        assert_eq!(payload.len(), body.len(), "message {number}");
        slow.send(&packet(0x40, &[&id.unwrap().to_be_bytes()]));
    }
    assert_eq!(bench.handle.meters().messages_dropped.get(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ever_new_client_ids_leave_no_session_behind() {
    let bench = Bench::start().await;
    for n in 0..1000 {
        bench.client(&format!("random{n}")).send(&[0xE0, 0]);
    }
    until("every session is gone", || bench.handle.meters().sessions.get() == 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_message_clears_the_retained_one_only_with_the_retain_flag() {
    let bench = Bench::start().await;
    let mut client = bench.client("a");
    client.publish("t", b"kept", true);
    client.publish("t", b"", false);
    client.subscribe("t", 0);
    assert_eq!(client.payload(), "kept");
    client.subscribe("t", 0);
    assert_eq!(client.payload(), "kept", "at every subscription, not only at a new one");
    client.publish("t", b"", true);
    client.next();
    client.subscribe("t", 0);
    assert!(client.ping().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_retained_messages_come_however_few_places_are_in_flight() {
    let bench = Bench::with(Limits { max_inflight: 5, ..Limits::default() }).await;
    let mut client = bench.client("a");
    for n in 0..50 {
        client.publish(&format!("t/{n}"), b"x", true);
    }
    client.subscribe("t/#", 1);
    for _ in 0..50 {
        let (_, id, _) = client.next().message(true);
        client.send(&packet(0x40, &[&id.unwrap().to_be_bytes()]));
    }
    assert!(client.ping().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_qos_of_a_message_is_never_raised() {
    let bench = Bench::start().await;
    let mut client = bench.client("a");
    client.subscribe("t", 2);
    for (published, delivered) in [(0x30, 0x30), (0x32, 0x32), (0x34, 0x34)] {
        client.send(&publish("t", published, (published != 0x30).then_some(1), b"x", true));
        let got = [client.next().first, if published == 0x30 { 0 } else { client.next().first }];
        assert!(got.contains(&delivered), "{published:#x}: {got:02x?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_unsubscribe_has_one_answer_whatever_it_holds() {
    let bench = Bench::start().await;
    for v5 in [false, true] {
        let mut client = bench.client_with(&Hello { id: "a", v5, ..Hello::default() });
        client.subscribe("t", 0);
        let block: &[u8] = if v5 { &[0] } else { &[] };
        let codes: &[u8] = if v5 { &[0x11, 0, 0x11] } else { &[] };
        let (unsuback, before) = client.ask(&packet(0xA2, &[b"\0\x07", block, b"\0\x01x\0\x01t\0\x01y"]), 11);
        assert_eq!((unsuback.body, before.len()), ([&[0, 7], block, codes].concat(), 0));
        assert!(client.ping().is_empty(), "there is no second one");
        assert_eq!(client.ask(&unsubscribe("t", v5), 11).0.body[..2], [0, 1], "an unknown filter is answered");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_repeated_with_another_qos_takes_it_over() {
    let bench = Bench::start().await;
    let mut client = bench.client("a");
    for (qos, first) in [(0, 0x30), (1, 0x32), (0, 0x30)] {
        assert_eq!(client.subscribe("t", qos).body.last(), Some(&qos));
        client.send(&publish("t", 0x32, Some(1), b"x", true));
        let got = [client.next().first, client.next().first];
        assert!(got.contains(&first) && got.contains(&0x40), "QoS {qos}: {got:02x?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_that_begins_with_a_dollar_is_answered() {
    let bench = Bench::start().await;
    let mut client = bench.client("a");
    for filter in ["$SYS/#", "$x", "$share/g/t", "$aws/things/a/#"] {
        assert_eq!(client.subscribe(filter, 0).kind(), 9);
    }
    assert!(client.ping().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pubrel_with_properties_is_answered() {
    let bench = Bench::start().await;
    let mut client = bench.client("a");
    client.ask(&publish("t", 0x34, Some(5), b"x", true), 5);
    let pubrel = packet(0x62, &[b"\0\x05\0\x07\x26\0\x01n\0\x01v"]);
    assert_eq!(client.ask(&pubrel, 7).0.body, [0, 5]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledgements_out_of_order_disconnect_nobody() {
    let bench = Bench::start().await;
    let mut subscriber = bench.client("sub");
    subscriber.subscribe("t", 1);
    let mut publisher = bench.client("pub");
    (0..3).for_each(|_| publisher.publish("t", b"x", false));
    let ids: Vec<_> = (0..3).map(|_| subscriber.next().message(true).1.unwrap()).collect();
    ids.iter().rev().for_each(|id| subscriber.send(&packet(0x40, &[&id.to_be_bytes()])));
    assert!(subscriber.ping().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_whose_id_is_taken_over_harms_nobody() {
    let bench = Bench::start().await;
    let mut other = bench.client("other");
    other.subscribe("t", 0);
    let mut slow: Vec<Client> = Vec::new();
    let mut publisher = bench.client("pub");
    for _ in 0..5 {
        let mut taken = bench.client("slow");
        taken.subscribe("t", 0);
        for _ in 0..300 {
            publisher.send(&publish("t", 0x30, None, &[0; 10_000], true));
            other.next();
        }
        // It is not closed by its owner, only taken over.
        slow.push(taken);
    }
    publisher.publish("t", b"end", false);
    assert_eq!(other.payload(), "end");
    assert!(bench.client("slow").ping().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_late_end_of_a_connection_hits_no_other() {
    let bench = Bench::start().await;
    let mut innocent: Vec<Client> = Vec::new();
    for n in 0..100 {
        let old = bench.client("restless");
        let _new = bench.client("restless");
        innocent.extend((n % 10 == 0).then(|| bench.client(&format!("innocent{n}"))));
        drop(old);
    }
    assert!(innocent.iter_mut().all(|client| client.ping().is_empty()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aliases_never_give_a_wildcard_subscriber_the_wrong_topic() {
    let bench = Bench::start().await;
    let mut subscriber = bench.client_with(&Hello { id: "sub", properties: &[0x22, 0, 3], ..Hello::default() });
    subscriber.subscribe("plant/#", 0);
    let mut publisher = bench.client("pub");
    let mut known = std::collections::HashMap::new();
    for n in [1, 2, 1, 3, 4, 2, 5, 1, 4, 3] {
        let expected = format!("plant/{n}");
        publisher.send(&publish(&expected, 0x30, None, b"x", true));
        let got = subscriber.next();
        let (mut topic, _, _) = got.message(true);
        let at = 2 + topic.len();
        if got.body[at] > 0 {
            let alias = got.body[at + 2..at + 4].to_vec();
            if topic.is_empty() {
                topic.clone_from(&known[&alias]);
            } else {
                known.insert(alias, topic.clone());
            }
        }
        assert_eq!(topic, expected);
    }
    assert_eq!(known.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shared_groups_of_one_name_are_told_apart_by_filter_and_left_one_by_one() {
    let bench = Bench::start().await;
    let mut member = bench.client("member");
    for filter in ["$share/g/a", "$share/g/b", "$share/h/a", "c"] {
        member.subscribe(filter, 0);
    }
    let mut publisher = bench.client("pub");
    let mut copies = |topic: &str, member: &mut Client| {
        publisher.publish(topic, b"x", false);
        member.ping().len()
    };
    assert_eq!(copies("a", &mut member), 2, "two groups, a message for each");
    assert_eq!(copies("b", &mut member), 1);
    member.ask(&unsubscribe("c", true), 11);
    assert_eq!((copies("a", &mut member), copies("b", &mut member)), (2, 1), "other groups stay");
    member.ask(&unsubscribe("$share/g/a", true), 11);
    assert_eq!((copies("a", &mut member), copies("b", &mut member)), (1, 1));
    member.ask(&unsubscribe("$share/h/a", true), 11);
    assert_eq!(copies("a", &mut member), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_local_retain_as_published_and_retain_handling_are_heeded() {
    let bench = Bench::start().await;
    let (mut one, mut two) = (bench.client("one"), bench.client("two"));
    one.subscribe("t", 0b0000_0100);
    two.subscribe("t", 0b0010_1000);
    one.send(&publish("t", 0x31, None, b"x", true));
    assert!(one.ping().is_empty(), "no local");
    assert_eq!(two.next().first, 0x31, "retain as published");
    two.subscribe("t", 0b0010_1000);
    assert!(two.ping().is_empty(), "retain handling 2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeat_carries_dup_and_qos_2_lives_on_over_a_reconnect() {
    let bench = Bench::start().await;
    let hello = Hello { id: "a", properties: LASTING, clean: false, ..Hello::default() };
    let mut client = bench.client_with(&hello);
    client.subscribe("t", 2);
    client.ask(&publish("t", 0x34, Some(5), b"once", true), 5);
    drop(client);
    let mut client = bench.client_with(&hello);
    let repeats: Vec<_> = client.ping();
    assert!(repeats.iter().all(|packet| packet.first == 0x3C), "{repeats:02x?}");
    client.ask(&publish("t", 0x3C, Some(5), b"once", true), 5);
    assert!(client.ping().is_empty(), "its repeat is not a new message");
    assert_eq!(client.ask(&packet(0x62, &[b"\0\x05"]), 7).0.body, [0, 5]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_window_is_the_clients_receive_maximum() {
    let bench = Bench::start().await;
    let mut subscriber = bench.client_with(&Hello { id: "sub", properties: &[0x21, 0, 3], ..Hello::default() });
    subscriber.subscribe("t", 1);
    let mut publisher = bench.client("pub");
    (0..10).for_each(|_| publisher.publish("t", b"x", false));
    assert_eq!(subscriber.ping().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_expires_in_its_time() {
    let bench = Bench::start().await;
    let mut short = LASTING.to_vec();
    short[3..].copy_from_slice(&[0, 1]);
    drop(bench.client_with(&Hello { id: "short", properties: &short, ..Hello::default() }));
    drop(bench.client_with(&Hello { id: "long", properties: LASTING, ..Hello::default() }));
    until("the short session is gone", || bench.handle.meters().sessions.get() == 1);
    assert!(bench.client_with(&Hello { id: "long", clean: false, ..Hello::default() }).present);
}
