//! What was handed over and is not written yet: the last state of each record.

use super::{Key, LINGER, Value};
use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use std::time::Instant;

/// A change on its way to the store.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: Key,
    /// The new value; `None` removes the record.
    pub(crate) value: Option<Value>,
    /// Whether the store certainly has no such record: then a removal before it is written leaves nothing to do.
    pub(crate) fresh: bool,
}

/// Changes taken for one commit.
pub(super) type Batch = HashMap<Key, (Option<Value>, bool)>;

/// The changes that are being collected.
#[derive(Debug, Default)]
pub(super) struct Pending {
    changes: Batch,
    /// How many batches were taken before.
    taken: u64,
    urgent: bool,
    since: Option<Instant>,
    stopping: bool,
}

/// What the thread is to do.
#[derive(Debug)]
pub(super) enum Next {
    /// Write these, under this ticket.
    Write(Batch, u64),
    /// Wait, until then at most.
    Wait(Option<Instant>),
    /// Everything is written and nothing more will come.
    End,
}

// === impl Entry ===

impl Entry {
    pub(crate) fn put(key: Key, value: Value) -> Self {
        Self { key, value: Some(value), fresh: false }
    }

    pub(crate) fn remove(key: Key) -> Self {
        Self { key, value: None, fresh: false }
    }
}

// === impl Pending ===

impl Pending {
    /// Adds changes. Returns whether the thread has to look at once.
    pub(super) fn add(&mut self, changes: impl IntoIterator<Item = Entry>, urgent: bool) -> bool {
        let first = self.changes.is_empty();
        for Entry { key, value, fresh } in changes {
            match self.changes.entry(key) {
                Place::Vacant(place) => {
                    place.insert((value, fresh));
                }
                Place::Occupied(mut place) => {
                    let (before, was_fresh) = place.get_mut();
                    if value.is_none() && *was_fresh {
                        place.remove();
                    } else {
                        // A put after a removal is not fresh: the record may be on disk.
                        *was_fresh &= before.is_some();
                        *before = value;
                    }
                }
            }
        }
        let begun = first && !self.changes.is_empty();
        if begun {
            self.since = Some(Instant::now());
        }
        let wake = begun || (urgent && !self.urgent);
        self.urgent |= urgent;
        wake
    }

    /// The ticket of the changes that were added last.
    pub(super) fn latest(&self) -> u64 {
        self.taken + u64::from(!self.changes.is_empty())
    }

    pub(super) fn next(&mut self, now: Instant) -> Next {
        if self.changes.is_empty() {
            self.urgent = false;
            return if self.stopping { Next::End } else { Next::Wait(None) };
        }
        let due = self.since.map_or(now, |since| since + LINGER);
        if !(self.urgent || self.stopping || due <= now) {
            return Next::Wait(Some(due));
        }
        self.taken += 1;
        self.urgent = false;
        self.since = None;
        Next::Write(std::mem::take(&mut self.changes), self.taken)
    }

    /// Takes a batch back that could not be written. It may have been written all the same.
    pub(super) fn give_back(&mut self, batch: Batch) {
        for (key, (value, _)) in batch {
            let newer = self.changes.entry(key).or_insert((value, false));
            newer.1 = false;
        }
        self.since.get_or_insert_with(Instant::now);
    }

    pub(super) fn stop(&mut self) {
        self.stopping = true;
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, reason = "tests fail loudly")]
    use super::*;

    fn put(place: u64, fresh: bool) -> Entry {
        Entry { key: Key::Message(1, place), value: Some(Value::Unreleased), fresh }
    }

    fn gone(place: u64) -> Entry {
        Entry::remove(Key::Message(1, place))
    }

    fn written(pending: &mut Pending) -> Vec<(Key, bool)> {
        pending.urgent = true;
        let Next::Write(batch, _) = pending.next(Instant::now()) else { return Vec::new() };
        let mut all: Vec<_> = batch.into_iter().map(|(key, (value, _))| (key, value.is_some())).collect();
        all.sort();
        all
    }

    #[test]
    fn the_last_change_of_a_record_counts_and_what_came_and_went_is_not_written() {
        let mut pending = Pending::default();
        pending.add([put(1, true), put(2, false), put(3, true), put(1, false), gone(1), gone(2)], false);
        assert_eq!(written(&mut pending), [(Key::Message(1, 2), false), (Key::Message(1, 3), true)]);
        pending.add([gone(3), put(3, true)], false);
        pending.add([gone(3)], false);
        assert_eq!(written(&mut pending), [(Key::Message(1, 3), false)], "it may be on disk");
    }

    #[test]
    fn a_batch_that_failed_is_written_again_beneath_what_came_later() {
        let mut pending = Pending::default();
        pending.add([put(1, true), put(2, true)], true);
        let Next::Write(batch, 1) = pending.next(Instant::now()) else { panic!("urgent changes wait") };
        pending.add([gone(1)], true);
        pending.give_back(batch);
        pending.add([gone(2)], true);
        assert_eq!(pending.latest(), 2);
        assert_eq!(written(&mut pending), [(Key::Message(1, 1), false), (Key::Message(1, 2), false)]);
    }

    #[test]
    fn changes_that_nobody_waits_for_are_collected_for_a_while() {
        let mut pending = Pending::default();
        let start = Instant::now();
        assert!(matches!(pending.next(start), Next::Wait(None)));
        assert!(pending.add([put(1, true)], false));
        assert!(!pending.add([put(2, true)], false), "the thread knows by now");
        assert!(matches!(pending.next(start), Next::Wait(Some(_))));
        assert!(matches!(pending.next(start + 10 * LINGER), Next::Write(_, 1)));
        assert!(pending.add([put(3, true)], false));
        assert!(pending.add([put(4, true)], true), "somebody waits");
        assert!(matches!(pending.next(start), Next::Write(_, 2)));
        pending.stop();
        assert!(matches!(pending.next(start), Next::End));
    }
}
