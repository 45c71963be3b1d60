//! What clients at full speed take from the others of their worker.

use crate::support::{Bench, publish};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_while_others_flood_is_let_in_and_answered() {
    let bench = Bench::start().await;
    let mut subscriber = bench.client("sub");
    subscriber.subscribe("t", 0);
    let end = subscriber.socket.try_clone().unwrap();
    let reading = thread::spawn(move || {
        let mut room = vec![0; 64 * 1024];
        while subscriber.socket.read(&mut room).unwrap() > 0 {}
    });
    let stop = Arc::new(AtomicBool::new(false));
    let mut floods = Vec::new();
    for number in 0..4 {
        // Each of these fails when an answer takes longer than the harness has patience.
        let mut client = bench.client(&format!("client-{number}"));
        client.ping();
        client.publish("other", b"x", false);
        let stop = stop.clone();
        floods.push(thread::spawn(move || {
            let chunk: Vec<u8> = (0..50).flat_map(|_| publish("t", 0x30, None, &[0; 64], true)).collect();
            while !stop.load(Ordering::Relaxed) {
                client.socket.write_all(&chunk).unwrap();
            }
        }));
    }
    bench.client("last").ping();
    stop.store(true, Ordering::Relaxed);
    floods.into_iter().for_each(|flood| flood.join().unwrap());
    end.shutdown(Shutdown::Both).unwrap();
    reading.join().unwrap();
}
