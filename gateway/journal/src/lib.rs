//! What the gateway must not forget, on disk: the journal of security events, the small precious state, the outbox.
//!
//! - [`Journal`]: an append-only, tamper-evident log in compressed blocks, each carrying the hash of the block before it.
//! - [`State`]: named buckets of small records; a change is durable when the call returns.
//! - [`Sessions`]: what MQTT sessions must not forget, with the churn of a queue; a commit is durable when it returns.
//! - [`Outbox`]: a first-in first-out queue of messages for the uplink; an entry leaves when it was acknowledged.
//!
//! All four stand on sled, which only this crate names and only `database` touches. Every database is opened under a
//! guard: a damaged one is set aside under another name and a fresh one begun, so that the gateway always starts.
//! Storage runs on threads of its own; no caller's async worker ever waits for a disk. What is acknowledged survives
//! `kill -9` and power loss: after sled's own flush, which on Linux leaves the device's cache and the file's metadata
//! out, the data file is synced as well.

mod database;
mod error;
mod files;
mod host;
mod journal;
mod mark;
mod outbox;
mod sessions;
mod state;
mod store;
mod worker;

pub use database::Record;
pub use error::StoreError;
pub use host::{Clock, Host, OpenReport, Trouble, TroubleHook};
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use journal::fuzzing;
pub use journal::{
    Broken, Dropped, Filter, Follower, Health, Journal, JournalOptions, MAX_QUERY_EVENTS, Order, RecordError, Recorded,
    Recorder, Stats, VerifyReport,
};
pub use outbox::{Entry, Outbox, OutboxLimits, OutboxStatus, Pushed};
pub use sessions::Sessions;
pub use state::{Bucket, Change, State};
