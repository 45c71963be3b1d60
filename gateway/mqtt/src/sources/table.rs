//! What came from which address lately. A state machine without I/O.
//!
//! An address is held as long as it has connections, and after that while there is something against it. Of those without
//! connections at most [`IDLE`] are held; the one that was used the longest ago is forgotten first. Apart from that, the
//! last [`KNOWN`] addresses are remembered from which clients came, so that ever new ones that fail cannot push them out.

use crate::config::SourceLimits;
use crate::pace::{Bucket, Rate};
use crate::spell::Spell;
use cordon_core::time::Mono;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};

/// Addresses without a connection that are held.
pub(super) const IDLE: usize = 65_536;

/// Addresses that are remembered for having had a client.
pub(super) const KNOWN: usize = 16_384;

/// Every address with what came from it.
#[derive(Debug, Default)]
pub(super) struct Table {
    rates: Rates,
    max_clients: usize,
    entries: HashMap<IpAddr, Entry>,
    /// Addresses without a connection, by when they were used.
    idle: BTreeMap<u64, IpAddr>,
    /// Addresses of which refusals are still to be told.
    refusing: BTreeSet<IpAddr>,
    /// Addresses that had a client, by when they were used and the other way round.
    known: HashMap<IpAddr, u64>,
    known_by_use: BTreeMap<u64, IpAddr>,
    uses: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Rates {
    arrivals: Option<Rate>,
    failures: Option<Rate>,
}

#[derive(Debug, Default)]
struct Entry {
    connections: usize,
    clients: usize,
    arrivals: Bucket,
    failures: Bucket,
    violations: u64,
    refusals: Spell,
    /// What the last refusal was about.
    last: Option<(SocketAddr, &'static str)>,
    /// Its place among the idle ones.
    idle: Option<u64>,
}

/// A connection that is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed {
    /// The limit.
    pub(crate) rule: &'static str,
    /// Whether it is the first one of a row, and to be told.
    pub(crate) begins: bool,
}

/// How often an address was refused since that was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Repeats {
    /// The last connection.
    pub(crate) peer: SocketAddr,
    /// The limit.
    pub(crate) rule: &'static str,
    pub(crate) count: u64,
}

// === impl Table ===

impl Table {
    pub(super) fn configure(&mut self, limits: &SourceLimits) {
        let (arrivals, failures) = (limits.max_connections_per_second, limits.max_failures_per_second);
        self.rates = Rates {
            arrivals: Rate::new(u64::from(arrivals), u64::from(arrivals)),
            failures: Rate::new(u64::from(failures), u64::from(limits.failure_burst)),
        };
        self.max_clients = limits.max_connections;
    }

    /// A connection came. It must be ended with [`Table::leave`] if it is let in.
    pub(super) fn enter(&mut self, source: IpAddr, peer: SocketAddr, now: Mono) -> Result<(), Closed> {
        let entry = self.entries.entry(source).or_default();
        let exhausted = |rate: Option<Rate>, bucket: Bucket| rate.is_some_and(|rate| bucket.left(rate, now) == 0);
        let rule = if exhausted(self.rates.failures, entry.failures) {
            "sources.max_failures_per_second"
        } else if exhausted(self.rates.arrivals, entry.arrivals) {
            "sources.max_connections_per_second"
        } else {
            if let Some(rate) = self.rates.arrivals {
                entry.arrivals.take(rate, 1, now);
            }
            entry.connections += 1;
            self.used(source, now);
            return Ok(());
        };
        entry.last = Some((peer, rule));
        let begins = entry.refusals.met(now);
        self.refusing.insert(source);
        self.used(source, now);
        Err(Closed { rule, begins })
    }

    /// A connection becomes a client, in place of another from the same address or beside the others. Returns whether it
    /// may.
    pub(super) fn seat(&mut self, source: IpAddr, replaces: bool) -> bool {
        let Some(entry) = self.entries.get_mut(&source) else { return true };
        let others = entry.clients - usize::from(replaces && entry.clients > 0);
        let free = self.max_clients == 0 || others < self.max_clients;
        entry.clients += usize::from(free);
        if free {
            self.remember(source);
        }
        free
    }

    /// Whether a client came from there before.
    pub(super) fn is_known(&self, source: IpAddr) -> bool {
        self.known.contains_key(&source)
    }

    fn remember(&mut self, source: IpAddr) {
        self.uses += 1;
        self.known_by_use.insert(self.uses, source);
        if let Some(old) = self.known.insert(source, self.uses) {
            self.known_by_use.remove(&old);
        }
        if self.known.len() > KNOWN
            && let Some((_, oldest)) = self.known_by_use.pop_first()
        {
            self.known.remove(&oldest);
        }
    }

    /// A connection is over.
    pub(super) fn leave(&mut self, source: IpAddr, was_client: bool, failed: bool, now: Mono) {
        if failed {
            self.fail(source, now);
        }
        if let Some(entry) = self.entries.get_mut(&source) {
            entry.connections = entry.connections.saturating_sub(1);
            entry.clients = entry.clients.saturating_sub(usize::from(was_client));
        }
        self.used(source, now);
    }

    /// A connection broke the standard. Returns how often one from there did.
    pub(super) fn violated(&mut self, source: IpAddr) -> u64 {
        let entry = self.entries.entry(source).or_default();
        entry.violations += 1;
        entry.violations
    }

    /// Something failed that the address is charged for.
    pub(super) fn fail(&mut self, source: IpAddr, now: Mono) {
        if let (Some(rate), Some(entry)) = (self.rates.failures, self.entries.get_mut(&source)) {
            entry.failures.take(rate, 1, now);
        }
    }

    /// Refusals that are to be told now.
    pub(super) fn repeats(&mut self, now: Mono) -> Vec<Repeats> {
        let mut repeats = Vec::new();
        let entries = &mut self.entries;
        self.refusing.retain(|source| {
            let Some(entry) = entries.get_mut(source) else { return false };
            if let (Some(count), Some((peer, rule))) = (entry.refusals.due(now), entry.last) {
                repeats.push(Repeats { peer, rule, count });
            }
            !entry.refusals.is_over()
        });
        repeats
    }

    /// Forgets what is too much. Returns how many addresses were forgotten that had something held against them.
    pub(super) fn forget(&mut self) -> u64 {
        let mut forgotten = 0;
        while self.idle.len() > IDLE
            && let Some((_, source)) = self.idle.pop_first()
        {
            self.drop(source);
            forgotten += 1;
        }
        forgotten
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Notes that an address was used, and drops it if there is no reason to hold it.
    fn used(&mut self, source: IpAddr, now: Mono) {
        let Some(entry) = self.entries.get_mut(&source) else { return };
        if let Some(place) = entry.idle.take() {
            self.idle.remove(&place);
        }
        if entry.connections > 0 {
            return;
        }
        if entry.is_blank(now) {
            self.drop(source);
            return;
        }
        self.uses += 1;
        entry.idle = Some(self.uses);
        self.idle.insert(self.uses, source);
    }

    fn drop(&mut self, source: IpAddr) {
        self.entries.remove(&source);
        self.refusing.remove(&source);
    }
}

// === impl Entry ===

impl Entry {
    /// Whether it is like one that was never seen.
    fn is_blank(&self, now: Mono) -> bool {
        self.arrivals.is_full(now) && self.failures.is_full(now) && self.violations == 0 && self.refusals.is_over()
    }
}

#[cfg(test)]
mod tests;
