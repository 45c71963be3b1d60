//! A broker with an anonymous listener, the events it told, and a raw client.

use cordon_core::detect::{LoginGuard, Refusal};
use cordon_core::event::{Code, Event};
use cordon_core::fleet::Selector;
use cordon_core::isolation::{Level, Order, Origin};
use cordon_core::judge::Rulebook;
use cordon_core::policy::Policy;
use cordon_core::time::Now;
use cordon_mqtt::{
    Acknowledge, Auth, Broker, Credentials, DeviceMessage, Handle, Limits, ListenerConfig, Parts, Sink, Store,
    ThingCounters, TlsFiles, Transport,
};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// What the broker told.
#[derive(Default)]
pub(crate) struct Log(Mutex<Vec<Event>>);

impl Log {
    pub(crate) fn count(&self, code: Code) -> usize {
        self.0.lock().unwrap().iter().filter(|event| event.code == code).count()
    }

    /// How often this was told by events of this code and rule, repeats included, and in how many events.
    pub(crate) fn told(&self, code: Code, rule: &str) -> (u64, usize) {
        let events = self.0.lock().unwrap();
        let counts = events.iter().filter(|event| event.code == code && event.rule.as_deref() == Some(rule));
        let counts: Vec<u64> = counts.map(|event| event.count).collect();
        (counts.iter().sum(), counts.len())
    }

    /// The rules of the events of this code.
    pub(crate) fn rules(&self, code: Code) -> Vec<String> {
        let events = self.0.lock().unwrap();
        events.iter().filter(|event| event.code == code).filter_map(|event| event.rule.clone()).collect()
    }

    /// How often this was seen: events, and what they count.
    pub(crate) fn total(&self, code: Code) -> u64 {
        self.0.lock().unwrap().iter().filter(|event| event.code == code).map(|event| event.count).sum()
    }

    /// Whether an event of this kind about this peer was told.
    pub(crate) fn has_peer(&self, code: Code, peer: SocketAddr) -> bool {
        self.0.lock().unwrap().iter().any(|event| event.code == code && event.peer == Some(peer))
    }
}

impl Sink for Log {
    fn event(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
    fn observe(&self, _: Vec<ThingCounters>) {}
    fn device_message(&self, _: DeviceMessage) {}
    fn login_refused(&self, _: Refusal, _: SocketAddr) {}
}

/// A running broker whose anonymous clients may do everything.
pub(crate) struct Bench {
    pub(crate) broker: Broker,
    pub(crate) handle: Handle,
    pub(crate) address: SocketAddr,
    pub(crate) log: Arc<Log>,
    book: Rulebook,
}

impl Bench {
    pub(crate) async fn start() -> Self {
        Self::with(Limits::default()).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        Self::over(limits, listener(None), None, Vec::new()).await
    }

    /// A broker over a store, with orders in force from the beginning.
    pub(crate) async fn over(
        limits: Limits,
        listener: ListenerConfig,
        store: Option<Arc<dyn Store>>,
        orders: Vec<Order>,
    ) -> Self {
        let all = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}"#;
        let policies = BTreeMap::from([("open".to_owned(), Arc::new(Policy::parse("open", all).unwrap()))]);
        let book = Rulebook { epoch: 1, policies: Arc::new(policies), orders: Arc::new(orders), ..Rulebook::default() };
        let log = Arc::new(Log::default());
        let mut broker = Broker::start(Parts {
            limits,
            clock: now,
            sink: log.clone(),
            guard: Arc::new(Mutex::new(LoginGuard::default())),
            credentials: Arc::new(Credentials::new(BTreeMap::new()).unwrap()),
            rulebook: Arc::new(book.clone()),
            store,
            boot_id: "test".into(),
        })
        .unwrap();
        let address = broker.listen(vec![listener]).await.unwrap()[0];
        Self { handle: broker.handle(), broker, address, log, book }
    }

    /// Puts one order in force, in place of those before.
    pub(crate) async fn isolate(&mut self, thing: &str, level: Level, block: &[&str]) {
        let order = order(thing, level, block);
        self.book.epoch += 1;
        self.book.orders = Arc::new(vec![order]);
        self.handle.enforce(Arc::new(self.book.clone())).await;
    }

    /// Lets every client read `$SYS`.
    pub(crate) async fn let_all_read(&mut self) {
        self.set_readers(vec![Selector::All]).await;
    }

    /// Keeps `$SYS` from everybody.
    pub(crate) async fn let_nobody_read(&mut self) {
        self.set_readers(Vec::new()).await;
    }

    async fn set_readers(&mut self, readers: Vec<Selector>) {
        self.book.epoch += 1;
        self.book.readers = Arc::new(readers);
        self.handle.enforce(Arc::new(self.book.clone())).await;
    }

    pub(crate) fn client(&self, id: &str) -> Client {
        Client::connect(self.address, &Hello { id, ..Hello::default() })
    }

    pub(crate) fn client_with(&self, hello: &Hello<'_>) -> Client {
        Client::connect(self.address, hello)
    }
}

/// Waits until something has come about.
pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "it did not come about that {what}");
        std::thread::yield_now();
    }
}

/// An order without an end.
pub(crate) fn order(thing: &str, level: Level, block: &[&str]) -> Order {
    Order {
        id: format!("iso-{thing}"),
        selector: Selector::Thing(thing.into()),
        level,
        block: block.iter().map(ToString::to_string).collect(),
        reason: "test".into(),
        author: "test".into(),
        origin: Origin::Operator,
        created: now(),
        expires: None,
        ended: None,
    }
}

/// An anonymous listener.
pub(crate) fn listener(tls: Option<TlsFiles>) -> ListenerConfig {
    ListenerConfig {
        name: "open".into(),
        bind: "127.0.0.1:0".parse().unwrap(),
        transport: Transport::Tcp,
        tls,
        auth: Auth::Anonymous,
        policies: Vec::new(),
        max_connections: 100,
        max_pending: 100,
        max_pending_per_address: 100,
        connect_timeout: PATIENCE,
        acknowledge: Acknowledge::Disk,
    }
}

fn now() -> Now {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    Now::for_test(u64::try_from(START.elapsed().as_millis()).unwrap())
}

/// What a CONNECT says.
#[derive(Clone)]
pub(crate) struct Hello<'a> {
    pub(crate) id: &'a str,
    pub(crate) v5: bool,
    pub(crate) clean: bool,
    pub(crate) keep_alive: u16,
    /// Encoded properties (MQTT 5).
    pub(crate) properties: &'a [u8],
    /// Encoded will properties (MQTT 5), topic and payload.
    pub(crate) will: Option<(&'a [u8], &'a str, &'a str)>,
}

impl Default for Hello<'_> {
    fn default() -> Self {
        Self { id: "", v5: true, clean: true, keep_alive: 0, properties: &[], will: None }
    }
}

/// A session expiry of an hour.
pub(crate) const LASTING: &[u8] = &[0x11, 0, 0, 14, 16];

/// A packet from the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) first: u8,
    pub(crate) body: Vec<u8>,
}

impl Packet {
    pub(crate) fn kind(&self) -> u8 {
        self.first >> 4
    }

    /// Topic, packet identifier and payload of a PUBLISH.
    pub(crate) fn message(&self, v5: bool) -> (String, Option<u16>, Vec<u8>) {
        assert_eq!(self.kind(), 3, "not a PUBLISH: {self:?}");
        let length = usize::from(u16::from_be_bytes([self.body[0], self.body[1]]));
        let topic = String::from_utf8(self.body[2..2 + length].to_vec()).unwrap();
        let mut at = 2 + length;
        let id = (self.first & 0b110 != 0).then(|| u16::from_be_bytes([self.body[at], self.body[at + 1]]));
        at += if id.is_some() { 2 } else { 0 };
        at += if v5 { 1 + usize::from(self.body[at]) } else { 0 };
        (topic, id, self.body[at..].to_vec())
    }
}

/// A client that sends whatever it is told.
pub(crate) struct Client {
    pub(crate) socket: TcpStream,
    pub(crate) v5: bool,
    /// CONNACK's session present flag.
    pub(crate) present: bool,
    /// Bytes that came from the broker.
    pub(crate) got: u64,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr, hello: &Hello<'_>) -> Self {
        Self::greet(TcpStream::connect(address).unwrap(), hello)
    }

    /// A client over a connection that was made before.
    pub(crate) fn greet(socket: TcpStream, hello: &Hello<'_>) -> Self {
        let mut client = Self { v5: hello.v5, ..Self::over(socket) };
        client.send(&connect(hello));
        let connack = client.next();
        assert_eq!((connack.first, connack.body[1]), (0x20, 0), "{connack:?}");
        client.present = connack.body[0] == 1;
        client
    }

    /// A client on a connection that has not been greeted yet; MQTT 5.
    pub(crate) fn over(socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, v5: true, present: false, got: 0, buffer: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    /// The next packet; `None` if the broker closed.
    pub(crate) fn try_next(&mut self) -> Option<Packet> {
        loop {
            if let Some((header, length)) = split(&self.buffer)
                && self.buffer.len() >= header + length
            {
                let packet = Packet { first: self.buffer[0], body: self.buffer[header..header + length].to_vec() };
                self.buffer.drain(..header + length);
                return Some(packet);
            }
            let mut chunk = vec![0; 64 * 1024];
            match self.socket.read(&mut chunk) {
                Ok(0) => return None,
                Ok(n) => {
                    self.got += n as u64;
                    self.buffer.extend_from_slice(&chunk[..n]);
                }
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("nothing came: {error}"),
            }
        }
    }

    pub(crate) fn next(&mut self) -> Packet {
        self.try_next().expect("the broker closed")
    }

    /// Sends and waits for the packet of the given kind, passing over others, which are returned too.
    pub(crate) fn ask(&mut self, bytes: &[u8], kind: u8) -> (Packet, Vec<Packet>) {
        self.send(bytes);
        let mut others = Vec::new();
        loop {
            let packet = self.next();
            if packet.kind() == kind {
                return (packet, others);
            }
            others.push(packet);
        }
    }

    /// What came before the answer to a PINGREQ.
    pub(crate) fn ping(&mut self) -> Vec<Packet> {
        self.ask(&[0xC0, 0], 13).1
    }

    pub(crate) fn subscribe(&mut self, filter: &str, options: u8) -> Packet {
        let packet = subscribe(filter, options, self.v5);
        self.ask(&packet, 9).0
    }

    /// Publishes at QoS 1 and waits for the acknowledgement.
    pub(crate) fn publish(&mut self, topic: &str, payload: &[u8], retain: bool) {
        let packet = publish(topic, 0x32 | u8::from(retain), Some(9), payload, self.v5);
        self.ask(&packet, 4);
    }

    /// The payload of the next message.
    pub(crate) fn payload(&mut self) -> String {
        let packet = self.next();
        String::from_utf8(packet.message(self.v5).2).unwrap()
    }
}

/// A connection from this address of the machine; `None` if it was reset before it was there.
pub(crate) async fn dial_from(source: [u8; 4], address: SocketAddr) -> Option<TcpStream> {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((source, 0).into()).unwrap();
    let socket = match socket.connect(address).await {
        Ok(socket) => socket.into_std().unwrap(),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
        Err(error) => panic!("no connection: {error}"),
    };
    socket.set_nonblocking(false).unwrap();
    Some(socket)
}

/// The lengths of the fixed header and of the rest of the packet at the start of `bytes`.
pub(crate) fn split(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut length = 0;
    for (at, byte) in bytes.get(1..)?.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((2 + at, length));
        }
    }
    None
}

/// A packet of these parts.
pub(crate) fn packet(first: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let (mut packet, mut left) = (vec![first], body.len());
    while left > 0x7F {
        packet.push((left & 0x7F) as u8 | 0x80);
        left >>= 7;
    }
    packet.push(left as u8);
    packet.extend_from_slice(&body);
    packet
}

fn text(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

fn block(properties: &[u8], v5: bool) -> Vec<u8> {
    if v5 { [&[u8::try_from(properties.len()).unwrap()], properties].concat() } else { Vec::new() }
}

pub(crate) fn connect(hello: &Hello<'_>) -> Vec<u8> {
    let flags = u8::from(hello.clean) << 1 | if hello.will.is_some() { 0b100 } else { 0 };
    let will = hello.will.map_or_else(Vec::new, |(properties, topic, payload)| {
        [block(properties, hello.v5), text(topic), text(payload)].concat()
    });
    let head = [text("MQTT"), vec![if hello.v5 { 5 } else { 4 }, flags], hello.keep_alive.to_be_bytes().to_vec()];
    packet(0x10, &[&head.concat(), &block(hello.properties, hello.v5), &text(hello.id), &will])
}

pub(crate) fn publish(topic: &str, first: u8, id: Option<u16>, payload: &[u8], v5: bool) -> Vec<u8> {
    let id = id.map_or_else(Vec::new, |id| id.to_be_bytes().to_vec());
    packet(first, &[&text(topic), &id, &block(&[], v5), payload])
}

pub(crate) fn subscribe(filter: &str, options: u8, v5: bool) -> Vec<u8> {
    packet(0x82, &[&[0, 1], &block(&[], v5), &text(filter), &[options]])
}

pub(crate) fn unsubscribe(filter: &str, v5: bool) -> Vec<u8> {
    packet(0xA2, &[&[0, 1], &block(&[], v5), &text(filter)])
}
