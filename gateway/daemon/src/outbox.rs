//! The uplink's view of the journal's outbox.

use cordon_journal::{Outbox as Store, StoreError};
use cordon_uplink::{Entry, Outbox, OutboxError, OutboxFuture};

/// The durable outbox, as the uplink reads it.
pub(crate) struct DurableOutbox(pub(crate) Store);

// === impl DurableOutbox ===

impl Outbox for DurableOutbox {
    fn peek(&self, after: u64, most: usize) -> OutboxFuture<'_, Result<Vec<Entry>, OutboxError>> {
        Box::pin(async move {
            let entries = self.0.peek(after, most).await.map_err(failed)?;
            let entry = |entry: cordon_journal::Entry| Entry {
                id: entry.id,
                topic: entry.topic,
                payload: entry.payload.into(),
            };
            Ok(entries.into_iter().map(entry).collect())
        })
    }

    fn ack(&self, id: u64) -> OutboxFuture<'_, Result<(), OutboxError>> {
        Box::pin(async move { self.0.ack(id).await.map_err(failed) })
    }

    fn discard<'a>(&'a self, id: u64, _reason: &'a str) -> OutboxFuture<'a, Result<(), OutboxError>> {
        Box::pin(async move { self.0.discard(id).await.map_err(failed) })
    }

    fn wait_beyond(&self, after: u64) -> OutboxFuture<'_, ()> {
        Box::pin(self.0.wait_beyond(after))
    }
}

fn failed(error: StoreError) -> OutboxError {
    OutboxError(error.to_string())
}
