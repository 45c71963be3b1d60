//! How a WebSocket ends: the last packet, then the Close frame, then the connection (RFC 6455, 7.1).

use super::client::{BINARY, CLOSE, TEXT, Web, frame, header, open};
use crate::support::{Bench, Hello, publish};
use cordon_core::event::Code;
use cordon_mqtt::Limits;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

/// The reason of the DISCONNECT and the status code of the Close frame that come next, and that nothing comes after.
fn farewell(web: &mut Web<TcpStream>) -> (u8, u16) {
    let last = web.packet_of(14);
    let (kind, why) = web.frame().expect("a Close frame");
    assert_eq!((kind, web.frame()), (CLOSE, None));
    (last.body.first().copied().unwrap_or(0), u16::from_be_bytes([why[0], why[1]]))
}

/// The rules of so many violations, once they are recorded.
async fn violations(bench: &Bench, count: usize) -> Vec<String> {
    while bench.log.count(Code::ProtocolViolation) < count {
        tokio::task::yield_now().await;
    }
    bench.log.rules(Code::ProtocolViolation)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_end_is_told_in_a_close_frame_after_the_disconnect() {
    let mut bench = Bench::start().await;
    let address = open(&mut bench, &[]).await;
    let new = |id| Web::connect(address, &Hello { id, ..Hello::default() });
    let mut old = new("a");
    let _newer = new("a");
    assert_eq!(farewell(&mut old), (0x8E, 1008));
    let mut kicked = new("kicked");
    assert!(bench.handle.disconnect("kicked", "enough").await);
    assert_eq!(farewell(&mut kicked), (0x98, 1008));
    let mut broken = new("broken");
    broken.send(&[0x00, 0x00]);
    assert_eq!(farewell(&mut broken), (0x81, 1002));
    let mut last = new("last");
    bench.broker.stop(Duration::from_secs(5)).await;
    assert_eq!(farewell(&mut last), (0x8B, 1001));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_mqtt_3_reads_in_the_close_frame_what_no_packet_tells_it() {
    let mut bench = Bench::start().await;
    let address = open(&mut bench, &[]).await;
    let mut web = Web::connect(address, &Hello { id: "old", v5: false, ..Hello::default() });
    assert!(bench.handle.disconnect("old", "enough").await);
    let (kind, why) = web.frame().unwrap();
    assert_eq!((kind, &why[..2], &why[2..]), (CLOSE, &1008_u16.to_be_bytes()[..], &b"enough"[..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_frame_ends_the_connection_after_what_came_before_it() {
    let mut bench = Bench::start().await;
    let address = open(&mut bench, &[]).await;
    let mut watcher = bench.client("watcher");
    watcher.subscribe("t", 0);
    let mut web = Web::connect(address, &Hello { id: "web", ..Hello::default() });
    web.raw(&[frame(BINARY, &publish("t", 0x30, None, b"x", true)), frame(TEXT, b"hello")].concat());
    assert_eq!(watcher.payload(), "x");
    assert_eq!(farewell(&mut web), (0x82, 1003));
    assert_eq!(violations(&bench, 1).await, ["MQTT-6.0.0-1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_illegal_frame_ends_the_connection_and_its_rule_is_recorded() {
    let mut bench = Bench::start().await;
    let address = open(&mut bench, &[]).await;
    let unmasked = [0x82, 2, 0xC0, 0].to_vec();
    let long_ping = frame(0x89, &[0; 126]);
    for bytes in [unmasked, frame(0x80, b"x"), long_ping, header(0x82, 1 << 63), frame(CLOSE, b"x")] {
        let mut web = Web::connect(address, &Hello { id: "web", ..Hello::default() });
        web.raw(&bytes);
        assert_eq!(farewell(&mut web), (0x82, 1002), "{bytes:02x?}");
    }
    assert_eq!(
        violations(&bench, 5).await,
        ["RFC6455 5.1", "RFC6455 5.4", "RFC6455 5.5", "RFC6455 5.2", "RFC6455 7.4"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endless_frame_holds_no_more_than_a_packet_may_take() {
    let mut bench = Bench::with(Limits { max_packet_size: 4096, ..Limits::default() }).await;
    let address = open(&mut bench, &[]).await;
    let mut web = Web::connect(address, &Hello { id: "web", ..Hello::default() });
    web.raw(&header(BINARY, 1 << 62));
    let mask = [0x5A, 0xC3, 0x0F, 0x96];
    let packet = publish("t", 0x30, None, &[0; 8192], true);
    let masked: Vec<u8> = packet.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    web.stream.write_all(&masked).ok();
    assert_eq!(farewell(&mut web), (0x95, 1009));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_goodbye_of_mqtt_discards_the_will_and_one_of_the_transport_publishes_it() {
    let mut bench = Bench::start().await;
    let address = open(&mut bench, &[]).await;
    let mut watcher = bench.client("watcher");
    watcher.subscribe("will/#", 0);
    let hello = |topic| Hello { id: "web", will: Some((&[], topic, "gone")), ..Hello::default() };
    let mut web = Web::connect(address, &hello("will/discarded"));
    web.raw(&[frame(BINARY, &[0xE0, 0]), frame(CLOSE, &1000_u16.to_be_bytes())].concat());
    assert_eq!(web.frame(), Some((CLOSE, 1000_u16.to_be_bytes().to_vec())));
    assert_eq!(web.frame(), None);
    let mut web = Web::connect(address, &hello("will/published"));
    web.raw(&frame(CLOSE, &[0x0F, 0xA0, b'b', b'y', b'e']));
    assert_eq!(web.frame(), Some((CLOSE, 4000_u16.to_be_bytes().to_vec())));
    assert_eq!(web.frame(), None);
    assert_eq!(watcher.next().message(true).0, "will/published");
}
