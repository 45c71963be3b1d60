//! What a sender has handed over and a receiver has not taken yet, in order.

use bytes::Bytes;
use std::collections::VecDeque;

/// The messages on their way from one sender to one lane. Bounded by what [`super::Flow`] lets on its way.
#[derive(Debug, Default)]
pub(super) struct Pending {
    messages: VecDeque<Bytes>,
    /// How many messages came before the first one here.
    gone: u64,
}

// === impl Pending ===

impl Pending {
    pub(super) fn push(&mut self, message: Bytes) {
        self.messages.push_back(message);
    }

    /// Forgets what the receiver has taken: `taken` messages since the beginning.
    pub(super) fn forget(&mut self, taken: u64) {
        let count = usize::try_from(taken.saturating_sub(self.gone)).unwrap_or(usize::MAX).min(self.messages.len());
        self.messages.drain(..count);
        self.gone += count as u64;
    }

    /// How many messages were ever pushed.
    pub(super) fn count(&self) -> u64 {
        self.gone + self.messages.len() as u64
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Bytes> {
        self.messages.iter()
    }
}
