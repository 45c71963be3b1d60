//! Connections that never become clients, on purpose.

use crate::support::{Bench, Client, Hello, connect, dial_from, listener, until};
use crate::tls::open_with;
use cordon_core::event::Code;
use cordon_mqtt::{Limits, ListenerConfig, SourceLimits, Transport};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

/// Room for a few.
fn narrow() -> ListenerConfig {
    ListenerConfig { max_pending: 8, max_pending_per_address: 4, ..listener(None) }
}

async fn open(bench: &mut Bench, config: ListenerConfig) -> SocketAddr {
    bench.broker.listen(vec![config]).await.unwrap()[0]
}

/// Connections from ever new addresses, each of which says this and no more.
async fn half_open(address: SocketAddr, count: u16, says: &[u8]) -> Vec<TcpStream> {
    let mut sockets = Vec::new();
    for number in 0..count {
        let [high, low] = number.to_be_bytes();
        let mut socket = dial_from([127, 1, high, low.max(1)], address).await.unwrap();
        socket.write_all(says).ok();
        sockets.push(socket);
    }
    sockets
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_say_nothing_keep_nobody_out() {
    let mut bench = Bench::start().await;
    let address = open(&mut bench, narrow()).await;
    let _silent = half_open(address, 100, b"").await;
    for id in ["a", "b"] {
        Client::greet(dial_from([127, 0, 0, 9], address).await.unwrap(), &Hello { id, ..Hello::default() }).ping();
    }
    let meters = bench.handle.meters();
    assert!(meters.pending_displaced.get() > 0);
    until("each that gave way was told", || {
        bench.log.told(Code::LimitReached, "listener.max_pending").0 == meters.pending_displaced.get()
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_that_says_nothing_keeps_neither_others_out_nor_itself() {
    let mut bench = Bench::start().await;
    let address = open(&mut bench, narrow()).await;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(dial_from([127, 0, 0, 2], address).await.unwrap());
    }
    for source in [[127, 0, 0, 3], [127, 0, 0, 2]] {
        let hello = Hello { id: "a", ..Hello::default() };
        Client::greet(dial_from(source, address).await.unwrap(), &hello).ping();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_that_never_begin_keep_nobody_out() {
    let mut bench = Bench::start().await;
    let tls = open_with(&mut bench, Transport::Tcp, narrow()).await;
    let _silent = half_open(tls.address, 50, b"").await;
    let mut stream = tls.dial_offering(&[]);
    stream.write_all(&connect(&Hello { id: "a", v5: false, ..Hello::default() })).unwrap();
    stream.read_exact(&mut [0; 4]).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_begin_and_stop_do_not_keep_out_who_was_here_before() {
    let sources = SourceLimits { exempt: Vec::new(), ..SourceLimits::default() };
    let mut bench = Bench::with(Limits { sources, ..Limits::default() }).await;
    let address = open(&mut bench, narrow()).await;
    let hello = Hello { id: "a", ..Hello::default() };
    drop(Client::greet(dial_from([127, 0, 0, 9], address).await.unwrap(), &hello));
    let _begun = half_open(address, 50, &[0x10, 0x20]).await;
    Client::greet(dial_from([127, 0, 0, 9], address).await.unwrap(), &hello).ping();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn few_addresses_that_begin_and_stop_keep_nobody_out() {
    let sources = SourceLimits { exempt: Vec::new(), ..SourceLimits::default() };
    let mut bench = Bench::with(Limits { sources, ..Limits::default() }).await;
    let address = open(&mut bench, narrow()).await;
    let mut begun = Vec::new();
    for round in 0..8 {
        let mut socket = dial_from([127, 0, 0, 2 + round % 2], address).await.unwrap();
        socket.write_all(&[0x10, 0x20]).unwrap();
        begun.push(socket);
    }
    for source in 10..14 {
        let hello = Hello { id: "a", ..Hello::default() };
        Client::greet(dial_from([127, 0, 0, source], address).await.unwrap(), &hello).ping();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_begin_and_stop_give_way_after_half_of_their_time() {
    let sources = SourceLimits { exempt: Vec::new(), ..SourceLimits::default() };
    let mut bench = Bench::with(Limits { sources, ..Limits::default() }).await;
    let time = std::time::Duration::from_secs(2);
    let address = open(&mut bench, ListenerConfig { connect_timeout: time, ..narrow() }).await;
    // The first bytes of a CONNECT.
    let _begun = half_open(address, 8, &[0x10, 0x20]).await;
    let start = Instant::now();
    loop {
        let mut socket = dial_from([127, 0, 0, 9], address).await.unwrap();
        socket.write_all(&connect(&Hello { id: "a", ..Hello::default() })).ok();
        if Client::over(socket).try_next().is_some_and(|connack| connack.body[1] == 0) {
            break;
        }
        assert!(start.elapsed() < time * 5, "nobody gives way");
    }
    assert_eq!(bench.log.count(Code::ProtocolTimeout), 0, "their whole time was not over yet");
}

/// By hand: `cargo test -p cordon-mqtt --test broker ten_thousand -- --ignored --nocapture`, with `ulimit -n 20000`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::print_stdout, reason = "figures for whoever runs it by hand")]
#[ignore = "opens ten thousand connections; for figures, run it alone and by hand"]
async fn ten_thousand_half_open_connections_slow_nobody_down() {
    let sources = SourceLimits { exempt: Vec::new(), ..SourceLimits::default() };
    let mut bench = Bench::with(Limits { sources, ..Limits::default() }).await;
    let config = ListenerConfig { max_pending: 512, max_pending_per_address: 256, ..listener(None) };
    let address = open(&mut bench, config).await;
    let mut inside =
        Client::greet(dial_from([127, 0, 0, 9], address).await.unwrap(), &Hello { id: "in", ..Hello::default() });
    let calm = pings(&mut inside);
    let before = resident();
    let flood = tokio::spawn(async move { half_open(address, 10_000, b"").await });
    let mut worst = calm;
    let mut newcomers = Vec::new();
    while !flood.is_finished() {
        let found = pings(&mut inside);
        worst = (worst.0.max(found.0), worst.1.max(found.1));
        let start = Instant::now();
        let id = newcomers.len().to_string();
        let hello = Hello { id: &id, ..Hello::default() };
        Client::greet(dial_from([127, 0, 0, 10], address).await.unwrap(), &hello).ping();
        newcomers.push(start.elapsed());
    }
    let held = flood.await.unwrap();
    let after = resident();
    newcomers.sort();
    println!("a client's ping (median, worst): calm {calm:?}, during {worst:?}");
    let (median, worst) = (newcomers[newcomers.len() / 2], newcomers.last());
    println!("to connect and ping, {} newcomers during the flood: {median:?}, {worst:?}", newcomers.len());
    println!("resident with {} sockets of the flood: {before} KiB before, {after} KiB after", held.len());
    Client::greet(dial_from([127, 0, 0, 11], address).await.unwrap(), &Hello { id: "after", ..Hello::default() })
        .ping();
    assert!(bench.handle.meters().pending_displaced.get() >= 9000);
}

/// The median and the longest of a hundred round trips.
fn pings(client: &mut Client) -> (std::time::Duration, std::time::Duration) {
    let mut times: Vec<_> = (0..100)
        .map(|_| {
            let start = Instant::now();
            client.ping();
            start.elapsed()
        })
        .collect();
    times.sort();
    (times[50], times[99])
}

/// The memory of this process in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
