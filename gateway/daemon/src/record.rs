//! Every event's way into the journal: counted for the metrics, and said in the log where an operator watches it.

use crate::metrics::EventCounts;
use cordon_core::event::{Event, Severity};
use cordon_journal::Recorder;
use std::sync::Arc;
use std::time::Duration;

/// How long an audit event may take to reach the disk before the gateway goes on without waiting.
const DEADLINE: Duration = Duration::from_secs(5);

/// Puts events on record. Clones are cheap.
#[derive(Clone)]
pub(crate) struct Record {
    recorder: Recorder,
    counts: Arc<EventCounts>,
}

// === impl Record ===

impl Record {
    pub(crate) fn new(recorder: Recorder) -> Self {
        Self { recorder, counts: Arc::default() }
    }

    /// The counts of what was recorded, for the metrics.
    pub(crate) fn counts(&self) -> Arc<EventCounts> {
        self.counts.clone()
    }

    /// Records an event without waiting.
    pub(crate) fn record(&self, event: Event) {
        self.note(&event);
        self.recorder.record(event);
    }

    /// Records an event and waits until it is on disk. When that fails or takes too long, the log says so and the
    /// gateway goes on: managing it must not depend on its disk.
    pub(crate) async fn durably(&self, event: Event) {
        self.note(&event);
        let code = event.code;
        match tokio::time::timeout(DEADLINE, self.recorder.record_durably(event)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::error!(%code, %error, "An event is not on disk yet."),
            Err(_) => tracing::error!(%code, "An event was not on disk in time."),
        }
    }

    fn note(&self, event: &Event) {
        self.counts.count(event);
        let refused =
            event.code.matches("AUTHN_") || event.code.matches("AUTHZ_") || event.code.matches("OPERATOR_REFUSED");
        if event.severity >= Severity::Error {
            tracing::error!(code = %event.code, thing = event.thing, reason = event.reason, rule = event.rule, "Event.");
        } else if refused {
            // One stable line for each failure, for tools that watch logs for addresses to block.
            tracing::warn!(
                code = %event.code,
                peer = event.peer.map(tracing::field::display),
                client_id = event.client_id,
                principal = event.principal,
                listener = event.listener,
                resource = event.resource,
                reason = event.reason,
                rule = event.rule,
                count = event.count,
                "Refused."
            );
        }
    }
}
