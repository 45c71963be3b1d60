//! The line of connections that have not finished CONNECT, and who gives way when it is full.
//!
//! A newcomer is only turned away when everybody in the line is at work. First those that were refused and are being told
//! give way, then those that have said nothing, then those that began to speak long ago; the oldest of each first. Whoever
//! waits for the gateway never does: neither one whose bytes are unread, nor one whose CONNECT is complete. So half-open
//! connections cost a place only until somebody else needs it. The share of one address works the same way.

use crate::shared::lock;
use cordon_core::time::Mono;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

/// Connections of one kind that are looked at for one that gives way.
const LOOKED_AT: usize = 16;

/// What a line may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Connections in all.
    pub(crate) places: usize,
    /// Connections from one address.
    pub(crate) share: usize,
    /// How long one that has begun to speak keeps its place at least.
    pub(crate) hearing: Duration,
}

/// The line. `S` tells whether a peer has said something that nobody has read.
pub(crate) struct Line<S> {
    inner: Mutex<Inner<S>>,
    speaks: fn(&S) -> bool,
}

struct Inner<S> {
    waiting: BTreeMap<u64, Waiting<S>>,
    stages: BTreeSet<(Stage, u64)>,
    sources: HashMap<IpAddr, BTreeSet<(Stage, u64)>>,
    next: u64,
}

struct Waiting<S> {
    source: IpAddr,
    since: Mono,
    stage: Stage,
    socket: S,
    displaced: Arc<Notify>,
}

/// How far a connection has come, in the order of giving way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// It was refused and is being told.
    Refused,
    /// It has said nothing.
    Silent,
    /// It has begun to speak.
    Speaking,
    /// Its CONNECT is complete.
    Served,
}

/// A place in the line, until it is dropped.
pub(crate) struct Pending<S> {
    line: Arc<Line<S>>,
    number: u64,
    displaced: Arc<Notify>,
}

// === impl Line ===

impl<S> Line<S> {
    pub(crate) fn new(speaks: fn(&S) -> bool) -> Self {
        let inner = Inner { waiting: BTreeMap::new(), stages: BTreeSet::new(), sources: HashMap::new(), next: 0 };
        Self { inner: Mutex::new(inner), speaks }
    }

    /// Takes a place at the end of the line; `None` if there is none and nobody gives way.
    pub(crate) fn queue_up(
        self: &Arc<Self>,
        bounds: &Bounds,
        source: IpAddr,
        socket: S,
        now: Mono,
    ) -> Option<Pending<S>> {
        let mut inner = lock(&self.inner);
        let share = inner.sources.get(&source).map_or(0, BTreeSet::len);
        let free = (share < bounds.share || inner.displace(Some(source), bounds, self.speaks, now))
            && (inner.waiting.len() < bounds.places || inner.displace(None, bounds, self.speaks, now));
        if !free {
            return None;
        }
        let number = inner.next;
        inner.next += 1;
        let displaced = Arc::new(Notify::new());
        let waiting = Waiting { source, since: now, stage: Stage::Silent, socket, displaced: displaced.clone() };
        inner.add(number, waiting);
        Some(Pending { line: self.clone(), number, displaced })
    }
}

// === impl Inner ===

impl<S> Inner<S> {
    fn add(&mut self, number: u64, waiting: Waiting<S>) {
        self.stages.insert((waiting.stage, number));
        self.sources.entry(waiting.source).or_default().insert((waiting.stage, number));
        self.waiting.insert(number, waiting);
    }

    fn remove(&mut self, number: u64) -> Option<Waiting<S>> {
        let waiting = self.waiting.remove(&number)?;
        let key = (waiting.stage, number);
        self.stages.remove(&key);
        if let Some(own) = self.sources.get_mut(&waiting.source) {
            own.remove(&key);
            if own.is_empty() {
                self.sources.remove(&waiting.source);
            }
        }
        Some(waiting)
    }

    fn set_stage(&mut self, number: u64, stage: Stage) {
        if self.waiting.get(&number).is_some_and(|waiting| waiting.stage != stage)
            && let Some(waiting) = self.remove(number)
        {
            self.add(number, Waiting { stage, ..waiting });
        }
    }

    /// Lets somebody give way, from one address or from any. Returns whether somebody did.
    fn displace(&mut self, source: Option<IpAddr>, bounds: &Bounds, speaks: fn(&S) -> bool, now: Mono) -> bool {
        for stage in [Stage::Refused, Stage::Silent, Stage::Speaking] {
            let among = source.map_or(Some(&self.stages), |source| self.sources.get(&source));
            let oldest = among.into_iter().flat_map(|all| all.range((stage, 0)..=(stage, u64::MAX)));
            let oldest: Vec<u64> = oldest.map(|(_, number)| *number).take(LOOKED_AT).collect();
            for number in oldest {
                let Some(waiting) = self.waiting.get(&number) else { continue };
                if stage == Stage::Speaking && now.since(waiting.since) < bounds.hearing {
                    // Nor have those behind it been heard for longer.
                    return false;
                }
                if stage != Stage::Refused && speaks(&waiting.socket) {
                    self.set_stage(number, Stage::Speaking);
                    continue;
                }
                if let Some(waiting) = self.remove(number) {
                    waiting.displaced.notify_one();
                }
                return true;
            }
        }
        false
    }
}

// === impl Pending ===

impl<S> Pending<S> {
    /// The peer has begun to speak.
    pub(crate) fn heard(&self) {
        self.set_stage(Stage::Speaking);
    }

    /// The peer has said all; the gateway is to answer.
    pub(crate) fn served(&self) {
        self.set_stage(Stage::Served);
    }

    /// The peer is refused.
    pub(crate) fn refused(&self) {
        self.set_stage(Stage::Refused);
    }

    /// Waits until the place is taken away. What the peer says from then on, nobody listens to.
    pub(crate) async fn displaced(&self) {
        self.displaced.notified().await;
    }

    fn set_stage(&self, stage: Stage) {
        lock(&self.line.inner).set_stage(self.number, stage);
    }
}

impl<S> Drop for Pending<S> {
    fn drop(&mut self) {
        lock(&self.line.inner).remove(self.number);
    }
}

#[cfg(test)]
mod tests;
