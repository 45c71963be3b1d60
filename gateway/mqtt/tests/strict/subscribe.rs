//! Sections 3.8 to 3.11, 4.7 and 4.8: SUBSCRIBE, UNSUBSCRIBE, topic filters and shared subscriptions.

use crate::support::{Bench, packet, publish, subscribe, unsubscribe};
use crate::table::{Illegal, V, V5, V31, V311, client, illegal, legal, pass_all, raw, refuse_all};

/// Filters that break a rule, with the rules of MQTT 5 and of MQTT 3.1.1.
const BAD: &[(&str, &str, &str)] = &[
    ("", "MQTT-4.7.3-1", "MQTT-4.7.3-1"),
    ("t#", "MQTT-4.7.1-1", "MQTT-4.7.1-2"),
    ("t/#/u", "MQTT-4.7.1-1", "MQTT-4.7.1-2"),
    ("#/t", "MQTT-4.7.1-1", "MQTT-4.7.1-2"),
    ("##", "MQTT-4.7.1-1", "MQTT-4.7.1-2"),
    ("t/##", "MQTT-4.7.1-1", "MQTT-4.7.1-2"),
    ("#t", "MQTT-4.7.1-1", "MQTT-4.7.1-2"),
    ("t+", "MQTT-4.7.1-2", "MQTT-4.7.1-3"),
    ("+t", "MQTT-4.7.1-2", "MQTT-4.7.1-3"),
    ("t/u+/v", "MQTT-4.7.1-2", "MQTT-4.7.1-3"),
    ("++", "MQTT-4.7.1-2", "MQTT-4.7.1-3"),
    ("+/t+", "MQTT-4.7.1-2", "MQTT-4.7.1-3"),
    ("$share/g/t#", "MQTT-4.7.1-1", "MQTT-4.7.1-2"),
    ("$share/g/+t", "MQTT-4.7.1-2", "MQTT-4.7.1-3"),
];

/// Filters that are no shared subscriptions although they begin like one; ordinary ones in MQTT 3.
const BAD_SHARES: &[(&str, &str)] = &[
    ("$share/", "MQTT-4.8.2-1"),
    ("$share//t", "MQTT-4.8.2-1"),
    ("$share/g", "MQTT-4.8.2-2"),
    ("$share/g/", "MQTT-4.8.2-2"),
    ("$share/+/t", "MQTT-4.8.2-2"),
    ("$share/#/t", "MQTT-4.8.2-2"),
    ("$share/g+/t", "MQTT-4.8.2-2"),
];

fn filters(version: V) -> Vec<Illegal> {
    let v5 = version == V5;
    let shares = BAD_SHARES.iter().filter(|_| v5).map(|(filter, rule)| (*filter, *rule));
    let all = BAD.iter().map(|(filter, five, three)| (*filter, if v5 { *five } else { *three })).chain(shares);
    all.flat_map(|(filter, rule)| {
        // A good filter beside the bad one does not save the packet.
        let two = packet(
            0x82,
            &[
                &[0, 1],
                if v5 { &[0][..] } else { &[] },
                b"\0\x04good\0",
                &[0, filter.len() as u8],
                filter.as_bytes(),
                &[0],
            ],
        );
        [raw(rule, &subscribe(filter, 0, v5), 0x81), raw(rule, &two, 0x81), raw(rule, &unsubscribe(filter, v5), 0x81)]
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_illegal_filter_passes() {
    for version in [V31, V311, V5] {
        refuse_all(version, filters(version)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_illegal_subscribe_or_unsubscribe_passes() {
    let options = |byte: u8| [b"\0\x01\0\x01t", &[byte][..]].concat();
    let mut three = vec![
        illegal("MQTT-3.8.3-3", 0x82, b"\0\x01", 0),
        illegal("MQTT-3.10.3-2", 0xA2, b"\0\x01", 0),
        illegal("MQTT-3.8.3-4", 0x82, &options(3), 0),
    ];
    // No local and the other options came with MQTT 5.
    three.extend([4, 8, 0x10, 0x40, 0x80, 0xFF].map(|byte| illegal("MQTT-3.8.3-4", 0x82, &options(byte), 0)));
    refuse_all(V311, three).await;
    let options = |byte: u8| [b"\0\x01\0\0\x01t", &[byte][..]].concat();
    let shared = |byte: u8| [b"\0\x01\0\0\x0A$share/g/t", &[byte][..]].concat();
    refuse_all(
        V5,
        vec![
            illegal("MQTT-3.8.3-2", 0x82, b"\0\x01\0", 0x82),
            illegal("MQTT-3.10.3-2", 0xA2, b"\0\x01\0", 0x82),
            illegal("MQTT5 3.8.3.1", 0x82, &options(3), 0x82),
            illegal("MQTT5 3.8.3.1", 0x82, &options(0x30), 0x82),
            illegal("MQTT-3.8.3-5", 0x82, &options(0x40), 0x81),
            illegal("MQTT-3.8.3-5", 0x82, &options(0x80), 0x81),
            illegal("MQTT-3.8.3-4", 0x82, &shared(4), 0x82),
            illegal("MQTT5 3.8.2.1.2", 0x82, b"\0\x01\x02\x0B\0\0\x01t\0", 0x82),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_legal_subscribe_is_granted() {
    let good = [
        "#",
        "+",
        "/",
        "//",
        "/#",
        "+/+",
        "/+",
        "t/#",
        "t/+/u",
        "+/t/#",
        "$aws",
        "$share",
        "$shared/t",
        "$",
        "ü/+",
        " ",
        "t//u",
        "\u{fffe}",
        "$share/g/t",
        "$share/g//",
        "$share/g/#",
        "$share/ü g/+/t",
    ];
    for version in [V31, V311, V5] {
        let v5 = version == V5;
        let suback: &[u8] = if v5 { &[0, 1, 0, 2] } else { &[0, 1, 2] };
        let rows =
            good.iter().map(|filter| legal("MQTT-3.8.4-1", subscribe(filter, 2, v5), &[packet(0x90, &[suback])]));
        pass_all(version, rows.collect()).await;
    }
    let malformed = ["$share//t", "$share/g", "$share/+/t"];
    let rows = malformed.iter().map(|filter| {
        legal("MQTT 3 knows no shared subscriptions", subscribe(filter, 1, false), &[packet(0x90, &[&[0, 1, 1]])])
    });
    pass_all(V311, rows.collect()).await;
    let with_id = |id: &[u8]| packet(0x82, &[b"\0\x01", &[1 + id.len() as u8, 0x0B], id, b"\0\x01t\x2E"]);
    let suback = [packet(0x90, &[&[0, 1, 0, 2]])];
    pass_all(
        V5,
        vec![
            legal("MQTT5 3.8.2.1.2", with_id(&[1]), &suback),
            legal("MQTT5 3.8.2.1.2", with_id(&[0xFF, 0xFF, 0xFF, 0x7F]), &suback),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_filters_are_answered_by_one_packet_in_their_order() {
    let many: &[&[u8]] = &[b"\0\x01a\x02", b"\0\x01b\0", b"\0\x01c\x01"];
    for version in [V311, V5] {
        let v5 = version == V5;
        let block: &[u8] = if v5 { &[0] } else { &[] };
        let suback = packet(0x90, &[&[0, 9], block, &[2, 0, 1]]);
        let all = packet(0x82, &[&[0, 9], block, &many.concat()]);
        let none = packet(0xA2, &[&[0, 8], block, b"\0\x01b\0\x01x\0\x01a"]);
        let unsuback = packet(0xB0, &[&[0, 8], block, if v5 { &[0, 0x11, 0] } else { &[] }]);
        pass_all(
            version,
            vec![legal("MQTT-3.8.4-5, MQTT-3.9.3-1, MQTT-3.11.3-1", [all, none].concat(), &[suback, unsuback])],
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_given_twice_in_one_packet_counts_once_and_gets_its_messages() {
    let bench = Bench::start().await;
    let mut client = client(&bench, V5, "a");
    client.ask(&packet(0x82, &[b"\0\x01\0", b"\0\x01t\x01", b"\0\x01t\0"]), 9);
    client.send(&publish("t", 0x30, None, b"x", true));
    assert_eq!(client.payload(), "x");
    assert!(client.ping().is_empty(), "the second replaced the first (MQTT-3.8.4-3)");
    assert_eq!(client.ask(&unsubscribe("t", true), 11).0.body, [0, 1, 0, 0]);
    client.send(&publish("t", 0x30, None, b"x", true));
    assert!(client.ping().is_empty(), "MQTT-3.10.4-2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retain_handling_decides_whether_retained_messages_are_sent() {
    let bench = Bench::start().await;
    let mut client = client(&bench, V5, "a");
    client.publish("t", b"kept", true);
    // Option, whether the subscription exists already, and whether the message is sent.
    for (option, sent) in [(0x20, false), (0x10, false), (0x00, true), (0x10, false), (0x20, false), (0x00, true)] {
        client.subscribe("t", option);
        assert_eq!(client.ping().len(), usize::from(sent), "option {option:#x}");
    }
    client.ask(&unsubscribe("t", true), 11);
    client.subscribe("t", 0x10);
    let retained = client.ping();
    assert_eq!(retained.len(), 1, "MQTT-3.3.1-10: the subscription is new");
    assert_eq!(retained[0].first & 1, 1, "and it is marked as retained");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retained_messages_are_not_for_shared_subscriptions() {
    let bench = Bench::start().await;
    let mut client = client(&bench, V5, "a");
    client.publish("t", b"kept", true);
    client.subscribe("$share/g/t", 0);
    assert!(client.ping().is_empty(), "MQTT5 4.8.2");
    client.send(&publish("t", 0x30, None, b"x", true));
    assert_eq!(client.payload(), "x");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_retain_flag_is_forwarded_only_as_asked() {
    let bench = Bench::start().await;
    let (mut plain, mut as_published) = (client(&bench, V5, "plain"), client(&bench, V5, "as-published"));
    plain.subscribe("t", 0);
    as_published.subscribe("t", 0x08);
    let mut publisher = client(&bench, V5, "pub");
    publisher.send(&publish("t", 0x31, None, b"x", true));
    publisher.send(&publish("t", 0x30, None, b"x", true));
    let flags = |client: &mut crate::support::Client| [client.next().first & 1, client.next().first & 1];
    assert_eq!(flags(&mut plain), [0, 0], "MQTT-3.3.1-12");
    assert_eq!(flags(&mut as_published), [1, 0], "MQTT-3.3.1-13");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overlapping_subscriptions_get_one_copy_with_all_identifiers_at_the_highest_qos() {
    let bench = Bench::start().await;
    let mut client = client(&bench, V5, "a");
    let add = |filter: &[u8], id: u8, options: u8| {
        packet(0x82, &[b"\0\x01\x02\x0B", &[id, 0, filter.len() as u8], filter, &[options]])
    };
    for (filter, id, options) in [(&b"t/#"[..], 1, 0), (b"t/u", 2, 2), (b"+/u", 3, 1)] {
        client.ask(&add(filter, id, options), 9);
    }
    client.ask(&publish("t/u", 0x34, Some(1), b"x", true), 5);
    let copy = client.next();
    assert_eq!(copy.first, 0x34, "MQTT-3.3.4-2");
    let mut ids: Vec<u8> = copy.body[8..14].chunks(2).map(|pair| pair[1]).collect();
    ids.sort_unstable();
    assert_eq!(ids, [1, 2, 3], "MQTT-3.3.4-4");
    assert!(client.ping().is_empty());
    // A new subscription to the same filter without an identifier takes it away (MQTT-3.8.4-3).
    client.subscribe("t/u", 0);
    client.ask(&publish("t/u", 0x30, None, b"x", true).repeat(1), 3).0.body.get(5).inspect(|len| assert_eq!(**len, 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_local_keeps_a_clients_own_messages_from_those_subscriptions_alone() {
    let bench = Bench::start().await;
    let (mut client, mut other) = (client(&bench, V5, "a"), client(&bench, V5, "b"));
    let add = |filter: &[u8], id: u8, options: u8| {
        packet(0x82, &[b"\0\x01\x02\x0B", &[id, 0, filter.len() as u8], filter, &[options]])
    };
    client.ask(&add(b"t/#", 1, 0b101), 9);
    client.send(&publish("t/u", 0x32, Some(1), b"own", true));
    client.next();
    assert!(client.ping().is_empty(), "MQTT-3.8.3-3");
    client.ask(&add(b"t/u", 2, 0), 9);
    client.send(&publish("t/u", 0x30, None, b"own", true));
    let own = client.next();
    assert_eq!((own.first, &own.body[5..]), (0x30, &b"\x02\x0B\x02own"[..]), "by the other subscription only");
    other.send(&publish("t/u", 0x32, Some(1), b"x", true));
    assert_eq!(client.next().first, 0x32, "for others' messages both count");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mqtt_3_1_has_no_word_for_a_refused_subscription() {
    let limits = cordon_mqtt::Limits { max_subscriptions: 1, ..cordon_mqtt::Limits::default() };
    let bench = Bench::with(limits).await;
    for (version, expected) in [(V31, 2), (V311, 0x80), (V5, 0x97)] {
        let mut client = client(&bench, version, "a");
        client.subscribe("a", 0);
        let suback = client.subscribe("b", 2);
        assert_eq!(suback.body.last(), Some(&expected), "{version:?}");
        if version == V5 {
            assert_eq!(suback.body[3], 0x1F, "with a reason string");
        }
    }
    bench.handle.sessions().await.iter().for_each(|session| assert_eq!(session.subscriptions, ["a"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dollar_topics_are_not_for_filters_that_begin_with_a_wildcard() {
    let bench = Bench::start().await;
    let mut client = client(&bench, V5, "a");
    for filter in ["#", "+/u", "+/#", "$x/+"] {
        client.subscribe(filter, 0);
    }
    // Topics of clients do not begin with `$`; the gateway itself publishes there.
    let permit = cordon_core::judge::judge_gateway(cordon_core::policy::Action::Publish, "$x/u");
    bench.handle.publish("$x/u".to_owned(), bytes::Bytes::from_static(b"x"), permit).await;
    client.next();
    client.ask(&unsubscribe("$x/+", true), 11);
    bench.handle.publish("$x/u".to_owned(), bytes::Bytes::from_static(b"x"), permit).await;
    client.subscribe("$x/u", 0);
    bench.handle.publish("$x/u".to_owned(), bytes::Bytes::from_static(b"last"), permit).await;
    assert_eq!(client.payload(), "last", "MQTT-4.7.2-1");
}
