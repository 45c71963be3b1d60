//! What waits to be written, bounded in events and bytes.
//!
//! When it is full, the least severe events make room, oldest first; an event never pushes out one that is more severe.
//! Notices, which are the audit trail, errors, criticals and everything that somebody waits for are never pushed out and
//! have room of their own beyond the limit. Should even that be used up, the new one is refused. Whatever is lost is
//! counted, and the writer turns the counts into an event.

use super::{Dropped, RecordError};
use crate::error::StoreError;
use cordon_core::event::{Event, Severity};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// The most that one commit takes, which bounds how long a durable event waits for those before it.
const TAKEN_EVENTS: usize = 4096;
const TAKEN_BYTES: usize = 1024 * 1024;
/// This much is written without waiting for more.
const ENOUGH_BYTES: usize = 128 * 1024;
/// The room that protected events have beyond the limit: one part in this many.
const RESERVE: usize = 4;

pub(super) type Acknowledge = oneshot::Sender<Result<u64, RecordError>>;
pub(super) type Barrier = oneshot::Sender<Result<(), RecordError>>;

/// The limits of the queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) events: usize,
    pub(super) bytes: usize,
    /// How long an event that nobody waits for may wait for company.
    pub(super) linger: Duration,
}

/// An event in the queue.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) event: Arc<Event>,
    pub(super) acknowledge: Option<Acknowledge>,
    arrival: u64,
    arrived: Instant,
    bytes: usize,
}

/// What the writer gets.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) events: Vec<Pending>,
    pub(super) barriers: Vec<Barrier>,
    pub(super) dropped: Dropped,
    /// Nothing follows any more.
    pub(super) last: bool,
}

#[derive(Debug)]
pub(super) struct Queue {
    limits: Limits,
    lanes: Mutex<Lanes>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Lanes {
    /// What may be pushed out: infos, then warnings.
    droppable: [VecDeque<Pending>; 2],
    protected: VecDeque<Pending>,
    barriers: Vec<Barrier>,
    events: usize,
    bytes: usize,
    arrivals: u64,
    awaited: usize,
    dropped: Dropped,
    dropped_ever: Dropped,
    closed: bool,
}

// === impl Queue ===

impl Queue {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, lanes: Mutex::default(), changed: Condvar::new() }
    }

    /// Takes an event in, or counts it as dropped. Never waits.
    pub(super) fn push(&self, event: Event, acknowledge: Option<Acknowledge>) {
        let mut lanes = self.lock();
        if lanes.closed {
            refuse(acknowledge, RecordError::Closed);
            return;
        }
        let bytes = size(&event);
        let lane = lane(event.severity, acknowledge.is_some());
        if !lanes.make_room(self.limits, lane, bytes) {
            lanes.count_drop(event.severity);
            refuse(acknowledge, RecordError::QueueFull);
            return;
        }
        lanes.arrivals += 1;
        lanes.events += 1;
        lanes.bytes += bytes;
        lanes.awaited += usize::from(acknowledge.is_some());
        let arrival = lanes.arrivals;
        let pending = Pending { event: Arc::new(event), acknowledge, arrival, arrived: Instant::now(), bytes };
        lanes.lane(lane).push_back(pending);
        let wake = lanes.events == 1 || lanes.awaited > 0 || lanes.bytes >= ENOUGH_BYTES;
        drop(lanes);
        if wake {
            self.changed.notify_one();
        }
    }

    /// Has the writer write everything before this at once and say when it is durable.
    pub(super) fn barrier(&self, barrier: Barrier) {
        let mut lanes = self.lock();
        if lanes.closed {
            let _ = barrier.send(Err(RecordError::Closed));
            return;
        }
        lanes.barriers.push(barrier);
        drop(lanes);
        self.changed.notify_one();
    }

    /// Waits until something must be written, and takes it in the order of arrival.
    pub(super) fn take(&self) -> Taken {
        let mut lanes = self.lock();
        loop {
            let wait = match lanes.oldest() {
                _ if lanes.closed || lanes.awaited > 0 || !lanes.barriers.is_empty() => return lanes.take(),
                None => None,
                Some(_) if lanes.bytes >= ENOUGH_BYTES || lanes.events >= TAKEN_EVENTS => return lanes.take(),
                Some(oldest) => match self.limits.linger.checked_sub(oldest.elapsed()) {
                    None | Some(Duration::ZERO) => return lanes.take(),
                    some => some,
                },
            };
            lanes = match wait {
                None => self.changed.wait(lanes).unwrap_or_else(PoisonError::into_inner),
                Some(left) => self.changed.wait_timeout(lanes, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }

    /// Tells everybody who waits for something in the queue that it is not durable. It stays in the queue.
    pub(super) fn disappoint(&self, error: &StoreError) {
        let mut lanes = self.lock();
        lanes.awaited = 0;
        for pending in &mut lanes.protected {
            refuse(pending.acknowledge.take(), RecordError::NotDurable(error.clone()));
        }
        for barrier in lanes.barriers.drain(..) {
            let _ = barrier.send(Err(RecordError::NotDurable(error.clone())));
        }
    }

    /// Waits for `pause`, or until the queue is closed.
    pub(super) fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut lanes = self.lock();
        while !lanes.closed {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            lanes = self.changed.wait_timeout(lanes, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Takes nothing in any more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Counts everything as lost: what is in the queue and `taken` from it.
    pub(super) fn give_up(&self, taken: &[Pending]) {
        let mut lanes = self.lock();
        let rest = lanes.take_all();
        for pending in taken.iter().chain(&rest) {
            lanes.count_drop(pending.event.severity);
        }
    }

    /// Events and bytes that wait, and what was dropped since the start.
    pub(super) fn fill(&self) -> (usize, usize, Dropped) {
        let lanes = self.lock();
        (lanes.events, lanes.bytes, lanes.dropped_ever.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Lanes ===

/// Which lane an event waits in: a droppable one, or the protected one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lane {
    Droppable(usize),
    Protected,
}

impl Lanes {
    fn lane(&mut self, lane: Lane) -> &mut VecDeque<Pending> {
        match lane {
            Lane::Droppable(at) => &mut self.droppable[at],
            Lane::Protected => &mut self.protected,
        }
    }

    fn make_room(&mut self, limits: Limits, lane: Lane, bytes: usize) -> bool {
        let victims = match lane {
            Lane::Droppable(at) => at + 1,
            Lane::Protected => self.droppable.len(),
        };
        let full = |lanes: &Self, events: usize, most: usize| lanes.events + 1 > events || lanes.bytes + bytes > most;
        while full(self, limits.events, limits.bytes) {
            let Some(victim) = self.droppable[..victims].iter_mut().find_map(VecDeque::pop_front) else {
                let reserve = (limits.events + limits.events / RESERVE, limits.bytes + limits.bytes / RESERVE);
                return lane == Lane::Protected && !full(self, reserve.0, reserve.1);
            };
            self.events -= 1;
            self.bytes -= victim.bytes;
            self.count_drop(victim.event.severity);
        }
        true
    }

    fn count_drop(&mut self, severity: Severity) {
        *self.dropped.0.entry(severity).or_default() += 1;
        *self.dropped_ever.0.entry(severity).or_default() += 1;
    }

    fn oldest(&self) -> Option<Instant> {
        self.fronts().map(|(_, pending)| pending.arrived).min()
    }

    fn fronts(&self) -> impl Iterator<Item = (Lane, &Pending)> {
        let droppable = self.droppable.iter().enumerate().map(|(at, lane)| (Lane::Droppable(at), lane.front()));
        let all = droppable.chain([(Lane::Protected, self.protected.front())]);
        all.filter_map(|(lane, front)| front.map(|pending| (lane, pending)))
    }

    fn take_all(&mut self) -> Vec<Pending> {
        let all = self.droppable.iter_mut().chain([&mut self.protected]).flat_map(std::mem::take).collect();
        (self.events, self.bytes, self.awaited) = (0, 0, 0);
        all
    }

    fn take(&mut self) -> Taken {
        let (mut events, mut bytes) = (Vec::new(), 0);
        while events.len() < TAKEN_EVENTS && bytes < TAKEN_BYTES {
            let Some(lane) = self.fronts().min_by_key(|(_, pending)| pending.arrival).map(|(lane, _)| lane) else {
                break;
            };
            let Some(pending) = self.lane(lane).pop_front() else {
                break;
            };
            bytes += pending.bytes;
            self.awaited = self.awaited.saturating_sub(usize::from(pending.acknowledge.is_some()));
            events.push(pending);
        }
        self.events -= events.len();
        self.bytes -= bytes;
        let emptied = self.events == 0;
        let barriers = if emptied { std::mem::take(&mut self.barriers) } else { Vec::new() };
        Taken { events, barriers, dropped: std::mem::take(&mut self.dropped), last: self.closed && emptied }
    }
}

fn lane(severity: Severity, awaited: bool) -> Lane {
    match severity {
        Severity::Info if !awaited => Lane::Droppable(0),
        Severity::Warning if !awaited => Lane::Droppable(1),
        _ => Lane::Protected,
    }
}

fn refuse(acknowledge: Option<Acknowledge>, error: RecordError) {
    if let Some(acknowledge) = acknowledge {
        // Whoever waited may have given up.
        let _ = acknowledge.send(Err(error));
    }
}

/// About what an event takes in memory.
fn size(event: &Event) -> usize {
    let texts = [
        &event.thing,
        &event.client_id,
        &event.listener,
        &event.principal,
        &event.action,
        &event.resource,
        &event.reason,
        &event.rule,
    ];
    let texts: usize = texts.into_iter().flatten().map(String::len).sum();
    let details: usize = event.details.iter().map(|(name, value)| name.len() + value.len() + 64).sum();
    size_of::<Event>() + size_of::<Pending>() + texts + details
}

#[cfg(test)]
mod tests;
