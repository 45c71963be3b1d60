//! The journal: the durable, tamper-evident record of security events.
//!
//! Events get rising numbers and go, in compressed blocks, into segments of one database each. Each block carries the hash
//! of the block before it. Segments are closed by size and age and deleted whole, oldest first, when the journal passes its
//! limit on disk. [`Recorder::record`] never waits; [`Recorder::record_durably`] resolves when the event would survive
//! `kill -9` and power loss. When writing fails, serving goes on: events stay in a bounded queue, writing is repeated,
//! and the host is told once.

mod archive;
mod block;
mod catalog;
mod follow;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod health;
mod log;
mod query;
mod queue;
mod verify;
mod writer;

use crate::error::StoreError;
use crate::host::{Host, OpenReport};
use crate::worker::{Service, Worker};
use archive::Archive;
use cordon_core::event::Event;
use cordon_proto::v1;
pub use follow::Follower;
use health::Meters;
pub use health::{Dropped, Health, Stats};
use log::Log;
pub use query::{Filter, MAX_QUERY_EVENTS, Order};
use queue::{Limits, Queue};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::sync::{broadcast, oneshot};
pub use verify::{Broken, VerifyReport};
use writer::Writer;

const NAME: &str = "journal";
/// How many of the newest events a follower may be behind before it has to read from disk.
const LIVE_EVENTS: usize = 1024;

/// How a journal is kept. [`JournalOptions::new`] gives the defaults.
#[derive(Debug, Clone)]
pub struct JournalOptions {
    /// Where it is.
    pub directory: PathBuf,
    /// The process around it.
    pub host: Host,
    /// A segment is closed when it takes this much on disk, in bytes: 48 MiB.
    pub segment_bytes: u64,
    /// A segment is closed when it is this old: 7 days.
    pub segment_age: Duration,
    /// The oldest segments are deleted when all take more than this on disk, in bytes: 1 GiB.
    pub total_bytes: u64,
    /// How many events may wait to be written: 16,384.
    pub queue_events: usize,
    /// What the waiting events may take in memory, in bytes: 16 MiB.
    pub queue_bytes: usize,
    /// How long an event that nobody waits for may wait for company: 200 ms.
    pub linger: Duration,
}

/// An event and its place in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Its number: starts at 1, rises by 1, is never used twice.
    pub seq: u64,
    /// Which boot of the machine its monotonic time counts from.
    pub boot_id: Arc<str>,
    /// What happened.
    pub event: Arc<Event>,
}

/// Why an event is not known to be durable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Writing fails. The event is kept in memory and written as soon as writing works again.
    #[error("the event is not durable yet: {0}")]
    NotDurable(StoreError),
    /// Even the room for events that must not be dropped is used up; the event is lost and counted.
    #[error("the event was dropped: the journal's queue is full; check the disk's speed")]
    QueueFull,
    /// The journal has been shut down; the event is lost.
    #[error("the event was not recorded: the journal is shut down")]
    Closed,
}

/// Puts events into the journal. Clones are cheap; every part of the gateway has one.
#[derive(Debug, Clone)]
pub struct Recorder {
    queue: Arc<Queue>,
}

/// The journal. Clones share the same threads and files; [`Journal::shutdown`] ends it for all.
#[derive(Debug, Clone)]
pub struct Journal {
    recorder: Recorder,
    archive: Arc<Archive>,
    meters: Arc<Meters>,
    reader: Worker<Reader>,
    followers: broadcast::WeakSender<Recorded>,
    ended: flume::Receiver<Result<(), StoreError>>,
    _closer: Arc<Closer>,
}

/// Ends the writer when the last handle to the journal goes.
#[derive(Debug)]
struct Closer(Arc<Queue>);

/// What the reading thread owns.
#[derive(Debug)]
struct Reader {
    archive: Arc<Archive>,
}

// === impl JournalOptions ===

impl JournalOptions {
    /// The defaults, for a journal in `directory`.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>, host: Host) -> Self {
        Self {
            directory: directory.into(),
            host,
            segment_bytes: 48 * 1024 * 1024,
            segment_age: Duration::from_secs(7 * 24 * 60 * 60),
            total_bytes: 1024 * 1024 * 1024,
            queue_events: 16_384,
            queue_bytes: 16 * 1024 * 1024,
            linger: Duration::from_millis(200),
        }
    }
}

// === impl Recorded ===

impl From<Recorded> for v1::RecordedEvent {
    fn from(recorded: Recorded) -> Self {
        let event = Arc::unwrap_or_clone(recorded.event);
        Self { seq: recorded.seq, event: Some(event.into()), boot_id: (*recorded.boot_id).to_owned() }
    }
}

// === impl Recorder ===

impl Recorder {
    /// Takes the event in, to be written within [`JournalOptions::linger`]. Never waits and never fails: under overload
    /// the least severe and oldest events are dropped, counted, and reported as `JOURNAL_DROPPED`.
    pub fn record(&self, event: Event) {
        self.queue.push(event, None);
    }

    /// Takes the event in at once and resolves with its number when it is durable. It does not linger.
    ///
    /// # Errors
    ///
    /// [`RecordError::NotDurable`] keeps the event for later; with the others it is lost.
    pub fn record_durably(&self, event: Event) -> impl Future<Output = Result<u64, RecordError>> + Send + use<> {
        let (acknowledge, acknowledged) = oneshot::channel();
        self.queue.push(event, Some(acknowledge));
        async { acknowledged.await.unwrap_or(Err(RecordError::Closed)) }
    }
}

// === impl Journal ===

impl Journal {
    /// Opens or begins the journal. Blocks for as long as the disk takes to open the newest segment.
    ///
    /// # Errors
    ///
    /// The directory cannot be written, the disk is full, or another process has it open. Damage is no error: it is set
    /// aside and reported. To serve without a journal for the time being, use [`Journal::open_later`].
    pub fn open(options: JournalOptions) -> Result<(Self, OpenReport), StoreError> {
        let archive = Arc::new(Archive::new(options.directory.clone(), options.host.clone()));
        let (log, troubles) = Log::open(Arc::clone(&archive), options.clone())?;
        Ok((Self::start(options, archive, Some(log))?, OpenReport { troubles }))
    }

    /// A journal that keeps events in its bounded queue and goes on trying to open its directory, about once a second
    /// while there is something to write. The host hears when it fails and when it works.
    ///
    /// # Errors
    ///
    /// The system gives no thread.
    pub fn open_later(options: JournalOptions) -> Result<Self, StoreError> {
        let archive = Arc::new(Archive::new(options.directory.clone(), options.host.clone()));
        Self::start(options, archive, None)
    }

    fn start(options: JournalOptions, archive: Arc<Archive>, log: Option<Log>) -> Result<Self, StoreError> {
        let limits = Limits { events: options.queue_events, bytes: options.queue_bytes, linger: options.linger };
        let queue = Arc::new(Queue::new(limits));
        let meters = Arc::new(Meters::default());
        let followers = broadcast::Sender::new(LIVE_EVENTS);
        let (end, ended) = flume::bounded(1);
        let reader = Worker::spawn("journal-read", Reader { archive: Arc::clone(&archive) })?;
        let journal = Self {
            recorder: Recorder { queue: Arc::clone(&queue) },
            archive: Arc::clone(&archive),
            meters: Arc::clone(&meters),
            reader,
            followers: followers.downgrade(),
            ended,
            _closer: Arc::new(Closer(Arc::clone(&queue))),
        };
        let writer = Writer { options, archive, log, queue, meters, followers };
        thread::Builder::new()
            .name(NAME.to_owned())
            .spawn(move || drop(end.send(writer.run())))
            .map_err(|error| StoreError::Io { path: NAME.into(), what: error.to_string() })?;
        Ok(journal)
    }

    /// A handle that puts events in.
    #[must_use]
    pub fn recorder(&self) -> Recorder {
        self.recorder.clone()
    }

    /// Has everything recorded so far written now, and resolves when it is durable.
    ///
    /// # Errors
    ///
    /// Writing fails; what was recorded is kept for later.
    pub async fn flush(&self) -> Result<(), RecordError> {
        let (barrier, passed) = oneshot::channel();
        self.recorder.queue.barrier(barrier);
        passed.await.unwrap_or(Err(RecordError::Closed))
    }

    /// The events that `filter` asks for, with everything recorded before this call.
    ///
    /// A query of the newest events opens few segments; one of rare events in a large journal reads all of it. Queries
    /// are answered one after the other.
    ///
    /// # Errors
    ///
    /// The disk failed.
    pub async fn query(&self, filter: Filter) -> Result<Vec<Recorded>, StoreError> {
        if let Err(error) = self.flush().await {
            tracing::debug!(%error, "A query is answered without the newest events.");
        }
        self.read(filter).await
    }

    /// What is on disk, without flushing first.
    async fn read(&self, filter: Filter) -> Result<Vec<Recorded>, StoreError> {
        self.reader.read(move |reader| query::run(&reader.archive, &filter)).await
    }

    /// Follows the journal from now on.
    #[must_use]
    pub fn follow(&self) -> Follower {
        Follower::new(self.clone(), self.subscribe(), None)
    }

    /// Follows the journal from the event after `seq`, which may be long past.
    #[must_use]
    pub fn follow_after(&self, seq: u64) -> Follower {
        Follower::new(self.clone(), self.subscribe(), Some(seq))
    }

    fn subscribe(&self) -> broadcast::Receiver<Recorded> {
        // After the end, a channel that is closed already.
        self.followers.upgrade().unwrap_or_else(|| broadcast::Sender::new(1)).subscribe()
    }

    /// Reads the whole journal and proves that nothing was changed or removed. Takes a while.
    ///
    /// # Errors
    ///
    /// The disk failed.
    pub async fn verify(&self) -> Result<VerifyReport, StoreError> {
        self.reader.read(|reader| verify::run(&reader.archive)).await
    }

    /// Whether it can write, and what was lost.
    #[must_use]
    pub fn health(&self) -> Health {
        self.meters.health(&self.recorder.queue)
    }

    /// What it holds and has done.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.meters.stats(&self.recorder.queue, &self.archive)
    }

    /// Writes what is queued, closes everything and ends the threads.
    ///
    /// # Errors
    ///
    /// Writing fails, or it took longer than `deadline`: what had been acknowledged is safe, the rest is lost.
    pub async fn shutdown(&self, deadline: Duration) -> Result<(), StoreError> {
        self.recorder.queue.close();
        let written = tokio::time::timeout(deadline, self.ended.recv_async()).await;
        let read = self.reader.shutdown(deadline).await;
        let archive = Arc::clone(&self.archive);
        // Closing a database flushes it.
        let _ = tokio::task::spawn_blocking(move || archive.close()).await;
        match written {
            // A second call finds the writer gone.
            Ok(result) => result.unwrap_or(Ok(()))?,
            Err(_) => return Err(StoreError::Deadline),
        }
        read
    }
}

// === impl Closer ===

impl Drop for Closer {
    fn drop(&mut self) {
        self.0.close();
    }
}

// === impl Reader ===

impl Service for Reader {
    fn flush(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn idle(&mut self) {
        self.archive.close_readers();
    }
}
