//! The keeper's thread: it takes what was handed over, commits it, and tells the workers.

use super::pending::{Batch, Next};
use super::{Change, Keeper, Store, StoreFailed};
use crate::meters::Meters;
use crate::shared::{Clock, Shared, Sink, lock};
use cordon_core::event::{Code, Event, Severity};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The largest record. Stores have limits of their own, and one message must not keep all others from being written.
const MAX_RECORD: usize = 32 * 1024 * 1024;
/// How long to wait before a failed commit is tried again: at first, and at most.
const AGAIN: Duration = Duration::from_millis(100);
const AGAIN_AT_MOST: Duration = Duration::from_secs(5);

struct Thread {
    keeper: Arc<Keeper>,
    store: Arc<dyn Store>,
    sink: Arc<dyn Sink>,
    clock: Clock,
    meters: Arc<Meters>,
    /// Failed commits in a row.
    failures: u32,
}

/// The running thread. It ends when this goes.
pub(crate) struct KeeperThread {
    keeper: Arc<Keeper>,
    handle: Option<thread::JoinHandle<()>>,
}

// === impl KeeperThread ===

impl KeeperThread {
    /// Starts the thread, if there is a keeper.
    pub(crate) fn start(shared: &Shared, store: Arc<dyn Store>) -> std::io::Result<Option<Self>> {
        let Some(keeper) = shared.keeper.clone() else { return Ok(None) };
        let (sink, clock, meters) = (shared.sink.clone(), shared.clock, shared.meters.clone());
        let mut thread = Thread { keeper: keeper.clone(), store, sink, clock, meters, failures: 0 };
        let run = move || {
            // A fault costs the batch it came with; the thread goes on with the next.
            while catch_unwind(AssertUnwindSafe(|| thread.run())).is_err() {
                thread.failed(&StoreFailed("the keeper's thread failed".to_owned()));
                if lock(&thread.keeper.pending).is_stopping() {
                    break;
                }
                thread.pause();
            }
        };
        let handle = thread::Builder::new().name("keeper".to_owned()).spawn(run)?;
        Ok(Some(Self { keeper, handle: Some(handle) }))
    }

    /// Waits until everything is written.
    pub(crate) fn finish(mut self) {
        self.keeper.stop();
        self.handle.take().map(thread::JoinHandle::join);
    }
}

impl Drop for KeeperThread {
    fn drop(&mut self) {
        self.keeper.stop();
    }
}

// === impl Thread ===

impl Thread {
    fn run(&mut self) {
        while let Some((batch, ticket)) = self.take() {
            match self.commit(&batch) {
                Ok(()) => {
                    self.meters.records_written.add(batch.len() as u64);
                    self.recovered();
                    self.keeper.pass(ticket);
                }
                Err(error) => {
                    let stopping = {
                        let mut pending = lock(&self.keeper.pending);
                        pending.give_back(batch);
                        pending.is_stopping()
                    };
                    self.failed(&error);
                    if stopping {
                        tracing::error!(%error, "What sessions must not forget could not be written at the end.");
                        return;
                    }
                    self.pause();
                }
            }
        }
    }

    /// Waits for changes. `None` at the end.
    fn take(&self) -> Option<(Batch, u64)> {
        let mut pending = lock(&self.keeper.pending);
        loop {
            let now = Instant::now();
            pending = match pending.next(now) {
                Next::Write(batch, ticket) => return Some((batch, ticket)),
                Next::End => return None,
                Next::Wait(None) => self.keeper.changed.wait(pending).unwrap_or_else(PoisonError::into_inner),
                Next::Wait(Some(due)) => {
                    let waited = self.keeper.changed.wait_timeout(pending, due.saturating_duration_since(now));
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn commit(&self, batch: &Batch) -> Result<(), StoreFailed> {
        let mut changes = Vec::with_capacity(batch.len());
        let mut skipped = 0;
        for (key, (value, _)) in batch {
            let key = key.encode();
            match value.as_ref().map(super::Value::encode) {
                Some(value) if value.len() <= MAX_RECORD => changes.push(Change::Put { key, value }),
                None => changes.push(Change::Remove { key }),
                Some(_) => skipped += 1,
            }
        }
        if skipped > 0 {
            self.meters.records_skipped.add(skipped);
            let event = Event::new(Code::LimitReached, (self.clock)()).principal("gateway").count(skipped);
            let event = event.rule("a record of a session has at most 32 MiB");
            self.sink.event(event.reason("messages are delivered, and would not survive a restart of the gateway"));
        }
        let committed = catch_unwind(AssertUnwindSafe(|| self.store.commit(changes)));
        committed.unwrap_or_else(|_| Err(StoreFailed("the store failed in a way it should not".to_owned())))
    }

    /// Lets the workers go on without the store, and tells it once.
    fn failed(&mut self, error: &StoreFailed) {
        self.failures = self.failures.saturating_add(1);
        self.meters.store_failures.add(1);
        let first = !self.keeper.failing.swap(true, std::sync::atomic::Ordering::AcqRel);
        self.keeper.pass(self.keeper.latest());
        if first {
            let why = format!(
                "sessions and retained messages cannot be written ({error}); they are acknowledged all the same and would \
                 not survive a restart of the gateway; check the disk under `data_dir`"
            );
            self.sink.event(Event::new(Code::GatewayDegraded, (self.clock)()).principal("gateway").reason(why));
        }
    }

    fn recovered(&mut self) {
        self.failures = 0;
        if self.keeper.failing.swap(false, std::sync::atomic::Ordering::AcqRel) {
            let event = Event::new(Code::GatewayDegraded, (self.clock)()).principal("gateway");
            let event = event.severity(Severity::Notice);
            self.sink.event(
                event.reason("sessions and retained messages are written again, with what was acknowledged meanwhile"),
            );
        }
    }

    /// Waits before the next try, unless the gateway stops.
    fn pause(&self) {
        let again = AGAIN.saturating_mul(1 << self.failures.min(6)).min(AGAIN_AT_MOST);
        let until = Instant::now() + again;
        let mut pending = lock(&self.keeper.pending);
        while !pending.is_stopping() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.keeper.changed.wait_timeout(pending, left);
            pending = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
