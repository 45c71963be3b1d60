//! As many messages as the broker takes: publishers send in chunks or windows, subscribers count.

use super::client::{Client, Got};
use super::packet::{PING, Packet, ack, publish};
use super::process::Stretch;
use super::subscriber::{Received, Sent, count};
use super::target::Target;
use crate::Options;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

/// Messages written in one go at QoS 0.
const CHUNK: usize = 50;
/// QoS 1 and 2 messages in flight per publisher.
const WINDOW: usize = 100;

/// What a publisher sends.
#[derive(Clone)]
struct Plan {
    topic: String,
    payload: Vec<u8>,
    qos: u8,
    /// How many messages, at most.
    messages: usize,
    /// How long, at most.
    time: Duration,
}

pub(crate) fn run(target: &Target, options: &Options, publishers: usize, subscribers: usize) -> Result<Value> {
    let publishers = options.number("publishers", publishers)?;
    let subscribers = options.number("subscribers", subscribers)?;
    let qos = u8::try_from(options.number("qos", 0)?)?;
    let messages = options.number("messages", usize::MAX)?;
    let timed = messages == usize::MAX;
    let time = Duration::from_secs(if timed { options.number("seconds", 3)? as u64 } else { 3600 });
    let payload = vec![b'x'; options.number("size", 64)?];
    let start = Arc::new(Barrier::new(publishers + subscribers + 1));
    let (sent, failed) = (Arc::new(Sent::default()), Arc::new(AtomicBool::new(false)));
    let mut readers = Vec::new();
    for number in 0..subscribers {
        let mut client = target.connect(&format!("sub-{number}"))?;
        client.subscribe(&target.topic("+"), qos)?;
        let (start, sent) = (start.clone(), sent.clone());
        readers.push(thread::spawn(move || {
            start.wait();
            count(client, &sent, Instant::now() + time)
        }));
    }
    let mut writers = Vec::new();
    for number in 0..publishers {
        let name = format!("pub-{number}");
        let client = target.connect(&name)?;
        let plan = Plan { topic: target.topic(&name), payload: payload.clone(), qos, messages, time };
        let (start, sent, failed) = (start.clone(), sent.clone(), failed.clone());
        writers.push(thread::spawn(move || {
            start.wait();
            let done = if qos == 0 { flood(client, &plan, &sent) } else { windowed(client, &plan, &sent) };
            failed.fetch_or(done.is_err(), Ordering::Relaxed);
        }));
    }
    options.command("begin")?;
    let stretch = Stretch::begin(target.pid)?;
    start.wait();
    let begin = Instant::now();
    for writer in writers {
        writer.join().ok().context("a publisher panicked")?;
    }
    let (published, publishing) = (sent.close(), begin.elapsed());
    let mut all: Vec<Received> = Vec::new();
    for reader in readers {
        all.push(reader.join().ok().context("a subscriber panicked")??);
    }
    let received: usize = all.iter().map(|received| received.all).sum();
    ensure!(received > 0, "nothing was delivered");
    let last = all.iter().map(|received| received.last).max().unwrap_or(begin);
    let used = stretch.end_at(last)?;
    options.command("end")?;
    let rate = if timed {
        all.iter().map(|received| received.in_time).sum::<usize>() as f64 / time.as_secs_f64()
    } else {
        received as f64 / last.duration_since(begin).as_secs_f64()
    };
    let share = received as f64 / (published * subscribers).max(1) as f64;
    let settled = all.iter().all(|received| received.settled);
    Ok(json!({
        "publishers": publishers, "subscribers": subscribers, "qos": qos, "published": published, "delivered": received,
        "delivered_percent": settled.then(|| (share * 10_000.0).floor() / 100.0),
        "failed": failed.load(Ordering::Relaxed), "deliveries_per_second": rate.round(),
        "publishes_per_second": (published as f64 / publishing.as_secs_f64()).round(),
        "cpu_us_per_delivery": used.micros_each(received),
        "broker_cores": used.broker_cores(), "generator_cores": used.generator_cores(),
    }))
}

fn flood(mut client: Client, plan: &Plan, sent: &Sent) -> Result<()> {
    let mut chunk = Vec::new();
    for _ in 0..CHUNK {
        publish(&mut chunk, &plan.topic, &plan.payload, 0, 0);
    }
    let one = chunk.len() / CHUNK;
    let (mut left, end) = (plan.messages, Instant::now() + plan.time);
    while left > 0 && Instant::now() < end {
        let now = left.min(CHUNK);
        client.send(&chunk[..now * one])?;
        sent.add(now);
        left -= now;
    }
    // Closing at once could discard what the broker has not read yet. A slow one may not come to it in time.
    client.send(&PING)?;
    ensure!(client.read(|_| {})? != Got::End, "the broker has ended the connection");
    client.leave()
}

fn windowed(mut client: Client, plan: &Plan, sent: &Sent) -> Result<()> {
    let (mut begun, mut done, mut out) = (0_usize, 0_usize, Vec::new());
    let end = Instant::now() + plan.time;
    loop {
        let over = Instant::now() >= end;
        let before = begun;
        while !over && begun < plan.messages && begun - done < WINDOW {
            let id = u16::try_from(begun % 65_000 + 1)?;
            publish(&mut out, &plan.topic, &plan.payload, plan.qos, id);
            begun += 1;
        }
        sent.add(begun - before);
        client.send(&out)?;
        out.clear();
        if done == begun {
            return client.leave();
        }
        let got = client.read(|packet| match packet {
            Packet::Ack { kind: 4 | 7, .. } => done += 1,
            Packet::Ack { kind: 5, id } => ack(&mut out, 0x62, id),
            _ => {}
        })?;
        ensure!(got == Got::Something, "{} messages were not acknowledged", begun - done);
    }
}
