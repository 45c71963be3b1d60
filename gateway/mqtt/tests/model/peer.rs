//! One client's connection: it writes packets, acknowledges what it should, and collects the messages that arrive.

use crate::history::{Greeting, Letter, Terms};
use crate::model::Arrival;
use crate::support::{Client, Packet, packet};
use std::net::{SocketAddr, TcpStream};

/// A connected client.
pub(crate) struct Peer {
    client: Client,
    pub(crate) v5: bool,
    acknowledges: bool,
    /// What arrived and was not taken yet.
    arrived: Vec<Arrival>,
    /// Packets written in answer to others.
    answered: usize,
}

// === impl Peer ===

impl Peer {
    /// Connects. `will` is the will's payload. Returns whether the session was present.
    pub(crate) fn connect(address: SocketAddr, id: &str, greeting: &Greeting, will: Option<&str>) -> (Self, bool) {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        let client = Client::over(socket);
        let mut peer =
            Self { client, v5: greeting.v5, acknowledges: greeting.acknowledges, arrived: Vec::new(), answered: 0 };
        peer.client.v5 = greeting.v5;
        peer.client.send(&connect(id, greeting, will));
        let connack = peer.client.next();
        assert_eq!((connack.first, connack.body[1]), (0x20, 0), "{connack:?}");
        (peer, connack.body[0] == 1)
    }

    /// Subscribes and checks that every wish is granted.
    pub(crate) fn subscribe(&mut self, wishes: &[(String, Terms)], id: Option<u32>) {
        let mut body = vec![0, 1];
        let properties = id.map_or_else(Vec::new, |id| vec![0x0B, u8::try_from(id).unwrap()]);
        body.extend(self.block(&properties));
        for (filter, terms) in wishes {
            body.extend(text(filter));
            let flags = u8::from(terms.no_local) << 2 | u8::from(terms.retain_as_published) << 3;
            body.push(terms.qos | flags | terms.retain_handling << 4);
        }
        self.client.send(&packet(0x82, &[&body]));
        let suback = self.wait(9);
        let granted: Vec<u8> = wishes.iter().map(|(_, terms)| terms.qos).collect();
        assert!(suback.body.ends_with(&granted), "{suback:?} is not {granted:?}");
    }

    /// Unsubscribes. Returns whether there was a subscription, which MQTT 3.1.1 does not tell.
    pub(crate) fn unsubscribe(&mut self, filter: &str) -> Option<bool> {
        let body = [vec![0, 1], self.block(&[]), text(filter)].concat();
        self.client.send(&packet(0xA2, &[&body]));
        let unsuback = self.wait(11);
        self.v5.then(|| unsuback.body.last() == Some(&0))
    }

    /// Publishes and completes the flow; a QoS 2 message is sent `twice` before it is released.
    pub(crate) fn publish(&mut self, letter: &Letter, payload: &str, twice: bool) {
        let first = 0x30 | letter.qos << 1 | u8::from(letter.retain);
        let expiry = if letter.expires { vec![0x02, 0, 0, 14, 16] } else { Vec::new() };
        let id: &[u8] = if letter.qos > 0 { &[0, 7] } else { &[] };
        let body = [text(letter.topic), id.to_vec(), self.block(&expiry), payload.into()].concat();
        self.client.send(&packet(first, &[&body]));
        match letter.qos {
            0 => {}
            1 => drop(self.wait(4)),
            _ => {
                self.wait(5);
                if twice {
                    self.client.send(&packet(first | 8, &[&body]));
                    self.wait(5);
                }
                self.client.send(&[0x62, 2, 0, 7]);
                self.wait(7);
            }
        }
    }

    /// Publishes a marker at QoS 0.
    pub(crate) fn mark(&mut self, topic: &str, payload: &str) {
        let body = [text(topic), self.block(&[]), payload.into()].concat();
        self.client.send(&packet(0x30, &[&body]));
    }

    /// Says goodbye with this reason and waits until the broker has closed.
    pub(crate) fn goodbye(mut self, reason: u8) {
        let goodbye = if self.v5 && reason != 0 { vec![0xE0, 1, reason] } else { vec![0xE0, 0] };
        self.client.send(&goodbye);
        while self.client.try_next().is_some() {}
    }

    /// Reads until a message on `topic` with this payload has arrived.
    pub(crate) fn read_to(&mut self, topic: &str, payload: &str) {
        let is_it = |arrival: &Arrival| arrival.topic == topic && arrival.payload == payload;
        while !self.arrived.iter().any(is_it) {
            let packet = self.client.next();
            self.take(&packet);
        }
    }

    /// Waits until the broker has nothing more to say, and knows all acknowledgements.
    pub(crate) fn rest(&mut self) {
        loop {
            let answered = self.answered;
            self.client.send(&[0xC0, 0]);
            self.wait(13);
            if self.answered == answered {
                return;
            }
        }
    }

    /// The messages that have arrived since the last call.
    pub(crate) fn take_arrived(&mut self) -> Vec<Arrival> {
        std::mem::take(&mut self.arrived)
    }

    fn wait(&mut self, kind: u8) -> Packet {
        loop {
            let packet = self.client.next();
            if packet.kind() == kind {
                return packet;
            }
            self.take(&packet);
        }
    }

    fn take(&mut self, packet: &Packet) {
        match packet.kind() {
            3 => {
                let (arrival, id) = read(packet, self.v5);
                let acknowledgement = if arrival.qos == 1 { 0x40 } else { 0x50 };
                if let Some(id) = id.filter(|_| self.acknowledges) {
                    self.answer(acknowledgement, id);
                }
                self.arrived.push(arrival);
            }
            6 => self.answer(0x70, [packet.body[0], packet.body[1]]),
            _ => panic!("out of place: {packet:?}"),
        }
    }

    fn answer(&mut self, first: u8, id: [u8; 2]) {
        self.client.send(&[first, 2, id[0], id[1]]);
        self.answered += 1;
    }

    fn block(&self, properties: &[u8]) -> Vec<u8> {
        block(self.v5, properties)
    }
}

fn connect(id: &str, greeting: &Greeting, will: Option<&str>) -> Vec<u8> {
    let will = greeting.will.as_ref().zip(will);
    let mut flags = u8::from(greeting.clean) << 1;
    let mut tail = text(id);
    if let Some((letter, payload)) = will {
        flags |= 4 | letter.qos << 3 | u8::from(letter.retain) << 5;
        let delay: &[u8] = if greeting.delayed { &[0x18, 0, 0, 14, 16] } else { &[] };
        let expiry: &[u8] = if letter.expires { &[0x02, 0, 0, 14, 16] } else { &[] };
        tail.extend([block(greeting.v5, &[delay, expiry].concat()), text(letter.topic), text(payload)].concat());
    }
    let lasting: &[u8] = if greeting.lasting { &[0x11, 0, 0, 14, 16] } else { &[] };
    let window = greeting.receive_maximum.filter(|_| greeting.acknowledges);
    let window = window.map_or_else(Vec::new, |max| [&[0x21], &max.to_be_bytes()[..]].concat());
    let head = [text("MQTT"), vec![if greeting.v5 { 5 } else { 4 }, flags, 0, 0]].concat();
    packet(0x10, &[&head, &block(greeting.v5, &[lasting, &window].concat()), &tail])
}

/// Reads a PUBLISH, whole and strictly.
fn read(packet: &Packet, v5: bool) -> (Arrival, Option<[u8; 2]>) {
    let (topic, rest) = field(&packet.body);
    let qos = packet.first >> 1 & 3;
    let (id, rest) = if qos > 0 { (Some([rest[0], rest[1]]), &rest[2..]) } else { (None, rest) };
    let (mut ids, mut expires, mut payload) = (Vec::new(), false, rest);
    if v5 {
        let (mut properties, body) = rest[1..].split_at(usize::from(rest[0]));
        payload = body;
        while let Some((&property, value)) = properties.split_first() {
            let length = match property {
                0x02 => {
                    let left = u32::from_be_bytes(value[..4].try_into().unwrap());
                    assert!((3500..=3600).contains(&left), "{left} s of an hour are left");
                    expires = true;
                    4
                }
                0x0B => {
                    ids.push(u32::from(value[0]));
                    1
                }
                _ => panic!("a property that nobody sent: {packet:?}"),
            };
            properties = &value[length..];
        }
    }
    ids.sort_unstable();
    let payload = String::from_utf8(payload.to_vec()).unwrap();
    let topic = String::from_utf8(topic.to_vec()).unwrap();
    let (retain, again) = (packet.first & 1 != 0, packet.first & 8 != 0);
    (Arrival { topic, payload, qos, retain, again, ids, expires }, id)
}

fn field(bytes: &[u8]) -> (&[u8], &[u8]) {
    bytes[2..].split_at(usize::from(u16::from_be_bytes([bytes[0], bytes[1]])))
}

fn text(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

fn block(v5: bool, properties: &[u8]) -> Vec<u8> {
    if v5 { [&[u8::try_from(properties.len()).unwrap()], properties].concat() } else { Vec::new() }
}
