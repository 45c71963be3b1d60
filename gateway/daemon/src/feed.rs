//! What the front door tells the rest of the gateway, and how it gets there without ever blocking a worker.
//!
//! Events go straight to the journal's bounded queue. Everything else goes to the engine through a bounded channel;
//! what does not fit is dropped and counted. Requests to gateway services are limited per thing, so that one device
//! cannot crowd the others out.

use crate::record::Record;
use cordon_core::detect::Refusal;
use cordon_core::event::{Code, Event};
use cordon_core::time::{Mono, Now};
use cordon_mqtt::{DeviceMessage, Sink, ThingCounters};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// Messages that may wait for the engine.
pub(crate) const QUEUE: usize = 8192;
/// Requests to gateway services that a thing may make per second (AWS IoT Device Shadow quota), and at once.
const REQUESTS_PER_SECOND: f64 = 20.0;
const REQUESTS_AT_ONCE: f64 = 40.0;
/// Things whose requests are counted at once; beyond, the table begins anew.
const COUNTED: usize = 20_000;

/// What the engine is told.
#[derive(Debug)]
pub(crate) enum Told {
    /// What things did.
    Counters(Vec<ThingCounters>),
    /// A request to a gateway service.
    Message(DeviceMessage),
    /// Logins are refused for a while.
    LoginRefused(Refusal, SocketAddr),
}

/// The sink of the front door.
pub(crate) struct Feed {
    record: Record,
    engine: mpsc::Sender<Told>,
    clock: fn() -> Now,
    requests: Mutex<HashMap<String, Bucket>>,
    /// What found the engine's queue full and is not on record yet.
    dropped: AtomicU64,
}

struct Bucket {
    tokens: f64,
    at: Mono,
    told: Option<Mono>,
}

// === impl Feed ===

impl Feed {
    pub(crate) fn new(record: Record, engine: mpsc::Sender<Told>, clock: fn() -> Now) -> Self {
        Self { record, engine, clock, requests: Mutex::default(), dropped: AtomicU64::new(0) }
    }

    /// Tells the engine, or counts what it has no room for; the count is an event as soon as there is room again.
    fn tell(&self, told: Told) {
        if self.engine.try_send(told).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            let event = Event::new(Code::GatewayDegraded, (self.clock)()).principal("gateway").count(dropped);
            let reason = "the engine was too busy; counts, shadow requests or login refusals were dropped";
            self.record.record(event.reason(reason));
        }
    }

    /// Whether the thing may make another request now. Its first excess within a second is an event.
    fn may_request(&self, thing: &str) -> bool {
        let now = (self.clock)();
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if requests.len() >= COUNTED && !requests.contains_key(thing) {
            requests.clear();
        }
        let bucket =
            requests.entry(thing.to_owned()).or_insert(Bucket { tokens: REQUESTS_AT_ONCE, at: now.mono, told: None });
        let earned = now.mono.since(bucket.at).as_secs_f64() * REQUESTS_PER_SECOND;
        bucket.tokens = (bucket.tokens + earned).min(REQUESTS_AT_ONCE);
        bucket.at = now.mono;
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            return true;
        }
        if bucket.told.is_none_or(|told| now.mono.since(told) >= Duration::from_secs(1)) {
            bucket.told = Some(now.mono);
            let event = Event::new(Code::LimitReached, now).thing(thing).rule("20 requests per second and thing");
            self.record.record(event.reason("requests to `$aws/` services beyond the limit are not answered"));
        }
        false
    }
}

impl Sink for Feed {
    fn event(&self, event: Event) {
        self.record.record(event);
    }

    fn observe(&self, counters: Vec<ThingCounters>) {
        self.tell(Told::Counters(counters));
    }

    fn device_message(&self, message: DeviceMessage) {
        if self.may_request(&message.thing) {
            self.tell(Told::Message(message));
        }
    }

    fn login_refused(&self, refusal: Refusal, peer: SocketAddr) {
        self.tell(Told::LoginRefused(refusal, peer));
    }
}
