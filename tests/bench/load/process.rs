//! What processes use, from `/proc`: the broker's CPU time and memory, and the generator's own CPU time.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

/// Clock ticks per second of `/proc/PID/stat`; Linux has used 100 for user space since 2.6.
const TICKS: f64 = 100.0;

/// A stretch of time in which CPU use is measured.
pub(crate) struct Stretch {
    pid: Option<u32>,
    broker: BTreeMap<u32, u64>,
    own: f64,
    begin: Instant,
}

/// CPU seconds used in a stretch.
pub(crate) struct Used {
    /// By the broker, if it is known.
    pub(crate) broker: Option<f64>,
    own: f64,
    seconds: f64,
}

// === impl Stretch ===

impl Stretch {
    pub(crate) fn begin(pid: Option<u32>) -> Result<Self> {
        let broker = pid.map(threads).transpose()?.unwrap_or_default();
        Ok(Self { pid, broker, own: own()?, begin: Instant::now() })
    }

    pub(crate) fn end(&self) -> Result<Used> {
        self.end_at(Instant::now())
    }

    /// The stretch ended a moment ago; nobody did anything since.
    pub(crate) fn end_at(&self, end: Instant) -> Result<Used> {
        let broker = self.pid.map(|pid| self.broker_used(pid)).transpose()?;
        Ok(Used { broker, own: own()? - self.own, seconds: end.duration_since(self.begin).as_secs_f64() })
    }

    /// Thread by thread: one that ended in between does not take what it used before along.
    fn broker_used(&self, pid: u32) -> Result<f64> {
        let now = threads(pid)?;
        let used = now.iter().map(|(id, time)| time.saturating_sub(self.broker.get(id).copied().unwrap_or(0)));
        Ok(used.sum::<u64>() as f64 / 1e9)
    }
}

// === impl Used ===

impl Used {
    /// Microseconds of the broker's CPU time for each of `count`.
    pub(crate) fn micros_each(&self, count: usize) -> Option<f64> {
        self.broker.map(|used| hundredths(used * 1e6 / count.max(1) as f64))
    }

    /// How many cores the broker kept busy.
    pub(crate) fn broker_cores(&self) -> Option<f64> {
        self.broker.map(|used| hundredths(used / self.seconds))
    }

    /// How many cores the generator kept busy.
    pub(crate) fn generator_cores(&self) -> f64 {
        hundredths(self.own / self.seconds)
    }
}

/// Rounded to two places.
pub(crate) fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// Resident memory, in KiB.
pub(crate) fn resident(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS")).context("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).context("no number")?.parse()?)
}

/// Nanoseconds on a CPU so far, of each thread (Documentation/scheduler/sched-stats.rst of Linux).
fn threads(pid: u32) -> Result<BTreeMap<u32, u64>> {
    let mut times = BTreeMap::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?;
        let Some(id) = task.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A thread may end between the two.
        let Ok(text) = fs::read_to_string(task.path().join("schedstat")) else { continue };
        times.insert(id, text.split_whitespace().next().context("an empty schedstat")?.parse()?);
    }
    Ok(times)
}

/// CPU seconds of this process so far, those of its ended threads included.
fn own() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().context("no name in stat")?.split_whitespace().collect();
    let ticks = |at: usize| -> Result<f64> { Ok(fields.get(at).context("a short stat")?.parse()?) };
    Ok((ticks(11)? + ticks(12)?) / TICKS)
}
