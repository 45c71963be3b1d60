//! What is due when: one point in time per key.

use crate::time::Mono;
use std::collections::{BTreeMap, BTreeSet};

/// Wake-up times by key, with the next one at hand. As large as the number of keys that are set.
#[derive(Debug, Clone)]
pub(crate) struct Agenda<K> {
    due: BTreeSet<(Mono, K)>,
    at: BTreeMap<K, Mono>,
}

// === impl Agenda ===

impl<K> Default for Agenda<K> {
    fn default() -> Self {
        Self { due: BTreeSet::new(), at: BTreeMap::new() }
    }
}

impl<K: Ord + Clone> Agenda<K> {
    /// Wakes `key` at `when` and at no other time, or not at all.
    pub(crate) fn set(&mut self, key: &K, when: Option<Mono>) {
        if self.at.get(key).copied() == when {
            return;
        }
        if let Some(old) = self.at.remove(key) {
            self.due.remove(&(old, key.clone()));
        }
        if let Some(when) = when {
            self.at.insert(key.clone(), when);
            self.due.insert((when, key.clone()));
        }
    }

    /// The earliest wake-up.
    pub(crate) fn next(&self) -> Option<Mono> {
        self.due.first().map(|(when, _)| *when)
    }

    /// The key that has been set the longest ago in time.
    pub(crate) fn first(&self) -> Option<&K> {
        self.due.first().map(|(_, key)| key)
    }

    /// Takes out the earliest key whose time has come.
    pub(crate) fn pop(&mut self, now: Mono) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        let (_, key) = self.due.pop_first()?;
        self.at.remove(&key);
        Some(key)
    }

    /// The keys from the earliest on.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Mono, &K)> {
        self.due.iter().map(|(when, key)| (*when, key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_wakes_once_at_its_latest_time() {
        let mut agenda = Agenda::default();
        agenda.set(&"a", Some(Mono(5)));
        agenda.set(&"b", Some(Mono(7)));
        agenda.set(&"a", Some(Mono(9)));
        agenda.set(&"c", Some(Mono(8)));
        agenda.set(&"c", None);
        assert_eq!(agenda.next(), Some(Mono(7)));
        assert_eq!(agenda.pop(Mono(6)), None);
        assert_eq!(agenda.pop(Mono(20)), Some("b"));
        assert_eq!(agenda.pop(Mono(20)), Some("a"));
        assert_eq!(agenda.pop(Mono(20)), None);
    }
}
