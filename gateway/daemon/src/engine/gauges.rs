//! Numbers of the engine that the metrics endpoint reads without waiting for the lock.

use super::Knowledge;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

const NO_UPLINK: u8 = 0;
const CONNECTED: u8 = 1;
const DISCONNECTED: u8 = 2;

/// Numbers as of the last tick.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    alarms: AtomicU64,
    orders: AtomicU64,
    findings: AtomicU64,
    uplink: AtomicU8,
}

// === impl Gauges ===

impl Gauges {
    pub(super) fn set(&self, knowledge: &Knowledge) {
        self.alarms.store(knowledge.alarms.active().count() as u64, Ordering::Relaxed);
        self.orders.store(knowledge.orders.active().count() as u64, Ordering::Relaxed);
        self.findings.store(knowledge.open_findings().len() as u64, Ordering::Relaxed);
        let uplink = match knowledge.uplink_status().map(|status| status.link) {
            None => NO_UPLINK,
            Some(cordon_uplink::LinkState::Connected { .. }) => CONNECTED,
            Some(_) => DISCONNECTED,
        };
        self.uplink.store(uplink, Ordering::Relaxed);
    }

    /// Alarms that are up.
    pub(crate) fn alarms(&self) -> u64 {
        self.alarms.load(Ordering::Relaxed)
    }

    /// Isolation orders in force.
    pub(crate) fn orders(&self) -> u64 {
        self.orders.load(Ordering::Relaxed)
    }

    /// Findings that are not closed.
    pub(crate) fn findings(&self) -> u64 {
        self.findings.load(Ordering::Relaxed)
    }

    /// Whether the uplink is connected; `None` when there is none.
    pub(crate) fn uplink_connected(&self) -> Option<bool> {
        match self.uplink.load(Ordering::Relaxed) {
            NO_UPLINK => None,
            state => Some(state == CONNECTED),
        }
    }
}
