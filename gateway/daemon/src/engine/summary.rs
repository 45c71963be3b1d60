//! The summary of each interval, for the cloud.

use super::Knowledge;
use cordon_core::event::{Code, Event};
use cordon_core::time::Now;
use cordon_mqtt::ThingCounters;
use cordon_uplink::Counters;
use cordon_uplink::summary::{SummaryInput, ThingCounts, summary};
use std::collections::BTreeMap;
use tokio::sync::watch;

/// Summaries are the first to be dropped from a full outbox.
const SUMMARY: u8 = 1;
/// Things counted in one interval; what further ones do is in the totals of nobody.
const THINGS: usize = 20_000;

/// What happened since the last summary.
#[derive(Debug)]
pub(super) struct Tally {
    since: Now,
    things: BTreeMap<String, ThingCounts>,
    pub(super) uplink: Option<watch::Receiver<cordon_uplink::Status>>,
}

// === impl Tally ===

impl Tally {
    pub(super) fn new(now: Now) -> Self {
        Self { since: now, things: BTreeMap::new(), uplink: None }
    }

    pub(super) fn count(&mut self, counted: &ThingCounters) {
        if self.things.len() >= THINGS && !self.things.contains_key(&counted.thing) {
            return;
        }
        let counts = self.things.entry(counted.thing.clone()).or_default();
        counts.auth_failures += counted.authorization_failures;
        counts.messages += counted.sent + counted.received;
        counts.connects += counted.connects;
        counts.bytes += counted.bytes;
    }

    fn counters(&self) -> Counters {
        self.uplink.as_ref().map(|status| status.borrow().counters).unwrap_or_default()
    }
}

// === impl Knowledge ===

impl Knowledge {
    /// Lets summaries tell how the uplink does.
    pub(crate) fn watch_uplink(&mut self, status: watch::Receiver<cordon_uplink::Status>) {
        self.tally.uplink = Some(status);
    }

    /// What waits for the uplink, if there is one.
    pub(crate) fn outbox_status(&self) -> Option<cordon_journal::OutboxStatus> {
        self.stores.outbox.as_ref().map(|(outbox, _)| outbox.status())
    }

    /// How the uplink does, if there is one.
    pub(crate) fn uplink_status(&self) -> Option<cordon_uplink::Status> {
        self.tally.uplink.as_ref().map(|status| status.borrow().clone())
    }

    /// Queues a summary when the interval is over.
    pub(super) async fn summarise(&mut self, now: Now) {
        let Some(uplink) = &self.config.uplink else { return };
        if now.mono.since(self.tally.since.mono) < uplink.summary_interval {
            return;
        }
        let queues = self.outbox_status();
        let queues = queues.map(|status| [("outbox bytes", status.bytes), ("outbox entries", status.entries as u64)]);
        let input = SummaryInput {
            gateway: uplink.link.gateway.clone(),
            start: self.tally.since,
            end: now,
            things: std::mem::take(&mut self.tally.things),
            alarms_active: self.alarms.active().map(|alarm| alarm.id.clone()).collect(),
            orders_active: self.orders.active().map(|order| order.id.clone()).collect(),
            findings_open: self.open_findings(),
            queues: queues.into_iter().flatten().map(|(name, value)| (name.to_owned(), value)).collect(),
            uplink: self.tally.counters(),
        };
        self.tally.since = now;
        match summary(&input) {
            Ok(document) => self.forward(SUMMARY, |topics| &topics.summary, document).await,
            Err(error) => self.record(Event::new(Code::GatewayDegraded, now).reason(format!("no summary: {error}"))),
        }
    }
}
