//! As much of MQTT 3.1.1 and 5 as the stand-in needs, from the server's side.

use anyhow::{Context as _, Result, bail, ensure};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// The largest packet the stand-in reads: AWS IoT Core's 146 KiB.
pub(super) const MAX_PACKET: usize = 146 * 1024;

/// A packet from the client.
#[derive(Debug)]
pub(super) enum Packet {
    Connect { client_id: String, level: u8, clean: bool, keep_alive: u16 },
    Publish { topic: String, payload: Bytes, qos: u8, pkid: u16 },
    PubAck,
    Subscribe { pkid: u16, filters: Vec<String> },
    Unsubscribe { pkid: u16, filters: Vec<String> },
    PingReq,
    Disconnect,
}

/// Takes one whole packet off the front of `buffer`, if there is one. `level` is 0 before CONNECT.
pub(super) fn take(buffer: &mut BytesMut, level: u8) -> Result<Option<Packet>> {
    let Some((header, length)) = remaining_length(buffer)? else { return Ok(None) };
    ensure!(length <= MAX_PACKET, "a packet of {length} bytes");
    if buffer.len() < header + length {
        return Ok(None);
    }
    let mut packet = buffer.split_to(header + length).freeze();
    let first = packet.get_u8();
    packet.advance(header - 1);
    parse(first, packet, level).map(Some)
}

/// A CONNACK; properties are written at level 5 only.
pub(super) fn connack(level: u8, present: bool, code: u8, receive_max: Option<u16>, max_packet: Option<u32>) -> Bytes {
    let mut body = BytesMut::new();
    body.put_u8(u8::from(present));
    body.put_u8(code);
    if level == 5 {
        let mut properties = BytesMut::new();
        if let Some(receive_max) = receive_max {
            properties.put_u8(0x21);
            properties.put_u16(receive_max);
        }
        if let Some(max_packet) = max_packet {
            properties.put_u8(0x27);
            properties.put_u32(max_packet);
        }
        put_length(&mut body, properties.len());
        body.put(properties);
    }
    frame(0x20, &body)
}

pub(super) fn puback(level: u8, pkid: u16, reason: u8) -> Bytes {
    let mut body = BytesMut::new();
    body.put_u16(pkid);
    if level == 5 && reason != 0 {
        body.put_u8(reason);
        body.put_u8(0);
    }
    frame(0x40, &body)
}

pub(super) fn suback(level: u8, pkid: u16, reasons: &[u8]) -> Bytes {
    acks(0x90, level, pkid, reasons)
}

pub(super) fn unsuback(level: u8, pkid: u16, count: usize) -> Bytes {
    acks(0xB0, level, pkid, if level == 5 { &[0; 8][..count.min(8)] } else { &[] })
}

pub(super) fn publish(level: u8, topic: &str, payload: &[u8], pkid: u16) -> Bytes {
    let mut body = BytesMut::new();
    put_string(&mut body, topic);
    body.put_u16(pkid);
    if level == 5 {
        body.put_u8(0);
    }
    body.put_slice(payload);
    frame(0x32, &body)
}

pub(super) fn pingresp() -> Bytes {
    frame(0xD0, &[])
}

pub(super) fn disconnect(reason: u8) -> Bytes {
    frame(0xE0, &[reason, 0])
}

fn acks(first: u8, level: u8, pkid: u16, reasons: &[u8]) -> Bytes {
    let mut body = BytesMut::new();
    body.put_u16(pkid);
    if level == 5 {
        body.put_u8(0);
    }
    body.put_slice(reasons);
    frame(first, &body)
}

fn parse(first: u8, mut body: Bytes, level: u8) -> Result<Packet> {
    match first >> 4 {
        1 => {
            ensure!(level == 0, "a second CONNECT");
            string(&mut body)?;
            let level = byte(&mut body)?;
            let flags = byte(&mut body)?;
            let keep_alive = short(&mut body)?;
            if level == 5 {
                skip_properties(&mut body)?;
            }
            Ok(Packet::Connect { client_id: string(&mut body)?, level, clean: flags & 2 != 0, keep_alive })
        }
        3 => {
            let qos = (first >> 1) & 3;
            ensure!(qos < 2, "QoS 2 is not spoken here");
            let topic = string(&mut body)?;
            let pkid = if qos > 0 { short(&mut body)? } else { 0 };
            if level == 5 {
                skip_properties(&mut body)?;
            }
            Ok(Packet::Publish { topic, payload: body, qos, pkid })
        }
        4 => Ok(Packet::PubAck),
        8 => {
            let pkid = short(&mut body)?;
            if level == 5 {
                skip_properties(&mut body)?;
            }
            let mut filters = Vec::new();
            while !body.is_empty() {
                filters.push(string(&mut body)?);
                byte(&mut body)?;
            }
            Ok(Packet::Subscribe { pkid, filters })
        }
        10 => {
            let pkid = short(&mut body)?;
            if level == 5 {
                skip_properties(&mut body)?;
            }
            let mut filters = Vec::new();
            while !body.is_empty() {
                filters.push(string(&mut body)?);
            }
            Ok(Packet::Unsubscribe { pkid, filters })
        }
        12 => Ok(Packet::PingReq),
        14 => Ok(Packet::Disconnect),
        other => bail!("a packet of type {other}"),
    }
}

/// The size of the fixed header and the remaining length, once all of the header is there.
fn remaining_length(buffer: &[u8]) -> Result<Option<(usize, usize)>> {
    let mut length = 0;
    for (at, byte) in buffer.iter().skip(1).enumerate() {
        ensure!(at < 4, "a remaining length of more than four bytes");
        length |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some((at + 2, length)));
        }
    }
    Ok(None)
}

fn skip_properties(body: &mut Bytes) -> Result<()> {
    let mut length = 0;
    for at in 0..4 {
        let next = byte(body)?;
        length |= usize::from(next & 0x7F) << (7 * at);
        if next & 0x80 == 0 {
            break;
        }
    }
    ensure!(body.len() >= length, "properties run past the packet");
    body.advance(length);
    Ok(())
}

fn byte(body: &mut Bytes) -> Result<u8> {
    body.try_get_u8().context("a packet that ends early")
}

fn short(body: &mut Bytes) -> Result<u16> {
    body.try_get_u16().context("a packet that ends early")
}

fn string(body: &mut Bytes) -> Result<String> {
    let length = usize::from(short(body)?);
    ensure!(body.len() >= length, "a string that runs past the packet");
    Ok(String::from_utf8(body.split_to(length).to_vec())?)
}

fn put_string(body: &mut BytesMut, text: &str) {
    body.put_u16(u16::try_from(text.len()).unwrap_or(u16::MAX));
    body.put_slice(text.as_bytes());
}

fn put_length(body: &mut BytesMut, mut length: usize) {
    loop {
        let low = u8::try_from(length % 128).unwrap_or_default();
        length /= 128;
        body.put_u8(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            return;
        }
    }
}

fn frame(first: u8, body: &[u8]) -> Bytes {
    let mut packet = BytesMut::with_capacity(body.len() + 5);
    packet.put_u8(first);
    put_length(&mut packet, body.len());
    packet.put_slice(body);
    packet.freeze()
}
