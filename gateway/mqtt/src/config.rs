//! What a listener and the broker are told at start.

use crate::sources::Prefix;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How a listener learns who a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// By the TLS client certificate.
    Certificate,
    /// By user name and password.
    Password,
    /// Not at all: the client is the thing named by its client id, under the policies named for the listener.
    Anonymous,
}

/// When a client is told that the gateway has its QoS 1 or 2 message, where the message has to outlive the gateway: it waits
/// for a persistent session whose client is away, or is retained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Acknowledge {
    /// Once it is on disk: what is acknowledged survives a crash and a power cut.
    #[default]
    Disk,
    /// At once. It is written soon after; a crash loses what came in the last half second.
    Memory,
}

/// The PEM files of a TLS listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate chain, leaf first.
    pub certificate: PathBuf,
    /// The server's private key.
    pub key: PathBuf,
    /// The authorities whose client certificates are accepted.
    pub client_ca: Option<PathBuf>,
    /// Revocation lists for those authorities.
    pub crl: Option<PathBuf>,
}

/// What carries MQTT on a listener, over TLS or without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// The byte stream itself.
    Tcp,
    /// The binary frames of a WebSocket (MQTT 5, chapter 6).
    WebSocket(WebSocketConfig),
}

/// Which HTTP requests a WebSocket listener accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSocketConfig {
    /// The path, beginning with `/`; every other one is answered with 404.
    pub path: String,
    /// The origins whose pages may connect, such as `https://plant.example`; empty admits all. A request without an
    /// origin does not come from a browser and is admitted.
    pub origins: Vec<String>,
}

/// One listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerConfig {
    /// The name that events and messages give it.
    pub name: String,
    /// The address to listen on.
    pub bind: SocketAddr,
    /// What carries MQTT.
    pub transport: Transport,
    /// The TLS files; plain TCP without.
    pub tls: Option<TlsFiles>,
    /// How clients are identified.
    pub auth: Auth,
    /// The policies an anonymous client is under.
    pub policies: Vec<String>,
    /// Connected clients at once; one more is refused.
    pub max_connections: usize,
    /// Connections that have not finished CONNECT, at once.
    pub max_pending: usize,
    /// Connections that have not finished CONNECT, at once and from one address.
    pub max_pending_per_address: usize,
    /// How long a client may take from accept to a complete CONNECT.
    pub connect_timeout: Duration,
    /// When messages that must not get lost are acknowledged.
    pub acknowledge: Acknowledge,
}

/// What one session and the whole broker may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The largest packet accepted, in bytes, fixed header included.
    pub max_packet_size: u32,
    /// Unacknowledged QoS 1 and 2 messages in flight to one client.
    pub max_inflight: u16,
    /// Messages queued for one session.
    pub max_queued_messages: usize,
    /// Bytes queued for one session.
    pub max_queued_bytes: usize,
    /// Bytes that wait for all sessions together.
    pub max_queued_bytes_total: usize,
    /// Subscriptions of one session.
    pub max_subscriptions: usize,
    /// Sessions held for disconnected clients, in total.
    pub max_sessions: usize,
    /// How long a session may outlive its connection.
    pub max_session_expiry: Duration,
    /// The longest keep-alive (MQTT 5): who asks for more, or for none, is told this one as Server Keep Alive. Clients of
    /// MQTT 3 cannot be told and keep their own.
    pub max_keep_alive: Duration,
    /// Retained messages in total.
    pub max_retained: usize,
    /// What retained messages may take in total, in bytes.
    pub max_retained_bytes: usize,
    /// Topic aliases of one connection in each direction (MQTT 5): those a client may set up, and those set up for it.
    pub max_topic_alias: u16,
    /// Bytes waiting to be written to one client before QoS 0 messages for it are dropped.
    pub max_unsent_bytes: usize,
    /// MQTT packets of all kinds that one client may send in a second; zero is no limit. That many may come at once, and
    /// at least 100. A client that sends faster is not read for a while.
    pub max_packets_per_second: u32,
    /// Bytes of MQTT packets that one client may send in a second, and at once; zero is no limit.
    pub max_bytes_per_second: u64,
    /// Distinct topics that one session may publish to; zero is no limit. Each takes some 16 bytes of memory.
    pub max_topics: usize,
    /// How long a client may take nothing of what waits to be written to it before its connection is ended.
    pub write_timeout: Duration,
    /// What one source address may do.
    pub sources: SourceLimits,
    /// Worker threads that hold sessions.
    pub workers: usize,
}

/// What one source address may do, over all listeners. An IPv6 /64 counts as one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceLimits {
    /// Connected clients at once; zero is no limit.
    pub max_connections: usize,
    /// Connections accepted in a second, and at once; zero is no limit.
    pub max_connections_per_second: u32,
    /// Connections that may end in a second without having become a client; zero is no limit. An address from which more
    /// come is closed at accept until it has recovered.
    pub max_failures_per_second: u32,
    /// How many of those may come at once.
    pub failure_burst: u32,
    /// Addresses to which none of these limits applies.
    pub exempt: Vec<Prefix>,
}

// === impl Auth ===

impl Auth {
    /// The word of the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Password => "password",
            Self::Anonymous => "anonymous",
        }
    }
}

// === impl WebSocketConfig ===

impl WebSocketConfig {
    /// Whether pages of this origin may connect. Scheme and host are the same in upper and lower case (RFC 6454, 4).
    pub(crate) fn admits(&self, origin: &[u8]) -> bool {
        self.origins.is_empty() || self.origins.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(origin))
    }
}

// === impl ListenerConfig ===

impl ListenerConfig {
    /// This listener with those keys of `changed` that a running gateway takes over.
    #[must_use]
    pub fn taking(&self, changed: &Self) -> Self {
        Self {
            max_connections: changed.max_connections,
            max_pending: changed.max_pending,
            max_pending_per_address: changed.max_pending_per_address,
            connect_timeout: changed.connect_timeout,
            ..self.clone()
        }
    }
}

// === impl SourceLimits ===

impl Default for SourceLimits {
    fn default() -> Self {
        Self {
            max_connections: 0,
            max_connections_per_second: 0,
            max_failures_per_second: 100,
            failure_burst: 1000,
            exempt: Prefix::machine(),
        }
    }
}

// === impl Limits ===

impl Limits {
    /// These limits with those of `changed` that a running gateway takes over.
    #[must_use]
    pub fn taking(&self, changed: &Self) -> Self {
        Self {
            max_packets_per_second: changed.max_packets_per_second,
            max_bytes_per_second: changed.max_bytes_per_second,
            max_topics: changed.max_topics,
            write_timeout: changed.write_timeout,
            sources: changed.sources.clone(),
            ..self.clone()
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_packet_size: 256 * 1024,
            max_inflight: 100,
            max_queued_messages: 1000,
            max_queued_bytes: 1024 * 1024,
            max_queued_bytes_total: 64 * 1024 * 1024,
            max_subscriptions: 200,
            max_sessions: 20_000,
            max_session_expiry: Duration::from_secs(7 * 24 * 3600),
            max_keep_alive: Duration::from_secs(20 * 60),
            max_retained: 50_000,
            max_retained_bytes: 64 * 1024 * 1024,
            max_topic_alias: 16,
            max_unsent_bytes: 1024 * 1024,
            max_packets_per_second: 0,
            max_bytes_per_second: 0,
            max_topics: 0,
            write_timeout: Duration::from_secs(60),
            sources: SourceLimits::default(),
            workers: 1,
        }
    }
}
