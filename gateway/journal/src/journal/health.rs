//! How the journal is doing.

use super::archive::{Archive, hex};
use super::queue::Queue;
use crate::error::StoreError;
use cordon_core::event::Severity;
use cordon_core::time::Now;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many events were dropped before they reached the disk, by severity.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dropped(pub BTreeMap<Severity, u64>);

/// Whether the journal can write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Since when writing fails, and why; `None` if it works.
    pub failing: Option<(Now, StoreError)>,
    /// Failed attempts to write since the start.
    pub write_failures: u64,
    /// Events dropped since the start.
    pub dropped: Dropped,
}

/// What the journal holds and has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Events written since the start.
    pub written: u64,
    /// Commits since the start.
    pub commits: u64,
    /// The oldest event still held; `None` in an empty journal.
    pub first_seq: Option<u64>,
    /// The newest durable event; `None` in an empty journal.
    pub last_seq: Option<u64>,
    /// The hash of the newest block, in hexadecimal. Kept elsewhere, it proves later that nothing before it changed.
    pub head_hash: Option<String>,
    /// Segments on disk.
    pub segments: usize,
    /// What the segments take on disk, in bytes.
    pub bytes: u64,
    /// Events in the queue.
    pub queued_events: usize,
    /// What the queue takes in memory, in bytes.
    pub queued_bytes: usize,
}

/// The writer's counters.
#[derive(Debug, Default)]
pub(super) struct Meters(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    written: u64,
    commits: u64,
    write_failures: u64,
    failing: Option<(Now, StoreError)>,
}

// === impl Dropped ===

impl Dropped {
    /// How many of this severity.
    #[must_use]
    pub fn of(&self, severity: Severity) -> u64 {
        self.0.get(&severity).copied().unwrap_or(0)
    }

    /// How many in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

// === impl Meters ===

impl Meters {
    /// Counts a commit; whether it is the first after a failure.
    pub(super) fn wrote(&self, events: usize) -> bool {
        let mut counts = self.lock();
        counts.written += events as u64;
        counts.commits += 1;
        counts.failing.take().is_some()
    }

    /// Counts a failure; whether it is the first in a row.
    pub(super) fn failed(&self, error: &StoreError, now: Now) -> bool {
        let mut counts = self.lock();
        counts.write_failures += 1;
        let first = counts.failing.is_none();
        counts.failing.get_or_insert_with(|| (now, error.clone()));
        first
    }

    pub(super) fn health(&self, queue: &Queue) -> Health {
        let (_, _, dropped) = queue.fill();
        let counts = self.lock();
        Health { failing: counts.failing.clone(), write_failures: counts.write_failures, dropped }
    }

    pub(super) fn stats(&self, queue: &Queue, archive: &Archive) -> Stats {
        let (queued_events, queued_bytes, _) = queue.fill();
        let extent = archive.extent();
        let counts = self.lock();
        Stats {
            written: counts.written,
            commits: counts.commits,
            first_seq: extent.first_seq,
            last_seq: extent.head.map(|(seq, _)| seq),
            head_hash: extent.head.map(|(_, hash)| hex(hash)),
            segments: extent.segments,
            bytes: extent.bytes,
            queued_events,
            queued_bytes,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
