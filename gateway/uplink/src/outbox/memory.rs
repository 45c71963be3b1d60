//! An outbox in memory, for tests and for a gateway whose disk cannot be used.

use super::{Outbox, OutboxError, OutboxFuture};
use crate::entry::{Entry, EntryError};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// A bounded outbox in memory. It loses everything when the process ends.
#[derive(Debug)]
pub struct MemoryOutbox {
    limit_bytes: usize,
    inner: Mutex<Inner>,
    newest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: BTreeMap<u64, Entry>,
    bytes: usize,
    acked: u64,
    discarded: u64,
}

/// Why a message did not enter the outbox.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// It can never be delivered.
    #[error(transparent)]
    Undeliverable(#[from] EntryError),
    /// The outbox is full.
    #[error("the outbox holds its limit of {limit} bytes; wait until the uplink has emptied it")]
    Full {
        /// The outbox's limit.
        limit: usize,
    },
}

// === impl MemoryOutbox ===

impl MemoryOutbox {
    /// An empty outbox that holds at most `limit_bytes` of topics and payloads.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, inner: Mutex::default(), newest: watch::channel(0).0 }
    }

    /// Adds a message at the end; its id.
    ///
    /// # Errors
    ///
    /// The message breaks a limit of the far side, or the outbox is full: nothing is dropped to make room.
    pub fn push(&self, topic: impl Into<String>, payload: impl Into<Bytes>) -> Result<u64, PushError> {
        let (topic, payload) = (topic.into(), payload.into());
        Entry::check(&topic, &payload)?;
        let mut inner = self.lock();
        let entry = Entry { id: *self.newest.borrow() + 1, topic, payload };
        if inner.bytes + entry.bytes() > self.limit_bytes {
            return Err(PushError::Full { limit: self.limit_bytes });
        }
        let id = entry.id;
        inner.bytes += entry.bytes();
        inner.entries.insert(id, entry);
        self.newest.send_replace(id);
        Ok(id)
    }

    /// How many messages wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// Whether no message waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many messages were acknowledged.
    #[must_use]
    pub fn acked(&self) -> u64 {
        self.lock().acked
    }

    /// How many messages were given up.
    #[must_use]
    pub fn discarded(&self) -> u64 {
        self.lock().discarded
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outbox for MemoryOutbox {
    fn peek(&self, after: u64, most: usize) -> OutboxFuture<'_, Result<Vec<Entry>, OutboxError>> {
        let entries = self.lock().entries.range(after.saturating_add(1)..).take(most).map(|(_, e)| e.clone()).collect();
        Box::pin(async { Ok(entries) })
    }

    fn ack(&self, id: u64) -> OutboxFuture<'_, Result<(), OutboxError>> {
        let mut inner = self.lock();
        if inner.remove(id) {
            inner.acked += 1;
        }
        Box::pin(async { Ok(()) })
    }

    fn discard<'a>(&'a self, id: u64, _reason: &'a str) -> OutboxFuture<'a, Result<(), OutboxError>> {
        let mut inner = self.lock();
        if inner.remove(id) {
            inner.discarded += 1;
        }
        Box::pin(async { Ok(()) })
    }

    fn wait_beyond(&self, after: u64) -> OutboxFuture<'_, ()> {
        let mut newest = self.newest.subscribe();
        Box::pin(async move {
            // The sender lives in self, which is borrowed for as long as this waits.
            let _ = newest.wait_for(|newest| *newest > after).await;
        })
    }
}

// === impl Inner ===

impl Inner {
    fn remove(&mut self, id: u64) -> bool {
        let entry = self.entries.remove(&id);
        self.bytes -= entry.as_ref().map_or(0, Entry::bytes);
        entry.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_outbox_refuses_and_keeps_what_it_has() {
        let outbox = MemoryOutbox::new(10);
        assert_eq!(outbox.push("t", "12345678"), Ok(1));
        assert_eq!(outbox.push("t", "1"), Err(PushError::Full { limit: 10 }));
        assert_eq!(outbox.len(), 1);
    }
}
