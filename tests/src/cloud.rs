//! A stand-in for AWS IoT Core: an MQTT 3.1.1 and 5 server over mutual TLS on a loopback port.
//!
//! It records what it is sent in order, acknowledges QoS 1, and misbehaves on request: see [`Script`] for refusals and
//! [`Cloud::cut_at`] for connections that end half-way. Waiting functions watch what was seen and fail at their
//! deadline with what they were waiting for; none of them sleeps.
//!
//! It has its own codec so that a mistake in Cordon's codec cannot hide in a shared one. It does what the tests need and
//! checks little: it is no broker.

mod codec;
mod script;
mod session;

pub use script::{Point, Script};

use crate::pki::{Identity, Pki};
use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use rustls::ServerConfig;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// What the stand-in has seen, in order.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// CONNECT packets, refused ones included.
    pub connects: Vec<Connect>,
    /// QoS 0 and QoS 1 publishes that it took, before they were acknowledged.
    pub publishes: Vec<Publish>,
    /// Filters that were asked for, refused ones included.
    pub subscriptions: Vec<String>,
    /// DISCONNECT packets.
    pub disconnects: usize,
    /// TLS handshakes that failed, with the reason.
    pub handshakes_failed: Vec<String>,
    /// Sessions that are open.
    pub open: usize,
}

/// A CONNECT packet.
#[derive(Debug, Clone)]
pub struct Connect {
    /// The client id.
    pub client_id: String,
    /// The protocol level: 4 is MQTT 3.1.1, 5 is MQTT 5.
    pub level: u8,
    /// The clean start (or clean session) flag.
    pub clean: bool,
    /// The keep-alive, in seconds.
    pub keep_alive: u16,
    /// When it was read.
    pub at: tokio::time::Instant,
}

/// A PUBLISH packet.
#[derive(Debug, Clone)]
pub struct Publish {
    /// The client id of the sender.
    pub client_id: String,
    /// The topic name.
    pub topic: String,
    /// The payload.
    pub payload: Bytes,
    /// The quality of service.
    pub qos: u8,
}

/// A running stand-in. Dropping it ends it.
pub struct Cloud {
    shared: Arc<Shared>,
    address: SocketAddr,
    door: Door,
}

enum Door {
    Open(JoinSet<()>),
    /// Down: the port stays bound, so that nobody else gets it, and connections are refused.
    Shut(TcpSocket),
}

struct Shared {
    tls: Arc<ServerConfig>,
    script: Mutex<Script>,
    seen: watch::Sender<Seen>,
    orders: broadcast::Sender<Order>,
}

/// What a test tells every open session to do.
#[derive(Debug, Clone)]
enum Order {
    Publish { topic: String, payload: Bytes },
    Disconnect(u8),
    Drop,
}

// === impl Cloud ===

impl Cloud {
    /// Starts a stand-in on a free loopback port; its certificate is for `localhost` and `127.0.0.1`.
    pub async fn start(pki: &Pki) -> Result<Self> {
        let identity = pki.server("cloud", &["localhost", "127.0.0.1"])?;
        Self::start_as(pki, &identity).await
    }

    /// Starts a stand-in that shows this certificate.
    pub async fn start_as(pki: &Pki, identity: &Identity) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            tls: pki.mutual_server(identity)?,
            script: Mutex::default(),
            seen: watch::channel(Seen::default()).0,
            orders: broadcast::channel(64).0,
        });
        let door = Door::Open(accepting(listener, Arc::clone(&shared)));
        Ok(Self { shared, address, door })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes how it behaves from the next packet on.
    pub fn script(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.shared.script());
    }

    /// Cuts the connection at the `nth` time (from 1) that `point` is passed from here on, once.
    pub fn cut_at(&self, point: Point, nth: usize) {
        self.shared.script().cuts.push((point, nth.max(1)));
    }

    /// Publishes to every open session that has a matching subscription.
    pub fn publish(&self, topic: &str, payload: impl Into<Bytes>) {
        self.shared.order(Order::Publish { topic: topic.to_owned(), payload: payload.into() });
    }

    /// Ends every open session with a DISCONNECT of this reason (MQTT 5) or by closing (MQTT 3.1.1).
    pub fn disconnect(&self, reason: u8) {
        self.shared.order(Order::Disconnect(reason));
    }

    /// Drops every open connection without a word.
    pub fn drop_connections(&self) {
        self.shared.order(Order::Drop);
    }

    /// Drops every connection and refuses new ones, as a machine whose service is down does.
    pub async fn go_down(&mut self) -> Result<()> {
        if let Door::Open(tasks) = &mut self.door {
            tasks.shutdown().await;
            let socket = TcpSocket::new_v4()?;
            socket.set_reuseaddr(true)?;
            socket.bind(self.address).context("cannot keep the port while down")?;
            self.door = Door::Shut(socket);
            self.shared.seen.send_modify(|seen| seen.open = 0);
        }
        Ok(())
    }

    /// Takes connections again on the same port.
    pub fn come_back(&mut self) -> Result<()> {
        let shut = std::mem::replace(&mut self.door, Door::Open(JoinSet::new()));
        self.door = match shut {
            Door::Shut(socket) => Door::Open(accepting(socket.listen(1024)?, Arc::clone(&self.shared))),
            open @ Door::Open(_) => open,
        };
        Ok(())
    }

    /// What it has seen until this moment.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.shared.seen.borrow().clone()
    }

    /// Waits until `enough` holds of what was seen; fails after `deadline` and says that it waited for `what`.
    pub async fn wait_until(&self, what: &str, deadline: Duration, enough: impl FnMut(&Seen) -> bool) -> Result<Seen> {
        let mut seen = self.shared.seen.subscribe();
        let outcome = tokio::time::timeout(deadline, seen.wait_for(enough)).await;
        match outcome {
            Ok(Ok(seen)) => Ok(seen.clone()),
            Ok(Err(_)) => bail!("the cloud stand-in ended while waiting for {what}"),
            Err(_) => bail!("waited {deadline:?} for {what} in vain; seen: {:?}", self.seen()),
        }
    }

    /// Waits for `count` publishes in all, repeats included.
    pub async fn wait_for_publishes(&self, count: usize, deadline: Duration) -> Result<Vec<Publish>> {
        let what = format!("{count} publishes");
        Ok(self.wait_until(&what, deadline, |seen| seen.publishes.len() >= count).await?.publishes)
    }

    /// Waits for `count` CONNECT packets in all.
    pub async fn wait_for_connects(&self, count: usize, deadline: Duration) -> Result<Vec<Connect>> {
        let what = format!("{count} connects");
        Ok(self.wait_until(&what, deadline, |seen| seen.connects.len() >= count).await?.connects)
    }

    /// Waits until `filter` has been subscribed to.
    pub async fn wait_for_subscription(&self, filter: &str, deadline: Duration) -> Result<()> {
        let what = format!("a subscription to {filter}");
        self.wait_until(&what, deadline, |seen| seen.subscriptions.iter().any(|one| one == filter)).await?;
        Ok(())
    }
}

// === impl Shared ===

impl Shared {
    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn order(&self, order: Order) {
        // No open session is no error: the order then has nobody to reach.
        let _ = self.orders.send(order);
    }

    fn saw(&self, change: impl FnOnce(&mut Seen)) {
        self.seen.send_modify(change);
    }
}

fn accepting(listener: TcpListener, shared: Arc<Shared>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        // Owned by the accepting task, so that sessions end with it.
        let mut sessions = JoinSet::new();
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let shared = Arc::clone(&shared);
            sessions.spawn(async move {
                let _ = stream.set_nodelay(true);
                match TlsAcceptor::from(Arc::clone(&shared.tls)).accept(stream).await {
                    Ok(stream) => session::serve(stream, &shared).await,
                    Err(error) => shared.saw(|seen| seen.handshakes_failed.push(error.to_string())),
                }
            });
            while sessions.try_join_next().is_some() {}
        }
    });
    tasks
}
