//! What a session has used of the limits that keep it fair to others.

use crate::fair::{Allowance, Fair, Gate};
use crate::spell::Spell;
use cordon_core::time::Mono;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::hash::BuildHasher;

/// How fast a client has sent lately, and to how many topics since its session began.
#[derive(Default)]
pub(crate) struct Usage {
    gate: Cell<Gate>,
    throttled: Cell<Spell>,
    rule: Cell<&'static str>,
    /// Hashes of the topics, under a key of this set's own; a set is only kept while there is a limit.
    topics: RefCell<HashSet<u64>>,
}

/// A client is not read for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Throttled {
    pub(crate) until: Mono,
    /// The limit.
    pub(crate) rule: &'static str,
    /// Whether it begins with this, and is to be told.
    pub(crate) begins: bool,
}

// === impl Usage ===

impl Usage {
    pub(crate) fn allowance(&self, fair: &Fair, now: Mono) -> Allowance {
        self.gate.get().allowance(fair, now)
    }

    pub(crate) fn charge(&self, fair: &Fair, allowance: &Allowance, now: Mono) {
        let mut gate = self.gate.get();
        gate.charge(fair, allowance, now);
        self.gate.set(gate);
    }

    /// Whether the client has to wait before more is read from it.
    pub(crate) fn throttle(&self, fair: &Fair, now: Mono) -> Option<Throttled> {
        let (until, rule) = self.gate.get().opens(fair, now)?;
        let mut spell = self.throttled.get();
        let begins = spell.met(now);
        self.throttled.set(spell);
        self.rule.set(rule);
        Some(Throttled { until, rule, begins })
    }

    /// How often the client was made to wait since that was told, and by which limit, when that is to be told.
    pub(crate) fn due(&self, now: Mono) -> Option<(u64, &'static str)> {
        self.tell(|spell| spell.due(now))
    }

    /// The same, when the client goes.
    pub(crate) fn finish(&self) -> Option<(u64, &'static str)> {
        self.tell(Spell::finish)
    }

    fn tell(&self, ask: impl FnOnce(&mut Spell) -> Option<u64>) -> Option<(u64, &'static str)> {
        let mut spell = self.throttled.get();
        let count = ask(&mut spell);
        self.throttled.set(spell);
        Some((count?, self.rule.get()))
    }

    /// Whether the session may publish to a topic, as one of `most`; zero is no limit.
    pub(crate) fn admits(&self, topic: &str, most: usize) -> bool {
        let mut topics = self.topics.borrow_mut();
        if most == 0 {
            // What a limit that is no longer in force has counted is of no use.
            if topics.capacity() > 0 {
                *topics = HashSet::new();
            }
            return true;
        }
        let hash = topics.hasher().hash_one(topic);
        if topics.len() < most {
            topics.insert(hash);
            return true;
        }
        topics.contains(&hash)
    }

    /// Takes over what the session before this one has used: to begin anew is no way around a rate.
    pub(crate) fn inherit(&self, before: &Self) {
        self.gate.set(before.gate.get());
        self.throttled.set(before.throttled.get());
        self.rule.set(before.rule.get());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_publishes_to_so_many_topics_and_to_those_for_ever() {
        let usage = Usage::default();
        let admitted = (0..10).filter(|n| usage.admits(&format!("t/{n}"), 3)).count();
        assert_eq!(admitted, 3);
        assert!((0..3).all(|n| usage.admits(&format!("t/{n}"), 3)));
        assert!(usage.admits("t/9", 4), "the limit was raised");
        assert!(!usage.admits("t/8", 4));
        assert!(usage.admits("t/8", 0), "the limit was taken away");
        assert!(usage.admits("t/8", 1), "and a new one begins to count");
        assert!(!usage.admits("t/9", 1));
    }
}
