//! What one address may do, and that another one does not notice.

use crate::support::{Bench, Client, Hello, PATIENCE, connect, dial_from, listener};
use cordon_core::event::Code;
use cordon_mqtt::{Limits, ListenerConfig, SourceLimits};
use std::time::Instant;

const ONE: [u8; 4] = [127, 0, 0, 2];
const OTHER: [u8; 4] = [127, 0, 0, 3];

async fn bench(sources: SourceLimits) -> Bench {
    Bench::with(Limits { sources, ..Limits::default() }).await
}

/// Nobody is exempt.
fn limits() -> SourceLimits {
    SourceLimits { exempt: Vec::new(), ..SourceLimits::default() }
}

/// A client from this address, or the reason code why not; `None` if it was closed without a word.
async fn join(bench: &Bench, source: [u8; 4], id: &str) -> Result<Client, Option<u8>> {
    use std::io::Write;
    let Some(mut socket) = dial_from(source, bench.address).await else { return Err(None) };
    // Whoever is closed at accept may find that out here.
    socket.write_all(&connect(&Hello { id, ..Hello::default() })).ok();
    let mut client = Client::over(socket);
    match client.try_next() {
        Some(connack) if connack.body[1] == 0 => Ok(client),
        Some(connack) => Err(Some(connack.body[1])),
        None => Err(None),
    }
}

/// A connection that breaks the standard, until it is closed.
async fn offend(bench: &Bench, source: [u8; 4]) {
    use std::io::Write;
    let Some(mut socket) = dial_from(source, bench.address).await else { return };
    socket.write_all(&[0xFF; 16]).ok();
    assert!(Client::over(socket).try_next().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_fails_too_often_is_closed_for_a_while_and_no_other() {
    let sources = SourceLimits { max_failures_per_second: 1, failure_burst: 5, ..limits() };
    let bench = bench(sources).await;
    let mut inside = join(&bench, ONE, "inside").await.unwrap();
    let start = Instant::now();
    while bench.handle.meters().sources_refused.get() == 0 {
        assert!(start.elapsed() < PATIENCE, "it is served for ever");
        offend(&bench, ONE).await;
    }
    let mut refused = 0;
    while let Err(code) = join(&bench, ONE, "late").await {
        assert_eq!(code, None, "without a word");
        assert!(start.elapsed() < PATIENCE, "it does not recover");
        refused += 1;
        join(&bench, OTHER, "other").await.unwrap().ping();
    }
    inside.ping();
    let told = bench.log.told(Code::LimitReached, "sources.max_failures_per_second");
    assert_eq!(told, (1, 1), "one event for {refused} refusals");
    assert!(bench.handle.meters().violations.get() >= 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_breaks_is_charged_to_its_address_too() {
    let sources = SourceLimits { max_failures_per_second: 1, failure_burst: 3, ..limits() };
    let bench = bench(sources).await;
    let start = Instant::now();
    while let Ok(mut client) = join(&bench, ONE, "a").await {
        assert!(start.elapsed() < PATIENCE, "it is served for ever");
        client.send(&[0xF0, 0]);
        while client.try_next().is_some() {}
    }
    assert!(join(&bench, OTHER, "b").await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_connects_too_often_is_closed_for_a_while_and_no_other() {
    let bench = bench(SourceLimits { max_connections_per_second: 2, ..limits() }).await;
    let start = Instant::now();
    while join(&bench, ONE, "a").await.is_ok() {
        assert!(start.elapsed() < PATIENCE, "it may connect as often as it likes");
    }
    assert!(join(&bench, OTHER, "b").await.is_ok());
    while join(&bench, ONE, "a").await.is_err() {
        assert!(start.elapsed() < PATIENCE, "it does not recover");
    }
    assert_eq!(bench.log.told(Code::LimitReached, "sources.max_connections_per_second"), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_has_so_many_clients_and_one_of_them_may_come_back() {
    let bench = bench(SourceLimits { max_connections: 2, ..limits() }).await;
    let _one = join(&bench, ONE, "a").await.unwrap();
    let two = join(&bench, ONE, "b").await.unwrap();
    assert_eq!(join(&bench, ONE, "c").await.err(), Some(Some(0x97)));
    assert_eq!(bench.log.told(Code::LimitReached, "sources.max_connections"), (1, 1));
    let _other = join(&bench, OTHER, "c").await.unwrap();
    let _again = join(&bench, ONE, "a").await.unwrap();
    drop(two);
    let start = Instant::now();
    while join(&bench, ONE, "d").await.is_err() {
        assert!(start.elapsed() < PATIENCE, "the place of one that has gone is not free");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exempt_address_is_not_limited() {
    let exempt = vec!["127.0.0.2/32".parse().unwrap()];
    let sources = SourceLimits { max_failures_per_second: 1, failure_burst: 1, max_connections: 1, ..limits() };
    let bench = bench(SourceLimits { exempt, ..sources }).await;
    for _ in 0..20 {
        offend(&bench, ONE).await;
    }
    let _clients = [join(&bench, ONE, "a").await.unwrap(), join(&bench, ONE, "b").await.unwrap()];
    assert_eq!(bench.handle.meters().sources_refused.get(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_limits_hold_from_the_next_connection_on() {
    let bench = bench(limits()).await;
    let _clients = [join(&bench, ONE, "a").await.unwrap(), join(&bench, ONE, "b").await.unwrap()];
    bench.handle.set_limits(&Limits { sources: SourceLimits { max_connections: 1, ..limits() }, ..Limits::default() });
    assert_eq!(join(&bench, ONE, "c").await.err(), Some(Some(0x97)));
    bench.handle.set_limits(&Limits { sources: limits(), ..Limits::default() });
    let _third = join(&bench, ONE, "c").await.unwrap();
    bench.handle.set_listeners(&[ListenerConfig { max_connections: 3, ..listener(None) }]);
    assert_eq!(join(&bench, OTHER, "d").await.err(), Some(Some(0x89)), "the listener is full");
    assert_eq!(bench.log.told(Code::LimitReached, "listener.max_connections"), (1, 1));
}
