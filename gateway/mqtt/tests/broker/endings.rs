//! How connections end: the client reads why, whatever it is doing at that moment.

use crate::support::{Bench, Hello, LASTING, publish};
use std::io::{Read, Write};
use std::time::Duration;

/// The reason of the DISCONNECT that comes next, and that nothing comes after it.
fn farewell(client: &mut crate::support::Client) -> u8 {
    let last = client.try_next().expect("a DISCONNECT");
    assert_eq!(last.first, 0xE0, "{last:?}");
    assert_eq!(client.try_next(), None);
    last.body.first().copied().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_is_told_to_every_client_even_one_that_is_sending() {
    let bench = Bench::start().await;
    let mut idle = bench.client("idle");
    let mut busy = bench.client("busy");
    busy.send(&publish("t", 0x30, None, &[0; 1000], true).repeat(50));
    bench.broker.stop(Duration::from_secs(5)).await;
    assert_eq!(farewell(&mut idle), 0x8B);
    assert_eq!(farewell(&mut busy), 0x8B);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_breaks_the_standard_and_goes_on_sending_still_reads_why() {
    let bench = Bench::start().await;
    let mut client = bench.client("a");
    let mut noise = vec![0x00, 0x00];
    noise.extend(vec![0xC0; 200_000]);
    client.socket.write_all(&noise).ok();
    assert_eq!(farewell(&mut client), 0x81);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_taken_over_reads_so_and_its_place_is_free_at_once() {
    let bench = Bench::start().await;
    let mut old = bench.client("a");
    let mut new = bench.client("a");
    assert_eq!(farewell(&mut old), 0x8E);
    assert!(new.ping().is_empty());
    assert_eq!(bench.handle.meters().connections.get(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_trickle_in_do_not_keep_a_connection_alive() {
    let bench = Bench::start().await;
    let mut client = bench.client_with(&Hello { id: "slow", keep_alive: 1, ..Hello::default() });
    client.socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let whole = publish("t", 0x30, None, &[0; 120], true);
    let closed = whole.iter().any(|byte| {
        let gone = client.socket.write_all(&[*byte]).is_err();
        let mut answer = [0; 16];
        gone || client.socket.read(&mut answer).is_ok_and(|n| n == 0 || answer[0] == 0xE0)
    });
    assert!(closed, "120 bytes at 50 ms each are four keep-alives");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_outlives_its_connection_is_told_as_disconnected() {
    let bench = Bench::start().await;
    let mut client = bench.client_with(&Hello { id: "a", properties: LASTING, ..Hello::default() });
    client.subscribe("t", 1);
    client.send(&[0xE0, 0]);
    assert_eq!(client.try_next(), None);
    let sessions = bench.handle.sessions().await;
    assert_eq!(sessions.len(), 1);
    assert_eq!((sessions[0].peer, sessions[0].persistent), (None, true));
}
