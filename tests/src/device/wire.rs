//! The bytes of a client: what it sends, and what it understands.

use super::Options;
use anyhow::{Result, bail};
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// A will.
#[derive(Debug, Clone)]
pub struct Will {
    /// The topic.
    pub topic: String,
    /// The message.
    pub payload: Vec<u8>,
    /// The QoS.
    pub qos: u8,
    /// The retain flag.
    pub retain: bool,
}

/// The answer to CONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connack {
    /// Whether the gateway kept a session.
    pub present: bool,
    /// The return code or reason code.
    pub code: u8,
    /// The reason string.
    pub reason: Option<String>,
    /// The client id the gateway chose.
    pub assigned: Option<String>,
}

/// A message from the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The topic.
    pub topic: String,
    /// The body.
    pub payload: Bytes,
    /// The QoS.
    pub qos: u8,
    /// The retain flag.
    pub retain: bool,
    /// The DUP flag.
    pub dup: bool,
    /// The packet identifier.
    pub id: u16,
}

/// An acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// The packet identifier.
    pub id: u16,
    /// The reason code; 0 in MQTT 3.
    pub reason: u8,
}

/// A packet from the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as in the standard")]
pub enum Packet {
    Connack(Connack),
    Publish(Message),
    Puback(Ack),
    Pubrec(Ack),
    Pubrel(u16),
    Pubcomp(Ack),
    Suback { id: u16, codes: Vec<u8> },
    Unsuback(u16),
    Pingresp,
    Disconnect(u8),
}

pub(super) fn connect(options: &Options) -> Bytes {
    let mut body = BytesMut::new();
    let name = if options.level == 3 { "MQIsdp" } else { "MQTT" };
    text(&mut body, name);
    body.put_u8(options.level);
    let mut flags = u8::from(options.clean) << 1;
    if let Some(will) = &options.will {
        flags |= 0x04 | will.qos << 3 | u8::from(will.retain) << 5;
    }
    if options.login.is_some() {
        flags |= 0xC0;
    }
    body.put_u8(flags);
    body.put_u16(options.keep_alive);
    if options.level == 5 {
        body.put_u8(5);
        body.put_u8(0x11);
        body.put_u32(options.session_expiry);
    }
    text(&mut body, &options.client_id);
    if let Some(will) = &options.will {
        if options.level == 5 {
            body.put_u8(0);
        }
        text(&mut body, &will.topic);
        binary(&mut body, &will.payload);
    }
    if let Some((user, password)) = &options.login {
        text(&mut body, user);
        text(&mut body, password);
    }
    packet(0x10, &body)
}

pub(super) fn publish(level: u8, topic: &str, payload: &[u8], qos: u8, retain: bool, id: u16) -> Bytes {
    let mut body = BytesMut::new();
    text(&mut body, topic);
    if qos > 0 {
        body.put_u16(id);
    }
    if level == 5 {
        body.put_u8(0);
    }
    body.extend_from_slice(payload);
    packet(0x30 | qos << 1 | u8::from(retain), &body)
}

pub(super) fn subscribe(level: u8, id: u16, filter: &str, qos: u8) -> Bytes {
    let mut body = BytesMut::new();
    body.put_u16(id);
    if level == 5 {
        body.put_u8(0);
    }
    text(&mut body, filter);
    body.put_u8(qos);
    packet(0x82, &body)
}

pub(super) fn ack(first: u8, id: u16) -> Bytes {
    packet(first, &id.to_be_bytes())
}

/// Takes one packet off the front of the buffer.
pub(super) fn take(buffer: &mut BytesMut, level: u8) -> Result<Option<Packet>> {
    let Some((length, header)) = length(buffer) else { return Ok(None) };
    if buffer.len() < header + length {
        return Ok(None);
    }
    let first = buffer[0];
    buffer.advance(header);
    let mut body = buffer.split_to(length).freeze();
    Ok(Some(match first >> 4 {
        2 => {
            let (present, code) = (body.get_u8() & 1 == 1, body.get_u8());
            let mut answer = Connack { present, code, reason: None, assigned: None };
            if level == 5 && body.has_remaining() {
                let size = varint(&mut body);
                properties(body.split_to(size), &mut answer);
            }
            Packet::Connack(answer)
        }
        3 => {
            let qos = first >> 1 & 3;
            let size = usize::from(body.get_u16());
            let topic = String::from_utf8(body.split_to(size).to_vec())?;
            let id = if qos > 0 { body.get_u16() } else { 0 };
            if level == 5 {
                let size = varint(&mut body);
                body.advance(size);
            }
            let (retain, dup) = (first & 1 == 1, first & 8 != 0);
            Packet::Publish(Message { topic, payload: body, qos, retain, dup, id })
        }
        4 => Packet::Puback(acknowledged(&mut body)),
        5 => Packet::Pubrec(acknowledged(&mut body)),
        6 => Packet::Pubrel(body.get_u16()),
        7 => Packet::Pubcomp(acknowledged(&mut body)),
        9 => {
            let id = body.get_u16();
            if level == 5 {
                let size = varint(&mut body);
                body.advance(size);
            }
            Packet::Suback { id, codes: body.to_vec() }
        }
        11 => Packet::Unsuback(body.get_u16()),
        13 => Packet::Pingresp,
        14 => Packet::Disconnect(if body.has_remaining() { body.get_u8() } else { 0 }),
        other => bail!("a packet of type {other} from the gateway"),
    }))
}

fn acknowledged(body: &mut Bytes) -> Ack {
    Ack { id: body.get_u16(), reason: if body.has_remaining() { body.get_u8() } else { 0 } }
}

fn properties(mut block: Bytes, answer: &mut Connack) {
    while block.has_remaining() {
        match block.get_u8() {
            0x11 | 0x27 => block.advance(4),
            0x21 | 0x22 | 0x13 => block.advance(2),
            0x24 | 0x25 | 0x28 | 0x29 | 0x2A => block.advance(1),
            id @ (0x12 | 0x1F | 0x1A | 0x1C | 0x15) => {
                let size = usize::from(block.get_u16());
                let value = String::from_utf8_lossy(&block.split_to(size)).into_owned();
                match id {
                    0x12 => answer.assigned = Some(value),
                    0x1F => answer.reason = Some(value),
                    _ => {}
                }
            }
            _ => return,
        }
    }
}

fn length(buffer: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (at, byte) in buffer.iter().skip(1).take(4).enumerate() {
        value |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, at + 2));
        }
    }
    None
}

fn varint(body: &mut Bytes) -> usize {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = body.get_u8();
        value |= usize::from(byte & 0x7F) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return value;
        }
    }
}

fn packet(first: u8, body: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(first);
    let mut rest = body.len();
    loop {
        let low = u8::try_from(rest % 128).unwrap_or_default();
        rest /= 128;
        out.put_u8(if rest > 0 { low | 0x80 } else { low });
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(body);
    out.freeze()
}

fn text(out: &mut BytesMut, value: &str) {
    binary(out, value.as_bytes());
}

fn binary(out: &mut BytesMut, value: &[u8]) {
    out.put_u16(u16::try_from(value.len()).unwrap_or(u16::MAX));
    out.extend_from_slice(&value[..value.len().min(usize::from(u16::MAX))]);
}
