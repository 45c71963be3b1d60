//! Entries that were read from the outbox and not sent yet, and how far it has been read.

use crate::entry::Entry;
use std::collections::VecDeque;

/// The most entries read at a time: 16 of the largest are 2 MiB.
const BATCH: usize = 16;

/// How many entries of held topics are passed over before the rest waits with them; each look for entries beyond the
/// held ones reads these again.
const MAX_SKIPPED: usize = 1000;

/// A look at the outbox: at most `most` entries with an id above `after`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) after: u64,
    pub(crate) most: usize,
}

#[derive(Debug, Default)]
pub(super) struct Ready {
    entries: VecDeque<Entry>,
    /// The highest id that was read.
    read: u64,
    looking: Option<Look>,
    /// Nothing is left beyond `read`.
    exhausted: bool,
    skipped: usize,
}

// === impl Ready ===

impl Ready {
    /// The next look, unless one is under way or there is nothing to gain.
    pub(super) fn look(&mut self, room: usize) -> Option<Look> {
        if self.looking.is_some() || self.exhausted || !self.entries.is_empty() || self.skipped >= MAX_SKIPPED {
            return None;
        }
        let look = Look { after: self.read, most: room.min(BATCH) };
        self.looking = Some(look);
        Some(look)
    }

    pub(super) fn found(&mut self, look: Look, entries: Vec<Entry>) {
        self.looking = None;
        if look.after != self.read {
            // Gone back since: what was found is read again, in order.
            return;
        }
        self.exhausted = entries.len() < look.most;
        if let Some(last) = entries.last() {
            self.read = last.id;
        }
        self.entries.extend(entries);
    }

    /// Goes back, so that `first` is read again.
    pub(super) fn rewind(&mut self, first: u64) {
        let before = first.saturating_sub(1);
        if before < self.read {
            self.read = before;
            self.entries.clear();
        }
        self.exhausted = false;
        self.skipped = 0;
    }

    pub(super) fn more(&mut self) {
        self.exhausted = false;
    }

    pub(super) fn waits_beyond(&self) -> Option<u64> {
        self.exhausted.then_some(self.read)
    }

    pub(super) fn first(&self) -> Option<&Entry> {
        self.entries.front()
    }

    pub(super) fn take(&mut self) -> Option<Entry> {
        self.entries.pop_front()
    }

    /// Passes over the first entry, whose topic is held.
    pub(super) fn skip(&mut self) {
        self.entries.pop_front();
        self.skipped += 1;
    }
}
