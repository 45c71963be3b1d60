//! One test per trap of rumqttd 0.20's server, and that Cordon's own listener is not in it.

use crate::support::{Bench, Client, Hello, connect, listener, packet, subscribe, until};
use cordon_core::event::Code;
use cordon_mqtt::Auth;
use std::io::Read;
use std::net::TcpStream;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_id_with_wildcards_and_slashes_is_an_id_like_any_other_again_and_again() {
    let bench = Bench::start().await;
    for id in ["a+b", "#", "$x", "/", "a/b#+$", "+"] {
        for _ in 0..3 {
            let mut client = bench.client(id);
            client.subscribe("t", 0);
            client.publish("t", b"x", false);
        }
    }
    assert!(bench.client("plain").ping().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_reconnects_of_one_client_leave_the_listener_alive() {
    let bench = Bench::start().await;
    for round in 0..500 {
        let mut client = bench.client_with(&Hello { id: "again", v5: round % 2 == 0, ..Hello::default() });
        if round % 3 == 0 {
            client.send(&[0xE0, 0]);
        }
    }
    assert!(bench.client("other").ping().is_empty());
    until("one connection is left", || bench.handle.meters().connections.get() <= 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_clients_are_told_so() {
    let bench = Bench::start().await;
    let _all: Vec<_> = (0..100).map(|n| bench.client(&format!("c{n}"))).collect();
    let mut one_more = Client::over(TcpStream::connect(bench.address).unwrap());
    one_more.send(&connect(&Hello { id: "late", ..Hello::default() }));
    assert_eq!(one_more.next().body[1], 0x89);
    assert_eq!(one_more.try_next(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keep_alive_0_is_accepted_in_both_versions_on_one_port() {
    let bench = Bench::start().await;
    let mut three = bench.client_with(&Hello { id: "three", v5: false, keep_alive: 0, ..Hello::default() });
    let mut five = bench.client_with(&Hello { id: "five", keep_alive: 0, ..Hello::default() });
    three.subscribe("t", 0);
    five.publish("t", b"x", false);
    assert_eq!(three.payload(), "x");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_login_gets_a_connack_and_an_event_with_the_address() {
    let mut bench = Bench::start().await;
    let address = bench.broker.listen(vec![cordon_mqtt::ListenerConfig { auth: Auth::Password, ..listener(None) }]);
    let address = address.await.unwrap()[0];
    let mut client = Client::over(TcpStream::connect(address).unwrap());
    client.send(&packet(0x10, &[b"\0\x04MQTT\x04\xC2\0\0\0\x01a\0\x01u\0\x01p"]));
    let connack = client.next();
    assert_eq!((connack.first, connack.body), (0x20, vec![0, 4]));
    assert_eq!(client.try_next(), None);
    let port = client.socket.local_addr().unwrap();
    until("the event names the peer", || bench.log.has_peer(Code::AuthnUnknownUser, port));
    assert_eq!(bench.log.total(Code::AuthnUnknownUser), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_that_only_a_server_may_send_are_refused_and_panic_nothing() {
    let bench = Bench::start().await;
    let packets: [&[u8]; 5] =
        [&[0x20, 3, 0, 0, 0], &[0x90, 4, 0, 1, 0, 0], &[0xB0, 4, 0, 1, 0, 0], &[0xD0, 0], &[0xE0, 5, 0, 3, 0x1C, 0, 0]];
    for bytes in packets {
        let mut client = bench.client("a");
        client.send(bytes);
        assert_eq!((client.next().body[0], client.try_next()), (0x82, None), "{bytes:02x?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disconnect_without_properties_has_no_stray_byte() {
    let bench = Bench::start().await;
    let mut first = bench.client("a");
    let _second = bench.client("a");
    let mut bytes = Vec::new();
    first.socket.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, [0xE0, 1, 0x8E]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_accepted_without_a_pause_between_them() {
    let bench = Bench::start().await;
    let sockets: Vec<_> = (0..90).map(|_| TcpStream::connect(bench.address).unwrap()).collect();
    // The last one is served although none before it has said a word.
    let mut last = bench.client("last");
    last.send(&subscribe("t", 0, true));
    assert_eq!(last.next().kind(), 9);
    drop(sockets);
}
