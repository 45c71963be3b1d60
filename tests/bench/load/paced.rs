//! A steady pace: what a delivery costs the broker, and how long it takes.

use super::client::{Client, Packet, Target, publish};
use super::process;
use crate::Options;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) fn pairs(target: &Target, options: &Options) -> Result<Value> {
    let pairs = options.number("pairs", 4)?;
    run(target, options, pairs, pairs, options.number("rate", 2000)?)
}

pub(crate) fn many_to_one(target: &Target, options: &Options) -> Result<Value> {
    run(target, options, options.number("publishers", 50)?, 1, options.number("rate", 20)?)
}

fn run(target: &Target, options: &Options, publishers: usize, subscribers: usize, rate: usize) -> Result<Value> {
    let seconds = options.number("seconds", 5)?;
    let qos = u8::try_from(options.number("qos", 0)?)?;
    let size = options.number("size", 64)?.max(8);
    let epoch = Instant::now();
    let stop = Arc::new(AtomicBool::new(false));
    let mut readers = Vec::new();
    for number in 0..subscribers {
        let mut client = target.connect(&format!("load-sub-{number}"))?;
        let filter =
            if subscribers == 1 { format!("{}/#", target.topic) } else { format!("{}/{number}", target.topic) };
        client.subscribe(&filter, qos)?;
        client.stream.set_read_timeout(Some(Duration::from_millis(200)))?;
        let stop = stop.clone();
        readers.push(thread::spawn(move || latencies(client, epoch, &stop)));
    }
    let mut writers = Vec::new();
    for number in 0..publishers {
        let client = target.connect(&format!("load-pub-{number}"))?;
        let topic = format!("{}/{number}", target.topic);
        let offset = Duration::from_nanos(1_000_000_000 / rate.max(1) as u64 * number as u64 / publishers as u64);
        writers.push(thread::spawn(move || send(client, &topic, epoch, offset, rate, rate * seconds, size)));
    }
    let before = target.pid.map(process::cpu).transpose()?;
    for writer in writers {
        writer.join().ok().context("a publisher panicked")??;
    }
    let used = match (target.pid, before) {
        (Some(pid), Some(before)) => Some(process::cpu(pid)? - before),
        _ => None,
    };
    stop.store(true, Ordering::Relaxed);
    let mut all = Vec::new();
    for reader in readers {
        all.extend(reader.join().ok().context("a subscriber panicked")??);
    }
    all.sort_unstable();
    let at = |share: f64| all.get(((all.len() as f64 - 1.0) * share) as usize).copied().unwrap_or(0);
    Ok(json!({
        "publishers": publishers, "rate": rate, "delivered": all.len(), "published": publishers * rate * seconds,
        "p50_us": at(0.5), "p99_us": at(0.99),
        "cpu_us_per_delivery": used.map(|used| (used / all.len().max(1) as f64 * 1e8).round() / 100.0),
    }))
}

fn send(
    mut client: Client,
    topic: &str,
    epoch: Instant,
    offset: Duration,
    rate: usize,
    count: usize,
    size: usize,
) -> Result<()> {
    let period = Duration::from_nanos(1_000_000_000 / rate.max(1) as u64);
    let begin = Instant::now() + Duration::from_millis(200) + offset;
    let mut payload = vec![0; size];
    let mut out = Vec::new();
    for number in 0..count {
        let due = begin + period * u32::try_from(number)?;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let stamp = u64::try_from(epoch.elapsed().as_nanos())?;
        payload[..8].copy_from_slice(&stamp.to_be_bytes());
        out.clear();
        publish(&mut out, topic, &payload, 0, 0);
        client.stream.write_all(&out)?;
    }
    Ok(())
}

fn latencies(mut client: Client, epoch: Instant, stop: &AtomicBool) -> Result<Vec<u64>> {
    let mut found = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let read = client.read(|packet| {
            if let Packet::Publish { payload, .. } = packet
                && let Some(stamp) = payload.first_chunk::<8>()
            {
                let now = u64::try_from(epoch.elapsed().as_nanos()).unwrap_or(u64::MAX);
                found.push(now.saturating_sub(u64::from_be_bytes(*stamp)) / 1000);
            }
        });
        match read {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) if error.downcast_ref::<std::io::Error>().is_some_and(is_silence) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn is_silence(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}
