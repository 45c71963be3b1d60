//! The front door of the gateway: listeners, TLS, the MQTT codec, sessions, retained messages, and the fabric.
//!
//! Cordon owns the MQTT session; rumqttd's router, in the module `fabric`, only carries messages from one thread to
//! another. Every packet is judged in both directions by `cordon-core` before it moves on: what publishes or delivers takes
//! a [`cordon_core::judge::Permit`].
//!
//! Threads: one accept task per listener and one task per unauthenticated connection run on the caller's runtime; once a
//! client is admitted, its session lives on one worker thread, chosen by its client id. A worker is single-threaded, so
//! that the hot path needs no lock.

#[cfg(test)]
extern crate self as cordon_mqtt;

pub mod codec;

mod auth;
mod broker;
mod config;
mod connack;
mod envelope;
mod fabric;
mod fair;
mod fence;
mod front;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod groups;
mod keeper;
mod line;
mod listener;
mod meters;
mod pace;
mod presence;
mod refusals;
mod retained;
mod revive;
mod session;
mod shared;
mod sources;
mod spell;
mod stream;
mod subscriptions;
mod supervisor;
mod tls;
mod worker;

pub use auth::{Credentials, fingerprint, hash_password};
pub use broker::{Broker, BrokerError, Enforced, Handle, Parts};
pub use config::{Acknowledge, Auth, Limits, ListenerConfig, SourceLimits, TlsFiles, Transport, WebSocketConfig};
pub use keeper::{Change, Store, StoreFailed, StoredRecord};
pub use meters::Meters;
pub use shared::{Clock, DeviceMessage, SessionInfo, Sink, ThingCounters};
pub use sources::{Prefix, PrefixError};
pub use tls::TlsError;
