//! A device under test control: a small MQTT client of its own, so that every byte and every answer can be seen.
//!
//! It is written independently of the gateway's codec. Every wait has a deadline; none sleeps.

mod wire;

pub use wire::{Ack, Connack, Message, Packet, Will};

use anyhow::{Context, Result, bail, ensure};
use bytes::BytesMut;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;

/// How long any single answer may take.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// How a device connects.
#[derive(Clone)]
pub struct Options {
    /// The gateway's listener.
    pub address: SocketAddr,
    /// The address to connect from; the system's choice without.
    pub source: Option<IpAddr>,
    /// The TLS configuration; plain TCP without.
    pub tls: Option<Arc<ClientConfig>>,
    /// The protocol level: 3, 4 or 5.
    pub level: u8,
    /// The client id; empty asks the gateway for one.
    pub client_id: String,
    /// User name and password.
    pub login: Option<(String, String)>,
    /// Clean session or clean start.
    pub clean: bool,
    /// The session expiry in seconds (MQTT 5).
    pub session_expiry: u32,
    /// The keep-alive in seconds.
    pub keep_alive: u16,
    /// The will.
    pub will: Option<Will>,
}

trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// A connected device.
pub struct Device {
    wire: Box<dyn Wire>,
    buffer: BytesMut,
    level: u8,
    next_id: u16,
    inbox: VecDeque<Message>,
    other: VecDeque<Packet>,
    /// Acknowledge QoS 1 and 2 messages as they arrive.
    pub acknowledge: bool,
}

// === impl Options ===

impl Options {
    /// MQTT 3.1.1 with a clean session.
    #[must_use]
    pub fn new(address: SocketAddr, client_id: &str) -> Self {
        Self {
            address,
            source: None,
            tls: None,
            level: 4,
            client_id: client_id.to_owned(),
            login: None,
            clean: true,
            session_expiry: 0,
            keep_alive: 60,
            will: None,
        }
    }

    /// Logs in with a user name and a password.
    #[must_use]
    pub fn login(mut self, user: &str, password: &str) -> Self {
        self.login = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// Connects from this address.
    #[must_use]
    pub fn source(mut self, address: impl Into<IpAddr>) -> Self {
        self.source = Some(address.into());
        self
    }

    /// Speaks MQTT 5.
    #[must_use]
    pub fn v5(mut self) -> Self {
        self.level = 5;
        self
    }

    /// Connects over TLS.
    #[must_use]
    pub fn tls(mut self, config: Arc<ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// Keeps the session when the connection ends.
    #[must_use]
    pub fn persistent(mut self) -> Self {
        self.clean = false;
        self.session_expiry = 3600;
        self
    }

    /// Leaves a will.
    #[must_use]
    pub fn will(mut self, will: Will) -> Self {
        self.will = Some(will);
        self
    }
}

// === impl Device ===

impl Device {
    /// Opens a connection without saying CONNECT.
    ///
    /// # Errors
    /// When the connection or the TLS handshake fails.
    pub async fn open(options: &Options) -> Result<Self> {
        let tcp = within("connect", dial(options)).await??;
        tcp.set_nodelay(true)?;
        let wire: Box<dyn Wire> = match &options.tls {
            None => Box::new(tcp),
            Some(config) => {
                let name = "localhost".try_into()?;
                let connect = TlsConnector::from(config.clone()).connect(name, tcp);
                Box::new(within("TLS handshake", connect).await?.context("TLS handshake")?)
            }
        };
        Ok(Self {
            wire,
            buffer: BytesMut::new(),
            level: options.level,
            next_id: 0,
            inbox: VecDeque::new(),
            other: VecDeque::new(),
            acknowledge: true,
        })
    }

    /// Connects and returns the answer, whatever it is.
    ///
    /// # Errors
    /// When there is no CONNACK.
    pub async fn try_connect(options: &Options) -> Result<(Self, Connack)> {
        let mut device = Self::open(options).await?;
        device.send(&wire::connect(options)).await?;
        match device.packet().await? {
            Packet::Connack(answer) => Ok((device, answer)),
            other => bail!("expected CONNACK, got {other:?}"),
        }
    }

    /// Connects and expects to be accepted.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn connect(options: &Options) -> Result<Self> {
        let (device, answer) = Self::try_connect(options).await?;
        ensure!(answer.code == 0, "{} was refused with {:#04x} {:?}", options.client_id, answer.code, answer.reason);
        Ok(device)
    }

    /// Sends raw bytes.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        within("send", self.wire.write_all(bytes)).await??;
        within("flush", self.wire.flush()).await??;
        Ok(())
    }

    /// The bytes of a QoS 0 publish in MQTT 3.1.1, to be sent with others in one go.
    #[must_use]
    pub fn encoded(topic: &str, payload: &[u8]) -> bytes::Bytes {
        wire::publish(4, topic, payload, 0, false, 0)
    }

    /// Publishes and returns the final reason code of the acknowledgement; 0 for QoS 0.
    ///
    /// # Errors
    /// When the acknowledgement does not come.
    pub async fn publish(&mut self, topic: &str, payload: &[u8], qos: u8) -> Result<u8> {
        self.publish_with(topic, payload, qos, false).await
    }

    /// Publishes with a choice of the retain flag.
    ///
    /// # Errors
    /// When the acknowledgement does not come.
    pub async fn publish_with(&mut self, topic: &str, payload: &[u8], qos: u8, retain: bool) -> Result<u8> {
        let id = if qos > 0 { self.id() } else { 0 };
        self.send(&wire::publish(self.level, topic, payload, qos, retain, id)).await?;
        match qos {
            0 => Ok(0),
            1 => self.ack(|packet| matches!(packet, Packet::Puback(ack) if ack.id == id)).await,
            _ => {
                let received = self.ack(|packet| matches!(packet, Packet::Pubrec(ack) if ack.id == id)).await?;
                if received >= 0x80 {
                    return Ok(received);
                }
                self.send(&wire::ack(0x62, id)).await?;
                self.ack(|packet| matches!(packet, Packet::Pubcomp(ack) if ack.id == id)).await
            }
        }
    }

    /// Subscribes to one filter and returns the code.
    ///
    /// # Errors
    /// When the answer does not come.
    pub async fn subscribe(&mut self, filter: &str, qos: u8) -> Result<u8> {
        let id = self.id();
        self.send(&wire::subscribe(self.level, id, filter, qos)).await?;
        match self.find(|packet| matches!(packet, Packet::Suback { id: got, .. } if *got == id)).await? {
            Packet::Suback { codes, .. } => codes.first().copied().context("a SUBACK without a code"),
            other => bail!("{other:?}"),
        }
    }

    /// Subscribes and expects it to be granted.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn subscribed(&mut self, filter: &str, qos: u8) -> Result<()> {
        let code = self.subscribe(filter, qos).await?;
        ensure!(code < 0x80, "{filter} was refused with {code:#04x}");
        Ok(())
    }

    /// The next message.
    ///
    /// # Errors
    /// When none comes in time.
    pub async fn message(&mut self) -> Result<Message> {
        loop {
            if let Some(message) = self.inbox.pop_front() {
                return Ok(message);
            }
            match self.packet().await.context("waiting for a message")? {
                Packet::Publish(message) => return Ok(message),
                other => self.other.push_back(other),
            }
        }
    }

    /// Everything that arrived before the answer to a PINGREQ sent now.
    ///
    /// # Errors
    /// When the answer does not come.
    pub async fn messages_so_far(&mut self) -> Result<Vec<Message>> {
        self.send(&[0xC0, 0]).await?;
        self.find(|packet| matches!(packet, Packet::Pingresp)).await?;
        Ok(self.inbox.drain(..).collect())
    }

    /// Waits for the gateway to end the connection. Returns the reason of its DISCONNECT, if it sent one.
    ///
    /// # Errors
    /// When the connection stays open.
    pub async fn closed(&mut self) -> Result<Option<u8>> {
        let mut reason = None;
        loop {
            match within("the end of the connection", self.read()).await? {
                Ok(Packet::Disconnect(code)) => reason = Some(code),
                Ok(_) => {}
                Err(_) => return Ok(reason),
            }
        }
    }

    /// Says goodbye.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn disconnect(mut self) -> Result<()> {
        self.send(&[0xE0, 0]).await
    }

    fn id(&mut self) -> u16 {
        self.next_id += 1;
        self.next_id
    }

    async fn ack(&mut self, wanted: impl Fn(&Packet) -> bool) -> Result<u8> {
        match self.find(wanted).await? {
            Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubcomp(ack) => Ok(ack.reason),
            other => bail!("{other:?}"),
        }
    }

    async fn find(&mut self, wanted: impl Fn(&Packet) -> bool) -> Result<Packet> {
        if let Some(at) = self.other.iter().position(&wanted) {
            return self.other.remove(at).context("just found");
        }
        loop {
            match self.packet().await? {
                packet if wanted(&packet) => return Ok(packet),
                Packet::Publish(message) => self.inbox.push_back(message),
                other => self.other.push_back(other),
            }
        }
    }

    /// The next packet of any kind.
    ///
    /// # Errors
    /// When none comes in time or the connection ends.
    pub async fn packet(&mut self) -> Result<Packet> {
        within("a packet", self.read()).await?
    }

    async fn read(&mut self) -> Result<Packet> {
        loop {
            if let Some(packet) = wire::take(&mut self.buffer, self.level)? {
                if let Packet::Publish(message) = &packet
                    && self.acknowledge
                    && message.qos > 0
                {
                    let first = if message.qos == 1 { 0x40 } else { 0x50 };
                    self.send(&wire::ack(first, message.id)).await?;
                }
                if let Packet::Pubrel(id) = &packet {
                    self.send(&wire::ack(0x70, *id)).await?;
                    continue;
                }
                return Ok(packet);
            }
            ensure!(self.wire.read_buf(&mut self.buffer).await? > 0, "the gateway closed the connection");
        }
    }
}

async fn dial(options: &Options) -> std::io::Result<TcpStream> {
    let Some(source) = options.source else { return TcpStream::connect(options.address).await };
    let socket = if options.address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.bind((source, 0).into())?;
    socket.connect(options.address).await
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(DEADLINE, future).await.with_context(|| format!("{what} took longer than {DEADLINE:?}"))
}
