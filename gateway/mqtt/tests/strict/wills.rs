//! Wills (MQTT 5, 3.1.2.5 and 3.1.3.2): when they are published, and as what.

use crate::support::{Bench, Client, Hello, LASTING, publish, until};
use crate::table::{V5, client};

fn watcher(bench: &Bench) -> Client {
    let mut watcher = client(bench, V5, "watcher");
    watcher.subscribe("gone", 2);
    watcher
}

/// A will delay in seconds.
fn delay(seconds: u8) -> [u8; 5] {
    [0x18, 0, 0, 0, seconds]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_connection_publishes_the_will_with_its_properties() {
    let bench = Bench::start().await;
    let mut watcher = watcher(&bench);
    let kept: &[u8] = b"\x26\0\x01b\0\x011\x01\x01\x03\0\x02ct\x08\0\x01r\x09\0\x01d\x26\0\x01a\0\x012";
    let properties = [&delay(0)[..], kept].concat();
    let hello = Hello { id: "w", will: Some((&properties, "gone", "w")), ..Hello::default() };
    drop(bench.client_with(&hello));
    let will = watcher.next();
    assert_eq!(
        will.body,
        [b"\0\x04gone", &[u8::try_from(kept.len()).unwrap()][..], kept, b"w"].concat(),
        "MQTT-3.1.3-10"
    );
    drop(bench.client_with(&Hello { id: "w", v5: false, will: Some((&[], "gone", "")), ..Hello::default() }));
    assert_eq!(watcher.payload(), "", "an empty one is published too");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_violation_and_a_takeover_publish_the_will() {
    let bench = Bench::start().await;
    let mut watcher = watcher(&bench);
    let hello = Hello { id: "w", will: Some((&[], "gone", "w")), ..Hello::default() };
    bench.client_with(&hello).send(&[0, 0]);
    assert_eq!(watcher.payload(), "w");
    let first = bench.client_with(&hello);
    let second = bench.client_with(&Hello { will: None, ..hello });
    assert_eq!(watcher.payload(), "w", "MQTT5 3.1.4: the old connection is closed like a lost one");
    drop((first, second));
    assert!(watcher.ping().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delayed_will_waits_for_its_time_but_no_longer_than_its_session() {
    let bench = Bench::start().await;
    let mut watcher = watcher(&bench);
    let (long, short) = (delay(200), delay(1));
    let lasting =
        Hello { id: "w", properties: LASTING, clean: false, will: Some((&long, "gone", "long")), ..Hello::default() };
    drop(bench.client_with(&Hello { properties: &[], ..lasting.clone() }));
    assert_eq!(watcher.payload(), "long", "MQTT-3.1.3-9: the session ended with its connection");

    let start = std::time::Instant::now();
    let will = Some((&short[..], "gone", "short"));
    drop(bench.client_with(&Hello { will, ..lasting.clone() }));
    assert_eq!(watcher.payload(), "short");
    assert!(start.elapsed().as_millis() >= 1000, "it was to wait");

    let taken_over = bench.client_with(&lasting);
    let resumed = bench.client_with(&lasting);
    drop(taken_over);
    assert!(watcher.ping().is_empty(), "MQTT-3.1.3-9: the session goes on");
    drop(resumed);
    until("the connection is lost", || bench.handle.meters().connections.get() == 1);
    assert!(watcher.ping().is_empty(), "it waits");
    drop(bench.client_with(&Hello { clean: true, will: None, ..lasting.clone() }));
    assert_eq!(watcher.payload(), "long", "the session was ended by a new one");

    let mut one_second = LASTING.to_vec();
    one_second[3..].copy_from_slice(&[0, 1]);
    drop(bench.client_with(&Hello { properties: &one_second, ..lasting }));
    assert_eq!(watcher.payload(), "long", "the session expired");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_goodbye_takes_a_will_back_for_good() {
    let bench = Bench::start().await;
    let mut watcher = watcher(&bench);
    let wait = delay(1);
    let hello = Hello { id: "w", properties: LASTING, will: Some((&wait, "gone", "w")), ..Hello::default() };
    let mut leaver = bench.client_with(&hello);
    leaver.send(&[0xE0, 0]);
    assert_eq!(leaver.try_next(), None);
    // The will of another one, lost later and due later, comes alone.
    drop(bench.client_with(&Hello { id: "v", will: Some((&wait, "gone", "v")), ..hello }));
    assert_eq!(watcher.payload(), "v", "MQTT-3.14.4-3");
    assert!(watcher.ping().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_will_may_be_retained_and_expire() {
    let bench = Bench::start().await;
    // Will flag, QoS 1, retain; message expiry of 100 seconds.
    let rest = b"\0\0\x01w\x05\x02\0\0\0\x64\0\x04gone\0\x01w";
    let mut willing = crate::table::stranger(&bench);
    willing.send(&crate::support::packet(0x10, &[b"\0\x04MQTT\x05", &[0b10_1110], b"\0\0", &rest[..]]));
    assert_eq!(willing.next().body[1], 0);
    drop(willing);
    until("the will is published", || bench.handle.meters().connections.get() == 0);
    let mut watcher = watcher(&bench);
    let will = watcher.next();
    assert_eq!(will.first, 0x33, "MQTT-3.1.2-15");
    assert_eq!(will.body[8..], *b"\x05\x02\0\0\0\x64w");
    watcher.send(&publish("gone", 0x31, None, b"", true));
    assert_eq!(watcher.payload(), "");
}
