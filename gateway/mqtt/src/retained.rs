//! The retained messages: the last message of each topic that was published with the retain flag (MQTT 5, 3.3.1.3).

use crate::envelope::Envelope;
use cordon_core::time::Mono;
use cordon_core::topic;
use std::collections::BTreeMap;
use std::ops::Bound;

/// The retained messages by topic, at most so many.
#[derive(Debug)]
pub(crate) struct Retained {
    messages: BTreeMap<String, Envelope>,
    limit: usize,
}

/// The store holds as many messages as it may; the message is delivered but not retained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

// === impl Retained ===

impl Retained {
    pub(crate) fn new(limit: usize) -> Self {
        Self { messages: BTreeMap::new(), limit }
    }

    /// Takes over a message that was published with the retain flag; one without a body removes what was there.
    pub(crate) fn set(&mut self, message: &Envelope) -> Result<(), Full> {
        if message.payload().is_empty() {
            self.messages.remove(message.topic());
        } else if let Some(old) = self.messages.get_mut(message.topic()) {
            *old = message.clone();
        } else if self.messages.len() < self.limit {
            self.messages.insert(message.topic().to_owned(), message.clone());
        } else {
            return Err(Full);
        }
        Ok(())
    }

    /// The messages that `filter` selects, in the order of their topics. Expired ones are removed on the way.
    pub(crate) fn select(&mut self, filter: &str, now: Mono) -> Vec<Envelope> {
        let wildcard = filter.find(['+', '#']).unwrap_or(filter.len());
        // `a/#` selects `a` too, which sorts before the prefix `a/`.
        let prefix = filter[..wildcard].trim_end_matches('/');
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let mut selected = Vec::new();
        let mut expired = Vec::new();
        for (name, message) in self.messages.range::<str, _>(from) {
            if !name.starts_with(prefix) {
                break;
            }
            if topic::matches(filter, name) {
                if message.expires().is_some_and(|at| at <= now) {
                    expired.push(name.clone());
                } else {
                    selected.push(message.clone());
                }
            }
        }
        for name in expired {
            self.messages.remove(&name);
        }
        selected
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]
    use super::*;
    use crate::codec::QoS;
    use crate::envelope::Letter;
    use cordon_core::judge;
    use cordon_core::policy::Action;

    fn message(topic: &str, payload: &[u8], expires: Option<Mono>) -> Envelope {
        let letter = Letter {
            qos: QoS::AtLeastOnce,
            retain: true,
            publisher: 1,
            thing: "t",
            epoch: 0,
            expires,
            topic,
            properties: &[],
            payload,
        };
        Envelope::seal(&letter, judge::judge_gateway(Action::Publish, topic))
    }

    fn topics(of: Vec<Envelope>) -> Vec<String> {
        of.iter().map(|message| message.topic().to_owned()).collect()
    }

    #[test]
    fn a_filter_selects_what_it_matches_and_an_empty_body_removes() {
        let mut store = Retained::new(10);
        for topic in ["a", "a/b", "a/b/c", "ab", "$SYS/a"] {
            store.set(&message(topic, b"x", None)).unwrap();
        }
        assert_eq!(topics(store.select("a/#", Mono(0))), ["a", "a/b", "a/b/c"]);
        assert_eq!(topics(store.select("a/b", Mono(0))), ["a/b"]);
        assert_eq!(topics(store.select("+", Mono(0))), ["a", "ab"]);
        assert_eq!(topics(store.select("$SYS/#", Mono(0))), ["$SYS/a"]);
        store.set(&message("a/b", b"", None)).unwrap();
        assert_eq!(topics(store.select("a/+", Mono(0))), Vec::<String>::new());
    }

    #[test]
    fn an_expired_message_is_gone_and_a_full_store_says_so() {
        let mut store = Retained::new(1);
        store.set(&message("a", b"x", Some(Mono(5)))).unwrap();
        assert_eq!(store.set(&message("b", b"x", None)), Err(Full));
        assert_eq!(store.select("a", Mono(4)).len(), 1);
        assert_eq!(store.select("a", Mono(5)).len(), 0);
        assert_eq!(store.set(&message("b", b"x", None)), Ok(()));
    }
}
