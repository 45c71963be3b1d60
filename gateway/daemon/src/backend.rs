//! What operators ask, answered from the engine, the front door and the journal.

mod answers;
mod calls;

use crate::engine::{Engine, Knowledge};
use crate::metrics::{Snapshot, Source};
use crate::serve;
use cordon_control::{Access, Fault, Identity, server_config};
use cordon_journal::Journal;
use cordon_mqtt::Handle;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// The gateway, as operators and the metrics endpoint see it.
pub(crate) struct Gateway {
    engine: Arc<Engine>,
    broker: Handle,
    journal: Journal,
    /// The listeners' bound addresses, in the order of the configuration.
    addresses: Vec<SocketAddr>,
    access: Option<Arc<Access>>,
    started: Instant,
}

// === impl Gateway ===

impl Gateway {
    pub(crate) fn new(
        engine: Arc<Engine>,
        broker: Handle,
        journal: Journal,
        addresses: Vec<SocketAddr>,
        access: Option<Arc<Access>>,
    ) -> Self {
        Self { engine, broker, journal, addresses, access, started: Instant::now() }
    }

    /// Returns once every worker has answered.
    pub(crate) async fn ping(&self) {
        self.broker.sessions().await;
    }

    /// Takes a changed configuration over, operators and management certificates included.
    pub(crate) async fn reload_as(&self, by: &str, reason: &str) -> Result<Vec<String>, Fault> {
        let refused = |error: &dyn std::fmt::Display| Fault::Refused(error.to_string());
        // The management identity is checked first, so that nothing is taken over when it is faulty.
        let tls = match &self.access {
            Some(_) => match self.management_tls().await {
                Ok(tls) => Some(tls),
                Err(fault) => {
                    self.engine.reload_refused(by, &fault.to_string()).await;
                    return Err(fault);
                }
            },
            None => None,
        };
        let (config, mut parts) = self.engine.reload(by, reason).await.map_err(|error| refused(&error))?;
        if let (Some(access), Some(tls)) = (&self.access, tls) {
            access.replace_operators(serve::operators(&config));
            access.replace_tls(tls);
            parts.push(format!("{} operators", config.operators.len()));
        }
        Ok(parts)
    }

    async fn management_tls(&self) -> Result<Arc<rustls::ServerConfig>, Fault> {
        let control = self.engine.lock().await.config.control.clone();
        let Some(control) = control else { return Err(Fault::Internal("there is no [control] section".to_owned())) };
        let read = |path: std::path::PathBuf| async move {
            tokio::fs::read(&path).await.map_err(|error| Fault::Refused(format!("{}: {error}", path.display())))
        };
        let identity = Identity {
            certificates: read(control.certificate).await?,
            key: read(control.key).await?,
            operator_authorities: read(control.client_ca).await?,
        };
        server_config(&identity).map_err(|error| Fault::Refused(error.to_string()))
    }
}

impl Source for Gateway {
    fn snapshot(&self) -> Snapshot {
        let (stats, gauges) = (self.journal.stats(), &self.engine.gauges);
        let outbox = self.engine.stores.outbox.as_ref().map(|(outbox, _)| outbox.status());
        Snapshot {
            meters: self.broker.meters().all(),
            active_alarms: gauges.alarms(),
            active_orders: gauges.orders(),
            open_findings: gauges.findings(),
            outbox_entries: outbox.as_ref().map_or(0, |status| status.entries as u64),
            outbox_bytes: outbox.as_ref().map_or(0, |status| status.bytes),
            uplink_connected: gauges.uplink_connected(),
            journal_bytes: stats.bytes,
            journal_last_seq: stats.last_seq.unwrap_or(0),
            journal_dropped: self.journal.health().dropped.0.values().sum(),
        }
    }

    fn ready(&self) -> Result<(), String> {
        Ok(())
    }
}

/// The level of the strictest order that reaches a thing, and the ids of all that do.
fn isolation_of(
    knowledge: &Knowledge,
    thing: &cordon_core::fleet::Thing,
) -> (Option<cordon_core::isolation::Level>, Vec<String>) {
    let isolation = knowledge.orders.isolation(thing);
    (isolation.level(), isolation.orders().map(|order| order.id.clone()).collect())
}
