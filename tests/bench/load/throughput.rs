//! As many messages as the broker takes: publishers send in windows, subscribers count.

use super::client::{Client, Packet, Target, ack, publish};
use super::process;
use crate::Options;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

/// Messages written in one go.
const CHUNK: usize = 50;
/// QoS 1 and 2 messages in flight per publisher.
const WINDOW: usize = 100;
/// A subscriber that hears nothing for so long has heard all it will.
const SILENCE: Duration = Duration::from_secs(2);

pub(crate) fn run(target: &Target, options: &Options, publishers: usize, subscribers: usize) -> Result<Value> {
    let publishers = options.number("publishers", publishers)?;
    let subscribers = options.number("subscribers", subscribers)?;
    let messages = options.number("messages", 100_000)?;
    let qos = u8::try_from(options.number("qos", 0)?)?;
    let payload = vec![b'x'; options.number("size", 64)?];
    let expected = publishers * messages;
    let start = Arc::new(Barrier::new(publishers + subscribers + 1));
    let failed = Arc::new(AtomicBool::new(false));
    let mut readers = Vec::new();
    for number in 0..subscribers {
        let mut client = target.connect(&format!("load-sub-{number}"))?;
        client.subscribe(&format!("{}/#", target.topic), qos)?;
        client.stream.set_read_timeout(Some(SILENCE))?;
        let start = start.clone();
        readers.push(thread::spawn(move || {
            start.wait();
            count(client, expected)
        }));
    }
    let mut writers = Vec::new();
    for number in 0..publishers {
        let client = target.connect(&format!("load-pub-{number}"))?;
        let (start, failed, payload) = (start.clone(), failed.clone(), payload.clone());
        let topic = format!("{}/{number}", target.topic);
        writers.push(thread::spawn(move || {
            start.wait();
            let sent = if qos == 0 {
                flood(client, &topic, &payload, messages)
            } else {
                windowed(client, &topic, &payload, messages, qos)
            };
            failed.fetch_or(sent.is_err(), Ordering::Relaxed);
        }));
    }
    let before = target.pid.map(process::cpu).transpose()?;
    start.wait();
    let begin = Instant::now();
    for writer in writers {
        writer.join().ok().context("a publisher panicked")?;
    }
    let sent = begin.elapsed();
    let mut received = 0;
    let mut last = begin;
    for reader in readers {
        let (count, at) = reader.join().ok().context("a subscriber panicked")??;
        received += count;
        last = last.max(at);
    }
    let took = last.duration_since(begin).as_secs_f64();
    let used = match (target.pid, before) {
        (Some(pid), Some(before)) => Some((process::cpu(pid)? - before) / received.max(1) as f64 * 1e6),
        _ => None,
    };
    Ok(json!({
        "publishers": publishers, "subscribers": subscribers, "qos": qos, "published": expected,
        "delivered": received, "complete": received == expected * subscribers && !failed.load(Ordering::Relaxed),
        "deliveries_per_second": (received as f64 / took).round(),
        "publishes_per_second": (expected as f64 / sent.as_secs_f64()).round(),
        "cpu_us_per_delivery": used.map(|used| (used * 100.0).round() / 100.0),
    }))
}

fn count(mut client: Client, expected: usize) -> Result<(usize, Instant)> {
    let (mut received, mut last) = (0, Instant::now());
    let mut answers = Vec::new();
    while received < expected {
        let read = client.read(|packet| match packet {
            Packet::Publish { qos, id, .. } => {
                received += 1;
                match qos {
                    1 => ack(&mut answers, 0x40, id),
                    2 => ack(&mut answers, 0x50, id),
                    _ => {}
                }
            }
            Packet::Ack { kind: 6, id } => ack(&mut answers, 0x70, id),
            _ => {}
        });
        match read {
            Ok(true) => last = Instant::now(),
            Ok(false) | Err(_) => break,
        }
        client.stream.write_all(&answers)?;
        answers.clear();
    }
    Ok((received, last))
}

fn flood(mut client: Client, topic: &str, payload: &[u8], messages: usize) -> Result<()> {
    let mut chunk = Vec::new();
    for _ in 0..CHUNK {
        publish(&mut chunk, topic, payload, 0, 0);
    }
    let one = chunk.len() / CHUNK;
    let mut left = messages;
    while left > 0 {
        let now = left.min(CHUNK);
        client.stream.write_all(&chunk[..now * one])?;
        left -= now;
    }
    // Closing at once could discard what the broker has not read yet.
    client.stream.write_all(&[0xC0, 0])?;
    client.read(|_| {})?;
    Ok(())
}

fn windowed(mut client: Client, topic: &str, payload: &[u8], messages: usize, qos: u8) -> Result<()> {
    let (mut sent, mut done, mut out) = (0_usize, 0_usize, Vec::new());
    while done < messages {
        while sent < messages && sent - done < WINDOW {
            let id = u16::try_from(sent % 65_000 + 1)?;
            publish(&mut out, topic, payload, qos, id);
            sent += 1;
        }
        client.stream.write_all(&out)?;
        out.clear();
        client.read(|packet| match packet {
            Packet::Ack { kind: 4 | 7, .. } => done += 1,
            Packet::Ack { kind: 5, id } => ack(&mut out, 0x62, id),
            _ => {}
        })?;
    }
    Ok(())
}
