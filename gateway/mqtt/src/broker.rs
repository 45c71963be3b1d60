//! The front door as a whole: starting it, changing its rules, asking it, stopping it.

use crate::auth::Credentials;
use crate::config::{Limits, ListenerConfig};
use crate::envelope::Letter;
use crate::fabric::{self, FabricRx, FabricTx, Flow, Link};
use crate::fair::Fair;
use crate::fence::Fence;
use crate::keeper::{Keeper, KeeperThread, Store};
use crate::listener::{self, Listener};
use crate::meters::Meters;
use crate::revive::revive;
use crate::shared::{Clock, SessionInfo, Shared, Sink, lock};
use crate::supervisor::Supervisor;
use crate::tls::{self, TlsError};
use crate::worker::{self, Command};
use bytes::Bytes;
use cordon_core::detect::LoginGuard;
use cordon_core::judge::{Permit, Rulebook};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Commands that may wait for one worker.
const COMMANDS: usize = 4096;

/// Why the front door cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// A listener's TLS files cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An address cannot be listened on.
    #[error("listener `{listener}` cannot listen on {address}: {error}; free the port or change `bind`")]
    Bind {
        /// The listener.
        listener: String,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The router or a worker thread could not be started.
    #[error("the message router could not be started")]
    Fabric,
}

/// What the front door is built from.
pub struct Parts {
    /// What sessions may use.
    pub limits: Limits,
    /// The clocks.
    pub clock: Clock,
    /// Where it tells what it saw.
    pub sink: Arc<dyn Sink>,
    /// Who is refused for a while after failed logins.
    pub guard: Arc<Mutex<LoginGuard>>,
    /// The fleet's passwords.
    pub credentials: Arc<Credentials>,
    /// The rules in force from the first packet on.
    pub rulebook: Arc<Rulebook>,
    /// Where sessions and retained messages survive the process; without one they end with it.
    pub store: Option<Arc<dyn Store>>,
    /// What tells this boot of the machine from any other, for times on record.
    pub boot_id: String,
}

/// What an enforced rulebook did at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enforced {
    /// Connections it ended.
    pub ended: usize,
}

/// The running front door.
pub struct Broker {
    shared: Arc<Shared>,
    lanes: Lanes,
    listeners: Vec<Arc<Listener>>,
    accepting: Vec<JoinHandle<()>>,
    supervising: JoinHandle<()>,
    services: Arc<Mutex<FabricTx>>,
    threads: Vec<thread::JoinHandle<()>>,
    keeping: Option<KeeperThread>,
    failed: mpsc::Receiver<usize>,
}

/// The ways to the workers.
#[derive(Clone)]
pub(crate) struct Lanes(Arc<[Lane]>);

struct Lane {
    commands: mpsc::Sender<Command>,
    fence: Arc<Fence>,
}

/// Which of so many workers holds a client's session.
pub(crate) fn lane_of(client_id: &str, workers: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    client_id.hash(&mut hasher);
    usize::try_from(hasher.finish() % workers.max(1) as u64).unwrap_or(0)
}

// === impl Lanes ===

impl Lanes {
    /// The worker that holds a client's session.
    pub(crate) fn of(&self, client_id: &str) -> &mpsc::Sender<Command> {
        &self.0[lane_of(client_id, self.0.len())].commands
    }

    /// Waits until every worker has confirmed the epoch in force. Returns how many connections they ended.
    async fn fence(&self) -> usize {
        let asked: Vec<_> = self.0.iter().map(|lane| lane.fence.ask()).collect();
        let mut ended = 0;
        for told in asked {
            ended += told.await.unwrap_or(0);
        }
        ended
    }

    /// Gives every worker its link to a router.
    pub(crate) async fn plug(&self, links: Vec<(Link, FabricRx)>) {
        for (lane, link) in self.0.iter().zip(links) {
            lane.commands.send(Command::Plug(Box::new(link))).await.ok();
        }
    }

    pub(crate) async fn ask_all<T>(&self, command: impl Fn(oneshot::Sender<T>) -> Command) -> Vec<T> {
        let mut answers = Vec::with_capacity(self.0.len());
        for lane in self.0.iter() {
            let (tx, rx) = oneshot::channel();
            if lane.commands.send(command(tx)).await.is_ok() {
                answers.push(rx);
            }
        }
        let mut told = Vec::with_capacity(answers.len());
        for answer in answers {
            told.extend(answer.await.ok());
        }
        told
    }
}

// === impl Broker ===

impl Broker {
    /// Starts the router and the workers, and brings back what the store holds. No listener is open yet: the rules are in
    /// force before the first client. To be called on a runtime; blocks while the store is read.
    ///
    /// # Errors
    /// [`BrokerError::Fabric`] when threads cannot be started.
    pub fn start(parts: Parts) -> Result<Self, BrokerError> {
        let workers = parts.limits.workers.max(1);
        let flow = Arc::new(Flow::new(workers));
        let links = fabric::start(&flow).map_err(|_| BrokerError::Fabric)?;
        let mut services = FabricTx::new(workers, flow.clone());
        services.plug(links.services);
        let keeper = parts.store.as_ref().map(|_| Arc::new(Keeper::new(workers, &parts.boot_id)));
        let shared = Arc::new(Shared::new(
            parts.limits,
            parts.clock,
            parts.sink,
            flow,
            Arc::new(Meters::default()),
            parts.guard,
            parts.credentials,
            parts.rulebook,
            keeper,
        ));
        let saved = parts.store.as_ref().map(|store| revive(&shared, &**store, workers)).unwrap_or_default();
        let mut saved = saved.into_iter();
        let keeping = parts.store.map(|store| KeeperThread::start(&shared, store)).transpose();
        let keeping = keeping.map_err(|_| BrokerError::Fabric)?.flatten();
        let (restored, all_restored) = std::sync::mpsc::channel();
        let (failure, failed) = mpsc::channel(workers);
        let (mut lanes, mut threads) = (Vec::new(), Vec::new());
        for (index, link) in links.workers.into_iter().enumerate() {
            let (tx, rx) = mpsc::channel(COMMANDS);
            tx.try_send(Command::Plug(Box::new(link))).ok();
            let fence = Arc::new(Fence::default());
            lanes.push(Lane { commands: tx, fence: fence.clone() });
            let (shared, failure) = (shared.clone(), failure.clone());
            let (saved, restored) = (saved.next().unwrap_or_default(), restored.clone());
            let run = move || {
                let work = || worker::run(index, shared, saved, restored, rx, fence.clone());
                let end = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
                fence.close();
                if !matches!(end, Ok(Ok(()))) {
                    failure.try_send(index).ok();
                }
            };
            let thread = thread::Builder::new().name(format!("worker-{index}")).spawn(run);
            threads.push(thread.map_err(|_| BrokerError::Fabric)?);
        }
        // Whoever publishes first must find every subscription.
        drop(restored);
        all_restored.recv().ok();
        let (lanes, services) = (Lanes(lanes.into()), Arc::new(Mutex::new(services)));
        let supervisor = Supervisor { shared: shared.clone(), lanes: lanes.clone(), services: services.clone() };
        let supervising = tokio::spawn(supervisor.run());
        let (listeners, accepting) = (Vec::new(), Vec::new());
        Ok(Self { shared, lanes, listeners, accepting, supervising, services, threads, keeping, failed })
    }

    /// Opens the listeners. Either all open or none. Returns the bound addresses in the given order.
    ///
    /// # Errors
    /// [`BrokerError::Tls`] and [`BrokerError::Bind`], naming the listener.
    pub async fn listen(&mut self, configs: Vec<ListenerConfig>) -> Result<Vec<SocketAddr>, BrokerError> {
        let mut open = Vec::with_capacity(configs.len());
        for config in configs {
            let failed = |error| BrokerError::Bind { listener: config.name.clone(), address: config.bind, error };
            let socket = listener::bind(config.bind).map_err(failed)?;
            open.push((socket, Arc::new(Listener::new(config)?)));
        }
        let mut addresses = Vec::with_capacity(open.len());
        for (socket, listener) in open {
            addresses.push(socket.local_addr().unwrap_or(listener.config().bind));
            self.listeners.push(listener.clone());
            let accept = listener::accept(socket, listener, self.shared.clone(), self.lanes.clone());
            self.accepting.push(tokio::spawn(accept));
        }
        Ok(addresses)
    }

    /// A handle for everything but listening and stopping.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle {
            shared: self.shared.clone(),
            lanes: self.lanes.clone(),
            listeners: self.listeners.clone(),
            services: self.services.clone(),
        }
    }

    /// Waits until a worker fails. The process should then end, to be started afresh.
    pub async fn failed(&mut self) {
        match self.failed.recv().await {
            Some(worker) => tracing::error!(worker, "A worker failed."),
            None => std::future::pending().await,
        }
    }

    /// Stops accepting, ends every connection in order, and waits for the workers, but no longer than `deadline`.
    pub async fn stop(self, deadline: Duration) {
        self.accepting.iter().for_each(JoinHandle::abort);
        self.supervising.abort();
        let stopped = async {
            self.lanes.ask_all(Command::Stop).await;
            let (threads, keeping) = (self.threads, self.keeping);
            let joined = tokio::task::spawn_blocking(move || {
                threads.into_iter().for_each(|thread| drop(thread.join()));
                // What the workers handed over last is written.
                keeping.into_iter().for_each(KeeperThread::finish);
            });
            joined.await.ok();
        };
        if tokio::time::timeout(deadline, stopped).await.is_err() {
            tracing::warn!("The workers did not stop in time.");
        }
    }
}

/// A shared handle to the running front door.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    lanes: Lanes,
    listeners: Vec<Arc<Listener>>,
    services: Arc<Mutex<FabricTx>>,
}

// === impl Handle ===

impl Handle {
    /// Puts a rulebook in force and returns once every worker has confirmed it: from then on no packet passes that it
    /// does not permit.
    pub async fn enforce(&self, rulebook: Arc<Rulebook>) -> Enforced {
        self.shared.set_rulebook(rulebook);
        Enforced { ended: self.lanes.fence().await }
    }

    /// Publishes a message of the gateway itself, at QoS 1. Waits while the workers have too much on its way to them.
    pub async fn publish(&self, topic: String, payload: Bytes, permit: Permit) {
        self.send(&topic, &payload, false, permit).await;
    }

    /// Like [`Handle::publish`], and retained; without a payload, what was retained there is removed.
    pub async fn publish_retained(&self, topic: String, payload: Bytes, permit: Permit) {
        self.send(&topic, &payload, true, permit).await;
    }

    async fn send(&self, topic: &str, payload: &[u8], retain: bool, permit: Permit) {
        self.shared.flow.room(usize::MAX).await;
        let letter = Letter::of_gateway(topic, payload, retain, self.shared.epoch());
        let (message, _) = self.shared.seal(&letter, permit, self.shared.now().mono);
        let mut services = lock(&self.services);
        services.push(&message);
        services.hand();
    }

    /// Ends a client's connection; it may come back. Returns whether there was one.
    pub async fn disconnect(&self, client_id: &str, reason: &str) -> bool {
        let (answer, told) = oneshot::channel();
        let command = Command::Kick { client_id: client_id.to_owned(), reason: reason.to_owned(), answer };
        self.lanes.of(client_id).send(command).await.is_ok() && told.await.unwrap_or(false)
    }

    /// All sessions, by client id.
    pub async fn sessions(&self) -> Vec<SessionInfo> {
        let mut sessions: Vec<_> = self.lanes.ask_all(Command::Sessions).await.into_iter().flatten().collect();
        sessions.sort_by(|a, b| a.client_id.cmp(&b.client_id));
        sessions
    }

    /// The counters.
    #[must_use]
    pub fn meters(&self) -> Arc<Meters> {
        self.shared.meters.clone()
    }

    /// Takes over changed passwords for the next CONNECT.
    pub fn set_credentials(&self, credentials: Arc<Credentials>) {
        self.shared.credentials.store(credentials);
    }

    /// Takes over changed limits, as far as [`Limits::taking`] does: those of addresses at once, those of sessions with the
    /// next tick of the workers.
    pub fn set_limits(&self, limits: &Limits) {
        *lock(&self.shared.fair) = Fair::from(limits);
        self.shared.sources.configure(&limits.sources);
    }

    /// Takes over changed limits of the listeners of the same names, as far as [`ListenerConfig::taking`] does, for the
    /// next connection.
    pub fn set_listeners(&self, changed: &[ListenerConfig]) {
        for listener in &self.listeners {
            if let Some(config) = changed.iter().find(|config| config.name == *listener.name) {
                listener.configure(config);
            }
        }
    }

    /// Reads the TLS files of every listener anew, for the next handshake. Either all are taken over or none.
    ///
    /// # Errors
    /// [`TlsError`] naming the file or listener; the configurations before it stay in force.
    pub fn reload_tls(&self) -> Result<(), TlsError> {
        let mut fresh = Vec::new();
        for listener in &self.listeners {
            let config = listener.config();
            if let Some(files) = &config.tls {
                fresh.push((listener, tls::server_config(&config, files)?));
            }
        }
        for (listener, config) in fresh {
            listener.tls.store(Some(config));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
