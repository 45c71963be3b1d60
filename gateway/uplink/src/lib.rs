//! The one connection from the gateway to AWS IoT Core: it empties a durable outbox, QoS 1, in order.
//!
//! What holds:
//!
//! - An entry leaves the [`Outbox`] only after the far side acknowledged it, or as undeliverable with an event that says
//!   why. Everything else is sent again after a reconnect: at least once, in outbox order.
//! - Nothing here can hold the gateway up. No network, no name service, a bad certificate or a refusal become events and
//!   a [`Status`]; the uplink tries again with growing, jittered pauses and never closer than 1 s between connects.
//! - What the far side refuses is never only logged: CONNACK, SUBACK, PUBACK and DISCONNECT reasons, TLS alerts and
//!   messages on `/rejected` topics become `UPLINK_REFUSED` events.
//! - Below AWS's quotas at all times: at most [`config::MAX_WINDOW`] unacknowledged publishes and two token buckets.
//!
//! [`Uplink::spawn`] starts it; [`Handle`] watches and ends it. [`summary`] and [`violation`] build what is sent.

pub mod config;
pub mod entry;
pub mod outbox;
pub mod status;
pub mod summary;
pub mod violation;

mod backoff;
mod bucket;
mod delivery;
mod driver;
mod link;
mod reason;
mod refusals;
mod storage;
mod tls;
mod uplink;

pub use config::{Config, ConfigError, Topics};
pub use entry::{Entry, EntryError};
pub use outbox::{MemoryOutbox, Outbox, OutboxError, OutboxFuture, PushError};
pub use status::{Counters, LinkState, Protocol, Status};
pub use uplink::{Handle, Sink, Uplink};
