//! A listener: it accepts, counts, and hands each connection to a task of its own. It never waits for a client.

use crate::broker::Lanes;
use crate::config::{Acknowledge, Auth, ListenerConfig, Transport, WebSocketConfig};
use crate::front;
use crate::line::{Bounds, Line, Newcomer, Pending};
use crate::shared::{Shared, lock};
use crate::sources::{Guest, source_of};
use crate::tls;
use arc_swap::ArcSwapOption;
use cordon_core::time::Mono;
use nix::sys::socket::{MsgFlags, recv, setsockopt, sockopt};
use rustls::ServerConfig;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// How long to rest when the system has no more descriptors.
const REST: Duration = Duration::from_millis(50);

/// Connections that the system may hold for the gateway to accept, where it allows as many. One that finds no place there
/// waits a second before it tries again.
const BACKLOG: u32 = 4096;

/// Seconds of silence after which the system asks whether the peer is still there.
const PROBE_AFTER: u32 = 120;

/// What the connections of one listener share.
pub(crate) struct Listener {
    pub(crate) name: Arc<str>,
    pub(crate) auth: Auth,
    pub(crate) policies: Arc<[String]>,
    pub(crate) acknowledge: Acknowledge,
    /// The TLS configuration for the next handshake; `None` on a plain listener.
    pub(crate) tls: ArcSwapOption<ServerConfig>,
    /// What a WebSocket must ask for; `None` on a listener without.
    pub(crate) websocket: Option<Arc<WebSocketConfig>>,
    config: Mutex<ListenerConfig>,
    clients: Arc<AtomicUsize>,
    line: Arc<Line<Socket>>,
}

/// The socket of a connection in the line, which its task owns.
pub(crate) type Socket = Weak<TcpStream>;

/// A connection's place among the connected clients: of its listener and of its address.
pub(crate) struct Place {
    guest: Guest,
    clients: Arc<AtomicUsize>,
}

// === impl Listener ===

impl Listener {
    pub(crate) fn new(config: ListenerConfig) -> Result<Self, tls::TlsError> {
        let tls = config.tls.as_ref().map(|files| tls::server_config(&config, files)).transpose()?;
        Ok(Self {
            name: config.name.as_str().into(),
            auth: config.auth,
            policies: config.policies.clone().into(),
            acknowledge: config.acknowledge,
            tls: ArcSwapOption::new(tls),
            websocket: match &config.transport {
                Transport::Tcp => None,
                Transport::WebSocket(config) => Some(Arc::new(config.clone())),
            },
            clients: Arc::default(),
            line: Arc::new(Line::new(speaks)),
            config: Mutex::new(config),
        })
    }

    pub(crate) fn config(&self) -> ListenerConfig {
        lock(&self.config).clone()
    }

    /// Takes over those keys of a changed configuration that do not need a restart. Those who are in stay.
    pub(crate) fn configure(&self, changed: &ListenerConfig) {
        let mut config = lock(&self.config);
        *config = config.taking(changed);
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        lock(&self.config).connect_timeout
    }

    /// A place among the connected clients; if none is free, the guest comes back.
    pub(crate) fn place(&self, guest: Guest) -> Result<Place, Guest> {
        let most = lock(&self.config).max_connections;
        let one_more = |count: usize| (count < most).then_some(count + 1);
        match self.clients.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more) {
            Ok(_) => Ok(Place { guest, clients: self.clients.clone() }),
            Err(_) => Err(guest),
        }
    }

    fn queue_up(&self, peer: SocketAddr, known: bool, socket: Socket, now: Mono) -> Option<Pending<Socket>> {
        let bounds = {
            let config = lock(&self.config);
            let (places, share) = (config.max_pending, config.max_pending_per_address);
            Bounds { places, share, hearing: config.connect_timeout / 2 }
        };
        self.line.queue_up(&bounds, Newcomer { source: source_of(peer.ip()), known, now }, socket)
    }
}

// === impl Place ===

impl Place {
    /// The guest becomes a client. Returns whether it may; see [`Guest::seat`].
    pub(crate) fn seat(&mut self, replaces: bool) -> bool {
        self.guest.seat(replaces)
    }

    /// See [`Guest::violated`].
    pub(crate) fn violated(&self) -> Option<u64> {
        self.guest.violated()
    }

    /// Whether both come from one address.
    pub(crate) fn is_beside(&self, other: &Self) -> bool {
        self.guest.is_beside(&other.guest)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.clients.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Opens a socket to accept connections from.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Connections of a gateway that was just stopped do not keep it from starting.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts until the task is aborted.
pub(crate) async fn accept(socket: TcpListener, listener: Arc<Listener>, shared: Arc<Shared>, lanes: Lanes) {
    loop {
        match socket.accept().await {
            Ok((stream, peer)) => welcome(stream, peer, &listener, &shared, &lanes),
            Err(error) => {
                tracing::warn!(listener = %listener.name, %error, "Could not accept a connection.");
                if !is_of_one_connection(&error) {
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }
}

fn welcome(stream: TcpStream, peer: SocketAddr, listener: &Arc<Listener>, shared: &Arc<Shared>, lanes: &Lanes) {
    shared.meters.accepted.add(1);
    let mut guest = match shared.sources.enter(peer) {
        Ok(guest) => guest,
        Err(closed) => {
            shared.meters.connects_refused.add(1);
            // Whoever comes too often shall cost as little as possible, afterwards too.
            stream.set_zero_linger().ok();
            return front::refuse_source(shared, listener, peer, closed);
        }
    };
    stream.set_nodelay(true).ok();
    // Without a keep-alive of MQTT, only this finds out that a peer has vanished.
    setsockopt(&stream, sockopt::KeepAlive, &true).ok();
    setsockopt(&stream, sockopt::TcpKeepIdle, &PROBE_AFTER).ok();
    let stream = Arc::new(stream);
    let Some(pending) = listener.queue_up(peer, guest.is_known(), Arc::downgrade(&stream), shared.now().mono) else {
        guest.excuse();
        shared.meters.connects_refused.add(1);
        front::refuse_crowd(shared, listener, peer);
        return;
    };
    tokio::spawn(front::greet(stream, peer, listener.clone(), shared.clone(), lanes.clone(), pending, guest));
}

/// Whether the peer has sent something that nobody has read.
fn speaks(socket: &Socket) -> bool {
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    socket.upgrade().is_some_and(|socket| recv(socket.as_raw_fd(), &mut [0], flags).is_ok_and(|count| count > 0))
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}
