//! A script: what a few connections send, packet by packet, well-formed or not.

use arbitrary::Arbitrary;

/// How many connections a script may have, and how many client ids they share.
pub const CONNECTIONS: usize = 4;

/// What happens on the connections, one after the other.
#[derive(Debug, Arbitrary)]
pub struct Script {
    pub steps: Vec<Step>,
}

/// One thing that happens on one connection.
#[derive(Debug, Arbitrary)]
pub struct Step {
    pub connection: u8,
    pub act: Act,
}

/// What a connection does.
#[derive(Debug, Arbitrary)]
pub enum Act {
    Packet(Packet),
    /// A packet of which only a part is sent for now.
    Part(Packet, u8),
    /// A first byte with a body of any bytes, and the right length.
    Framed(u8, Vec<u8>),
    Bytes(Vec<u8>),
    /// The connection ends and a new one takes its place.
    Renew,
    /// What has come so far is read.
    Read,
}

/// A packet with a sound structure; its values may still be illegal.
#[derive(Debug, Arbitrary)]
pub enum Packet {
    Connect { version: u8, flags: u8, id: u8, properties: Vec<Property>, will: Vec<Property>, topic: u8 },
    Publish { flags: u8, topic: u8, id: u8, properties: Vec<Property>, payload: Vec<u8> },
    Ack { kind: u8, id: u8, reason: Option<u8> },
    Subscribe { filters: Vec<(u8, u8)>, properties: Vec<Property> },
    Unsubscribe { filters: Vec<u8>, properties: Vec<Property> },
    Ping,
    Disconnect { reason: Option<u8>, properties: Vec<Property> },
    Auth { reason: u8, properties: Vec<Property> },
}

/// A property by its identifier; the shape follows from it.
#[derive(Debug, Arbitrary)]
pub struct Property {
    id: u8,
    number: u32,
    text: u8,
}

const TOPICS: &[&str] = &["a", "a/b", "a/b/c", "/", "b", "$SYS/x", "$aws/things/c0/shadow/update", "", "ü", "a/+"];
const FILTERS: &[&str] =
    &["#", "a/#", "+/b", "a", "a/b", "$share/g/#", "$share/g/a/+", "$SYS/#", "$share/", "a/#/b", "", "+", "$share/h/a"];

// === impl Act ===

impl Act {
    /// The bytes it sends on a connection whose CONNECT said MQTT 5 or not.
    pub fn write(&self, v5: bool) -> Vec<u8> {
        match self {
            Self::Packet(packet) => packet.write(v5),
            Self::Part(packet, keep) => {
                let mut bytes = packet.write(v5);
                bytes.truncate(usize::from(*keep));
                bytes
            }
            Self::Framed(first, body) => framed(*first, body),
            Self::Bytes(bytes) => bytes.clone(),
            Self::Renew | Self::Read => Vec::new(),
        }
    }
}

// === impl Packet ===

impl Packet {
    /// Whether it is a CONNECT of MQTT 5.
    pub fn speaks_v5(&self) -> Option<bool> {
        match self {
            Self::Connect { version, .. } => Some(level(*version) == 5),
            _ => None,
        }
    }

    fn write(&self, v5: bool) -> Vec<u8> {
        match self {
            Self::Connect { version, flags, id, properties, will, topic } => {
                let level = level(*version);
                let name: &[u8] = if level == 3 { b"MQIsdp" } else { b"MQTT" };
                // Bit 0 is reserved, the highest two announce a name and a password.
                let flags = flags & 0b0011_1110;
                let id = format!("c{}", usize::from(*id) % CONNECTIONS);
                let mut body =
                    [&text(name)[..], &[level, flags, 0, 0], &block(level == 5, properties), &text(id.as_bytes())]
                        .concat();
                if flags & 4 != 0 {
                    body.extend(block(level == 5, will));
                    body.extend(text(pick(TOPICS, *topic)));
                    body.extend(text(b"will"));
                }
                framed(0x10, &body)
            }
            Self::Publish { flags, topic, id, properties, payload } => {
                let numbered: &[u8] = if flags & 0b110 != 0 { &[0, *id] } else { &[] };
                let body = [&text(pick(TOPICS, *topic))[..], numbered, &block(v5, properties), payload].concat();
                framed(0x30 | flags & 0x0F, &body)
            }
            Self::Ack { kind, id, reason } => {
                let first = [0x40, 0x50, 0x62, 0x70][usize::from(*kind) % 4];
                framed(first, &[&[0, *id][..], reason.as_slice()].concat())
            }
            Self::Subscribe { filters, properties } => {
                let filters = filters
                    .iter()
                    .flat_map(|(filter, options)| [text(pick(FILTERS, *filter)), vec![*options]].concat());
                framed(0x82, &[vec![0, 1], block(v5, properties), filters.collect()].concat())
            }
            Self::Unsubscribe { filters, properties } => {
                let filters = filters.iter().flat_map(|filter| text(pick(FILTERS, *filter)));
                framed(0xA2, &[vec![0, 1], block(v5, properties), filters.collect()].concat())
            }
            Self::Ping => framed(0xC0, &[]),
            Self::Disconnect { reason: None, .. } => framed(0xE0, &[]),
            Self::Disconnect { reason: Some(reason), properties } => {
                framed(0xE0, &[vec![*reason], block(true, properties)].concat())
            }
            Self::Auth { reason, properties } => framed(0xF0, &[vec![*reason], block(true, properties)].concat()),
        }
    }
}

// === impl Property ===

impl Property {
    fn write(&self) -> Vec<u8> {
        let text = text(pick(TOPICS, self.text));
        let value = match self.id {
            0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28..=0x2A => vec![self.number.to_be_bytes()[3]],
            0x13 | 0x21..=0x23 => self.number.to_be_bytes()[2..].to_vec(),
            0x02 | 0x11 | 0x18 | 0x27 => self.number.to_be_bytes().to_vec(),
            0x0B => vec![self.number.to_be_bytes()[3] & 0x7F],
            0x26 => text.repeat(2),
            _ => text,
        };
        [vec![self.id], value].concat()
    }
}

fn level(version: u8) -> u8 {
    [3, 4, 5, 5][usize::from(version) % 4]
}

fn pick(from: &[&'static str], at: u8) -> &'static [u8] {
    from[usize::from(at) % from.len()].as_bytes()
}

fn text(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

fn block(v5: bool, properties: &[Property]) -> Vec<u8> {
    let all: Vec<u8> = properties.iter().take(8).flat_map(Property::write).collect();
    if v5 { [length(all.len()), all].concat() } else { Vec::new() }
}

fn framed(first: u8, body: &[u8]) -> Vec<u8> {
    [&[first][..], &length(body.len()), body].concat()
}

fn length(mut left: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let more = left > 0x7F;
        bytes.push((left & 0x7F) as u8 | u8::from(more) << 7);
        left >>= 7;
        if !more {
            return bytes;
        }
    }
}
