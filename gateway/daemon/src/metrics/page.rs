//! The page of metrics: names, meanings and values.

use super::events::ByFamily;
use super::{Snapshot, process};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::fmt;

/// What the page is.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The front door's meters that go down as well as up; the others only rise.
const GAUGES: [&str; 6] = ["connections", "sessions", "subscriptions", "queued", "retained", "sources"];

/// The page for a moment.
pub(super) fn render(snapshot: Snapshot, events: ByFamily) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Page { snapshot, events }));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Page {
    snapshot: Snapshot,
    events: ByFamily,
}

// === impl Page ===

impl Collector for Page {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let now = &self.snapshot;
        for (name, help, value) in &now.meters {
            let full = format!("cordon_{name}");
            if GAUGES.contains(name) {
                single(&mut to, &full, help, ConstGauge::new(*value))?;
            } else {
                single(&mut to, &full, help, ConstCounter::new(*value))?;
            }
        }
        for (name, help, value) in [
            ("cordon_active_alarms", "Alarms that are up.", now.active_alarms),
            ("cordon_active_orders", "Isolation orders in force.", now.active_orders),
            ("cordon_open_findings", "Deviations from baselines that are open.", now.open_findings),
            ("cordon_outbox_entries", "Entries that wait for the uplink.", now.outbox_entries),
            ("cordon_outbox_bytes", "Bytes that wait for the uplink.", now.outbox_bytes),
            ("cordon_journal_bytes", "Bytes of the journal on disk.", now.journal_bytes),
            ("cordon_journal_last_seq", "The sequence number of the last event.", now.journal_last_seq),
        ] {
            single(&mut to, name, help, ConstGauge::new(value))?;
        }
        if let Some(connected) = now.uplink_connected {
            let help = "Whether the uplink is connected, 1 or 0.";
            single(&mut to, "cordon_uplink_connected", help, ConstGauge::new(u32::from(connected)))?;
        }
        let help = "Events dropped because the journal's queue was full.";
        single(&mut to, "cordon_journal_dropped_events", help, ConstCounter::new(now.journal_dropped))?;
        self.events(&mut to)?;
        if let Some(bytes) = process::resident_bytes() {
            let help = "Resident memory of the gateway's process in bytes.";
            single(&mut to, "process_resident_memory_bytes", help, ConstGauge::new(bytes))?;
        }
        Ok(())
    }
}

impl Page {
    fn events(&self, to: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Security events by family and severity.";
        let mut family = to.encode_descriptor("cordon_events", help, None, MetricType::Counter)?;
        for ((name, severity), count) in &self.events {
            let labels = [("family", *name), ("severity", severity.name())];
            ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

fn single(to: &mut DescriptorEncoder<'_>, name: &str, help: &str, metric: impl EncodeMetric) -> Result<(), fmt::Error> {
    metric.encode(to.encode_descriptor(name, help, None, metric.metric_type())?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]
    use super::*;

    #[test]
    fn every_metric_has_a_meaning_and_a_name_of_the_house() {
        let meters = cordon_mqtt::Meters::default().all();
        let snapshot = Snapshot { meters, uplink_connected: Some(true), ..Snapshot::default() };
        let text = render(snapshot, ByFamily::new()).unwrap();
        let mut helped = 0;
        for line in text.lines().filter(|line| line.starts_with("# HELP ")) {
            let (name, help) = line["# HELP ".len()..].split_once(' ').unwrap();
            assert!(name.starts_with("cordon_") || name.starts_with("process_"), "{line}");
            assert!(help.ends_with('.') && !help.ends_with(".."), "{line}");
            helped += 1;
        }
        assert_eq!(helped, text.lines().filter(|line| line.starts_with("# TYPE ")).count());
        assert!(text.contains("# TYPE cordon_sessions gauge"), "{text}");
        assert!(text.contains("cordon_messages_dropped_total 0"), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
