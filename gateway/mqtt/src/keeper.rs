//! What outlives the gateway: persistent sessions with what waits for them, pending wills, and retained messages.
//!
//! Workers hand over changes once per batch, under one short lock; changes to one record that come before it is written
//! become one. A thread of its own takes all there is, has the [`Store`] make it durable with one commit, and wakes the
//! workers, which release the acknowledgements they held back until then. So no worker ever waits for a disk, and many
//! changes share one flush.
//!
//! What waits to be written is bounded by what it stands for: at most one entry for each message in a queue, each retained
//! message and each record on disk. When the store fails, the changes stay and are tried again until it works; meanwhile
//! acknowledgements go out at once, and an event says so.

mod key;
mod load;
mod pending;
mod record;
mod thread;
mod times;
mod wire;

use crate::shared::lock;
use pending::Pending;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

pub(crate) use key::Key;
pub(crate) use load::{Saved, load};
pub(crate) use pending::Entry;
pub(crate) use record::{MessageRecord, ProgressRecord, RetainedRecord, SessionRecord, Value, WillRecord};
pub(crate) use thread::KeeperThread;
pub(crate) use times::{Deadline, Stamp};

/// How long changes that nobody waits for are collected before they are written.
const LINGER: Duration = Duration::from_millis(250);

/// Why the store did not do what it was asked, in words for an operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StoreFailed(pub String);

/// One change to a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Writes a record, whether or not it exists.
    Put {
        /// Its key, at most 40 bytes; it never begins with a zero byte.
        key: Vec<u8>,
        /// Its value.
        value: Vec<u8>,
    },
    /// Removes a record; one that does not exist is as good as removed.
    Remove {
        /// Its key.
        key: Vec<u8>,
    },
}

/// The key and the value of a record.
pub type StoredRecord = (Vec<u8>, Vec<u8>);

/// A store of small records that survives the process. Keys and values mean nothing to it. Both calls may block; they
/// come from one thread at a time.
pub trait Store: Send + Sync + 'static {
    /// Every record, in any order. Called once, before anything is committed.
    ///
    /// # Errors
    /// The records cannot be read. The front door then begins without; the store must drop them before the first commit.
    fn load(&self) -> Result<Vec<StoredRecord>, StoreFailed>;

    /// Makes all of the changes or none of them; durable when it returns.
    ///
    /// # Errors
    /// The changes may or may not be durable; they are given again.
    fn commit(&self, changes: Vec<Change>) -> Result<(), StoreFailed>;
}

/// What workers and the keeper's thread share.
pub(crate) struct Keeper {
    pending: Mutex<Pending>,
    changed: Condvar,
    /// The last ticket whose changes need not be waited for any more.
    passed: AtomicU64,
    failing: AtomicBool,
    /// Wakes each worker when `passed` has moved.
    wakes: Vec<Notify>,
    boot: u64,
}

// === impl Keeper ===

impl Keeper {
    /// `boot_id` tells this boot of the machine from any other: monotonic times only count within one.
    pub(crate) fn new(workers: usize, boot_id: &str) -> Self {
        Self {
            pending: Mutex::default(),
            changed: Condvar::new(),
            passed: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            wakes: (0..workers).map(|_| Notify::new()).collect(),
            boot: times::boot(boot_id),
        }
    }

    /// The boot, as records tell it.
    pub(crate) fn boot(&self) -> u64 {
        self.boot
    }

    /// Takes changes over. Returns the ticket under which they become durable together. `urgent` when somebody waits.
    pub(crate) fn hand(&self, changes: impl IntoIterator<Item = Entry>, urgent: bool) -> u64 {
        let mut pending = lock(&self.pending);
        let wake = pending.add(changes, urgent);
        let ticket = pending.latest();
        drop(pending);
        if wake {
            self.changed.notify_one();
        }
        ticket
    }

    /// The ticket of the changes that were handed over last.
    pub(crate) fn latest(&self) -> u64 {
        lock(&self.pending).latest()
    }

    /// Whether the changes of a ticket need not be waited for any more: they are durable, or the store fails.
    pub(crate) fn is_past(&self, ticket: u64) -> bool {
        self.passed.load(Ordering::Acquire) >= ticket || self.is_failing()
    }

    /// Whether the store does not take changes at the moment.
    pub(crate) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Acquire)
    }

    /// Waits until a worker has something to look at.
    pub(crate) async fn woken(&self, worker: usize) {
        match self.wakes.get(worker) {
            Some(wake) => wake.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Has a worker look at the answers it holds.
    pub(crate) fn wake(&self, worker: usize) {
        if let Some(wake) = self.wakes.get(worker) {
            wake.notify_one();
        }
    }

    /// Nobody hands anything over any more: the thread writes what there is and ends.
    pub(crate) fn stop(&self) {
        lock(&self.pending).stop();
        self.changed.notify_one();
    }

    fn pass(&self, ticket: u64) {
        self.passed.fetch_max(ticket, Ordering::AcqRel);
        self.wakes.iter().for_each(Notify::notify_one);
    }
}
