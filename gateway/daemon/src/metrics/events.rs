//! How many events there were, by family and severity.

use cordon_core::event::{CATALOGUE, Code, Event, Severity};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts by family and severity.
pub(super) type ByFamily = BTreeMap<(&'static str, Severity), u64>;

/// Counts events since the start. Counting is cheap and never waits.
#[derive(Debug)]
pub(crate) struct EventCounts {
    /// One place for each code and severity.
    places: Vec<[AtomicU64; 5]>,
}

// === impl EventCounts ===

impl Default for EventCounts {
    fn default() -> Self {
        Self { places: CATALOGUE.iter().map(|_| Default::default()).collect() }
    }
}

impl EventCounts {
    /// Counts an event once for each like occurrence that it stands for.
    pub(crate) fn count(&self, event: &Event) {
        if let Some(place) = self.places.get(event.code as usize) {
            place[event.severity as usize].fetch_add(event.count.max(1), Ordering::Relaxed);
        }
    }

    /// The counts by family, the part of a code before its first `_`, and severity. Those that are 0 only show for the
    /// severity that the catalogue gives the family's codes, so that every rate starts from 0.
    pub(super) fn by_family(&self) -> ByFamily {
        let mut counts = BTreeMap::new();
        for (entry, place) in CATALOGUE.iter().zip(&self.places) {
            for severity in [Severity::Info, Severity::Notice, Severity::Warning, Severity::Error, Severity::Critical] {
                let count = place[severity as usize].load(Ordering::Relaxed);
                if count > 0 || severity == entry.severity {
                    *counts.entry((family(entry.code), severity)).or_default() += count;
                }
            }
        }
        counts
    }
}

fn family(code: Code) -> &'static str {
    let name = code.name();
    name.split_once('_').map_or(name, |(family, _)| family)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cordon_core::time::Now;

    #[test]
    fn events_are_counted_by_family_and_severity() {
        let counts = EventCounts::default();
        let mut event = Event::new(Code::AuthnBadPassword, Now::for_test(0));
        event.count = 3;
        counts.count(&event);
        counts.count(&Event::new(Code::AuthnUnknownUser, Now::for_test(1)));
        event.severity = Severity::Critical;
        counts.count(&event);
        let by_family = counts.by_family();
        assert_eq!(by_family.get(&("AUTHN", Severity::Warning)), Some(&4));
        assert_eq!(by_family.get(&("AUTHN", Severity::Critical)), Some(&3));
        assert_eq!(by_family.get(&("ALARM", Severity::Critical)), Some(&0));
        assert_eq!(by_family.get(&("ALARM", Severity::Info)), None);
    }
}
