//! Who watches the lifecycle events of AWS IoT (`$aws/events/...`), and what identifies one connection in them.
//!
//! The events are made only while a subscription could select them. [`Presence::is_watched`] is one atomic read, so a
//! gateway whose lifecycle nobody watches pays nothing for it.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Shared by all workers.
#[derive(Debug)]
pub(crate) struct Presence {
    watchers: AtomicUsize,
    /// Random, so that identifiers of two starts of the gateway never meet.
    key: [u8; 32],
}

// === impl Presence ===

impl Presence {
    /// Nobody watches yet. `key` must be random.
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self { watchers: AtomicUsize::new(0), key }
    }

    /// Whether any subscription could select a lifecycle event.
    pub(crate) fn is_watched(&self) -> bool {
        self.watchers.load(Ordering::Acquire) > 0
    }

    /// Notes a subscription to `filter`, which is bare of any share. Call once for each.
    pub(crate) fn subscribed(&self, filter: &str) {
        if selects_events(filter) {
            self.watchers.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Notes the end of a subscription that [`Presence::subscribed`] was told.
    pub(crate) fn unsubscribed(&self, filter: &str) {
        if selects_events(filter) {
            self.watchers.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// The `sessionIdentifier` of one connection: a UUID in the form of version 4, the same for the same pair.
    pub(crate) fn session_identifier(&self, session: u64, connection: u64) -> String {
        let mut named = [0; 16];
        named[..8].copy_from_slice(&session.to_be_bytes());
        named[8..].copy_from_slice(&connection.to_be_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&blake3::keyed_hash(&self.key, &named).as_bytes()[..16]);
        id[6] = id[6] & 0x0F | 0x40;
        id[8] = id[8] & 0x3F | 0x80;
        let part =
            |range: std::ops::Range<usize>| id[range].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        [part(0..4), part(4..6), part(6..8), part(8..10), part(10..16)].join("-")
    }
}

/// Whether a bare filter could select a topic under `$aws/events/`. A leading wildcard never does (MQTT-4.7.2-1).
fn selects_events(filter: &str) -> bool {
    let mut levels = filter.split('/');
    levels.next() == Some("$aws") && matches!(levels.next(), Some("events" | "+" | "#"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn only_filters_that_could_select_an_event_make_a_watcher() {
        for (filter, could) in [
            ("$aws/events/presence/connected/press-01", true),
            ("$aws/events/#", true),
            ("$aws/+/presence/connected/+", true),
            ("$aws/#", true),
            ("#", false),
            ("+/events/#", false),
            ("$aws", false),
            ("$aws/things/press-01/shadow/#", false),
            ("$aws/eventsx/#", false),
            ("$SYS/#", false),
        ] {
            let presence = Presence::new([0; 32]);
            presence.subscribed(filter);
            assert_eq!(presence.is_watched(), could, "{filter}");
            presence.unsubscribed(filter);
            assert!(!presence.is_watched(), "{filter}");
        }
    }

    #[test]
    fn every_connection_of_every_start_has_an_identifier_of_its_own() {
        let (now, before) = (Presence::new([1; 32]), Presence::new([2; 32]));
        let ids: BTreeSet<String> = [&now, &before]
            .into_iter()
            .flat_map(|presence| [(1, 0), (0, 1), (1, 1)].map(|(s, c)| presence.session_identifier(s, c)))
            .collect();
        assert_eq!(ids.len(), 6);
        assert!(ids.contains(&now.session_identifier(1, 0)));
        for id in ids {
            let parts: Vec<usize> = id.split('-').map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
            assert!(id[14..].starts_with('4') && id[19..].starts_with(['8', '9', 'a', 'b']), "{id}");
        }
    }
}
