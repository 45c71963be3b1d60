//! The MQTT session (MQTT 5, 4.1): what a client's identity, subscriptions and undelivered messages are, whether it is
//! connected or not.
//!
//! A session lives on one worker thread and is shared there by `Rc`. It belongs to the principal that began it: no other
//! principal can take it over.

mod aliases;
mod answers;
mod bell;
mod connection;
mod delivery;
mod ending;
mod ledger;
mod pool;
mod pressure;
mod usage;
mod verdicts;

pub(crate) use answers::{Answers, Hold};
pub(crate) use connection::{ConnectedAs, Connection, Will};
pub(crate) use delivery::{Accepted, Delivery, Queued, Restored, Slot};
pub(crate) use ending::Ending;
pub(crate) use ledger::Change as Logged;
pub(crate) use pool::Pool;
pub(crate) use pressure::Pressure;
pub(crate) use usage::Usage;
pub(crate) use verdicts::Verdicts;

use crate::auth::Identity;
use crate::codec::Version;
use crate::config::Acknowledge;
use crate::refusals::Refusals;
use crate::shared::{SessionInfo, ThingCounters, shown};
use crate::subscriptions::{Subscriber, Terms};
use cordon_core::event::{Code, Event};
use cordon_core::policy::Principal;
use cordon_core::time::{Mono, Now};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Where a client's present or last connection came from.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) listener: Arc<str>,
    /// Policies that the listener puts anonymous clients under.
    pub(crate) policies: Arc<[String]>,
    pub(crate) peer: SocketAddr,
    pub(crate) version: Version,
    pub(crate) since: Now,
    pub(crate) persistent: bool,
    pub(crate) will: bool,
    /// When the listener's clients get their acknowledgements.
    pub(crate) acknowledge: Acknowledge,
}

/// What there is to write about a session that outlives the gateway.
#[derive(Debug, Default)]
pub(crate) struct Lasting {
    /// Whether it does.
    pub(crate) is: Cell<bool>,
    /// Whether it is in line to be written.
    pub(crate) changed: Cell<bool>,
    /// Whether the session itself is to be written, and not only its deliveries.
    pub(crate) session: Cell<bool>,
    /// Whether its will is.
    pub(crate) will: Cell<bool>,
    /// Where its will stands among those that are due, if it does.
    pub(crate) due_will: Cell<Option<u64>>,
    /// Whether a will is on record.
    pub(crate) has_will: Cell<bool>,
    /// Whether it counts among those whose client is away.
    pub(crate) absent: Cell<bool>,
}

/// A client's session.
pub(crate) struct Session {
    number: u64,
    /// Who publishes through it; see [`author`].
    pub(crate) author: u64,
    pub(crate) client_id: String,
    /// Who authenticated last. It changes only when a device comes back with a renewed certificate.
    pub(crate) principal: RefCell<Principal>,
    thing: Option<String>,
    pub(crate) origin: RefCell<Origin>,
    /// The connection, while there is one.
    pub(crate) connection: RefCell<Option<Rc<Connection>>>,
    /// How long the session outlives its connection, in seconds; `u32::MAX` is for as long as the gateway allows.
    pub(crate) expiry: Cell<u32>,
    /// When the last connection ended, while there is none.
    pub(crate) left: Cell<Option<Mono>>,
    /// How long the client had been away when the gateway started.
    pub(crate) away: Cell<Duration>,
    /// What is on record of it, if it outlives the gateway.
    pub(crate) lasting: Lasting,
    /// Subscriptions by filter, as the client spelled it.
    pub(crate) filters: RefCell<BTreeMap<String, Terms>>,
    /// The bytes of those filters together.
    pub(crate) filter_bytes: Cell<usize>,
    pub(crate) delivery: RefCell<Delivery>,
    pub(crate) verdicts: RefCell<Verdicts>,
    pub(crate) refusals: RefCell<Refusals>,
    total_sent: Cell<u64>,
    total_received: Cell<u64>,
    pub(crate) sent: Cell<u64>,
    pub(crate) received: Cell<u64>,
    pub(crate) failures: Cell<u64>,
    pub(crate) connects: Cell<u64>,
    pub(crate) bytes: Cell<u64>,
    /// Whether packets were encoded for it that nobody has written yet.
    pub(crate) unwritten: Cell<bool>,
    /// Whether it keeps up with what is published to it.
    pub(crate) pressure: Cell<Pressure>,
    /// What it has used of the limits that keep it fair to others.
    pub(crate) usage: Usage,
    /// Wakes the publishers that wait for it.
    pub(crate) relief: Notify,
    /// The `versionNumber` of the present or last connection.
    pub(crate) version: Cell<u64>,
    /// Messages dropped since the last report.
    pub(crate) dropped: Cell<u64>,
    /// A subscription was refused because of an isolation order; the client must come back whole once it has ended.
    pub(crate) curtailed: Cell<bool>,
}

// === impl Session ===

impl Session {
    pub(crate) fn new(number: u64, client_id: String, identity: Identity, origin: Origin, verdicts: Verdicts) -> Self {
        Self {
            number,
            author: author(&client_id),
            client_id,
            principal: RefCell::new(identity.principal),
            thing: identity.thing,
            origin: RefCell::new(origin),
            connection: RefCell::new(None),
            expiry: Cell::new(0),
            left: Cell::new(None),
            away: Cell::new(Duration::ZERO),
            lasting: Lasting::default(),
            filters: RefCell::default(),
            filter_bytes: Cell::new(0),
            delivery: RefCell::default(),
            verdicts: RefCell::new(verdicts),
            refusals: RefCell::default(),
            total_sent: Cell::new(0),
            total_received: Cell::new(0),
            sent: Cell::new(0),
            received: Cell::new(0),
            failures: Cell::new(0),
            connects: Cell::new(0),
            bytes: Cell::new(0),
            unwritten: Cell::new(false),
            pressure: Cell::new(Pressure::default()),
            usage: Usage::default(),
            relief: Notify::new(),
            version: Cell::new(0),
            dropped: Cell::new(0),
            curtailed: Cell::new(false),
        }
    }

    pub(crate) fn thing(&self) -> &str {
        self.thing.as_deref().unwrap_or_default()
    }

    /// Whether `other`, a client that says to be this one, is it: the same thing by any of its own credentials. What is
    /// held without proof gives way to proof, never the other way round.
    pub(crate) fn belongs_to(&self, other: &Self) -> bool {
        match (self.is_proven(), other.is_proven()) {
            (_, true) => self.thing == other.thing,
            (true, false) => false,
            (false, false) => *self.principal.borrow() == *other.principal.borrow(),
        }
    }

    /// Whether the client showed who it is.
    pub(crate) fn is_proven(&self) -> bool {
        !matches!(*self.principal.borrow(), Principal::Anonymous { .. })
    }

    pub(crate) fn connection(&self) -> Option<Rc<Connection>> {
        self.connection.borrow().clone()
    }

    /// It keeps up again, or has gone: publishers go on.
    pub(crate) fn relieve(&self, now: Mono) {
        let mut pressure = self.pressure.get();
        if pressure.catch_up(now) {
            self.relief.notify_waiters();
        }
        self.pressure.set(pressure);
    }

    /// An event about this session, with who and from where filled in.
    pub(crate) fn event(&self, code: Code, now: Now) -> Event {
        let origin = self.origin.borrow();
        let mut event = Event::new(code, now)
            .client_id(shown(&self.client_id))
            .principal(shown(&self.principal.borrow().to_string()))
            .listener(&*origin.listener)
            .peer(origin.peer);
        event.thing = self.thing.as_deref().map(|thing| shown(thing).to_owned());
        event
    }

    /// What happened since the last call; `None` if nothing did.
    pub(crate) fn take_counters(&self) -> Option<ThingCounters> {
        let counters = ThingCounters {
            thing: String::new(),
            sent: self.sent.take(),
            received: self.received.take(),
            connects: self.connects.take(),
            bytes: self.bytes.take(),
            authorization_failures: self.failures.take(),
        };
        self.total_sent.set(self.total_sent.get() + counters.sent);
        self.total_received.set(self.total_received.get() + counters.received);
        let anything = counters.sent + counters.received + counters.connects + counters.authorization_failures > 0;
        let thing = self.thing.as_ref().filter(|_| anything)?.clone();
        Some(ThingCounters { thing, ..counters })
    }

    pub(crate) fn info(&self) -> SessionInfo {
        let origin = self.origin.borrow();
        let connected = self.connection.borrow().is_some();
        SessionInfo {
            client_id: self.client_id.clone(),
            thing: self.thing.clone(),
            principal: self.principal.borrow().to_string(),
            peer: connected.then_some(origin.peer),
            listener: origin.listener.to_string(),
            version: origin.version.name(),
            since: origin.since,
            subscriptions: self.filters.borrow().keys().cloned().collect(),
            queued: self.delivery.borrow().waiting(),
            persistent: self.expiry.get() > 0,
            received_from: self.total_sent.get() + self.sent.get(),
            sent_to: self.total_received.get() + self.received.get(),
            isolation: self.verdicts.borrow().level(),
        }
    }
}

impl Subscriber for Session {
    fn number(&self) -> u64 {
        self.number
    }
}

/// The number that stands for a client id in messages, for `no local`, which is about client ids and not about sessions
/// (MQTT-3.8.3-3). It is the same after a restart, as retained messages are kept over it, and never 0, the gateway's own.
pub(crate) fn author(client_id: &str) -> u64 {
    let hash = blake3::hash(client_id.as_bytes());
    hash.as_bytes()[..8].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)) | 1
}
