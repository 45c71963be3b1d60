//! What never becomes a WebSocket: it is answered in HTTP, recorded once, and holds no place.

use super::client::{Web, open, request};
use crate::support::{Bench, Hello, PATIENCE, connect, listener};
use cordon_core::event::Code;
use cordon_mqtt::ListenerConfig;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The status line that `bytes` are answered with before the broker closes.
fn answered(address: SocketAddr, bytes: &[u8]) -> String {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut web = Web::over(stream);
    web.raw(bytes);
    let answer = web.rest();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_bad_request_is_answered_in_http_and_recorded_with_its_rule() {
    let mut bench = Bench::start().await;
    let address = open(&mut bench, &[]).await;
    let other = request("/mqtt", "").replace("Protocol: mqtt", "Protocol: chat");
    let plain = "GET /mqtt HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let long = format!("GET /mqtt HTTP/1.1\r\nX: {}", "x".repeat(9000));
    for (bytes, status) in [
        (request("/other", "").into_bytes(), "HTTP/1.1 404 Not Found"),
        (other.into_bytes(), "HTTP/1.1 400 Bad Request"),
        (plain.as_bytes().to_vec(), "HTTP/1.1 426 Upgrade Required"),
        (long.into_bytes(), "HTTP/1.1 431 Request Header Fields Too Large"),
        (connect(&Hello { id: "lost", ..Hello::default() }), "HTTP/1.1 400 Bad Request"),
    ] {
        assert_eq!(answered(address, &bytes), status);
    }
    let rules = bench.log.rules(Code::ProtocolViolation);
    assert_eq!(rules, ["listener.path", "MQTT-6.0.0-3", "RFC6455 4.2.1", "RFC6455 10.4", "RFC6455 4.2.1"]);
    assert_eq!(bench.handle.meters().connects_refused.get(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scanner_that_asks_again_and_again_is_counted_and_not_recorded_each_time() {
    let mut bench = Bench::start().await;
    let address = open(&mut bench, &[]).await;
    for _ in 0..20 {
        assert_eq!(answered(address, b"GET / HTTP/1.1\r\n\r\n"), "HTTP/1.1 404 Not Found");
    }
    let recorded = bench.log.count(Code::ProtocolViolation);
    assert!(recorded < 20, "{recorded} events");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_a_foreign_origin_is_refused_and_named() {
    let mut bench = Bench::start().await;
    let address = open(&mut bench, &["https://plant.example"]).await;
    let from = |origin: &str| request("/mqtt", &format!("Origin: {origin}\r\n"));
    assert_eq!(answered(address, from("https://evil.example").as_bytes()), "HTTP/1.1 403 Forbidden");
    assert_eq!(bench.log.rules(Code::AuthnOriginRefused), ["listener.origins"]);
    let mut web = Web::over(TcpStream::connect(address).unwrap());
    web.raw(from("https://plant.example").as_bytes());
    assert!(web.head().starts_with("HTTP/1.1 101"));
    web.greet(&Hello { id: "page", ..Hello::default() });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_trickles_in_is_cut_by_the_deadline_of_connect() {
    let mut bench = Bench::start().await;
    let config = ListenerConfig {
        transport: super::websocket(&[]),
        connect_timeout: Duration::from_millis(500),
        ..listener(None)
    };
    let address = bench.broker.listen(vec![config]).await.unwrap()[0];
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let endless = request("/mqtt", &"X: y\r\n".repeat(50));
    let closed = endless.bytes().any(|byte| {
        let gone = socket.write_all(&[byte]).is_err();
        gone || socket.read(&mut [0; 16]).is_ok_and(|n| n == 0)
    });
    assert!(closed, "hundreds of bytes at 20 ms each are many deadlines");
    assert_eq!(bench.log.count(Code::ProtocolTimeout), 1);
}
