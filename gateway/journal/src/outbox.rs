//! What waits to be sent to the cloud, first in, first out, on disk.
//!
//! An entry is durable when `push` returns and leaves when it was acknowledged or can never be delivered. The outbox is
//! bounded in bytes and entries. When it is full, the least important entries make room, oldest first, but never for a
//! less important one; what was dropped is counted by priority. Ids rise and are never used twice, also after a restart.

mod index;
mod keeper;

use crate::error::StoreError;
use crate::host::{Host, OpenReport};
use crate::worker::Worker;
use keeper::Keeper;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

const NAME: &str = "outbox";

/// What the outbox may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxLimits {
    /// Topics and payloads, in bytes. The directory may take four times as much for a while.
    pub bytes: u64,
    /// Entries; each takes about 100 bytes of memory.
    pub entries: usize,
}

/// One message that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place: ids rise in the order of pushing.
    pub id: u64,
    /// How important it is; higher is kept longer.
    pub priority: u8,
    /// Where it is to be published.
    pub topic: String,
    /// What is to be published.
    pub payload: Vec<u8>,
}

/// A message has entered the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pushed {
    /// Its id.
    pub id: u64,
    /// How many less important or older entries were dropped to make room for it.
    pub dropped: usize,
}

/// How full the outbox is and what has left it since it was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutboxStatus {
    /// Entries that wait.
    pub entries: usize,
    /// Their topics and payloads, in bytes.
    pub bytes: u64,
    /// The limit in bytes.
    pub limit_bytes: u64,
    /// The id of the newest entry ever pushed; 0 if there was none.
    pub newest: u64,
    /// Entries that were acknowledged.
    pub acked: u64,
    /// Entries that were given up as undeliverable.
    pub discarded: u64,
    /// Entries that were dropped or refused because the outbox was full, by priority.
    pub dropped: BTreeMap<u8, u64>,
}

/// The outbox. Clones share one thread and one database.
#[derive(Debug, Clone)]
pub struct Outbox {
    worker: Worker<Keeper>,
    newest: watch::Receiver<u64>,
    status: Arc<Mutex<OutboxStatus>>,
}

// === impl OutboxLimits ===

impl Default for OutboxLimits {
    /// 64 MiB in at most 100,000 entries.
    fn default() -> Self {
        Self { bytes: 64 * 1024 * 1024, entries: 100_000 }
    }
}

// === impl Outbox ===

impl Outbox {
    /// Opens or begins the outbox in `directory`. Blocks while the disk reads what waits.
    ///
    /// # Errors
    ///
    /// The directory cannot be written, the disk is full, or another process has it open. Damage is no error: it is set
    /// aside and reported.
    pub fn open(directory: &Path, limits: OutboxLimits, host: &Host) -> Result<(Self, OpenReport), StoreError> {
        let status = Arc::default();
        let (keeper, newest, troubles) = Keeper::open(NAME, directory, limits, host, Arc::clone(&status))?;
        let worker = Worker::spawn(NAME, keeper)?;
        Ok((Self { worker, newest, status }, OpenReport { troubles }))
    }

    /// Adds a message at the end; durable on return. A higher `priority` is kept longer.
    ///
    /// # Errors
    ///
    /// [`StoreError::OverLimit`] if the outbox is full of more important entries: the message is counted as dropped.
    /// Otherwise the disk failed, and the message may or may not have entered.
    pub async fn push(&self, priority: u8, topic: &str, payload: Vec<u8>) -> Result<Pushed, StoreError> {
        let topic = topic.to_owned();
        self.worker.write(move |keeper| keeper.push(priority, &topic, &payload)).await
    }

    /// [`Outbox::push`] for a thread that may block.
    ///
    /// # Errors
    ///
    /// As [`Outbox::push`].
    pub fn push_blocking(&self, priority: u8, topic: &str, payload: Vec<u8>) -> Result<Pushed, StoreError> {
        let topic = topic.to_owned();
        self.worker.write_blocking(move |keeper| keeper.push(priority, &topic, &payload))
    }

    /// The first entries with an id above `after`, in rising order: at most `most`, and at most 4 MiB but at least one.
    ///
    /// # Errors
    ///
    /// The disk failed.
    pub async fn peek(&self, after: u64, most: usize) -> Result<Vec<Entry>, StoreError> {
        self.worker.read(move |keeper| keeper.peek(after, most)).await
    }

    /// [`Outbox::peek`] for a thread that may block.
    ///
    /// # Errors
    ///
    /// As [`Outbox::peek`].
    pub fn peek_blocking(&self, after: u64, most: usize) -> Result<Vec<Entry>, StoreError> {
        self.worker.read_blocking(move |keeper| keeper.peek(after, most))
    }

    /// Removes an entry that the far side has acknowledged; durable on return. An id that is gone is no error.
    ///
    /// # Errors
    ///
    /// The disk failed; the entry may come back.
    pub async fn ack(&self, id: u64) -> Result<(), StoreError> {
        self.worker.write(move |keeper| keeper.ack(id)).await
    }

    /// [`Outbox::ack`] for a thread that may block.
    ///
    /// # Errors
    ///
    /// As [`Outbox::ack`].
    pub fn ack_blocking(&self, id: u64) -> Result<(), StoreError> {
        self.worker.write_blocking(move |keeper| keeper.ack(id))
    }

    /// Removes an entry that can never be delivered; durable on return. An id that is gone is no error.
    ///
    /// # Errors
    ///
    /// The disk failed; the entry may come back.
    pub async fn discard(&self, id: u64) -> Result<(), StoreError> {
        self.worker.write(move |keeper| keeper.discard(id)).await
    }

    /// Resolves as soon as an entry with an id above `after` has been pushed; at once if one was.
    pub async fn wait_beyond(&self, after: u64) {
        let mut newest = self.newest.clone();
        if newest.wait_for(|newest| *newest > after).await.is_err() {
            // The outbox is shut down: nothing will ever be pushed.
            std::future::pending::<()>().await;
        }
    }

    /// How full the outbox is.
    #[must_use]
    pub fn status(&self) -> OutboxStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Finishes what is queued, closes the database and ends the thread; calls after this get [`StoreError::Closed`].
    ///
    /// # Errors
    ///
    /// It took longer than `deadline`.
    pub async fn shutdown(&self, deadline: Duration) -> Result<(), StoreError> {
        self.worker.shutdown(deadline).await
    }
}
