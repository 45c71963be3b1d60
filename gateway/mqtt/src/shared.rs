//! What all parts of the front door share, and what they tell the rest of the gateway.

use crate::auth::Credentials;
use crate::config::Limits;
use crate::envelope::{Envelope, Letter};
use crate::fabric::Flow;
use crate::fair::Fair;
use crate::groups::Groups;
use crate::keeper::Keeper;
use crate::meters::Meters;
use crate::presence::Presence;
use crate::refusals::Refusals;
use crate::retained::{Full, Retained};
use crate::session::Pool;
use crate::sources::Sources;
use arc_swap::ArcSwap;
use bytes::Bytes;
use cordon_core::detect::{LoginGuard, Refusal};
use cordon_core::event::Event;
use cordon_core::isolation::Level;
use cordon_core::judge::{Permit, Rulebook};
use cordon_core::time::{Mono, Now};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Reads the clocks.
pub type Clock = fn() -> Now;

/// Where the front door tells what it saw. No method may block: they are called from workers.
pub trait Sink: Send + Sync + 'static {
    /// A security event.
    fn event(&self, event: Event);

    /// What things did since the last call, at most every quarter of a second per worker.
    fn observe(&self, counters: Vec<ThingCounters>);

    /// A permitted publish to a service topic of the gateway (`$aws/...`).
    fn device_message(&self, message: DeviceMessage);

    /// Failed logins from one address or for one name reached the threshold; more are refused for a while.
    fn login_refused(&self, refusal: Refusal, peer: SocketAddr);
}

/// What one thing did in a short while.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ThingCounters {
    /// The thing.
    pub thing: String,
    /// Messages it published.
    pub sent: u64,
    /// Messages delivered to it.
    pub received: u64,
    /// Connections it was let in with.
    pub connects: u64,
    /// Payload bytes of the messages it published and received.
    pub bytes: u64,
    /// Connects, publishes, subscribes and receives that were refused for lack of permission.
    pub authorization_failures: u64,
}

/// A message from a device to a service of the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceMessage {
    /// The thing that published.
    pub thing: String,
    /// The topic, beginning with `$aws/`.
    pub topic: String,
    /// The body.
    pub payload: Bytes,
}

/// A session as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionInfo {
    /// The MQTT client id.
    pub client_id: String,
    /// The thing behind it.
    pub thing: Option<String>,
    /// Who authenticated.
    pub principal: String,
    /// The remote address; `None` while disconnected.
    pub peer: Option<SocketAddr>,
    /// The listener it came through.
    pub listener: String,
    /// The protocol version: `3.1`, `3.1.1` or `5.0`.
    pub version: &'static str,
    /// When the present connection, or the last one, began.
    pub since: Now,
    /// Its topic filters.
    pub subscriptions: Vec<String>,
    /// Messages that wait for it.
    pub queued: usize,
    /// Whether it outlives its connection.
    pub persistent: bool,
    /// Messages it published since the session began.
    pub received_from: u64,
    /// Messages delivered to it since the session began.
    pub sent_to: u64,
    /// The strictest level it is under.
    pub isolation: Option<Level>,
}

/// Shared by listeners, workers and the handle.
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    /// Those of them that may have changed since.
    pub(crate) fair: Mutex<Fair>,
    pub(crate) sources: Arc<Sources>,
    pub(crate) clock: Clock,
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) flow: Arc<Flow>,
    pub(crate) meters: Arc<Meters>,
    pub(crate) retained: Mutex<Retained>,
    /// The shared groups, while there is more than one worker.
    pub(crate) groups: Groups,
    pub(crate) presence: Presence,
    /// What puts sessions and retained messages on record, if anything does.
    pub(crate) keeper: Option<Arc<Keeper>>,
    /// What may wait for all sessions together.
    pub(crate) pool: Arc<Pool>,
    /// Refusals that no session holds.
    pub(crate) refusals: Mutex<Refusals>,
    pub(crate) guard: Arc<Mutex<LoginGuard>>,
    pub(crate) credentials: ArcSwap<Credentials>,
    rulebook: ArcSwap<Rulebook>,
    epoch: AtomicU64,
    next_session: AtomicU64,
    next_message: AtomicU64,
}

// === impl Shared ===

impl Shared {
    #[allow(clippy::too_many_arguments, reason = "built in one place, from named parts")]
    pub(crate) fn new(
        limits: Limits,
        clock: Clock,
        sink: Arc<dyn Sink>,
        flow: Arc<Flow>,
        meters: Arc<Meters>,
        guard: Arc<Mutex<LoginGuard>>,
        credentials: Arc<Credentials>,
        rulebook: Arc<Rulebook>,
        keeper: Option<Arc<Keeper>>,
    ) -> Self {
        let epoch = AtomicU64::new(rulebook.epoch);
        let mut key = [0; 32];
        // Without random numbers the identifiers of two starts may be the same; nothing is decided by them.
        getrandom::fill(&mut key).ok();
        Self {
            groups: Groups::default(),
            presence: Presence::new(key),
            retained: Mutex::new(Retained::new(limits.max_retained, limits.max_retained_bytes, keeper.is_some())),
            keeper,
            pool: Arc::new(Pool::new(limits.max_queued_bytes_total)),
            refusals: Mutex::default(),
            fair: Mutex::new(Fair::from(&limits)),
            sources: Arc::new(Sources::new(&limits.sources, clock, meters.clone())),
            limits,
            clock,
            sink,
            flow,
            meters,
            guard,
            credentials: ArcSwap::new(credentials),
            rulebook: ArcSwap::new(rulebook),
            epoch,
            next_session: AtomicU64::new(1),
            next_message: AtomicU64::new(1),
        }
    }

    /// The epoch in force. What was judged under another one is judged anew.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    pub(crate) fn rulebook(&self) -> Arc<Rulebook> {
        self.rulebook.load_full()
    }

    /// Puts a rulebook in force. Workers see it from their next packet on.
    pub(crate) fn set_rulebook(&self, rulebook: Arc<Rulebook>) {
        let epoch = rulebook.epoch;
        self.rulebook.store(rulebook);
        self.epoch.store(epoch, Ordering::Release);
    }

    pub(crate) fn now(&self) -> Now {
        (self.clock)()
    }

    /// Numbers and seals a message, and keeps it if it is to be retained.
    pub(crate) fn seal(&self, letter: &Letter<'_>, permit: Permit, now: Mono) -> (Envelope, Result<(), Full>) {
        let elected = self.groups.elect(letter.topic);
        if !letter.retain {
            return (Envelope::seal(letter, self.next_message(), &elected, permit), Ok(()));
        }
        // One lock for number and store: a new subscription gets the message from one of the two, not both.
        let mut retained = lock(&self.retained);
        let message = Envelope::seal(letter, self.next_message(), &elected, permit);
        let kept = retained.set(&message, now);
        (message, kept)
    }

    /// Numbers a message.
    pub(crate) fn next_message(&self) -> u64 {
        self.next_message.fetch_add(1, Ordering::AcqRel)
    }

    /// The number of the message that is published next. Whoever publishes it sees what was stored before this call.
    pub(crate) fn coming_message(&self) -> u64 {
        self.next_message.fetch_add(0, Ordering::AcqRel)
    }

    pub(crate) fn next_session(&self) -> u64 {
        self.next_session.fetch_add(1, Ordering::Relaxed)
    }

    /// Numbers begin after those that are known from before.
    pub(crate) fn number_after(&self, session: u64, message: u64) {
        self.next_session.fetch_max(session.saturating_add(1), Ordering::AcqRel);
        self.next_message.fetch_max(message.saturating_add(1), Ordering::AcqRel);
    }
}

/// Locks, and carries on with the data of a thread that died holding the lock.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The part of a text from outside that an event shows.
pub(crate) fn shown(text: &str) -> &str {
    const SHOWN: usize = 256;
    let mut end = text.len().min(SHOWN);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
