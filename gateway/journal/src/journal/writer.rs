//! The thread that writes: it takes what is queued, commits it, acknowledges, and tells followers.
//!
//! A commit that fails is repeated once a second with the same events, while the bounded queue fills behind it. Whoever
//! waits is told at once that the event is not durable yet; the event itself is kept for the next attempt.

use super::archive::Archive;
use super::health::{Dropped, Meters};
use super::log::Log;
use super::queue::{Barrier, Pending, Queue};
use super::{JournalOptions, NAME, RecordError, Recorded};
use crate::error::StoreError;
use crate::host::Trouble;
use cordon_core::event::{Code, Event};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;

/// The time between two attempts to write when writing fails.
const RETRY: Duration = Duration::from_secs(1);

pub(super) struct Writer {
    pub(super) options: JournalOptions,
    pub(super) archive: Arc<Archive>,
    /// `None` until the journal could be opened.
    pub(super) log: Option<Log>,
    pub(super) queue: Arc<Queue>,
    pub(super) meters: Arc<Meters>,
    pub(super) followers: broadcast::Sender<Recorded>,
}

/// What one commit is to do.
struct Batch {
    pending: Vec<Pending>,
    barriers: Vec<Barrier>,
    /// Says what was dropped; not from the queue, so that it is never dropped itself.
    notice: Option<Event>,
    /// Nothing follows.
    last: bool,
}

// === impl Writer ===

impl Writer {
    /// Runs until the queue is closed and empty. The last error, if not everything could be written.
    pub(super) fn run(mut self) -> Result<(), StoreError> {
        loop {
            let mut batch = self.next();
            while let Err(error) = self.commit(&mut batch) {
                self.failed(&error, &mut batch);
                if self.queue.is_closed() {
                    self.queue.give_up(&batch.pending);
                    return Err(error);
                }
                self.queue.pause(RETRY);
            }
            if batch.last {
                return Ok(());
            }
        }
    }

    fn next(&self) -> Batch {
        let taken = self.queue.take();
        let notice = (taken.dropped.total() > 0).then(|| notice(&taken.dropped, &self.options));
        Batch { pending: taken.events, barriers: taken.barriers, notice, last: taken.last }
    }

    fn commit(&mut self, batch: &mut Batch) -> Result<(), StoreError> {
        let notice = batch.notice.clone().map(Arc::new);
        let events: Vec<Arc<Event>> =
            batch.pending.iter().map(|pending| Arc::clone(&pending.event)).chain(notice).collect();
        if self.log.is_none() {
            let (log, troubles) = Log::open(Arc::clone(&self.archive), self.options.clone())?;
            self.log = Some(log);
            troubles.into_iter().for_each(|trouble| self.options.host.tell(trouble));
        }
        if let Some(log) = self.log.as_mut().filter(|_| !events.is_empty()) {
            let first = log.append(&events)?;
            self.acknowledge(first, batch, events);
        }
        for barrier in batch.barriers.drain(..) {
            // Whoever waited may have given up.
            let _ = barrier.send(Ok(()));
        }
        Ok(())
    }

    fn acknowledge(&self, first: u64, batch: &mut Batch, events: Vec<Arc<Event>>) {
        if self.meters.wrote(events.len()) {
            self.options.host.tell(Trouble::Recovered { store: NAME });
        }
        for (seq, pending) in (first..).zip(batch.pending.drain(..)) {
            if let Some(acknowledge) = pending.acknowledge {
                let _ = acknowledge.send(Ok(seq));
            }
        }
        if self.followers.receiver_count() == 0 {
            return;
        }
        for (seq, event) in (first..).zip(events) {
            let boot_id = Arc::clone(&self.options.host.boot_id);
            let _ = self.followers.send(Recorded { seq, boot_id, event });
        }
    }

    fn failed(&self, error: &StoreError, batch: &mut Batch) {
        if self.meters.failed(error, self.options.host.now()) {
            self.options.host.tell(Trouble::Failing { store: NAME, error: error.clone() });
        }
        for pending in &mut batch.pending {
            if let Some(acknowledge) = pending.acknowledge.take() {
                let _ = acknowledge.send(Err(RecordError::NotDurable(error.clone())));
            }
        }
        for barrier in batch.barriers.drain(..) {
            let _ = barrier.send(Err(RecordError::NotDurable(error.clone())));
        }
        self.queue.disappoint(error);
    }
}

fn notice(dropped: &Dropped, options: &JournalOptions) -> Event {
    let event = Event::new(Code::JournalDropped, options.host.now())
        .principal("gateway")
        .reason("the journal's queue was full")
        .rule(format!("journal queue of {} events and {} bytes", options.queue_events, options.queue_bytes))
        .count(dropped.total());
    dropped.0.iter().fold(event, |event, (severity, count)| event.detail(severity.name(), count.to_string()))
}
