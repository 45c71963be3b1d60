//! Counters of the front door, read by the metrics endpoint.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! meters {
    ($(#[doc = $doc:literal] $name:ident),* $(,)?) => {
        /// Counters since start, and some gauges. All are cheap to read at any time.
        #[derive(Debug, Default)]
        pub struct Meters {
            $(#[doc = $doc] pub $name: Meter,)*
        }

        impl Meters {
            /// Every meter with its name and meaning, for the metrics endpoint.
            #[must_use]
            pub fn all(&self) -> Vec<(&'static str, &'static str, u64)> {
                vec![$((stringify!($name), $doc.trim(), self.$name.get())),*]
            }
        }
    };
}

meters! {
    #[doc = " Connected clients."]
    connections,
    #[doc = " Sessions, those of disconnected clients included."]
    sessions,
    #[doc = " Subscriptions of all sessions."]
    subscriptions,
    #[doc = " Messages queued for sessions or unacknowledged by them."]
    queued,
    #[doc = " Retained messages."]
    retained,
    #[doc = " Connections accepted."]
    accepted,
    #[doc = " CONNECT packets received."]
    connects,
    #[doc = " Connections refused before or at CONNECT."]
    connects_refused,
    #[doc = " Messages published by clients and permitted."]
    messages_in,
    #[doc = " Messages delivered to clients."]
    messages_out,
    #[doc = " Payload bytes of messages published by clients, refused ones included."]
    payload_bytes_in,
    #[doc = " Payload bytes of messages delivered to clients."]
    payload_bytes_out,
    #[doc = " MQTT packets received from clients."]
    packets_in,
    #[doc = " MQTT packets sent to clients that carry no message."]
    answers_out,
    #[doc = " Bytes of MQTT packets received, before TLS."]
    bytes_in,
    #[doc = " Bytes of MQTT packets sent, before TLS."]
    bytes_out,
    #[doc = " Publishes refused by a policy or an isolation order."]
    publishes_refused,
    #[doc = " Subscribes refused by a policy or an isolation order."]
    subscribes_refused,
    #[doc = " Deliveries cut by a policy or an isolation order."]
    receives_refused,
    #[doc = " Messages dropped because a client's queue was full or it read too slowly."]
    messages_dropped,
    #[doc = " Lifecycle events dropped because too many waited for the message router."]
    lifecycle_dropped,
    #[doc = " Records of sessions and retained messages written to disk."]
    records_written,
    #[doc = " Records of sessions and retained messages that could not be read, or were too large to be written."]
    records_skipped,
    #[doc = " Commits of sessions and retained messages that failed and are tried again."]
    store_failures,
    #[doc = " Packets that the standard does not allow."]
    violations,
    #[doc = " Times that a fresh message router took over."]
    routers_replaced,
    #[doc = " Times that publishers waited for a subscriber that was behind."]
    publishers_held,
    #[doc = " Times that a client was not read for a while because it sent faster than it may."]
    throttled,
    #[doc = " Clients disconnected because they did not take what was sent to them."]
    writes_timed_out,
    #[doc = " Connections that had not finished CONNECT and gave way to newer ones."]
    pending_displaced,
    #[doc = " Addresses that have connections or a past."]
    sources,
    #[doc = " Connections closed at once because of what came from their address before."]
    sources_refused,
    #[doc = " Addresses whose past was forgotten because too many were held."]
    sources_forgotten,
    #[doc = " Sessions ended by an isolation order, an operator or a revoked credential."]
    terminated,
}

/// One counter or gauge.
#[derive(Debug, Default)]
pub struct Meter(AtomicU64);

// === impl Meter ===

impl Meter {
    /// The value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn sub(&self, by: u64) {
        self.0.fetch_sub(by, Ordering::Relaxed);
    }
}
