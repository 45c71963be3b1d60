//! How much is on its way to each worker, and which workers have subscribers.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tokio::sync::Notify;

/// Bytes on their way to one worker at most. Less than a log segment of the router, so that the reader's place is never
/// overwritten.
const FLOW_BYTES: u64 = 2 * 1024 * 1024;
/// What the router counts for a message besides its payload is less than this.
const OVERHEAD: u64 = 256;

/// The lanes, one per worker. It outlives every router.
#[derive(Debug)]
pub(crate) struct Flow {
    lanes: Vec<Lane>,
    lost: Notify,
}

#[derive(Debug)]
struct Lane {
    handed: AtomicU64,
    drained: AtomicU64,
    filters: AtomicUsize,
    /// Messages taken, by sender: the workers and, last, the gateway's services.
    taken: Vec<AtomicU64>,
    /// Messages of which everything is done that must outlive the gateway, by sender.
    settled: Vec<AtomicU64>,
    /// Lasting sessions of the worker whose clients are away.
    absent: AtomicUsize,
    room: Notify,
}

// === impl Flow ===

impl Flow {
    pub(crate) fn new(workers: usize) -> Self {
        let lane = |_| Lane {
            handed: AtomicU64::new(0),
            drained: AtomicU64::new(0),
            filters: AtomicUsize::new(0),
            taken: (0..=workers).map(|_| AtomicU64::new(0)).collect(),
            settled: (0..=workers).map(|_| AtomicU64::new(0)).collect(),
            absent: AtomicUsize::new(0),
            room: Notify::new(),
        };
        Self { lanes: (0..workers).map(lane).collect(), lost: Notify::new() }
    }

    pub(crate) fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// Notes how many distinct filters the worker's sessions hold; with none, nothing is sent to it.
    pub(crate) fn set_filters(&self, lane: usize, filters: usize) {
        self.lanes[lane].filters.store(filters, Ordering::Release);
    }

    /// Whether the worker has subscribers.
    pub(super) fn is_wanted(&self, lane: usize) -> bool {
        self.lanes[lane].filters.load(Ordering::Acquire) > 0
    }

    /// A message of so many bytes is on its way to a worker.
    pub(super) fn hand(&self, lane: usize, bytes: usize) {
        self.lanes[lane].handed.fetch_add(bytes as u64 + OVERHEAD, Ordering::AcqRel);
    }

    /// A worker took a message.
    pub(super) fn take(&self, lane: usize, source: usize, bytes: usize) {
        let lane = &self.lanes[lane];
        lane.drained.fetch_add(bytes as u64 + OVERHEAD, Ordering::AcqRel);
        if let Some(taken) = lane.taken.get(source) {
            taken.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// How many messages of a sender a worker has taken since the gateway started.
    pub(super) fn taken(&self, lane: usize, source: usize) -> u64 {
        self.lanes[lane].taken[source].load(Ordering::Acquire)
    }

    /// Notes how many lasting sessions of a worker have clients that are away. Only then do senders wait for it to settle.
    pub(crate) fn set_absent(&self, lane: usize, sessions: usize) {
        self.lanes[lane].absent.store(sessions, Ordering::Release);
    }

    pub(super) fn has_absent(&self, lane: usize) -> bool {
        self.lanes[lane].absent.load(Ordering::Acquire) > 0
    }

    /// A worker has delivered everything it took and handed over what must outlive the gateway. Calls `wake` for each
    /// sender that this may concern.
    pub(crate) fn settle(&self, lane: usize, mut wake: impl FnMut(usize)) {
        let lane = &self.lanes[lane];
        for (source, (taken, settled)) in lane.taken.iter().zip(&lane.settled).enumerate() {
            let taken = taken.load(Ordering::Acquire);
            if settled.swap(taken, Ordering::AcqRel) != taken {
                wake(source);
            }
        }
    }

    /// Whether a worker has settled so many messages of a sender.
    pub(crate) fn is_settled(&self, lane: usize, source: usize, count: u64) -> bool {
        self.lanes[lane].settled[source].load(Ordering::Acquire) >= count
    }

    /// Lets senders go on if the worker has room.
    pub(super) fn drained(&self, lane: usize) {
        let lane = &self.lanes[lane];
        if lane.in_flight() < FLOW_BYTES {
            lane.room.notify_waiters();
        }
    }

    /// Whether every worker but `own` has room for another batch now.
    pub(crate) fn has_room(&self, own: usize) -> bool {
        self.lanes.iter().enumerate().all(|(index, lane)| index == own || lane.in_flight() < FLOW_BYTES)
    }

    /// Waits until every worker but `own` has room for another batch.
    pub(crate) async fn room(&self, own: usize) {
        for lane in self.lanes.iter().enumerate().filter_map(|(index, lane)| (index != own).then_some(lane)) {
            loop {
                let waiting = lane.room.notified();
                if lane.in_flight() < FLOW_BYTES {
                    break;
                }
                waiting.await;
            }
        }
    }

    /// Tells whoever looks after the router that it is dead.
    pub(crate) fn report_lost(&self) {
        self.lost.notify_one();
    }

    /// Waits until the router is reported dead.
    pub(crate) async fn lost(&self) {
        self.lost.notified().await;
    }

    /// How far each lane has come, if something is on its way to it.
    pub(crate) fn progress(&self) -> Vec<Option<u64>> {
        let progress = |lane: &Lane| (lane.in_flight() > 0).then(|| lane.drained.load(Ordering::Acquire));
        self.lanes.iter().map(progress).collect()
    }
}

// === impl Lane ===

impl Lane {
    fn in_flight(&self) -> u64 {
        let drained = self.drained.load(Ordering::Acquire);
        self.handed.load(Ordering::Acquire).saturating_sub(drained)
    }
}
