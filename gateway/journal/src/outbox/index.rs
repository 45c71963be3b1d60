//! Which entries the outbox holds, and which go when it is full. Pure.

use super::OutboxLimits;
use std::collections::{BTreeMap, BTreeSet};

/// The entries by id and by priority.
#[derive(Debug, Default)]
pub(super) struct Index {
    held: BTreeMap<u64, Held>,
    by_priority: BTreeMap<u8, BTreeSet<u64>>,
    bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) priority: u8,
    pub(super) bytes: u64,
}

// === impl Index ===

impl Index {
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn insert(&mut self, id: u64, held: Held) {
        self.remove(id);
        self.bytes += held.bytes;
        self.held.insert(id, held);
        self.by_priority.entry(held.priority).or_default().insert(id);
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<Held> {
        let held = self.held.remove(&id)?;
        self.bytes -= held.bytes;
        if let Some(ids) = self.by_priority.get_mut(&held.priority) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_priority.remove(&held.priority);
            }
        }
        Some(held)
    }

    /// The ids above `after`, rising, with their sizes.
    pub(super) fn beyond(&self, after: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        let above = after.checked_add(1).map(|from| self.held.range(from..));
        above.into_iter().flatten().map(|(id, held)| (*id, held.bytes))
    }

    /// Which entries must go before `new` fits: least important first, oldest first, never one more important than
    /// `new`. `None` if it cannot fit.
    pub(super) fn make_room(&self, new: Held, limits: OutboxLimits) -> Option<Vec<(u64, Held)>> {
        let (mut bytes, mut entries) = (self.bytes + new.bytes, self.held.len() + 1);
        let mut go = Vec::new();
        let mut candidates = self.by_priority.range(..=new.priority).flat_map(|(_, ids)| ids);
        while bytes > limits.bytes || entries > limits.entries {
            let id = candidates.next()?;
            let held = self.held.get(id)?;
            bytes -= held.bytes;
            entries -= 1;
            go.push((*id, *held));
        }
        Some(go)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holding(entries: &[(u64, u8, u64)]) -> Index {
        let mut index = Index::default();
        for (id, priority, bytes) in entries {
            index.insert(*id, Held { priority: *priority, bytes: *bytes });
        }
        index
    }

    fn going(index: &Index, priority: u8, bytes: u64, limits: OutboxLimits) -> Option<Vec<u64>> {
        let go = index.make_room(Held { priority, bytes }, limits)?;
        Some(go.into_iter().map(|(id, _)| id).collect())
    }

    #[test]
    fn the_least_important_and_oldest_entries_make_room() {
        let limits = OutboxLimits { bytes: 100, entries: 10 };
        let index = holding(&[(1, 2, 30), (2, 0, 20), (3, 1, 20), (4, 0, 20)]);
        let table: [(u8, u64, Option<&[u64]>); 6] = [
            (0, 10, Some(&[])),
            (0, 30, Some(&[2])),
            (1, 60, Some(&[2, 4, 3])),
            (0, 60, None),
            (2, 100, Some(&[2, 4, 3, 1])),
            (9, 101, None),
        ];
        for (priority, bytes, wanted) in table {
            assert_eq!(going(&index, priority, bytes, limits).as_deref(), wanted, "{priority} {bytes}");
        }
    }

    #[test]
    fn the_number_of_entries_is_a_limit_too() {
        let limits = OutboxLimits { bytes: 1000, entries: 2 };
        assert_eq!(going(&holding(&[(5, 1, 1), (6, 1, 1)]), 1, 1, limits), Some(vec![5]));
    }
}
