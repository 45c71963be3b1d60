//! Sections 3.12 to 3.15: PINGREQ, DISCONNECT and AUTH.

use crate::support::{Bench, Hello, LASTING, packet, until};
use crate::table::{V, V5, V31, V311, client, illegal, raw, recorded, refuse_all, refused};
use cordon_core::event::Code;

/// The reason codes of DISCONNECT that a client may send (table 3-10).
const GOODBYES: &[u8] = &[0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_clients_reason_codes_pass_in_disconnect() {
    let bad = (0..=0xFF).filter(|code| !GOODBYES.contains(code));
    let mut rows: Vec<_> = bad.map(|code| illegal("MQTT-3.14.2-1", 0xE0, &[code], 0x82)).collect();
    rows.push(raw("MQTT5 2.1.4", &[0xE0, 3, 0, 0, 0], 0x81));
    rows.push(raw("MQTT5 2.2.2.1", &[0xE0, 2, 0, 9], 0x81));
    refuse_all(V5, rows).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_will_is_dropped_by_a_plain_goodbye_and_by_no_other() {
    let bench = Bench::start().await;
    let mut watcher = client(&bench, V5, "watcher");
    watcher.subscribe("gone", 0);
    let mut leave = |v5: bool, bytes: &[u8], published: bool| {
        let hello = Hello { id: "w", v5, will: Some((&[], "gone", "w")), ..Hello::default() };
        let mut leaver = bench.client_with(&hello);
        leaver.send(bytes);
        assert_eq!(leaver.try_next(), None, "nothing is said to who has said goodbye");
        if published {
            assert_eq!(watcher.payload(), "w", "{bytes:02x?}");
        }
        assert!(watcher.ping().is_empty(), "{bytes:02x?}");
    };
    leave(false, &[0xE0, 0], false);
    leave(true, &[0xE0, 0], false);
    leave(true, &[0xE0, 1, 0], false);
    leave(true, &[0xE0, 2, 0, 0], false);
    for code in &GOODBYES[1..] {
        leave(true, &[0xE0, 1, *code], true);
    }
    // Whatever comes after the goodbye is not looked at.
    leave(true, &[0xE0, 0, 0x00, 0xFF, 0xFF], false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disconnect_may_change_the_session_expiry_but_not_make_a_session_last() {
    let bench = Bench::start().await;
    let expiry = |seconds: u8| packet(0xE0, &[&[0, 5, 0x11, 0, 0, 0, seconds]]);
    let lasting = Hello { id: "a", properties: LASTING, clean: false, ..Hello::default() };
    let mut lasts = bench.client_with(&lasting);
    lasts.send(&expiry(200));
    assert_eq!(lasts.try_next(), None);
    let mut lasts = bench.client_with(&lasting);
    assert!(lasts.present);
    lasts.send(&expiry(0));
    assert_eq!(lasts.try_next(), None);
    assert!(!bench.client_with(&lasting).present, "it was to end at once");
    let mut ends = client(&bench, V5, "b");
    ends.send(&expiry(0));
    assert_eq!(ends.try_next(), None, "no change is legal");
    let mut ends = client(&bench, V5, "b");
    ends.send(&expiry(1));
    refused(&mut ends, V5, 0x82, "a session cannot be prolonged");
    recorded(&bench, 1, "MQTT5 3.14.2.2.2", "a session cannot be prolonged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn auth_is_refused_because_no_method_was_agreed() {
    refuse_all(
        V5,
        vec![
            illegal("MQTT-4.12.0-7", 0xF0, b"\x18\x04\x15\0\x01m", 0x82),
            illegal("MQTT-4.12.0-7", 0xF0, b"\x19\x04\x15\0\x01m", 0x82),
            illegal("MQTT-4.12.0-7", 0xF0, b"\x19\x08\x15\0\x01m\x16\0\x01d", 0x82),
            illegal("MQTT-3.15.2-1", 0xF0, b"", 0x82),
            illegal("MQTT-3.15.2-1", 0xF0, b"\x00\x04\x15\0\x01m", 0x82),
            illegal("MQTT-3.15.2-1", 0xF0, b"\x87\x04\x15\0\x01m", 0x82),
            illegal("MQTT5 3.15.2.2.2", 0xF0, b"\x18\0", 0x82),
            illegal("MQTT5 2.1.4", 0xF0, b"\x18", 0x81),
            raw("MQTT-3.15.1-1", &[0xF1, 0], 0x81),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_ping_is_answered() {
    let bench = Bench::start().await;
    for version in [V31, V311, V5] {
        let mut client = client(&bench, version, "a");
        client.send(&[0xC0, 0].repeat(100));
        for _ in 0..100 {
            let pong = client.next();
            assert_eq!((pong.first, pong.body.len()), (0xD0, 0), "MQTT-3.12.4-1");
        }
    }
}

/// The last words carry a reason of the standard, the client's version permitting, and nothing follows them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sent_after_disconnect() {
    let bench = Bench::start().await;
    let versions: [V; 3] = [V31, V311, V5];
    for version in versions {
        let mut client = client(&bench, version, "a");
        client.subscribe("t", 0);
        // The fault stands between two messages for the client itself.
        let message = crate::support::publish("t", 0x30, None, b"x", version == V5);
        client.send(&[message.clone(), vec![0x00, 0x00], message].concat());
        assert_eq!(client.payload(), "x");
        refused(&mut client, version, 0x81, "MQTT-3.14.4-1");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeats_of_a_violation_are_counted_and_not_told_one_by_one() {
    let bench = Bench::start().await;
    for number in 0..200 {
        client(&bench, V5, &format!("c{number}")).send(&[0, 0]);
    }
    until("all of them are counted in events", || bench.log.total(Code::ProtocolViolation) == 200);
    let told = bench.log.count(Code::ProtocolViolation);
    assert!(told < 100, "{told} events");
}
