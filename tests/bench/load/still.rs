//! Connections that do nothing, and connections that come and go.

use super::process::{self, Stretch, hundredths};
use super::target::Target;
use crate::Options;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Time for the broker to come to rest before its memory is read.
const REST: Duration = Duration::from_secs(1);

/// Holds connections with one subscription each, all of one identity, and tells what each costs in memory.
pub(crate) fn idle(target: &Target, options: &Options) -> Result<Value> {
    let count = options.number("connections", 1000)?;
    let open = |number: usize| -> Result<_> {
        let name = format!("idle-{number}");
        let mut client = target.connect_as("idle", &name)?;
        client.subscribe(&target.topic(&name), 0)?;
        Ok(client)
    };
    // What the first client brings along once is no client's own.
    let first = open(0)?;
    thread::sleep(REST);
    let before = target.pid.map(process::resident).transpose()?;
    let held = (1..=count).map(open).collect::<Result<Vec<_>>>()?;
    thread::sleep(REST);
    let after = target.pid.map(process::resident).transpose()?;
    let each = before.zip(after).map(|(before, after)| after.saturating_sub(before) as f64 / count as f64);
    for client in held.into_iter().chain([first]) {
        client.leave()?;
    }
    Ok(json!({ "connections": count, "before_kib": before, "after_kib": after, "kib_each": each.map(hundredths) }))
}

/// Lets known clients come and go: TCP, TLS with `certificates=`, CONNECT, CONNACK, DISCONNECT.
pub(crate) fn connect(target: &Target, options: &Options) -> Result<Value> {
    let threads = options.number("threads", 4)?;
    let time = Duration::from_secs(options.number("seconds", 3)? as u64);
    // The first login of an identity may cost what later ones do not.
    target.connect_as("conn", "conn-first")?.leave()?;
    let (next, stretch, begin) = (AtomicUsize::new(0), Stretch::begin(target.pid)?, Instant::now());
    let come_and_go = || -> Result<usize> {
        let mut done = 0;
        while begin.elapsed() < time {
            let number = next.fetch_add(1, Ordering::Relaxed);
            target.connect_as("conn", &format!("conn-{number}"))?.leave()?;
            done += 1;
        }
        Ok(done)
    };
    let done = thread::scope(|scope| -> Result<usize> {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(come_and_go)).collect();
        running.into_iter().map(|thread| thread.join().ok().context("a client panicked")?).sum()
    })?;
    let (seconds, used) = (begin.elapsed().as_secs_f64(), stretch.end()?);
    Ok(json!({
        "connections": done, "per_second": (done as f64 / seconds).round(),
        "cpu_us_per_connection": used.micros_each(done),
        "broker_cores": used.broker_cores(), "generator_cores": used.generator_cores(),
    }))
}
