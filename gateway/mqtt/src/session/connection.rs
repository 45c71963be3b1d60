//! One network connection of a session.

use super::aliases::{Aliases, Naming};
use super::bell::Bell;
use super::{Answers, Ending, Hold};
use crate::codec::encode::Outgoing;
use crate::codec::{ConnectProperties, QoS, Version};
use crate::config::Limits;
use crate::connack::server_keep_alive;
use crate::listener::Place;
use crate::stream::Stream;
use crate::worker::Stencil;
use bytes::BytesMut;
use cordon_core::time::Mono;
use std::cell::{Cell, RefCell};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// What a client wants published when it goes without a goodbye.
#[derive(Debug, Clone)]
pub(crate) struct Will {
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) properties: Vec<u8>,
    pub(crate) message_expiry: Option<u32>,
    pub(crate) delay: u32,
}

/// A connection: its stream and what CONNECT agreed for it.
pub(crate) struct Connection {
    pub(crate) version: Version,
    pub(crate) stream: RefCell<Stream>,
    pub(crate) socket: Arc<TcpStream>,
    /// Wakes the connection's task, to see [`Connection::ending`] or to write.
    pub(crate) wake: Bell,
    /// Set by whoever wants the connection to end.
    pub(crate) ending: RefCell<Option<Ending>>,
    /// Set once the session has let go of the connection.
    pub(crate) over: Cell<bool>,
    pub(crate) will: RefCell<Option<Will>>,
    pub(crate) last_packet: Cell<Mono>,
    /// Until when nothing is read from the client, because it sends faster than it may.
    pub(crate) paced_until: Cell<Mono>,
    /// When the socket took something last, or nothing waited for it.
    pub(crate) drained: Cell<Mono>,
    keep_alive: Duration,
    pub(crate) window: usize,
    max_packet: usize,
    pub(crate) explain: bool,
    /// Topics that the client was given numbers for.
    told: RefCell<Aliases>,
    /// Topics the client gave numbers to (MQTT 5, 3.3.2.3.4).
    pub(crate) aliases: RefCell<Vec<Option<Box<str>>>>,
    /// Held until the session lets go of the connection.
    pub(crate) place: RefCell<Option<Place>>,
    /// Whether acknowledgements wait until what they promise is durable.
    pub(crate) waits: Cell<bool>,
    pub(crate) answers: RefCell<Answers>,
    /// Whether the worker looks at them when something has become durable.
    pub(crate) in_line: Cell<bool>,
}

// === impl Connection ===

impl Connection {
    pub(crate) fn new(stream: Stream, connect: &ConnectedAs, limits: &Limits, now: Mono, place: Place) -> Self {
        let keep_alive = server_keep_alive(connect, limits.max_keep_alive).unwrap_or(connect.keep_alive);
        Self {
            version: connect.version,
            socket: stream.socket(),
            stream: RefCell::new(stream),
            wake: Bell::default(),
            ending: RefCell::default(),
            over: Cell::new(false),
            will: RefCell::new(connect.will.clone()),
            last_packet: Cell::new(now),
            paced_until: Cell::new(now),
            drained: Cell::new(now),
            keep_alive: Duration::from_secs(u64::from(keep_alive)) * 3 / 2,
            window: usize::from(connect.receive_maximum.min(limits.max_inflight).max(1)),
            max_packet: connect.max_packet.map_or(usize::MAX, |max| max as usize),
            explain: connect.explain,
            told: RefCell::new(Aliases::new(connect.alias_maximum.min(limits.max_topic_alias))),
            aliases: RefCell::default(),
            place: RefCell::new(Some(place)),
            waits: Cell::new(false),
            answers: RefCell::default(),
            in_line: Cell::new(false),
        }
    }

    /// Asks the connection's task to end it. The first wish counts.
    pub(crate) fn end(&self, ending: Ending) {
        self.ending.borrow_mut().get_or_insert(ending);
        self.wake.ring();
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.over.get() || self.ending.borrow().is_some()
    }

    pub(crate) fn is_silent(&self, now: Mono) -> bool {
        // What a client has sent that is not read is not silence. A millisecond more makes up for rounding.
        let heard = self.last_packet.get().max(self.paced_until.get());
        !self.answers.borrow().is_full() && !self.keep_alive.is_zero() && now.since(heard) > self.keep_alive
    }

    /// Whether the client takes a packet of so many bytes (MQTT-3.1.2-24).
    pub(crate) fn takes(&self, length: usize) -> bool {
        length <= self.max_packet
    }

    /// Encodes message `number`. `false` if it is larger than the client takes (MQTT-3.1.2-24).
    pub(crate) fn publish(&self, message: &Outgoing<'_>, number: u64, stencil: &mut Stencil) -> bool {
        let (mut stream, mut told) = (self.stream.borrow_mut(), self.told.borrow_mut());
        let (out, limit) = (stream.out(), self.max_packet);
        match told.naming(message.topic) {
            Naming::Plain => {}
            Naming::Known(alias) => {
                let short = Outgoing { topic: "", topic_alias: Some(alias), ..*message };
                return stencil.encode(out, number, self.version, &short, limit);
            }
            Naming::New(alias) => {
                let naming = Outgoing { topic_alias: Some(alias), ..*message };
                if stencil.encode(out, number, self.version, &naming, limit) {
                    told.learn(message.topic, alias);
                    return true;
                }
            }
        }
        stencil.encode(out, number, self.version, message, limit)
    }

    /// Whether packets for the client may stand on earlier ones, by a topic alias.
    pub(crate) fn has_told_aliases(&self) -> bool {
        self.told.borrow().are_used()
    }

    /// Answers with what `encode` appends, now or when its turn has come.
    pub(crate) fn answer(&self, hold: Hold, encode: impl FnOnce(&mut BytesMut)) {
        let mut answers = self.answers.borrow_mut();
        if hold == Hold::No && answers.is_empty() {
            encode(self.stream.borrow_mut().out());
        } else {
            answers.push(hold, Vec::new(), encode);
        }
    }

    /// Writes as much as the socket takes; the connection's task writes the rest when it takes more.
    pub(crate) fn flush(&self) -> io::Result<()> {
        let mut stream = self.stream.borrow_mut();
        stream.flush()?;
        if stream.wants_write() {
            self.wake.ring();
        }
        Ok(())
    }
}

/// What a CONNECT said, owned.
#[derive(Clone)]
pub(crate) struct ConnectedAs {
    pub(crate) version: Version,
    pub(crate) client_id: String,
    pub(crate) assigned: bool,
    pub(crate) clean_start: bool,
    pub(crate) keep_alive: u16,
    pub(crate) session_expiry: u32,
    pub(crate) receive_maximum: u16,
    pub(crate) max_packet: Option<u32>,
    pub(crate) alias_maximum: u16,
    pub(crate) explain: bool,
    pub(crate) will: Option<Will>,
}

// === impl ConnectedAs ===

impl ConnectedAs {
    pub(crate) fn new(connect: &crate::codec::Connect<'_>) -> Self {
        let ConnectProperties { session_expiry, receive_maximum, maximum_packet_size, topic_alias_maximum, .. } =
            connect.properties;
        let will = connect.will.as_ref().map(|will| {
            let mut properties = Vec::with_capacity(will.properties.forwarded_len());
            will.properties.write_forwarded(&mut properties);
            Will {
                qos: will.qos,
                retain: will.retain,
                topic: will.topic.to_owned(),
                payload: will.payload.to_vec(),
                properties,
                message_expiry: will.properties.message_expiry,
                delay: will.delay,
            }
        });
        Self {
            version: connect.version,
            client_id: connect.client_id.to_owned(),
            assigned: false,
            clean_start: connect.clean_start,
            keep_alive: connect.keep_alive,
            session_expiry,
            receive_maximum: receive_maximum.get(),
            max_packet: maximum_packet_size.map(std::num::NonZero::get),
            alias_maximum: topic_alias_maximum,
            explain: connect.properties.request_problem_information,
            will,
        }
    }
}
