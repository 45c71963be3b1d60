//! One connection to the far side, as two channels: what to send goes in, what was heard comes out.
//!
//! This is the only part that names rumqttc. A link is used for one connection and then dropped: rumqttc's own list of
//! unacknowledged publishes would otherwise be a second book beside the outbox, one that it re-sends in the order of
//! packet identifiers (not of sending) and throws away when the far side has forgotten the session.

mod classify;
mod v311;
mod v5;

use crate::config::Config;
use crate::status::Protocol;
use crate::tls;
use bytes::Bytes;
use rustls::ClientConfig;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// The largest packet that is read: the largest that AWS IoT Core sends.
const MAX_PACKET_BYTES: u32 = 146 * 1024;

/// Room for what was heard; when it is full the link stops reading until there is room.
const HEARD: usize = 256;

/// Makes links. A trait, so that the driver can be tested against links that exist in a test only.
pub(crate) trait Dial: Send + Sync + 'static {
    /// Begins to connect; how it goes is heard on the link.
    fn dial(&self, config: &Arc<Config>, protocol: Protocol) -> Link;
}

/// A connection, or an attempt at one. Dropping it closes it.
pub(crate) struct Link {
    pub(crate) requests: Box<dyn Requests>,
    pub(crate) heard: mpsc::Receiver<Heard>,
    /// Drives the connection; ends with the link. A panic in it closes `heard` without [`Heard::Lost`].
    pub(crate) _task: JoinSet<()>,
}

/// The sending side of a link. None of these waits.
pub(crate) trait Requests: Send + Sync {
    /// Publishes with QoS 1.
    fn publish(&self, topic: &str, payload: Bytes) -> Result<(), NotTaken>;
    /// Subscribes with QoS 1.
    fn subscribe(&self, filters: &[String]) -> Result<(), NotTaken>;
    /// Sends DISCONNECT.
    fn disconnect(&self) -> Result<(), NotTaken>;
}

/// The link does not take requests any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotTaken;

/// What happened on a link, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    /// CONNACK: accepted, with the far side's limits.
    Connected { session_present: bool, receive_max: Option<u16>, max_packet: Option<u32> },
    /// SUBACK to the oldest unanswered SUBSCRIBE, one reason per filter.
    Subscribed { reasons: Vec<u8> },
    /// The oldest unwritten publish was written under this packet identifier.
    Sent { pkid: u16 },
    /// PUBACK.
    Answered { pkid: u16, code: u8 },
    /// A message for the gateway.
    Message { topic: String, payload: Bytes },
    /// DISCONNECT was written.
    Goodbye,
    /// The connection is over, or was never made. Nothing follows.
    Lost(Loss),
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Loss {
    pub(crate) kind: LossKind,
    /// In words, for people.
    pub(crate) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LossKind {
    /// The far side answered CONNECT with a refusal.
    ConnectRefused,
    /// The far side does not speak this version of MQTT.
    VersionRefused,
    /// The far side sent DISCONNECT with this reason.
    Disconnected(u8),
    /// The far side closed the connection without a word.
    Closed,
    /// One side did not accept the other's certificate, or TLS failed otherwise.
    Tls,
    /// No name, no route, no answer in time.
    Network,
    /// The far side sent something that MQTT does not allow.
    Protocol,
    /// The gateway's own certificate files cannot be used.
    Local,
    /// A fault of the gateway's own.
    Fault,
}

/// Dials with rumqttc.
#[derive(Debug)]
pub(crate) struct Dialer;

// === impl Dialer ===

impl Dial for Dialer {
    fn dial(&self, config: &Arc<Config>, protocol: Protocol) -> Link {
        match protocol {
            Protocol::V5 => v5::dial(Arc::clone(config)),
            Protocol::V311 => v311::dial(Arc::clone(config)),
        }
    }
}

// === impl Loss ===

impl Loss {
    pub(crate) fn new(kind: LossKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}

/// Runs `drive` as a link's task.
fn link<D: Future<Output = ()> + Send + 'static>(
    requests: Box<dyn Requests>,
    drive: impl FnOnce(mpsc::Sender<Heard>) -> D,
) -> Link {
    let (tell, heard) = mpsc::channel(HEARD);
    let mut task = JoinSet::new();
    task.spawn(drive(tell));
    Link { requests, heard, _task: task }
}

/// Reads the TLS files where blocking is allowed.
async fn load_tls(config: Arc<Config>) -> Result<Arc<ClientConfig>, Loss> {
    match tokio::task::spawn_blocking(move || tls::client_config(&config)).await {
        Ok(Ok(tls)) => Ok(tls),
        Ok(Err(error)) => Err(Loss::new(LossKind::Local, error.to_string())),
        Err(error) => Err(Loss::new(LossKind::Fault, format!("reading the certificates failed: {error}"))),
    }
}

/// Room for requests that rumqttc has not taken yet: a full window, the subscriptions, and DISCONNECT.
fn request_room(config: &Config) -> usize {
    config.window + config.subscriptions.len() + 4
}

/// The window as rumqttc wants it.
fn inflight(config: &Config) -> u16 {
    u16::try_from(config.window).unwrap_or(u16::MAX)
}
