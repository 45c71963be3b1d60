//! The engine: it holds what the gateway knows (things, orders, alarms, findings, shadows), steps the pure judgement of
//! `cordon-core` with what happens and with the time, and carries out what that decides.
//!
//! One lock guards all of it. Control calls, what the front door tells, and the clock take it in turn; no decision is
//! made on half a change. What must survive a restart is written before the call that made it returns.

mod alarms;
mod devices;
mod gauges;
mod isolation;
mod load;
mod reload;
mod remedies;
mod restore;
mod summary;
mod sys;

pub(crate) use gauges::Gauges;
pub(crate) use isolation::OrderError;

use crate::config::{Config, Rules};
use crate::feed::Told;
use crate::record::Record;
use cordon_core::comply::{Remediation, Step};
use cordon_core::detect::{AlarmBook, Detector, LoginGuard};
use cordon_core::event::{Code, Event};
use cordon_core::fleet::Registry;
use cordon_core::isolation::OrderBook;
use cordon_core::judge::Rulebook;
use cordon_core::policy::Policy;
use cordon_core::shadow::ShadowStore;
use cordon_core::time::Now;
use cordon_journal::{Bucket, Change, Outbox, State, StoreError};
use cordon_mqtt::Handle;
use cordon_uplink::Topics;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use summary::Tally;
use tokio::sync::{MutexGuard, mpsc, watch};

/// How often the clock is looked at.
const TICK: Duration = Duration::from_millis(200);
/// How long a write may take before the gateway goes on without waiting.
const DEADLINE: Duration = Duration::from_secs(5);

/// The stores the engine writes to.
#[derive(Clone)]
pub(crate) struct Stores {
    pub(crate) record: Record,
    pub(crate) state: State,
    pub(crate) outbox: Option<(Outbox, Topics)>,
}

/// The engine.
pub(crate) struct Engine {
    knowledge: tokio::sync::Mutex<Knowledge>,
    pub(crate) stores: Stores,
    /// Numbers that can be read without the lock.
    pub(crate) gauges: Gauges,
    pub(crate) guard: Arc<Mutex<LoginGuard>>,
    pub(crate) clock: fn() -> Now,
}

/// Everything behind the lock.
pub(crate) struct Knowledge {
    pub(crate) config: Config,
    pub(crate) registry: Arc<Registry>,
    pub(crate) policies: Arc<BTreeMap<String, Arc<Policy>>>,
    pub(crate) epoch: u64,
    pub(crate) orders: OrderBook,
    pub(crate) detector: Detector,
    pub(crate) alarms: AlarmBook,
    pub(crate) remediation: Remediation,
    pub(crate) shadows: ShadowStore,
    /// When each registered thing last did something, since the start.
    pub(crate) seen: BTreeMap<String, Now>,
    /// What the restart left to be done, once the front door is there.
    due: Vec<Step>,
    tally: Tally,
    sys: sys::SysTree,
    broker: Option<Handle>,
    stores: Stores,
    clock: fn() -> Now,
}

// === impl Engine ===

impl Engine {
    /// Builds the engine from the configured rules and what was stored. Blocks on the state store.
    pub(crate) fn new(
        config: Config,
        rules: Rules,
        stores: Stores,
        guard: Arc<Mutex<LoginGuard>>,
        clock: fn() -> Now,
        boot_id: &str,
    ) -> Self {
        let knowledge = restore::knowledge(config, rules, stores.clone(), clock, boot_id);
        Self { knowledge: tokio::sync::Mutex::new(knowledge), stores, gauges: Gauges::default(), guard, clock }
    }

    /// Takes the lock.
    pub(crate) async fn lock(&self) -> MutexGuard<'_, Knowledge> {
        self.knowledge.lock().await
    }

    /// The rules as they stand, for the front door to start with.
    pub(crate) async fn rulebook(&self) -> Arc<Rulebook> {
        self.lock().await.rulebook()
    }

    /// Connects the engine to the front door, and does what the restart left to be done.
    pub(crate) async fn attach(&self, broker: Handle) {
        let now = (self.clock)();
        let mut knowledge = self.lock().await;
        knowledge.broker = Some(broker);
        let due = std::mem::take(&mut knowledge.due);
        knowledge.carry_out(due, now).await;
        knowledge.assess_all(now).await;
    }

    /// Listens to the front door and the clock until told to stop.
    pub(crate) async fn run(&self, mut told: mpsc::Receiver<Told>, mut stop: watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(told) = told.recv() => self.take(told).await,
                _ = tick.tick() => self.step().await,
                changed = stop.changed() => if changed.is_err() || *stop.borrow() { break },
            }
        }
    }

    async fn take(&self, told: Told) {
        let now = (self.clock)();
        let mut knowledge = self.lock().await;
        match told {
            Told::Counters(counters) => knowledge.count(&counters, now).await,
            Told::Message(message) => knowledge.device_message(message, now).await,
            Told::LoginRefused(refusal, peer) => knowledge.raise_login(&refusal, peer, now).await,
        }
    }

    async fn step(&self) {
        let now = (self.clock)();
        let ended = self.guard.lock().unwrap_or_else(std::sync::PoisonError::into_inner).handle_timeout(now.mono);
        let mut knowledge = self.lock().await;
        for refusal in ended {
            knowledge.clear_login(&refusal.key, now).await;
        }
        knowledge.expire_orders(now).await;
        knowledge.detect(now).await;
        knowledge.follow_up(now).await;
        knowledge.summarise(now).await;
        knowledge.tell_numbers(now).await;
        self.gauges.set(&knowledge);
    }
}

// === impl Knowledge ===

impl Knowledge {
    pub(crate) fn rulebook(&self) -> Arc<Rulebook> {
        Arc::new(Rulebook {
            epoch: self.epoch,
            registry: self.registry.clone(),
            policies: self.policies.clone(),
            orders: self.orders.snapshot(),
            protected: Arc::new(self.orders.protected().clone()),
            readers: Arc::new(self.config.sys.readers.clone()),
        })
    }

    /// Puts the rules as they stand in force, and returns once every worker has confirmed them.
    pub(crate) async fn enforce(&mut self) -> usize {
        self.epoch += 1;
        let rulebook = self.rulebook();
        match &self.broker {
            Some(broker) => broker.enforce(rulebook).await.ended,
            None => 0,
        }
    }

    pub(crate) fn broker(&self) -> Option<&Handle> {
        self.broker.as_ref()
    }

    fn record(&self, event: Event) {
        self.stores.record.record(event);
    }

    pub(crate) async fn record_durably(&self, event: Event) {
        self.stores.record.durably(event).await;
    }

    /// Writes records of the state store. A failure is an event; what was decided stays in force.
    async fn keep(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let slow = |_| Err(StoreError::Io { path: "state".into(), what: format!("no answer within {DEADLINE:?}") });
        let result = tokio::time::timeout(DEADLINE, self.stores.state.apply(changes)).await.unwrap_or_else(slow);
        if let Err(error) = &result {
            let event = Event::new(Code::GatewayDegraded, (self.clock)()).principal("gateway");
            self.record(event.reason(format!("the state store cannot write: {error}; check the disk")));
        }
        result
    }

    /// Queues a document for the cloud, if there is an uplink.
    async fn forward(&self, priority: u8, topic: impl Fn(&Topics) -> &str, document: Vec<u8>) {
        let Some((outbox, topics)) = &self.stores.outbox else { return };
        let topic = topic(topics).to_owned();
        match outbox.push(priority, &topic, document).await {
            Ok(pushed) if pushed.dropped > 0 => {
                let event = Event::new(Code::UplinkDropped, (self.clock)()).count(pushed.dropped as u64);
                self.record(event.rule("outbox.max_bytes").reason("the outbox is full; least urgent and oldest first"));
            }
            Ok(_) => {}
            Err(error) => {
                let event = Event::new(Code::UplinkDropped, (self.clock)()).resource(topic);
                self.record(event.reason(format!("the outbox did not take it: {error}")));
            }
        }
    }
}

/// A change that writes a value as JSON.
fn put<T: serde::Serialize>(bucket: Bucket, key: &str, value: &T) -> Vec<Change> {
    match serde_json::to_vec(value) {
        Ok(bytes) => vec![Change::Put(bucket, key.to_owned(), bytes)],
        Err(error) => {
            tracing::error!(%error, key, "A record has no JSON form.");
            Vec::new()
        }
    }
}
