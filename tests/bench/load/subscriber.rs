//! A subscriber that counts what comes: in the time that is measured, and after it, to see whether all has come.

use super::client::{Client, Got};
use super::packet::{Packet, ack};
use anyhow::Result;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How often a subscriber that hears nothing looks whether it has heard all.
const GLANCE: Duration = Duration::from_millis(100);
/// One that hears nothing for so long, after the last publish, has heard all it will.
const SILENCE: Duration = Duration::from_secs(2);
/// How long after the measured time a slow broker is listened to.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a subscriber got.
pub(crate) struct Received {
    /// Deliveries within the measured time.
    pub(crate) in_time: usize,
    pub(crate) all: usize,
    /// When the last one came.
    pub(crate) last: Instant,
    /// Whether nothing more would have come.
    pub(crate) settled: bool,
}

/// What publishers have sent so far, and whether they are through.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    count: AtomicUsize,
    through: AtomicBool,
}

// === impl Sent ===

impl Sent {
    pub(crate) fn add(&self, messages: usize) {
        self.count.fetch_add(messages, Ordering::Relaxed);
    }

    /// Says that no publisher sends any more. Returns how many messages there were.
    pub(crate) fn close(&self) -> usize {
        self.through.store(true, Ordering::Release);
        self.count.load(Ordering::Relaxed)
    }

    fn all(&self) -> Option<usize> {
        self.through.load(Ordering::Acquire).then(|| self.count.load(Ordering::Relaxed))
    }
}

/// Counts deliveries until all are there or no more come; those before `end` are in time.
pub(crate) fn count(mut client: Client, sent: &Sent, end: Instant) -> Result<Received> {
    client.patience(GLANCE)?;
    let mut received = Received { in_time: 0, all: 0, last: Instant::now(), settled: true };
    let mut answers = Vec::new();
    loop {
        let read = client.read(|packet| match packet {
            Packet::Publish { qos, id, .. } => {
                received.all += 1;
                match qos {
                    1 => ack(&mut answers, 0x40, id),
                    2 => ack(&mut answers, 0x50, id),
                    _ => {}
                }
            }
            Packet::Ack { kind: 6, id } => ack(&mut answers, 0x70, id),
            _ => {}
        });
        let (now, all) = (Instant::now(), sent.all());
        if now <= end {
            received.in_time = received.all;
        }
        match read {
            Ok(Got::Something) => received.last = now,
            Ok(Got::Silence) if all.is_none() || received.last.elapsed() < SILENCE => {}
            Ok(Got::Silence | Got::End) | Err(_) => break,
        }
        if !answers.is_empty() {
            client.send(&answers)?;
            answers.clear();
        }
        if all.is_some_and(|all| received.all >= all) {
            break;
        }
        if now > end + PATIENCE {
            received.settled = false;
            break;
        }
    }
    Ok(received)
}
