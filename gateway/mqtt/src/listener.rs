//! A listener: it accepts, counts, and hands each connection to a task of its own. It never waits for a client.

use crate::broker::Lanes;
use crate::config::{Acknowledge, Auth, ListenerConfig, Transport, WebSocketConfig};
use crate::front;
use crate::shared::{Shared, lock};
use crate::tls;
use arc_swap::ArcSwapOption;
use nix::sys::socket::{setsockopt, sockopt};
use rustls::ServerConfig;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long to rest when the system has no more descriptors.
const REST: Duration = Duration::from_millis(50);

/// Seconds of silence after which the system asks whether the peer is still there.
const PROBE_AFTER: u32 = 120;

/// What the connections of one listener share.
pub(crate) struct Listener {
    pub(crate) name: Arc<str>,
    pub(crate) auth: Auth,
    pub(crate) policies: Arc<[String]>,
    pub(crate) connect_timeout: Duration,
    pub(crate) acknowledge: Acknowledge,
    /// The TLS configuration for the next handshake; `None` on a plain listener.
    pub(crate) tls: ArcSwapOption<ServerConfig>,
    /// What a WebSocket must ask for; `None` on a listener without.
    pub(crate) websocket: Option<Arc<WebSocketConfig>>,
    config: ListenerConfig,
    places: Arc<Semaphore>,
    pending: Arc<Semaphore>,
    sources: Mutex<HashMap<IpAddr, usize>>,
}

/// A place in the line of connections that have not finished CONNECT.
pub(crate) struct Pending {
    listener: Arc<Listener>,
    address: IpAddr,
    _line: OwnedSemaphorePermit,
}

// === impl Listener ===

impl Listener {
    pub(crate) fn new(config: ListenerConfig) -> Result<Self, tls::TlsError> {
        let tls = config.tls.as_ref().map(|files| tls::server_config(&config, files)).transpose()?;
        Ok(Self {
            name: config.name.as_str().into(),
            auth: config.auth,
            policies: config.policies.clone().into(),
            connect_timeout: config.connect_timeout,
            acknowledge: config.acknowledge,
            tls: ArcSwapOption::new(tls),
            websocket: match &config.transport {
                Transport::Tcp => None,
                Transport::WebSocket(config) => Some(Arc::new(config.clone())),
            },
            places: Arc::new(Semaphore::new(config.max_connections)),
            pending: Arc::new(Semaphore::new(config.max_pending)),
            sources: Mutex::default(),
            config,
        })
    }

    pub(crate) fn config(&self) -> &ListenerConfig {
        &self.config
    }

    /// A place among the connected clients, if one is free.
    pub(crate) fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.places.clone().try_acquire_owned().ok()
    }

    fn queue_up(self: &Arc<Self>, address: IpAddr) -> Option<Pending> {
        let line = self.pending.clone().try_acquire_owned().ok()?;
        let mut sources = lock(&self.sources);
        let count = sources.entry(address).or_default();
        if *count >= self.config.max_pending_per_address {
            return None;
        }
        *count += 1;
        Some(Pending { listener: self.clone(), address, _line: line })
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let mut sources = lock(&self.listener.sources);
        if let Some(count) = sources.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                sources.remove(&self.address);
            }
        }
    }
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
    stream.set_nodelay(true).ok();
    // Without a keep-alive of MQTT, only this finds out that a peer has vanished.
    setsockopt(&stream, sockopt::KeepAlive, &true).ok();
    setsockopt(&stream, sockopt::TcpKeepIdle, &PROBE_AFTER).ok();
    let Some(pending) = listener.queue_up(peer.ip()) else {
        shared.meters.connects_refused.add(1);
        front::refuse_crowd(shared, listener, peer);
        return;
    };
    tokio::spawn(front::greet(stream, peer, listener.clone(), shared.clone(), lanes.clone(), pending));
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}
