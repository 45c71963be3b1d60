//! The gateway's way up: its uplink pointed at a far side, and what arrives there read as the cloud's tools read it.

use crate::gateway::Gateway;
use crate::pki::Pki;
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::collections::BTreeMap;

/// Where a development gateway publishes its summaries.
pub const SUMMARIES: &str = "cordon/gw-dev/summary";
/// Where it publishes its alarms.
pub const ALARMS: &str = "cordon/gw-dev/alarm";

/// What arrived, in order, each document once.
#[derive(Debug, Default)]
pub struct Arrived {
    /// All documents.
    pub documents: Vec<Value>,
    /// How many came again; at least once is what QoS 1 promises.
    pub repeats: usize,
    /// How often a summary did not begin where the one before it ended.
    pub gaps: usize,
}

/// Points the gateway's uplink at this port, with the files that [`authority`] made. `summary_interval` is one of the
/// configuration's durations.
///
/// # Errors
/// When a file cannot be written.
pub fn point(gateway: &Gateway, port: u16, summary_interval: &str) -> Result<()> {
    gateway.append(
        "cordon.toml",
        &format!(
            "\n[uplink]\nendpoint = \"localhost:{port}\"\nca = \"uplink/ca.pem\"\n\
             certificate = \"uplink/gw-dev.cert.pem\"\nkey = \"uplink/gw-dev.key.pem\"\n\
             summary_interval = \"{summary_interval}\"\n"
        ),
    )
}

/// Makes the far side's authority, and the gateway's certificate of it, in the gateway's folder `uplink`.
///
/// # Errors
/// When a file cannot be written.
pub fn authority(gateway: &Gateway) -> Result<Pki> {
    let pki = Pki::create(&gateway.dir().join("uplink"), "Authority of the far side")?;
    pki.client("gw-dev")?;
    Ok(pki)
}

// === impl Arrived ===

impl Arrived {
    /// Reads documents in the order of their arrival, given as topic and payload.
    ///
    /// # Errors
    /// What is wrong with their order: a repeat that differs, a summary that goes back in time, or an alarm that is not
    /// where it belongs among the summaries.
    pub fn read<'a>(messages: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<Self> {
        let (mut arrived, mut known) = (Self::default(), BTreeMap::new());
        for (topic, payload) in messages {
            let document: Value = serde_json::from_slice(payload).with_context(|| topic.to_owned())?;
            let id = if topic == ALARMS {
                format!("{} {}", text(&document, "violationId")?, text(&document, "violationEventType")?)
            } else {
                text(&document, "summaryId")?.to_owned()
            };
            if let Some(before) = known.insert(id, document.clone()) {
                ensure!(before == document, "a repeat differs: {before:#} {document:#}");
                arrived.repeats += 1;
            } else {
                arrived.documents.push(document);
            }
        }
        arrived.check_order()?;
        Ok(arrived)
    }

    /// The summaries.
    pub fn summaries(&self) -> impl Iterator<Item = &Value> {
        self.documents.iter().filter(|document| document["summaryId"].is_string())
    }

    /// The alarms, raised and cleared.
    pub fn alarms(&self) -> impl Iterator<Item = &Value> {
        self.documents.iter().filter(|document| document["violationId"].is_string())
    }

    /// When the last summary ended, in milliseconds since 1970; 0 without one.
    #[must_use]
    pub fn until(&self) -> u64 {
        self.summaries().last().and_then(|summary| summary["endTime"].as_u64()).unwrap_or_default()
    }

    fn check_order(&mut self) -> Result<()> {
        // An alarm falls into the interval that follows the last summary before it; its time is taken a moment before
        // its place in the queue, so it may lie just inside the interval before.
        let (mut start, mut end, mut alarm) = (0, 0, 0);
        for document in &self.documents {
            if document["violationId"].is_string() {
                alarm = time(document, "violationEventTime")?;
                ensure!(alarm >= start, "an alarm came late: {:#?}", self.documents);
                continue;
            }
            let (before, begin) = (end, time(document, "startTime")?);
            (start, end) = (begin, time(document, "endTime")?);
            ensure!(begin >= before && end >= alarm, "out of order: {:#?}", self.documents);
            self.gaps += usize::from(before != 0 && begin != before);
        }
        Ok(())
    }
}

fn text<'a>(document: &'a Value, field: &str) -> Result<&'a str> {
    document[field].as_str().with_context(|| format!("no {field} in {document:#}"))
}

fn time(document: &Value, field: &str) -> Result<u64> {
    document[field].as_u64().with_context(|| format!("no {field} in {document:#}"))
}
