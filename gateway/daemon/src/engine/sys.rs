//! `$SYS`: what dashboards made for Mosquitto expect to find, as retained messages with Mosquitto's names and formats.
//!
//! Only what changed since the last round is published, and nothing while no reader is configured. When it is turned
//! off, what was retained is removed.

use super::Knowledge;
use super::load::{Load, SPANS};
use crate::metrics::resident_bytes;
use bytes::Bytes;
use cordon_core::judge::judge_gateway;
use cordon_core::policy::Action;
use cordon_core::time::{Mono, Now};
use cordon_mqtt::Meters;
use std::collections::BTreeMap;

/// What the numbers are at one moment. All but the gauges count from the start.
#[derive(Debug, Clone, Copy, Default)]
struct Numbers {
    connected: u64,
    sessions: u64,
    subscriptions: u64,
    retained: u64,
    queued: u64,
    sockets: u64,
    connects: u64,
    packets_in: u64,
    packets_out: u64,
    publishes_in: u64,
    publishes_out: u64,
    dropped: u64,
    bytes_in: u64,
    bytes_out: u64,
    payload_in: u64,
    payload_out: u64,
    /// Resident memory in bytes; the allocator does not tell the heap alone.
    memory: Option<u64>,
}

/// What is retained under `$SYS`.
#[derive(Debug)]
pub(super) struct SysTree {
    begun: Mono,
    last: Option<Mono>,
    told: BTreeMap<String, String>,
    loads: BTreeMap<&'static str, Load>,
    most_clients: u64,
    most_memory: u64,
}

// === impl Numbers ===

impl Numbers {
    fn of(meters: &Meters, memory: Option<u64>) -> Self {
        Self {
            connected: meters.connections.get(),
            sessions: meters.sessions.get(),
            subscriptions: meters.subscriptions.get(),
            retained: meters.retained.get(),
            queued: meters.queued.get(),
            sockets: meters.accepted.get(),
            connects: meters.connects.get(),
            packets_in: meters.packets_in.get(),
            packets_out: meters.answers_out.get() + meters.messages_out.get(),
            publishes_in: meters.messages_in.get() + meters.publishes_refused.get(),
            publishes_out: meters.messages_out.get(),
            dropped: meters.messages_dropped.get(),
            bytes_in: meters.bytes_in.get(),
            bytes_out: meters.bytes_out.get(),
            payload_in: meters.payload_bytes_in.get(),
            payload_out: meters.payload_bytes_out.get(),
            memory,
        }
    }

    /// What has a load, by its topic under `$SYS/broker/load/`.
    fn loads(&self) -> [(&'static str, u64); 9] {
        [
            ("connections", self.connects),
            ("sockets", self.sockets),
            ("messages/received", self.packets_in),
            ("messages/sent", self.packets_out),
            ("publish/received", self.publishes_in),
            ("publish/sent", self.publishes_out),
            ("publish/dropped", self.dropped),
            ("bytes/received", self.bytes_in),
            ("bytes/sent", self.bytes_out),
        ]
    }
}

// === impl SysTree ===

impl SysTree {
    pub(super) fn new(now: Now) -> Self {
        let (told, loads) = (BTreeMap::new(), BTreeMap::new());
        Self { begun: now.mono, last: None, told, loads, most_clients: 0, most_memory: 0 }
    }

    /// What has to be published for these numbers: topics with their new text.
    fn round(&mut self, numbers: &Numbers, now: Mono) -> Vec<(String, String)> {
        let elapsed = self.last.replace(now).map(|last| now.since(last));
        self.most_clients = self.most_clients.max(numbers.connected);
        self.most_memory = self.most_memory.max(numbers.memory.unwrap_or(0));
        let mut changed = Vec::new();
        for (topic, text) in self.counts(numbers, now) {
            self.note(format!("$SYS/broker/{topic}"), text, &mut changed);
        }
        for (name, count) in numbers.loads() {
            let load = self.loads.entry(name).or_insert_with(|| Load::from(count));
            if let Some(elapsed) = elapsed {
                load.update(count, elapsed);
            }
            for ((span, _), mean) in SPANS.iter().zip(load.means()) {
                self.note(format!("$SYS/broker/load/{name}/{span}"), format!("{mean:.2}"), &mut changed);
            }
        }
        changed
    }

    fn note(&mut self, topic: String, text: String, changed: &mut Vec<(String, String)>) {
        if self.told.get(&topic) != Some(&text) {
            self.told.insert(topic.clone(), text.clone());
            changed.push((topic, text));
        }
    }

    fn counts(&self, numbers: &Numbers, now: Mono) -> Vec<(&'static str, String)> {
        let mut texts = vec![
            ("version", format!("cordon version {}", env!("CARGO_PKG_VERSION"))),
            ("uptime", format!("{} seconds", now.since(self.begun).as_secs())),
        ];
        let stored = numbers.queued + numbers.retained;
        let counts = [
            ("clients/connected", numbers.connected),
            ("clients/disconnected", numbers.sessions.saturating_sub(numbers.connected)),
            ("clients/total", numbers.sessions),
            ("clients/maximum", self.most_clients),
            ("messages/received", numbers.packets_in),
            ("messages/sent", numbers.packets_out),
            ("messages/stored", stored),
            ("store/messages/count", stored),
            ("publish/messages/received", numbers.publishes_in),
            ("publish/messages/sent", numbers.publishes_out),
            ("publish/messages/dropped", numbers.dropped),
            ("publish/bytes/received", numbers.payload_in),
            ("publish/bytes/sent", numbers.payload_out),
            ("bytes/received", numbers.bytes_in),
            ("bytes/sent", numbers.bytes_out),
            ("subscriptions/count", numbers.subscriptions),
            ("retained messages/count", numbers.retained),
        ];
        texts.extend(counts.map(|(topic, count)| (topic, count.to_string())));
        if let Some(memory) = numbers.memory {
            texts.push(("heap/current size", memory.to_string()));
            texts.push(("heap/maximum size", self.most_memory.to_string()));
        }
        texts
    }

    /// The topics to remove when nothing is to be told any more.
    fn clear(&mut self) -> Vec<String> {
        self.last = None;
        self.loads.clear();
        std::mem::take(&mut self.told).into_keys().collect()
    }
}

// === impl Knowledge ===

impl Knowledge {
    /// Publishes what changed under `$SYS` when the interval is over.
    pub(super) async fn tell_numbers(&mut self, now: Now) {
        let config = &self.config.sys;
        let due = self.sys.last.is_none_or(|last| now.mono.since(last) >= config.interval);
        let changed = if !config.is_on() {
            self.sys.clear().into_iter().map(|topic| (topic, String::new())).collect()
        } else if let Some(broker) = self.broker.as_ref().filter(|_| due) {
            self.sys.round(&Numbers::of(&broker.meters(), resident_bytes()), now.mono)
        } else {
            return;
        };
        let Some(broker) = &self.broker else { return };
        for (topic, text) in changed {
            let permit = judge_gateway(Action::Publish, &topic);
            broker.publish_retained(topic, Bytes::from(text), permit).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Mono {
        Now::for_test(secs * 1000).mono
    }

    fn text<'a>(changed: &'a [(String, String)], topic: &str) -> Option<&'a str> {
        changed.iter().find(|(name, _)| name.strip_prefix("$SYS/broker/") == Some(topic)).map(|(_, text)| &**text)
    }

    #[test]
    fn the_first_round_tells_all_in_the_formats_of_mosquitto_and_later_ones_what_changed() {
        let mut tree = SysTree::new(Now::for_test(0));
        let numbers =
            Numbers { connected: 3, sessions: 5, queued: 2, retained: 4, memory: Some(7), ..Numbers::default() };
        let first = tree.round(&numbers, at(2));
        for (topic, expected) in [
            ("version", concat!("cordon version ", env!("CARGO_PKG_VERSION"))),
            ("uptime", "2 seconds"),
            ("clients/connected", "3"),
            ("clients/disconnected", "2"),
            ("clients/total", "5"),
            ("clients/maximum", "3"),
            ("messages/stored", "6"),
            ("retained messages/count", "4"),
            ("heap/current size", "7"),
            ("load/messages/received/15min", "0.00"),
        ] {
            assert_eq!(text(&first, topic), Some(expected), "{topic}");
        }
        assert_eq!(first.len(), 2 + 17 + 2 + 9 * 3);
        let numbers = Numbers { connected: 1, packets_in: 10, ..numbers };
        let second = tree.round(&numbers, at(12));
        let expected = [
            ("uptime", "12 seconds"),
            ("clients/connected", "1"),
            ("clients/disconnected", "4"),
            ("messages/received", "10"),
            ("load/messages/received/1min", "60.00"),
            ("load/messages/received/5min", "60.00"),
            ("load/messages/received/15min", "60.00"),
        ];
        let told: Vec<_> = second.iter().map(|(topic, text)| (topic.as_str(), text.as_str())).collect();
        assert_eq!(
            told,
            expected
                .map(|(topic, text)| (format!("$SYS/broker/{topic}"), text))
                .each_ref()
                .map(|(topic, text)| (topic.as_str(), *text))
        );
    }

    #[test]
    fn turned_off_it_names_everything_that_was_retained_once() {
        let mut tree = SysTree::new(Now::for_test(0));
        let told = tree.round(&Numbers::default(), at(0)).len();
        assert_eq!(tree.clear().len(), told);
        assert_eq!(tree.clear(), Vec::<String>::new());
        assert_eq!(tree.round(&Numbers::default(), at(1)).len(), told, "turned on again it tells all");
    }
}
