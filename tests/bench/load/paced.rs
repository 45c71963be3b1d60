//! A steady pace: what a delivery costs the broker, and how long it takes.

use super::client::{Client, Got};
use super::packet::{Packet, publish};
use super::process::{Stretch, hundredths};
use super::target::Target;
use crate::Options;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Between the last connection and the first message.
const LEAD: Duration = Duration::from_millis(200);

/// What a publisher sends: the time since `epoch`, `rate` times a second.
struct Plan {
    topic: String,
    epoch: Instant,
    begin: Instant,
    rate: usize,
    count: usize,
    size: usize,
}

pub(crate) fn pairs(target: &Target, options: &Options) -> Result<Value> {
    let pairs = options.number("pairs", 4)?;
    run(target, options, pairs, pairs, options.number("rate", 2000)?)
}

pub(crate) fn many_to_one(target: &Target, options: &Options) -> Result<Value> {
    run(target, options, options.number("publishers", 50)?, 1, options.number("rate", 20)?)
}

fn run(target: &Target, options: &Options, publishers: usize, subscribers: usize, rate: usize) -> Result<Value> {
    let seconds = options.number("seconds", 5)?;
    let size = options.number("size", 64)?.max(8);
    let epoch = Instant::now();
    let stop = Arc::new(AtomicBool::new(false));
    let mut readers = Vec::new();
    for number in 0..subscribers {
        let mut client = target.connect(&format!("sub-{number}"))?;
        let from = if subscribers == 1 { "+".to_owned() } else { format!("pub-{number}") };
        client.subscribe(&target.topic(&from), 0)?;
        client.patience(LEAD)?;
        let stop = stop.clone();
        readers.push(thread::spawn(move || latencies(client, epoch, &stop)));
    }
    let names: Vec<String> = (0..publishers).map(|number| format!("pub-{number}")).collect();
    let clients: Vec<Client> = names.iter().map(|name| target.connect(name)).collect::<Result<_>>()?;
    options.command("begin")?;
    let (first, mut writers) = (Instant::now() + LEAD, Vec::new());
    for (number, (name, client)) in names.iter().zip(clients).enumerate() {
        // Spread evenly over the period, so that they do not all send at once.
        let begin = first + nanos(1_000_000_000 / rate.max(1) * number / publishers);
        let plan = Plan { topic: target.topic(name), epoch, begin, rate, count: rate * seconds, size };
        writers.push(thread::spawn(move || send(client, &plan)));
    }
    let stretch = Stretch::begin(target.pid)?;
    let mut through = Vec::new();
    for writer in writers {
        through.push(writer.join().ok().context("a publisher panicked")??);
    }
    let used = stretch.end()?;
    // Nobody leaves before this: goodbyes are not what is measured.
    options.command("end")?;
    stop.store(true, Ordering::Relaxed);
    let mut all = Vec::new();
    for reader in readers {
        all.extend(reader.join().ok().context("a subscriber panicked")??);
    }
    drop(through);
    all.sort_unstable();
    let at = |share: f64| all.get(((all.len() as f64 - 1.0) * share) as usize).copied().unwrap_or(0);
    let micros = |share: f64| hundredths(at(share) as f64 / 1000.0);
    Ok(json!({
        "publishers": publishers, "rate": rate, "delivered": all.len(), "published": publishers * rate * seconds,
        "delivered_percent": hundredths(all.len() as f64 * 100.0 / (publishers * rate * seconds).max(1) as f64),
        "p50_us": micros(0.5), "p99_us": micros(0.99), "cpu_us_per_delivery": used.micros_each(all.len()),
        "broker_cores": used.broker_cores(), "generator_cores": used.generator_cores(),
    }))
}

fn send(mut client: Client, plan: &Plan) -> Result<Client> {
    let mut payload = vec![0; plan.size];
    let mut out = Vec::new();
    for number in 0..plan.count {
        let due = plan.begin + nanos(1_000_000_000 / plan.rate.max(1) * number);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        payload[..8].copy_from_slice(&since(plan.epoch).to_be_bytes());
        out.clear();
        publish(&mut out, &plan.topic, &payload, 0, 0);
        client.send(&out)?;
    }
    Ok(client)
}

fn latencies(mut client: Client, epoch: Instant, stop: &AtomicBool) -> Result<Vec<u64>> {
    let mut found = Vec::new();
    loop {
        // One last look after the end: what is on its way then still counts.
        let last = stop.load(Ordering::Relaxed);
        let got = client.read(|packet| {
            if let Packet::Publish { payload, .. } = packet
                && let Some(stamp) = payload.first_chunk::<8>()
            {
                found.push(since(epoch).saturating_sub(u64::from_be_bytes(*stamp)));
            }
        })?;
        if got == Got::End || (last && got == Got::Silence) {
            return Ok(found);
        }
    }
}

fn nanos(number: usize) -> Duration {
    Duration::from_nanos(number as u64)
}

fn since(epoch: Instant) -> u64 {
    u64::try_from(epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
