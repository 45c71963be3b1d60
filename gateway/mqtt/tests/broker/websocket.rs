//! MQTT over WebSocket (MQTT 5, chapter 6): the same broker behind frames.

mod client;
mod endings;
mod refused;

use crate::support::{Bench, Hello, connect, publish, subscribe};
use crate::tls::open_for;
use client::{BINARY, CLOSE, PING, PONG, Web, frame, open, request, websocket};
use cordon_core::event::Code;
use cordon_core::isolation::Level;
use cordon_mqtt::Limits;
use std::io::Write;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_both_transports_reach_each_other_at_every_qos_and_version() {
    let mut bench = Bench::start().await;
    let address = open(&mut bench, &[]).await;
    for v5 in [false, true] {
        let mut web = Web::connect(address, &Hello { id: "web", v5, ..Hello::default() });
        let mut tcp = bench.client_with(&Hello { id: "tcp", v5, ..Hello::default() });
        web.subscribe("to/web", 2);
        tcp.subscribe("to/tcp", 2);
        for qos in 0..3_u8 {
            let id = (qos > 0).then_some(7);
            tcp.send(&publish("to/web", 0x30 | qos << 1, id, b"from tcp", v5));
            let message = web.packet_of(3);
            assert_eq!((message.first >> 1 & 3, message.message(v5).2), (qos, b"from tcp".to_vec()));
            web.send(&publish("to/tcp", 0x30 | qos << 1, id, b"from web", v5));
            let message = loop {
                let packet = tcp.next();
                if packet.kind() == 3 {
                    break packet;
                }
            };
            assert_eq!((message.first >> 1 & 3, message.message(v5).2), (qos, b"from web".to_vec()));
            if qos == 2 {
                web.packet_of(5);
                web.send(&[0x62, 2, 0, 7]);
                assert_eq!(web.packet_of(7).body[..2], [0, 7]);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_may_be_split_over_frames_and_share_one() {
    let mut bench = Bench::start().await;
    let address = open(&mut bench, &[]).await;
    let mut web = Web::dial(address);
    let hello = connect(&Hello { id: "web", v5: false, ..Hello::default() });
    // A byte a fragment, with empty fragments and a ping between them.
    for (at, byte) in hello.iter().enumerate() {
        let first = if at == 0 { 2 } else { 0 };
        web.raw(&frame(first, &[*byte]));
        web.raw(&frame(0, b""));
    }
    web.raw(&frame(PING, b"still there?"));
    web.raw(&frame(0x80, b""));
    assert_eq!(web.frame(), Some((PONG, b"still there?".to_vec())));
    assert_eq!(web.packet().first, 0x20);
    let many = [subscribe("t", 0, false), publish("t", 0x30, None, b"1", false), publish("t", 0x30, None, b"2", false)];
    let many = many.concat();
    let (head, tail) = many.split_at(20);
    web.raw(&[frame(BINARY, head), frame(BINARY, tail)].concat());
    assert_eq!(web.packet().first, 0x90);
    assert_eq!(web.packet().message(false).2, b"1");
    assert_eq!(web.packet().message(false).2, b"2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_wait_for_the_answers_is_served_all_the_same() {
    let mut bench = Bench::start().await;
    let address = open(&mut bench, &[]).await;
    let mut watcher = bench.client("watcher");
    watcher.subscribe("t", 0);
    let hello = connect(&Hello { id: "web", v5: false, ..Hello::default() });
    let all = [&hello[..], &publish("t", 0x30, None, b"x", false), &[0xE0, 0]].concat();
    let mut web = Web::over(std::net::TcpStream::connect(address).unwrap());
    web.raw(&[request("/mqtt", "").into_bytes(), frame(BINARY, &all), frame(CLOSE, b"")].concat());
    assert!(web.head().starts_with("HTTP/1.1 101"));
    assert_eq!(web.packet().first, 0x20);
    assert_eq!(web.frame(), Some((CLOSE, 1000_u16.to_be_bytes().to_vec())));
    assert_eq!(web.frame(), None);
    assert_eq!(watcher.payload(), "x");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_messages_pass_whole_through_frames_larger_than_a_packet_may_be() {
    let mut bench = Bench::with(Limits { max_packet_size: 64 * 1024, ..Limits::default() }).await;
    let address = open(&mut bench, &[]).await;
    let mut web = Web::connect(address, &Hello { id: "web", ..Hello::default() });
    web.subscribe("t", 0);
    let message = |n: u8| publish("t", 0x30, None, &vec![n; 60_000], true);
    let all: Vec<u8> = (0..20).flat_map(message).collect();
    let mut sending = web.stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || sending.write_all(&frame(BINARY, &all)).unwrap());
    for n in 0..20 {
        assert_eq!(web.packet().message(true).2, vec![n; 60_000]);
    }
    sender.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browsers_connect_over_tls_with_the_protocol_they_offer() {
    let mut bench = Bench::start().await;
    let tls = open_for(&mut bench, websocket(&[])).await;
    for offered in [&[][..], &["http/1.1"]] {
        let mut web = Web::over(tls.dial_offering(offered));
        web.raw(request("/mqtt", "").as_bytes());
        assert!(web.head().starts_with("HTTP/1.1 101"));
        web.greet(&Hello { id: "web", ..Hello::default() });
        web.subscribe("t", 1);
        for round in 0..5_u8 {
            web.send(&publish("t", 0x30, None, &vec![round; 100_000], true));
            assert_eq!(web.packet().message(true).2, vec![round; 100_000]);
        }
        web.send(&[0xE0, 0]);
        assert_eq!(web.frame(), Some((CLOSE, 1000_u16.to_be_bytes().to_vec())));
        assert_eq!(web.frame(), None, "an orderly end of TLS");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_pings_that_nobody_reads_the_answers_of_makes_no_queue() {
    let mut bench = Bench::start().await;
    let address = open(&mut bench, &[]).await;
    let mut web = Web::connect(address, &Hello { id: "web", ..Hello::default() });
    let pings = frame(PING, &[7; 125]).repeat(1000);
    for _ in 0..200 {
        web.raw(&pings);
    }
    web.send(&[0xC0, 0]);
    let mut pongs = 0;
    loop {
        match web.frame().unwrap() {
            (PONG, payload) => pongs += usize::from(payload == [7; 125]),
            (BINARY, payload) => break assert_eq!(payload, [0xD0, 0]),
            other => panic!("{other:?}"),
        }
    }
    assert!((1..=200_000).contains(&pongs), "{pongs} pongs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ping_of_the_transport_is_no_sign_of_life_of_mqtt() {
    let mut bench = Bench::start().await;
    let address = open(&mut bench, &[]).await;
    let mut web = Web::connect(address, &Hello { id: "web", keep_alive: 1, ..Hello::default() });
    let start = Instant::now();
    let last = loop {
        web.stream.write_all(&frame(PING, b"")).ok();
        match web.frame().unwrap() {
            (PONG, _) => assert!(start.elapsed() < Duration::from_secs(8), "pings keep the session"),
            (kind, payload) => break (kind, payload[0], payload[2]),
        }
    };
    assert_eq!(last, (BINARY, 0xE0, 0x8D));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_cuts_a_websocket_on_the_next_packet_and_takes_back_what_waits() {
    let mut bench = Bench::with(Limits { max_unsent_bytes: 64 << 20, ..Limits::default() }).await;
    let address = open(&mut bench, &[]).await;
    let mut web = Web::connect(address, &Hello { id: "slow", ..Hello::default() });
    web.subscribe("t", 0);
    let mut bad = Web::connect(address, &Hello { id: "bad", ..Hello::default() });
    let body = vec![0; 50_000];
    for _ in 0..600 {
        bad.send(&publish("t", 0x30, None, &body, true));
    }
    bad.send(&[0xC0, 0]);
    bad.packet_of(13);
    while bench.handle.meters().messages_out.get() < 600 {
        tokio::task::yield_now().await;
    }
    bench.isolate("bad", Level::Quarantine, &[]).await;
    bad.send(&publish("t", 0x32, Some(1), b"late", true));
    assert_eq!(bad.packet().body[2], 0x87);
    web.send(&[0xC0, 0]);
    let mut passed = 0;
    while web.packet().kind() == 3 {
        passed += 1;
    }
    assert!(passed < 300, "{passed} of 600 messages came, more than the system had taken by then");
    bench.isolate("bad", Level::Disconnect, &[]).await;
    let last = bad.packet();
    assert_eq!((last.first, last.body[0]), (0xE0, 0x87));
    let (kind, why) = bad.frame().unwrap();
    assert_eq!((kind, &why[..2]), (CLOSE, &1008_u16.to_be_bytes()[..]));
    assert_eq!(bench.log.count(Code::ProtocolViolation), 0);
}
