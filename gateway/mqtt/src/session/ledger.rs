//! What of a session's deliveries is on record, and what has changed since the last look.
//!
//! Every message of a lasting session has a place, a number that rises. Messages up to one place are on record, later ones
//! are not: so that what is acknowledged quickly is never written. A message on record has its packet identifier from then
//! on, so that it is sent under the same one after a restart, and a QoS 2 message is not taken twice.

use std::collections::BTreeSet;
use std::num::NonZeroU16;

/// Packet identifiers that are put on record as used, ahead of their use.
const RESERVED: u16 = 16 * 1024;
/// Identifiers planned for messages in the queue, at most; further messages get theirs when they are sent.
const PLANNED: usize = 32 * 1024;

/// One change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// The message at this place is to be on record as it is now; `first` if it was not before.
    Keep { place: u64, first: bool },
    /// The message at this place is done.
    Forget(u64),
    /// The client published a QoS 2 message under this identifier.
    Arrived(u16),
    /// The client released it.
    Released(u16),
    /// Identifiers were used, or messages on record were sent.
    Progress,
}

/// What a session's deliveries know about their record.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    last: u64,
    /// Messages up to this place are on record.
    kept: u64,
    /// The last place at the last look.
    seen: u64,
    /// The last place that was sent, as recorded.
    sent: u64,
    /// Identifiers up to this one are on record as used.
    reserved: u16,
    planned: BTreeSet<u16>,
    pub(super) log: Vec<Change>,
}

// === impl Ledger ===

impl Ledger {
    /// A ledger that goes on after a restart.
    pub(super) fn restored(last: u64, sent: u64, reserved: u16, planned: BTreeSet<u16>) -> Self {
        Self { last, kept: last, seen: last, sent, reserved, planned, log: Vec::new() }
    }

    /// A place for one more message.
    pub(super) fn place(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(super) fn is_kept(&self, place: u64) -> bool {
        place != 0 && place <= self.kept
    }

    /// Puts everything up to `upto` on record. Returns the places that were not.
    pub(super) fn keep(&mut self, upto: u64) -> std::ops::RangeInclusive<u64> {
        let from = self.kept + 1;
        self.kept = self.kept.max(upto);
        from..=upto
    }

    /// The last place of all, for [`Ledger::keep`].
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// The last place at the last look; this is a look.
    pub(super) fn look(&mut self) -> u64 {
        std::mem::replace(&mut self.seen, self.last)
    }

    pub(super) fn kept(&mut self, place: u64, first: bool) {
        self.log.push(Change::Keep { place, first });
    }

    /// A message is done.
    pub(super) fn forget(&mut self, place: u64, planned: Option<NonZeroU16>) {
        if let Some(id) = planned {
            self.planned.remove(&id.get());
        }
        if self.is_kept(place) {
            self.log.push(Change::Forget(place));
        }
    }

    /// Notes how far sending has come, by the last message on record that is not acknowledged.
    pub(super) fn sent(&mut self, place: u64) {
        if place > self.sent {
            self.sent = place;
            self.log.push(Change::Progress);
        }
    }

    /// Whether an identifier is planned for a message in the queue.
    pub(super) fn is_planned(&self, id: NonZeroU16) -> bool {
        self.planned.contains(&id.get())
    }

    pub(super) fn may_plan(&self) -> bool {
        self.planned.len() < PLANNED
    }

    pub(super) fn plan(&mut self, id: NonZeroU16) {
        self.planned.insert(id.get());
    }

    /// A planned identifier is in use now.
    pub(super) fn used(&mut self, id: NonZeroU16) {
        self.planned.remove(&id.get());
    }

    /// Puts further identifiers on record as used before they are.
    pub(super) fn reserve(&mut self, last_id: u16) {
        if self.reserved.wrapping_sub(last_id) < RESERVED / 2 || self.reserved.wrapping_sub(last_id) > RESERVED {
            self.reserved = last_id.wrapping_add(RESERVED);
            self.log.push(Change::Progress);
        }
    }

    /// What is on record of the progress.
    pub(super) fn progress(&self) -> (u16, u64) {
        (self.reserved, self.sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_on_record_long_before_they_are_used_and_seldom_written() {
        let mut ledger = Ledger::default();
        let mut written = 0;
        for id in 1..=u16::MAX {
            ledger.reserve(id);
            written += std::mem::take(&mut ledger.log).len();
            let ahead = ledger.progress().0.wrapping_sub(id);
            assert!((RESERVED / 2..=RESERVED).contains(&ahead), "{id}: {ahead}");
        }
        assert!(written < 12, "{written}");
    }
}
