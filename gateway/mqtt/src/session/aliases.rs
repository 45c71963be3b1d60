//! Topic aliases towards a client (MQTT 5, 3.3.2.3.4): the first topics it receives are given numbers and keep them.
//!
//! An alias is learnt only once the packet that introduces it was encoded: a later packet without a topic never stands on
//! one that was not sent. They last as long as the connection (MQTT-3.3.2-7).

use std::collections::HashMap;
use std::num::NonZeroU16;

/// A topic of so many bytes is no longer than the property that would stand for it.
const PROPERTY: usize = 3;
/// What the topics of one connection may take, in bytes; later ones are sent in full.
const MAX_BYTES: usize = 16 * 1024;

/// The aliases of one connection.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    /// At most what the client announced (MQTT-3.1.2-26); 0 is none.
    limit: u16,
    bytes: usize,
    by_topic: HashMap<Box<str>, NonZeroU16>,
}

/// How a topic is written into a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Naming {
    /// In full.
    Plain,
    /// In full, and with a number for the next time.
    New(NonZeroU16),
    /// By its number alone.
    Known(NonZeroU16),
}

// === impl Aliases ===

impl Aliases {
    pub(super) fn new(limit: u16) -> Self {
        Self { limit, ..Self::default() }
    }

    pub(super) fn naming(&self, topic: &str) -> Naming {
        if self.limit == 0 || topic.len() <= PROPERTY {
            return Naming::Plain;
        }
        if let Some(alias) = self.by_topic.get(topic) {
            return Naming::Known(*alias);
        }
        let next = u16::try_from(self.by_topic.len()).ok().filter(|used| *used < self.limit);
        let fits = self.bytes + topic.len() <= MAX_BYTES;
        next.filter(|_| fits).and_then(|used| NonZeroU16::MIN.checked_add(used)).map_or(Naming::Plain, Naming::New)
    }

    /// The packet that introduces an alias was encoded.
    pub(super) fn learn(&mut self, topic: &str, alias: NonZeroU16) {
        self.bytes += topic.len();
        self.by_topic.insert(topic.into(), alias);
    }

    pub(super) fn are_used(&self) -> bool {
        !self.by_topic.is_empty()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]
    use super::*;

    fn tell(aliases: &mut Aliases, topic: &str) -> Naming {
        let naming = aliases.naming(topic);
        if let Naming::New(alias) = naming {
            aliases.learn(topic, alias);
        }
        naming
    }

    #[test]
    fn the_first_topics_get_numbers_from_one_and_keep_them() {
        let mut aliases = Aliases::new(2);
        let number = |n| NonZeroU16::new(n).unwrap();
        assert_eq!(tell(&mut aliases, "topic/a"), Naming::New(number(1)));
        assert_eq!(tell(&mut aliases, "topic/b"), Naming::New(number(2)));
        assert_eq!(tell(&mut aliases, "topic/c"), Naming::Plain);
        assert_eq!(tell(&mut aliases, "topic/a"), Naming::Known(number(1)));
        assert_eq!(tell(&mut aliases, "topic/b"), Naming::Known(number(2)));
    }

    #[test]
    fn a_client_that_announced_none_is_told_none_and_a_short_topic_is_not_worth_one() {
        assert_eq!(tell(&mut Aliases::new(0), "topic/a"), Naming::Plain);
        assert_eq!(tell(&mut Aliases::new(9), "a/b"), Naming::Plain);
    }

    #[test]
    fn what_was_not_encoded_is_not_learnt() {
        let aliases = Aliases::new(2);
        assert_eq!(aliases.naming("topic/a"), aliases.naming("topic/a"));
        assert!(!aliases.are_used());
    }

    #[test]
    fn every_number_up_to_the_largest_is_given_and_memory_is_bounded() {
        let mut aliases = Aliases::new(u16::MAX);
        let long = "x".repeat(MAX_BYTES);
        assert_eq!(tell(&mut aliases, &long), Naming::New(NonZeroU16::MIN));
        assert_eq!(tell(&mut aliases, "topic"), Naming::Plain);
    }
}
