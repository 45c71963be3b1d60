//! What one source address may do, over all listeners: how many clients, how many connections a second, and how often its
//! connections may fail to become clients.
//!
//! It is asked when a connection is accepted, becomes a client and ends, never for a packet.

mod prefix;
mod table;

pub(crate) use prefix::source_of;
pub use prefix::{Prefix, PrefixError};
pub(crate) use table::{Closed, Repeats};

use crate::config::SourceLimits;
use crate::meters::Meters;
use crate::shared::{Clock, lock};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use table::Table;

/// Every address that has connections or a past.
pub(crate) struct Sources {
    inner: Mutex<Inner>,
    clock: Clock,
    meters: Arc<Meters>,
}

struct Inner {
    table: Table,
    exempt: Vec<Prefix>,
}

/// A connection that was let in, counted for its address until it is dropped. One that ends before it was a client has
/// failed, unless it is excused.
pub(crate) struct Guest {
    sources: Arc<Sources>,
    /// `None` if its address is exempt.
    source: Option<IpAddr>,
    client: bool,
    excused: bool,
    known: bool,
}

// === impl Sources ===

impl Sources {
    pub(crate) fn new(limits: &SourceLimits, clock: Clock, meters: Arc<Meters>) -> Self {
        let inner = Inner { table: Table::default(), exempt: Vec::new() };
        let sources = Self { inner: Mutex::new(inner), clock, meters };
        sources.configure(limits);
        sources
    }

    /// Takes over changed limits. Those who are in stay.
    pub(crate) fn configure(&self, limits: &SourceLimits) {
        let mut inner = lock(&self.inner);
        inner.table.configure(limits);
        inner.exempt.clone_from(&limits.exempt);
    }

    /// Lets a connection in, or says why not.
    pub(crate) fn enter(self: &Arc<Self>, peer: SocketAddr) -> Result<Guest, Closed> {
        let mut inner = lock(&self.inner);
        let source = (!inner.exempt.iter().any(|prefix| prefix.contains(peer.ip()))).then(|| source_of(peer.ip()));
        let mut known = true;
        if let Some(source) = source {
            known = inner.table.is_known(source);
            let entered = inner.table.enter(source, peer, (self.clock)().mono);
            self.tidy(&mut inner);
            entered.inspect_err(|_| self.meters.sources_refused.add(1))?;
        }
        Ok(Guest { sources: self.clone(), source, client: false, excused: false, known })
    }

    /// Refusals that are to be told now.
    pub(crate) fn repeats(&self) -> Vec<Repeats> {
        lock(&self.inner).table.repeats((self.clock)().mono)
    }

    fn tidy(&self, inner: &mut Inner) {
        self.meters.sources_forgotten.add(inner.table.forget());
        self.meters.sources.set(inner.table.len() as u64);
    }
}

// === impl Guest ===

impl Guest {
    /// It becomes a client. Returns whether it may, beside the other clients from its address or in the place of one.
    pub(crate) fn seat(&mut self, replaces: bool) -> bool {
        self.client = self.source.is_none_or(|source| lock(&self.sources.inner).table.seat(source, replaces));
        self.client
    }

    /// Whether a client came from its address before, or the address is exempt.
    pub(crate) fn is_known(&self) -> bool {
        self.known
    }

    /// It is not to blame for not becoming a client.
    pub(crate) fn excuse(&mut self) {
        self.excused = true;
    }

    /// It broke the standard, which its address is charged for. Returns how often one from there did; `None` if the
    /// address is exempt.
    pub(crate) fn violated(&self) -> Option<u64> {
        let source = self.source?;
        let mut inner = lock(&self.sources.inner);
        if self.client {
            inner.table.fail(source, (self.sources.clock)().mono);
        }
        Some(inner.table.violated(source))
    }

    /// Whether both come from one address, and it is not exempt.
    pub(crate) fn is_beside(&self, other: &Self) -> bool {
        self.source.is_some() && self.source == other.source
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if let Some(source) = self.source {
            let failed = !self.client && !self.excused;
            let mut inner = lock(&self.sources.inner);
            inner.table.leave(source, self.client, failed, (self.sources.clock)().mono);
            self.sources.tidy(&mut inner);
        }
    }
}
