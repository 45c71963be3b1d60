//! A worker: one thread that holds sessions, reads and writes their sockets, and judges every packet both ways.
//!
//! All state is single-threaded (`Rc`, `RefCell`, `Cell`); no borrow is held across an await. What comes from other
//! threads comes as a [`Command`] or out of the fabric.

mod acks;
mod admit;
mod answers;
mod enforce;
mod fair;
mod inbound;
mod leave;
mod lifecycle;
mod outbound;
mod persist;
mod pressure;
mod restore;
mod serve;
mod subscribe;
mod tally;
mod tick;
mod versions;
mod wills;

use crate::auth::Identity;
use crate::envelope::{Envelope, Letter};
use crate::fabric::{FabricRx, FabricTx, Link};
use crate::fair::Fair;
use crate::fence::Fence;
use crate::keeper::{Entry, Saved};
use crate::listener::Place;
use crate::retained::Full;
use crate::session::{ConnectedAs, Connection, Ending, Origin, Session};
use crate::shared::{SessionInfo, Shared, lock};
use crate::stream::{Detached, LINGER, SCRATCH};
use crate::subscriptions::Subscriptions;
use bytes::BytesMut;
use cordon_core::event::Event;
use cordon_core::judge::Permit;
use cordon_core::time::Now;
use futures::FutureExt;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, LocalSet};

pub(crate) use leave::PendingWill;
pub(crate) use outbound::{Routes, Stencil};

/// How often keep-alives, expiries and counters are looked at.
const TICK: Duration = Duration::from_millis(250);
/// Deliveries before other tasks get a turn.
const BATCH: usize = 4096;
/// What a message counts in a batch at least, in deliveries.
const MESSAGE: usize = 8;
/// What a delivery counts at least against the share of who published the message, in bytes.
const DELIVERY: usize = 16;

/// A client that authenticated, on its way to its worker.
pub(crate) struct Admission {
    pub(crate) stream: Detached,
    pub(crate) connect: ConnectedAs,
    pub(crate) identity: Identity,
    pub(crate) origin: Origin,
    /// Bytes read after CONNECT.
    pub(crate) leftover: BytesMut,
    pub(crate) place: Place,
}

/// What other threads ask of a worker.
pub(crate) enum Command {
    /// Take a client in.
    Admit(Box<Admission>),
    /// Let go of the router.
    Unplug(oneshot::Sender<()>),
    /// Go on with this router.
    Plug(Box<(Link, FabricRx)>),
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
    pub(crate) routes: RefCell<Routes>,
    pub(crate) fabric: RefCell<FabricTx>,
    /// Messages posted and not yet delivered to the clients of this worker.
    pub(crate) local: RefCell<VecDeque<Envelope>>,
    /// A subscriber that was seen to be behind; see [`pressure`].
    pub(crate) pressing: RefCell<Option<Rc<Session>>>,
    pub(crate) wills: RefCell<Vec<PendingWill>>,
    pub(crate) due_wills: wills::DueWills,
    /// The limits in force that may change while the gateway runs; brought up to date with each tick.
    pub(crate) fair: Cell<Fair>,
    /// Sessions with packets that were encoded and not yet written.
    pub(crate) unwritten: RefCell<Vec<Rc<Session>>>,
    pub(crate) scratch: RefCell<Vec<u8>>,
    pub(crate) stencil: RefCell<Stencil>,
    /// What the connection being processed has used of its share, in bytes.
    pub(crate) spent: Cell<usize>,
    pub(crate) tally: tally::Tally,
    pub(crate) versions: RefCell<versions::Versions>,
    pub(crate) notices: RefCell<lifecycle::Notices>,
    /// Lasting sessions with changes that are not handed over yet; see [`persist`].
    pub(crate) changed: RefCell<Vec<Rc<Session>>>,
    /// Removals of what sessions had on record that do not last any more.
    pub(crate) struck: RefCell<Vec<Entry>>,
    pub(crate) retained_changed: Cell<bool>,
    /// Whether an answer waits for what is handed over next.
    pub(crate) urgent: Cell<bool>,
    /// The ticket of what was handed over last.
    pub(crate) ticket: Cell<u64>,
    /// Lasting sessions whose clients are away.
    pub(crate) absent: Cell<usize>,
    /// Connections with answers that wait; see [`answers`].
    pub(crate) waiting: RefCell<Vec<(Rc<Session>, Rc<Connection>)>>,
    fence: Arc<Fence>,
    /// Held by every task that may still write to a client.
    pub(crate) busy: mpsc::Sender<Infallible>,
}

/// Runs a worker on the calling thread until it is told to stop.
pub(crate) fn run(
    index: usize,
    shared: Arc<Shared>,
    saved: Vec<Saved>,
    restored: std::sync::mpsc::Sender<Infallible>,
    commands: mpsc::Receiver<Command>,
    fence: Arc<Fence>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let fabric = FabricTx::new(index, shared.flow.clone());
    let (busy, mut idle) = mpsc::channel(1);
    let fair = *lock(&shared.fair);
    let worker = Rc::new(Worker {
        index,
        shared,
        sessions: RefCell::default(),
        subscriptions: RefCell::new(Subscriptions::new()),
        routes: RefCell::default(),
        fabric: RefCell::new(fabric),
        local: RefCell::default(),
        pressing: RefCell::default(),
        wills: RefCell::default(),
        due_wills: wills::DueWills::default(),
        fair: Cell::new(fair),
        unwritten: RefCell::default(),
        scratch: RefCell::new(vec![0; SCRATCH]),
        stencil: RefCell::default(),
        spent: Cell::new(0),
        tally: tally::Tally::default(),
        versions: RefCell::default(),
        notices: RefCell::default(),
        changed: RefCell::default(),
        struck: RefCell::default(),
        retained_changed: Cell::new(false),
        urgent: Cell::new(false),
        ticket: Cell::new(0),
        absent: Cell::new(0),
        waiting: RefCell::default(),
        fence,
        busy,
    });
    worker.restore(saved);
    // Whoever waits for this waits until nobody holds it any more.
    drop(restored);
    let local = LocalSet::new();
    local.block_on(&runtime, async move {
        worker.obey(commands).await;
        // The last words get a moment to be written.
        drop(worker);
        tokio::time::timeout(2 * LINGER, idle.recv()).await.ok();
    });
    Ok(())
}

// === impl Worker ===

impl Worker {
    async fn obey(self: &Rc<Self>, mut commands: mpsc::Receiver<Command>) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut deliveries: Option<JoinHandle<()>> = None;
        let wills = tokio::task::spawn_local(self.clone().publish_wills());
        loop {
            tokio::select! {
                biased;
                () = self.fence.asked() => self.attend(),
                () = self.committed() => self.release_all(),
                _ = tick.tick() => self.tick(self.shared.now()),
                command = commands.recv() => match command {
                    Some(Command::Plug(link)) => {
                        let (tx, rx) = *link;
                        self.fabric.borrow_mut().plug(tx);
                        deliveries = Some(tokio::task::spawn_local(self.clone().deliver_all(rx)));
                    }
                    Some(Command::Unplug(done)) => {
                        stop(deliveries.take()).await;
                        self.fabric.borrow_mut().unplug();
                        done.send(()).ok();
                    }
                    Some(Command::Stop(done)) => {
                        stop(Some(wills)).await;
                        self.end_all(&Ending::ShuttingDown);
                        self.publish_last_wills(self.shared.now());
                        done.send(()).ok();
                        // It holds the worker, and with it the right to write.
                        return stop(deliveries).await;
                    }
                    Some(command) => self.command(command),
                    None => return,
                },
            }
        }
    }

    /// Waits until something has become durable.
    async fn committed(&self) {
        match &self.shared.keeper {
            Some(keeper) => keeper.woken(self.index).await,
            None => std::future::pending().await,
        }
    }

    /// Confirms the epoch in force to whoever waits for it.
    pub(crate) fn attend(self: &Rc<Self>) {
        if let Some(waiting) = self.fence.taken() {
            let mut ended = self.enforce();
            for answer in waiting {
                answer.send(std::mem::take(&mut ended)).ok();
            }
        }
    }

    fn command(self: &Rc<Self>, command: Command) {
        match command {
            Command::Admit(admission) => self.admit(*admission),
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
            Command::Plug(_) | Command::Unplug(_) | Command::Stop(_) => {}
        }
    }

    /// Moves messages from the fabric to their subscribers, for as long as the router lives.
    async fn deliver_all(self: Rc<Self>, mut fabric: FabricRx) {
        loop {
            let mut next = Some(fabric.next().await);
            let now = self.shared.now();
            let mut done = 0;
            while let Some(message) = next {
                let Ok(message) = message else { return self.shared.flow.report_lost() };
                done += self.deliver(&message, now).max(MESSAGE);
                next = if done < BATCH { fabric.next().now_or_never() } else { None };
            }
            self.persist(true);
            if let Some(keeper) = &self.shared.keeper {
                let awaited = self.absent.get() > 0;
                self.shared.flow.settle(self.index, |source| {
                    if awaited {
                        keeper.wake(source)
                    }
                });
            }
            self.write_all();
            fabric.drained();
            self.attend();
            if let Some(behind) = self.pressing.take() {
                let held = self.hold(behind);
                self.relieved(&held).await;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Seals a message, keeps it if it is to be retained, and adds it to what [`Worker::hand_over`] delivers.
    pub(crate) fn post(&self, letter: &Letter<'_>, permit: Permit, now: Now) -> (usize, Result<(), Full>) {
        let (message, kept) = self.shared.seal(letter, permit, now.mono);
        if letter.retain {
            self.retained_changed.set(true);
        }
        self.fabric.borrow_mut().push(&message);
        let size = message.size();
        self.local.borrow_mut().push_back(message);
        (size, kept)
    }

    /// Delivers what was posted: here to the clients of this worker, by the fabric to those of others.
    pub(crate) fn hand_over(self: &Rc<Self>, now: Now) {
        self.deliver_local(now);
        self.persist(self.urgent.take());
        self.fabric.borrow_mut().hand();
    }

    /// Delivers what was posted to the clients of this worker.
    pub(super) fn deliver_local(self: &Rc<Self>, now: Now) {
        loop {
            let next = self.local.borrow_mut().pop_front();
            let Some(message) = next else { return };
            let count = self.deliver(&message, now);
            self.spend(count * DELIVERY.max(message.size() / 8));
        }
    }

    /// Records a refusal, or counts it if it repeats.
    pub(crate) fn refuse(&self, session: &Session, event: Event) {
        if let Some(event) = session.refusals.borrow_mut().note(event) {
            self.shared.sink.event(event);
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
}

async fn stop(task: Option<JoinHandle<()>>) {
    if let Some(task) = task {
        task.abort();
        task.await.ok();
    }
}
