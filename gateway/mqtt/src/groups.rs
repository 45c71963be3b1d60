//! Shared subscriptions across workers (MQTT 5, 4.8.2): which member of a group gets a message.
//!
//! The members of a group may live on different workers, and each message is for one of them. So the member is elected
//! where the message is sealed, from a table that all workers share, and travels in the envelope. Whoever holds the elected
//! member delivers. With one worker nothing of this is needed: it sees all members itself.

use crate::shared::lock;
use arc_swap::ArcSwap;
use cordon_core::topic;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A group and the session elected in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Elected {
    pub(crate) group: u32,
    pub(crate) session: u64,
}

/// The groups of all workers.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    any: AtomicBool,
    /// What messages are sealed by; replaced as a whole.
    snapshot: ArcSwap<Vec<Arc<Group>>>,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    groups: BTreeMap<(String, String), Arc<Group>>,
    last: u32,
}

#[derive(Debug)]
struct Group {
    id: u32,
    filter: String,
    /// Sessions, and whether each is connected.
    members: BTreeMap<u64, bool>,
    turn: AtomicUsize,
}

// === impl Groups ===

impl Groups {
    /// A session joins a group, or is a member already. Returns the group's number.
    pub(crate) fn join(&self, filter: &str, group: &str, session: u64, connected: bool) -> u32 {
        let mut table = lock(&self.table);
        let fresh = table.last.wrapping_add(1);
        let key = (group.to_owned(), filter.to_owned());
        let begun = || {
            Arc::new(Group {
                id: fresh,
                filter: filter.to_owned(),
                members: BTreeMap::new(),
                turn: AtomicUsize::new(0),
            })
        };
        let entry = table.groups.entry(key).or_insert_with(begun);
        *entry = Arc::new(entry.with(|members| {
            members.insert(session, connected);
        }));
        let id = entry.id;
        if id == fresh {
            table.last = fresh;
        }
        self.publish(&table);
        id
    }

    /// A session leaves a group.
    pub(crate) fn leave(&self, filter: &str, group: &str, session: u64) {
        let mut table = lock(&self.table);
        let key = (group.to_owned(), filter.to_owned());
        if let Some(entry) = table.groups.get_mut(&key) {
            *entry = Arc::new(entry.with(|members| {
                members.remove(&session);
            }));
            if entry.members.is_empty() {
                table.groups.remove(&key);
            }
            self.publish(&table);
        }
    }

    fn publish(&self, table: &Table) {
        self.snapshot.store(Arc::new(table.groups.values().cloned().collect()));
        self.any.store(!table.groups.is_empty(), Ordering::Release);
    }

    /// Elects a member of every group that a topic is for: in turn, those connected first.
    pub(crate) fn elect(&self, name: &str) -> Vec<Elected> {
        if !self.any.load(Ordering::Acquire) {
            return Vec::new();
        }
        let groups = self.snapshot.load();
        let matching = groups.iter().filter(|group| topic::matches(&group.filter, name));
        matching.filter_map(|group| Some(Elected { group: group.id, session: group.elect()? })).collect()
    }
}

// === impl Group ===

impl Group {
    fn with(&self, change: impl FnOnce(&mut BTreeMap<u64, bool>)) -> Self {
        let mut members = self.members.clone();
        change(&mut members);
        let turn = AtomicUsize::new(self.turn.load(Ordering::Relaxed));
        Self { id: self.id, filter: self.filter.clone(), members, turn }
    }

    fn elect(&self) -> Option<u64> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let connected = self.members.values().filter(|connected| **connected).count();
        let eligible = |(session, is_connected): (&u64, &bool)| (*is_connected || connected == 0).then_some(*session);
        let count = if connected == 0 { self.members.len() } else { connected };
        self.members.iter().filter_map(eligible).nth(turn.checked_rem(count)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(groups: &Groups, topic: &str, count: usize) -> Vec<u64> {
        (0..count).flat_map(|_| groups.elect(topic)).map(|elected| elected.session).collect()
    }

    #[test]
    fn members_take_turns_and_those_connected_come_first() {
        let groups = Groups::default();
        let id = groups.join("a/+", "g", 1, true);
        assert_eq!(groups.join("a/+", "g", 2, true), id);
        groups.join("a/+", "g", 3, false);
        assert_eq!(sessions(&groups, "a/b", 4), [1, 2, 1, 2]);
        groups.join("a/+", "g", 1, false);
        groups.join("a/+", "g", 2, false);
        let mut all = sessions(&groups, "a/b", 3);
        all.sort_unstable();
        assert_eq!(all, [1, 2, 3], "with nobody connected the message waits for one of them");
        assert!(groups.elect("b").is_empty());
    }

    #[test]
    fn each_group_elects_for_itself_and_ends_with_its_last_member() {
        let groups = Groups::default();
        let (first, second) = (groups.join("#", "g", 1, true), groups.join("#", "h", 1, true));
        assert_ne!(first, second);
        assert_eq!(groups.elect("a").iter().map(|elected| elected.group).collect::<Vec<_>>(), [first, second]);
        groups.leave("#", "g", 1);
        groups.leave("#", "h", 1);
        assert!(groups.elect("a").is_empty() && !groups.any.load(Ordering::Relaxed));
    }
}
