//! The retained messages: the last message of each topic that was published with the retain flag (MQTT 5, 3.3.1.3).

use crate::envelope::Envelope;
use cordon_core::time::Mono;
use cordon_core::topic;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

/// The retained messages by topic, at most so many and so much.
#[derive(Debug)]
pub(crate) struct Retained {
    messages: BTreeMap<String, Envelope>,
    bytes: usize,
    limit: usize,
    max_bytes: usize,
    /// What changed and is not on record yet; `None` if nothing is put on record.
    log: Option<Vec<Change>>,
    /// When expired messages were last looked for to make room.
    swept: Mono,
}

/// One change.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// This is what is retained for its topic.
    Kept(Envelope),
    /// Nothing is retained for the topic any more.
    Gone(String),
}

/// The store holds as many messages as it may; the message is delivered but not retained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

// === impl Retained ===

impl Retained {
    /// At most `limit` messages of at most `max_bytes` together. A log is kept if changes are to be put on record.
    pub(crate) fn new(limit: usize, max_bytes: usize, recorded: bool) -> Self {
        let log = recorded.then(Vec::new);
        Self { messages: BTreeMap::new(), bytes: 0, limit, max_bytes, log, swept: Mono(0) }
    }

    /// What has changed since the last call, in order. What the gateway tells about itself is left out.
    pub(crate) fn take_log(&mut self) -> Vec<Change> {
        self.log.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn note(&mut self, topic: &str, change: impl FnOnce() -> Change) {
        if let Some(log) = self.log.as_mut().filter(|_| !topic.starts_with("$SYS/")) {
            log.push(change());
        }
    }

    fn remove(&mut self, topic: &str) {
        if let Some(old) = self.messages.remove(topic) {
            self.bytes -= cost(&old);
            self.note(topic, || Change::Gone(topic.to_owned()));
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Takes over a message that was published with the retain flag; one without a body removes what was there.
    pub(crate) fn set(&mut self, message: &Envelope, now: Mono) -> Result<(), Full> {
        let old = self.messages.get(message.topic()).map_or(0, cost);
        if message.payload().is_empty() {
            self.remove(message.topic());
            return Ok(());
        }
        if !self.has_room(message, old) && !self.sweep(now, message, old) {
            // What was retained is outdated: no message is better than the wrong one.
            self.remove(message.topic());
            return Err(Full);
        }
        self.note(message.topic(), || Change::Kept(message.clone()));
        self.bytes += cost(message);
        self.bytes -= self.messages.insert(message.topic().to_owned(), message.clone()).as_ref().map_or(0, cost);
        Ok(())
    }

    fn has_room(&self, message: &Envelope, old: usize) -> bool {
        self.messages.len() - usize::from(old > 0) < self.limit && self.bytes - old + cost(message) <= self.max_bytes
    }

    /// Removes what has expired, at most once a second. Returns whether there is room then.
    fn sweep(&mut self, now: Mono, message: &Envelope, old: usize) -> bool {
        if now.since(self.swept) < Duration::from_secs(1) {
            return false;
        }
        self.swept = now;
        let over = |kept: &Envelope| kept.expires().is_some_and(|at| at <= now);
        let expired: Vec<_> =
            self.messages.iter().filter(|(_, kept)| over(kept)).map(|(name, _)| name.clone()).collect();
        for name in expired.iter().filter(|name| *name != message.topic()) {
            self.remove(name);
        }
        self.has_room(message, old)
    }

    /// The messages that `filter` selects, in the order of their topics. Expired ones are removed on the way.
    pub(crate) fn select(&mut self, filter: &str, now: Mono) -> Vec<Envelope> {
        let Some(wildcard) = filter.find(['+', '#']) else {
            let found = self.messages.get(filter).filter(|message| message.expires().is_none_or(|at| at > now));
            return found.cloned().into_iter().collect();
        };
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
            self.remove(&name);
        }
        selected
    }
}

/// The topic is held twice.
fn cost(message: &Envelope) -> usize {
    message.size() + message.topic().len()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]
    use super::*;
    use crate::codec::QoS;
    use crate::envelope::Letter;
    use cordon_core::judge;
    use cordon_core::policy::Action;

    const MAX_BYTES: usize = 1024 * 1024;

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
        Envelope::seal(&letter, 0, &[], judge::judge_gateway(Action::Publish, topic))
    }

    fn topics(of: Vec<Envelope>) -> Vec<String> {
        of.iter().map(|message| message.topic().to_owned()).collect()
    }

    #[test]
    fn a_filter_selects_what_it_matches_and_an_empty_body_removes() {
        let mut store = Retained::new(10, MAX_BYTES, false);
        for topic in ["a", "a/b", "a/b/c", "ab", "$SYS/a"] {
            store.set(&message(topic, b"x", None), Mono(0)).unwrap();
        }
        assert_eq!(topics(store.select("a/#", Mono(0))), ["a", "a/b", "a/b/c"]);
        assert_eq!(topics(store.select("a/b", Mono(0))), ["a/b"]);
        assert_eq!(topics(store.select("+", Mono(0))), ["a", "ab"]);
        assert_eq!(topics(store.select("$SYS/#", Mono(0))), ["$SYS/a"]);
        store.set(&message("a/b", b"", None), Mono(0)).unwrap();
        assert_eq!(topics(store.select("a/+", Mono(0))), Vec::<String>::new());
    }

    #[test]
    fn an_expired_message_is_gone_and_makes_room_and_a_full_store_says_so() {
        let mut store = Retained::new(1, MAX_BYTES, false);
        store.set(&message("a", b"x", Some(Mono(5000))), Mono(0)).unwrap();
        assert_eq!(store.set(&message("b", b"x", None), Mono(4000)), Err(Full));
        assert_eq!(store.select("a", Mono(4000)).len(), 1);
        assert_eq!(store.select("a", Mono(5000)).len(), 0);
        assert_eq!(store.set(&message("b", b"x", None), Mono(6000)), Ok(()));
        assert_eq!(store.set(&message("b", b"xy", None), Mono(6000)), Ok(()), "a change takes no further place");
    }

    #[test]
    fn large_messages_fill_the_store_before_their_number_does() {
        let mut store = Retained::new(100, MAX_BYTES, false);
        let body = vec![0; MAX_BYTES / 2];
        store.set(&message("a", &body, None), Mono(0)).unwrap();
        assert_eq!(store.set(&message("b", &body, None), Mono(0)), Err(Full));
        assert_eq!(store.set(&message("a", b"", None), Mono(0)), Ok(()));
        assert_eq!(store.set(&message("b", &body, None), Mono(0)), Ok(()));
        assert_eq!(store.bytes, store.messages.values().map(cost).sum::<usize>());
    }

    #[test]
    fn every_change_is_told_but_what_the_gateway_says_about_itself() {
        let mut store = Retained::new(2, MAX_BYTES, true);
        store.set(&message("a", b"1", None), Mono(0)).unwrap();
        store.set(&message("a", b"2", Some(Mono(50))), Mono(0)).unwrap();
        store.set(&message("$SYS/a", b"1", None), Mono(0)).unwrap();
        store.set(&message("none", b"", None), Mono(0)).unwrap();
        assert_eq!(store.set(&message("b", b"1", None), Mono(0)), Err(Full));
        assert!(store.select("+", Mono(60)).is_empty(), "it has expired");
        let told: Vec<String> = store
            .take_log()
            .into_iter()
            .map(|change| match change {
                Change::Kept(message) => format!("{}={}", message.topic(), String::from_utf8_lossy(message.payload())),
                Change::Gone(topic) => format!("{topic} gone"),
            })
            .collect();
        assert_eq!(told, ["a=1", "a=2", "a gone"]);
        assert!(store.take_log().is_empty());
    }
}
