//! What the far side refuses, as events, without flooding the journal.

use crate::config::Config;
use crate::uplink::Sink;
use cordon_core::event::{Code, Event};
use cordon_core::time::Mono;
use std::collections::BTreeMap;
use std::time::Duration;

/// A refusal that repeats within this time is counted and not recorded again: a policy that is missing on the cloud side
/// refuses every entry of a long outbox in the same words.
const QUIET: Duration = Duration::from_secs(600);

/// How many different refusals are remembered; the one seen longest ago makes room.
const REMEMBERED: usize = 64;

/// Records refusals as `UPLINK_REFUSED` events.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    known: BTreeMap<Refusal, Known>,
}

/// One refusal, in the words of IoT policies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Refusal {
    pub(crate) action: &'static str,
    pub(crate) resource: String,
    pub(crate) reason: String,
}

#[derive(Debug)]
struct Known {
    recorded: Mono,
    unrecorded: u64,
}

// === impl Refusals ===

impl Refusals {
    /// Records the refusal, or counts it if the same one was recorded a short time ago.
    pub(crate) fn note(&mut self, refusal: Refusal, config: &Config, sink: &dyn Sink) {
        let now = sink.now();
        let mut count = 1;
        if let Some(known) = self.known.get_mut(&refusal) {
            known.unrecorded += 1;
            if now.mono.since(known.recorded) < QUIET {
                return;
            }
            count = known.unrecorded;
        }
        sink.record(
            Event::new(Code::UplinkRefused, now)
                .principal("gateway")
                .client_id(config.gateway.as_str())
                .action(refusal.action)
                .resource(refusal.resource.as_str())
                .reason(refusal.reason.as_str())
                .detail("endpoint", format!("{}:{}", config.host, config.port))
                .count(count),
        );
        if self.known.len() >= REMEMBERED && !self.known.contains_key(&refusal) {
            let oldest = self.known.iter().min_by_key(|(_, known)| known.recorded).map(|(refusal, _)| refusal.clone());
            oldest.map(|oldest| self.known.remove(&oldest));
        }
        self.known.insert(refusal, Known { recorded: now.mono, unrecorded: 0 });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]

    use super::*;
    use cordon_core::time::Now;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Journal {
        at: Mutex<u64>,
        events: Mutex<Vec<Event>>,
    }

    impl Sink for Journal {
        fn now(&self) -> Now {
            Now::for_test(*self.at.lock().unwrap())
        }

        fn record(&self, event: Event) {
            self.events.lock().unwrap().push(event);
        }
    }

    fn refusal(resource: &str) -> Refusal {
        Refusal { action: "iot:Publish", resource: resource.to_owned(), reason: "135 not authorized".to_owned() }
    }

    #[test]
    fn a_refusal_that_repeats_is_recorded_once_and_then_with_its_count() {
        let (journal, mut refusals) = (Journal::default(), Refusals::default());
        let config = Config::new("localhost", 8883, "gw-1", Default::default());
        for _ in 0..5 {
            refusals.note(refusal("topic/a"), &config, &journal);
        }
        *journal.at.lock().unwrap() = 601_000;
        refusals.note(refusal("topic/a"), &config, &journal);
        let counts: Vec<_> = journal.events.lock().unwrap().iter().map(|event| event.count).collect();
        assert_eq!(counts, [1, 5]);
    }

    #[test]
    fn different_refusals_are_all_recorded_and_few_are_remembered() {
        let (journal, mut refusals) = (Journal::default(), Refusals::default());
        let config = Config::new("localhost", 8883, "gw-1", Default::default());
        for topic in 0..200 {
            refusals.note(refusal(&topic.to_string()), &config, &journal);
        }
        assert_eq!(journal.events.lock().unwrap().len(), 200);
        assert!(refusals.known.len() <= REMEMBERED);
    }
}
