//! Once an order is enforced, nothing from or to the isolated thing passes, wherever it was at that moment.

use crate::support::{Bench, Hello, LASTING, publish};
use cordon_core::event::Code;
use cordon_core::isolation::Level;
use cordon_mqtt::Limits;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_slow_reader_is_withdrawn_when_its_publisher_is_isolated() {
    let mut bench = Bench::with(Limits { max_unsent_bytes: 64 << 20, ..Limits::default() }).await;
    let mut slow = bench.client("slow");
    slow.subscribe("t", 0);
    let mut publisher = bench.client("bad");
    let body = vec![0; 50_000];
    for _ in 0..600 {
        publisher.send(&publish("t", 0x30, None, &body, true));
    }
    publisher.ping();
    while bench.handle.meters().messages_out.get() < 600 {
        tokio::task::yield_now().await;
    }
    bench.isolate("bad", Level::Quarantine, &[]).await;
    let passed = slow.ping().len();
    assert!(passed < 300, "{passed} of 600 messages came, more than the system had taken by then");
    assert!(bench.handle.meters().messages_dropped.get() > 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queued_and_retained_messages_and_wills_of_an_isolated_thing_do_not_pass() {
    let mut bench = Bench::start().await;
    let lasting = Hello { id: "sub", properties: LASTING, clean: false, ..Hello::default() };
    let mut subscriber = bench.client_with(&lasting);
    subscriber.subscribe("t/#", 1);
    drop(subscriber);
    let delay: &[u8] = &[0x18, 0, 0, 0, 1];
    let will = Some((delay, "t/will", "w"));
    let mut bad = bench.client_with(&Hello { id: "bad", properties: LASTING, will, ..Hello::default() });
    while bench.handle.meters().connections.get() > 1 {
        tokio::task::yield_now().await;
    }
    bad.publish("t/queued", b"x", false);
    bad.publish("t/kept", b"x", true);
    drop(bad);
    bench.isolate("bad", Level::Quarantine, &[]).await;
    let mut subscriber = bench.client_with(&lasting);
    assert!(subscriber.present && subscriber.ping().is_empty());
    let mut fresh = bench.client("fresh");
    fresh.subscribe("t/#", 1);
    assert!(fresh.ping().is_empty());
    while bench.log.count(Code::IsolationCut) < 3 {
        tokio::task::yield_now().await;
    }
    assert!(fresh.ping().is_empty(), "the will was due");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_reaches_the_messages_of_a_client_that_was_given_its_id() {
    let mut bench = Bench::start().await;
    let mut nameless = bench.client("");
    nameless.publish("t", b"x", true);
    let sessions = bench.handle.sessions().await;
    let thing = sessions[0].thing.clone().unwrap();
    bench.isolate(&thing, Level::Quarantine, &[]).await;
    let mut fresh = bench.client("fresh");
    fresh.subscribe("t", 0);
    assert!(fresh.ping().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quarantined_member_of_a_shared_group_does_not_swallow_its_share() {
    let mut bench = Bench::start().await;
    let (mut good, mut bad) = (bench.client("good"), bench.client("bad"));
    good.subscribe("$share/g/t", 0);
    bad.subscribe("$share/g/t", 0);
    bench.isolate("bad", Level::Quarantine, &[]).await;
    let mut publisher = bench.client("pub");
    for text in ["1", "2", "3", "4"] {
        publisher.publish("t", text.as_bytes(), false);
        assert_eq!(good.payload(), text);
    }
    assert!(bad.ping().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disconnect_order_ends_the_session_and_says_so() {
    let mut bench = Bench::start().await;
    let mut bad = bench.client("bad");
    bench.isolate("bad", Level::Disconnect, &[]).await;
    let last = bad.next();
    assert_eq!((last.first, last.body[0]), (0xE0, 0x87));
    assert_eq!(bad.try_next(), None);
}
