//! The line of connections that have not finished CONNECT, and who gives way when it is full.
//!
//! A newcomer is only turned away when nobody else can be. Those give way that were refused and are being told, then those
//! that have said nothing, the oldest first. Of those that have begun to speak, the youngest of the address that holds the
//! most places gives way to one from an address that holds fewer; any from an address that never had a client gives way to
//! one from an address that had; and any that has had its time gives way to all. Whoever waits for the gateway never does:
//! neither one whose bytes are unread, nor one whose CONNECT is complete. So half-open connections cost a place only until
//! somebody else needs it, and devices that all come back at once do not push each other out.
//!
//! The share of one address works the same way among its own.

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

/// A connection that looks for a place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Newcomer {
    /// Its address.
    pub(crate) source: IpAddr,
    /// Whether a client came from there before.
    pub(crate) known: bool,
    pub(crate) now: Mono,
}

/// The line. `S` tells whether a peer has said something that nobody has read.
pub(crate) struct Line<S> {
    inner: Mutex<Inner<S>>,
}

struct Inner<S> {
    waiting: BTreeMap<u64, Waiting<S>>,
    all: BTreeSet<Rank>,
    sources: HashMap<IpAddr, BTreeSet<Rank>>,
    next: u64,
    speaks: fn(&S) -> bool,
}

struct Waiting<S> {
    who: Newcomer,
    stage: Stage,
    socket: S,
    displaced: Arc<Notify>,
}

/// How far a connection has come, whether its address is known, and its number.
type Rank = (Stage, bool, u64);

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
        let (waiting, all, sources) = (BTreeMap::new(), BTreeSet::new(), HashMap::new());
        Self { inner: Mutex::new(Inner { waiting, all, sources, next: 0, speaks }) }
    }

    /// Takes a place at the end of the line; `None` if there is none and nobody gives way.
    pub(crate) fn queue_up(self: &Arc<Self>, bounds: &Bounds, who: Newcomer, socket: S) -> Option<Pending<S>> {
        let mut inner = lock(&self.inner);
        let free = (inner.held_by(who.source) < bounds.share || inner.displace_own(who, bounds.hearing))
            && (inner.waiting.len() < bounds.places || inner.displace_any(who, bounds.hearing));
        if !free {
            return None;
        }
        let number = inner.next;
        inner.next += 1;
        let displaced = Arc::new(Notify::new());
        inner.add(number, Waiting { who, stage: Stage::Silent, socket, displaced: displaced.clone() });
        Some(Pending { line: self.clone(), number, displaced })
    }
}

// === impl Inner ===

impl<S> Inner<S> {
    fn add(&mut self, number: u64, waiting: Waiting<S>) {
        let rank = (waiting.stage, waiting.who.known, number);
        self.all.insert(rank);
        self.sources.entry(waiting.who.source).or_default().insert(rank);
        self.waiting.insert(number, waiting);
    }

    fn remove(&mut self, number: u64) -> Option<Waiting<S>> {
        let waiting = self.waiting.remove(&number)?;
        let rank = (waiting.stage, waiting.who.known, number);
        self.all.remove(&rank);
        if let Some(own) = self.sources.get_mut(&waiting.who.source) {
            own.remove(&rank);
            if own.is_empty() {
                self.sources.remove(&waiting.who.source);
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

    fn held_by(&self, source: IpAddr) -> usize {
        self.sources.get(&source).map_or(0, BTreeSet::len)
    }

    /// The address that holds the most places, if it would hold no fewer than another with one more.
    fn heaviest(&self, other: IpAddr) -> Option<IpAddr> {
        let (source, held) =
            self.sources.iter().map(|(source, held)| (*source, held.len())).max_by_key(|found| found.1)?;
        (held > self.held_by(other) + 1).then_some(source)
    }

    /// Makes room for a newcomer in the share of its address. Returns whether there is.
    fn displace_own(&mut self, who: Newcomer, hearing: Duration) -> bool {
        let own = Some(who.source);
        self.displace_idle(own, who.now) || self.displace_heard(own, hearing, who.now)
    }

    /// Makes room for a newcomer in the line. Returns whether there is.
    fn displace_any(&mut self, who: Newcomer, hearing: Duration) -> bool {
        if self.displace_idle(None, who.now) {
            return true;
        }
        if let Some(heaviest) = self.heaviest(who.source) {
            let youngest = self.youngest(heaviest, Stage::Speaking);
            if self.displace(&youngest, Duration::ZERO, who.now) {
                return true;
            }
        }
        let strangers = self.oldest(None, Stage::Speaking, false);
        (who.known && self.displace(&strangers, Duration::ZERO, who.now)) || self.displace_heard(None, hearing, who.now)
    }

    /// Displaces one that was refused or says nothing.
    fn displace_idle(&mut self, source: Option<IpAddr>, now: Mono) -> bool {
        [(Stage::Refused, false), (Stage::Refused, true), (Stage::Silent, false), (Stage::Silent, true)]
            .into_iter()
            .any(|(stage, known)| {
                let oldest = self.oldest(source, stage, known);
                self.displace(&oldest, Duration::ZERO, now)
            })
    }

    /// Displaces one that has had its time.
    fn displace_heard(&mut self, source: Option<IpAddr>, hearing: Duration, now: Mono) -> bool {
        [false, true].into_iter().any(|known| {
            let oldest = self.oldest(source, Stage::Speaking, known);
            self.displace(&oldest, hearing, now)
        })
    }

    /// The oldest connections of a kind, from one address or from any.
    fn oldest(&self, source: Option<IpAddr>, stage: Stage, known: bool) -> Vec<u64> {
        let among = source.map_or(Some(&self.all), |source| self.sources.get(&source));
        let found = among.into_iter().flat_map(|all| all.range((stage, known, 0)..=(stage, known, u64::MAX)));
        found.map(|(_, _, number)| *number).take(LOOKED_AT).collect()
    }

    /// The youngest connections of a kind from one address.
    fn youngest(&self, source: IpAddr, stage: Stage) -> Vec<u64> {
        let own = self.sources.get(&source);
        let found = own.into_iter().flat_map(|own| own.range((stage, false, 0)..=(stage, true, u64::MAX)).rev());
        found.map(|(_, _, number)| *number).take(LOOKED_AT).collect()
    }

    /// Lets the first of these give way that has had so much time and does not wait for the gateway. Returns whether one
    /// does.
    fn displace(&mut self, numbers: &[u64], time: Duration, now: Mono) -> bool {
        for number in numbers {
            let Some(waiting) = self.waiting.get(number) else { continue };
            if now.since(waiting.who.now) < time {
                continue;
            }
            if waiting.stage != Stage::Refused && (self.speaks)(&waiting.socket) {
                self.set_stage(*number, Stage::Speaking);
                continue;
            }
            if let Some(waiting) = self.remove(*number) {
                waiting.displaced.notify_one();
            }
            return true;
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
