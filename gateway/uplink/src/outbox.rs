//! The store that the uplink empties, as a trait: the journal implements it durably.

mod memory;

pub use memory::{MemoryOutbox, PushError};

use crate::entry::Entry;
use std::pin::Pin;

/// What the methods of [`Outbox`] return. Storage runs on its own thread; the uplink waits for its answers.
pub type OutboxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A first-in first-out store of messages.
///
/// The uplink calls `peek`, `ack` and `discard` one after the other, never two at a time, and repeats a call that failed.
/// `ack` and `discard` of an id that is gone succeed.
pub trait Outbox: Send + Sync + 'static {
    /// The first `most` entries with an id above `after`, in rising order. Nothing is removed.
    fn peek(&self, after: u64, most: usize) -> OutboxFuture<'_, Result<Vec<Entry>, OutboxError>>;

    /// Removes an entry that the far side has acknowledged.
    fn ack(&self, id: u64) -> OutboxFuture<'_, Result<(), OutboxError>>;

    /// Removes an entry that can never be delivered; the uplink has recorded the event.
    fn discard<'a>(&'a self, id: u64, reason: &'a str) -> OutboxFuture<'a, Result<(), OutboxError>>;

    /// Resolves as soon as there is an entry with an id above `after`; at once if there is one.
    fn wait_beyond(&self, after: u64) -> OutboxFuture<'_, ()>;
}

/// The store did not do what it was asked; the uplink asks again later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the outbox store failed: {0}")]
pub struct OutboxError(pub String);
