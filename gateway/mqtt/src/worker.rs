//! A worker: one thread that holds sessions, reads and writes their sockets, and judges every packet both ways.
//!
//! All state is single-threaded (`Rc`, `RefCell`, `Cell`); no borrow is held across an await. What comes from other
//! threads comes as a [`Command`] or out of the fabric.

mod admit;
mod inbound;
mod leave;
mod outbound;
mod serve;
mod subscribe;

use crate::auth::Identity;
use crate::envelope::{Envelope, Letter};
use crate::fabric::{Ends, FabricLost, FabricRx, FabricTx};
use crate::session::{ConnectedAs, Ending, Origin, Session, Verdicts};
use crate::shared::{SessionInfo, Shared, lock};
use crate::stream::{Detached, SCRATCH};
use crate::subscriptions::Subscriptions;
use bytes::{Bytes, BytesMut};
use cordon_core::event::{Code, Event};
use cordon_core::isolation::Level;
use cordon_core::judge::Permit;
use cordon_core::policy::Principal;
use cordon_core::time::{Mono, Now};
use futures::FutureExt;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::LocalSet;

pub(crate) use leave::PendingWill;
pub(crate) use outbound::Route;

/// How often keep-alives, expiries and counters are looked at.
const TICK: Duration = Duration::from_millis(250);
/// Messages taken from the fabric before other tasks get a turn.
const BATCH: usize = 512;

/// A client that authenticated, on its way to its worker.
pub(crate) struct Admission {
    pub(crate) stream: Detached,
    pub(crate) connect: ConnectedAs,
    pub(crate) identity: Identity,
    pub(crate) origin: Origin,
    /// Bytes read after CONNECT.
    pub(crate) leftover: BytesMut,
    pub(crate) place: OwnedSemaphorePermit,
}

/// What other threads ask of a worker.
pub(crate) enum Command {
    /// Take a client in.
    Admit(Box<Admission>),
    /// A new epoch is in force: apply it to every session, then confirm with how many were ended.
    Enforce(oneshot::Sender<usize>),
    /// Publish a message of the gateway itself.
    Publish { topic: String, payload: Bytes, permit: Permit },
    /// End a client's connection. Answers whether there was one.
    Kick { client_id: String, reason: String, answer: oneshot::Sender<bool> },
    /// Tell the sessions.
    Sessions(oneshot::Sender<Vec<SessionInfo>>),
    /// End all connections, then the worker.
    Stop(oneshot::Sender<()>),
}

/// The worker's state.
pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) sessions: RefCell<HashMap<String, Rc<Session>>>,
    pub(crate) subscriptions: RefCell<Subscriptions<Session>>,
    pub(crate) routes: RefCell<HashMap<Box<str>, Rc<Route>>>,
    pub(crate) fabric: RefCell<FabricTx>,
    pub(crate) wills: RefCell<Vec<PendingWill>>,
    /// Sessions with packets that were encoded and not yet written.
    pub(crate) unwritten: RefCell<Vec<Rc<Session>>>,
    pub(crate) scratch: RefCell<Vec<u8>>,
    stopping: Cell<bool>,
}

/// Runs a worker on the calling thread until it is told to stop.
pub(crate) fn run(
    index: usize,
    shared: Arc<Shared>,
    ends: Ends,
    commands: mpsc::Receiver<Command>,
) -> Result<(), FabricLost> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|_| FabricLost)?;
    let (tx, rx) = ends;
    let worker = Rc::new(Worker {
        index,
        shared,
        sessions: RefCell::default(),
        subscriptions: RefCell::new(Subscriptions::new()),
        routes: RefCell::default(),
        fabric: RefCell::new(tx),
        wills: RefCell::default(),
        unwritten: RefCell::default(),
        scratch: RefCell::new(vec![0; SCRATCH]),
        stopping: Cell::new(false),
    });
    let local = LocalSet::new();
    local.block_on(&runtime, async move {
        let deliveries = tokio::task::spawn_local(worker.clone().deliver_all(rx));
        let end = worker.obey(commands, deliveries).await;
        worker.retire().await;
        end
    })
}

// === impl Worker ===

impl Worker {
    async fn obey(
        self: &Rc<Self>,
        mut commands: mpsc::Receiver<Command>,
        mut deliveries: tokio::task::JoinHandle<FabricLost>,
    ) -> Result<(), FabricLost> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(Command::Stop(done)) => {
                        self.stopping.set(true);
                        self.end_all(&Ending::ShuttingDown);
                        done.send(()).ok();
                        deliveries.abort();
                        return Ok(());
                    }
                    Some(command) => self.command(command),
                    None => return Ok(()),
                },
                lost = &mut deliveries => {
                    self.end_all(&Ending::ServerError);
                    return Err(lost.unwrap_or(FabricLost));
                }
                _ = tick.tick() => self.tick(self.shared.now()),
            }
        }
    }

    fn command(self: &Rc<Self>, command: Command) {
        match command {
            Command::Admit(admission) => self.admit(*admission),
            Command::Enforce(confirm) => {
                confirm.send(self.enforce()).ok();
            }
            Command::Publish { topic, payload, permit } => {
                let letter = Letter {
                    qos: crate::codec::QoS::AtLeastOnce,
                    retain: false,
                    publisher: 0,
                    thing: "",
                    epoch: self.shared.epoch(),
                    expires: None,
                    topic: &topic,
                    properties: &[],
                    payload: &payload,
                };
                self.fabric.borrow_mut().push(&Envelope::seal(&letter, permit));
                self.hand_over();
            }
            Command::Kick { client_id, reason, answer } => {
                let connection = self.sessions.borrow().get(&client_id).and_then(|session| session.connection());
                answer.send(connection.is_some()).ok();
                if let Some(connection) = connection {
                    connection.end(Ending::Kicked { reason });
                }
            }
            Command::Sessions(answer) => {
                answer.send(self.sessions.borrow().values().map(|session| session.info()).collect()).ok();
            }
            Command::Stop(done) => {
                done.send(()).ok();
            }
        }
    }

    /// Moves messages from the fabric to their subscribers, for as long as the fabric lives.
    async fn deliver_all(self: Rc<Self>, mut fabric: FabricRx) -> FabricLost {
        loop {
            let mut next = Some(fabric.next().await);
            let mut taken = 0;
            while let Some(message) = next {
                match message {
                    Ok(message) => self.deliver(&message),
                    Err(lost) => return lost,
                }
                taken += 1;
                next = if taken < BATCH { fabric.next().now_or_never() } else { None };
            }
            self.write_all();
            fabric.drained();
            tokio::task::yield_now().await;
        }
    }

    /// Applies the epoch in force to every session. Returns how many connections it ended.
    fn enforce(self: &Rc<Self>) -> usize {
        self.routes.borrow_mut().clear();
        let sessions: Vec<_> = self.sessions.borrow().values().cloned().collect();
        let mut ended = 0;
        for session in sessions {
            let before = session.verdicts.borrow().level();
            self.refresh(&session);
            let after = session.verdicts.borrow().level();
            let Some(connection) = session.connection() else { continue };
            if let Some(ending) = self.unwelcome(&session, after) {
                ended += 1;
                self.leave(&session, &connection, ending);
            } else if after > before && after > Some(Level::Audit) && connection.stream.borrow().wants_write() {
                // Messages encoded under the rules before this order must not reach the client any more.
                ended += 1;
                let order = session.verdicts.borrow().order().unwrap_or_default();
                self.leave(&session, &connection, Ending::Isolated { order });
            } else if session.curtailed.get() && after < Some(Level::Quarantine) {
                self.leave(&session, &connection, Ending::Restored);
            }
        }
        ended
    }

    /// Why a connected session may not stay, if it may not.
    fn unwelcome(&self, session: &Session, level: Option<Level>) -> Option<Ending> {
        if level == Some(Level::Disconnect) {
            return Some(Ending::Isolated { order: session.verdicts.borrow().order().unwrap_or_default() });
        }
        let registry = &self.shared.rulebook().registry;
        let anonymous = matches!(session.identity.principal, Principal::Anonymous { .. });
        let gone = !anonymous && session.identity.thing.as_ref().is_some_and(|thing| registry.get(thing).is_none());
        gone.then_some(Ending::Revoked)
    }

    /// Compiles a session's judge anew if the epoch has moved on.
    pub(crate) fn refresh(&self, session: &Session) {
        if session.verdicts.borrow().epoch() != self.shared.epoch() {
            let origin = session.origin.borrow();
            let verdicts = self.compile(&session.identity, &session.client_id, &origin);
            session.verdicts.replace(verdicts);
        }
    }

    pub(crate) fn compile(&self, identity: &Identity, client_id: &str, origin: &Origin) -> Verdicts {
        let rulebook = self.shared.rulebook();
        let mut subject = rulebook.subject(
            identity.principal.clone(),
            client_id,
            identity.thing.as_deref(),
            Some(origin.peer.ip()),
            origin.persistent,
            origin.will,
        );
        if !origin.policies.is_empty() {
            subject.policies = rulebook.policies_named(origin.policies.iter().map(String::as_str));
        }
        Verdicts::new(&rulebook, &subject)
    }

    fn tick(self: &Rc<Self>, now: Now) {
        let sessions: Vec<_> = self.sessions.borrow().values().cloned().collect();
        let mut counters = Vec::new();
        for session in &sessions {
            counters.extend(session.take_counters());
            self.report(session, now);
            match session.connection() {
                Some(connection) if connection.is_silent(now.mono) => connection.end(Ending::KeepAlive),
                Some(_) => {}
                None => self.expire(session, now.mono),
            }
        }
        if !counters.is_empty() {
            self.shared.sink.observe(counters);
        }
        if self.index == 0 {
            let repeats = lock(&self.shared.refusals).flush(now.mono);
            repeats.into_iter().for_each(|event| self.shared.sink.event(event));
        }
        self.publish_due_wills(now);
        self.write_all();
    }

    /// Tells what was counted for a session and not recorded one by one.
    fn report(&self, session: &Session, now: Now) {
        let repeats = session.refusals.borrow_mut().flush(now.mono);
        repeats.into_iter().for_each(|event| self.shared.sink.event(event));
        let dropped = session.dropped.take();
        if dropped > 0 {
            let event =
                session.event(Code::MessageDropped, now).rule("limits.max_queued_messages, limits.max_queued_bytes");
            self.shared.sink.event(event.count(dropped));
        }
    }

    fn expire(self: &Rc<Self>, session: &Rc<Session>, now: Mono) {
        let limit = self.shared.limits.max_session_expiry;
        let stay = Duration::from_secs(u64::from(session.expiry.get())).min(limit);
        if session.left.get().is_some_and(|left| now.since(left) >= stay) {
            self.forget(session);
        }
    }

    /// Records a refusal, or counts it if it repeats.
    pub(crate) fn refuse(&self, session: &Session, event: Event) {
        if let Some(event) = session.refusals.borrow_mut().note(event) {
            self.shared.sink.event(event);
        }
    }

    /// Hands what was pushed to the fabric.
    pub(crate) fn hand_over(&self) {
        if self.fabric.borrow_mut().hand().is_err() {
            tracing::error!(worker = self.index, "The message router does not take messages any more.");
        }
    }

    fn end_all(self: &Rc<Self>, ending: &Ending) {
        let sessions: Vec<_> = self.sessions.borrow().values().cloned().collect();
        for session in sessions {
            if let Some(connection) = session.connection() {
                self.leave(&session, &connection, ending.clone());
            }
        }
    }

    /// Gives the closing connections' last bytes a moment to be written.
    async fn retire(&self) {
        tokio::task::yield_now().await;
    }
}
