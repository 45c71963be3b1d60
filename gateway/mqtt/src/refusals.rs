//! Repeats of a refusal are counted, not recorded one by one.
//!
//! The first refusal of its kind is an event at once. Like ones within [`WINDOW`] are counted and become one further
//! event when the window ends. The table is bounded; when it is full, what is new is counted under one entry.

use cordon_core::event::{Code, Event};
use cordon_core::time::Mono;
use std::collections::BTreeMap;
use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(1);
const KINDS: usize = 32;
const OTHERS: &str = "(further ones, not listed one by one)";

/// Refusals of one session, or of one listener before sessions exist.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    kinds: BTreeMap<(Code, String), Kind>,
}

#[derive(Debug)]
struct Kind {
    since: Mono,
    more: u64,
    event: Event,
}

// === impl Refusals ===

impl Refusals {
    /// Notes a refusal. Returns it if it is to be recorded at once.
    pub(crate) fn note(&mut self, event: Event) -> Option<Event> {
        let from = event.peer.map(|peer| peer.ip());
        let mut key = (event.code, format!("{:?} {:?} {from:?}", event.resource, event.reason));
        if !self.kinds.contains_key(&key) && self.kinds.len() >= KINDS {
            key.1 = OTHERS.to_owned();
        }
        if let Some(kind) = self.kinds.get_mut(&key) {
            kind.more += event.count;
            return None;
        }
        let kept = if key.1 == OTHERS { event.clone().resource(OTHERS) } else { event.clone() };
        self.kinds.insert(key, Kind { since: event.at.mono, more: 0, event: kept });
        Some(event)
    }

    /// Ends the windows that are over. Returns the repeats counted in them.
    pub(crate) fn flush(&mut self, now: Mono) -> Vec<Event> {
        let mut repeats = Vec::new();
        self.kinds.retain(|_, kind| {
            let open = now.since(kind.since) < WINDOW;
            if !open && kind.more > 0 {
                repeats.push(kind.event.clone().count(kind.more));
            }
            open
        });
        repeats
    }

    /// Ends every window, at the end of a session.
    pub(crate) fn finish(&mut self) -> Vec<Event> {
        self.flush(Mono(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cordon_core::time::Now;

    fn refusal(resource: &str, millis: u64) -> Event {
        Event::new(Code::AuthzPublishDenied, Now::for_test(millis)).resource(resource)
    }

    #[test]
    fn the_first_refusal_is_recorded_at_once_and_repeats_are_counted() {
        let mut refusals = Refusals::default();
        assert!(refusals.note(refusal("a", 0)).is_some());
        assert!(refusals.note(refusal("a", 10)).is_none());
        assert!(refusals.note(refusal("a", 20)).is_none());
        assert!(refusals.note(refusal("b", 20)).is_some());
        assert!(refusals.flush(Now::for_test(500).mono).is_empty());
        let counts: Vec<_> = refusals.flush(Now::for_test(1500).mono).iter().map(|event| event.count).collect();
        assert_eq!(counts, [2]);
        assert!(refusals.note(refusal("a", 1600)).is_some());
    }

    #[test]
    fn ever_new_resources_are_counted_without_loss_in_bounded_memory() {
        let mut refusals = Refusals::default();
        let at_once: u64 = (0..10_000).filter_map(|n| refusals.note(refusal(&n.to_string(), 0))).map(|e| e.count).sum();
        assert!(refusals.kinds.len() <= KINDS + 1);
        let later: u64 = refusals.finish().iter().map(|event| event.count).sum();
        assert_eq!(at_once + later, 10_000);
    }
}
