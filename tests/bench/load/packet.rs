//! MQTT 3.1.1 packets, as far as a load generator needs them.

/// A packet from the broker.
pub(crate) enum Packet<'a> {
    Publish { qos: u8, id: u16, payload: &'a [u8] },
    Ack { kind: u8, id: u16 },
    Other,
}

/// DISCONNECT: a goodbye, so that the broker has no will and no broken connection to care for.
pub(crate) const GOODBYE: [u8; 2] = [0xE0, 0];
/// PINGREQ; its answer says that everything before it was read.
pub(crate) const PING: [u8; 2] = [0xC0, 0];

pub(crate) fn connect(client_id: &str, login: Option<(&str, &str)>) -> Vec<u8> {
    let mut body = b"\x00\x04MQTT\x04".to_vec();
    body.push(if login.is_some() { 0xC2 } else { 0x02 });
    body.extend_from_slice(&[0, 60]);
    text(&mut body, client_id);
    if let Some((user, password)) = login {
        text(&mut body, user);
        text(&mut body, password);
    }
    packet(0x10, &body)
}

pub(crate) fn subscribe(filter: &str, qos: u8) -> Vec<u8> {
    let mut body = vec![0, 1];
    text(&mut body, filter);
    body.push(qos);
    packet(0x82, &body)
}

pub(crate) fn publish(out: &mut Vec<u8>, topic: &str, payload: &[u8], qos: u8, id: u16) {
    let mut body = Vec::with_capacity(topic.len() + payload.len() + 4);
    text(&mut body, topic);
    if qos > 0 {
        body.extend_from_slice(&id.to_be_bytes());
    }
    body.extend_from_slice(payload);
    out.extend_from_slice(&packet(0x30 | qos << 1, &body));
}

pub(crate) fn ack(out: &mut Vec<u8>, kind: u8, id: u16) {
    out.extend_from_slice(&[kind, 2]);
    out.extend_from_slice(&id.to_be_bytes());
}

/// Reads a whole packet: its first byte, and what follows the fixed header.
pub(crate) fn parse(first: u8, body: &[u8]) -> Packet<'_> {
    let number = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
    match first >> 4 {
        3 => {
            let (qos, topic) = (first >> 1 & 3, usize::from(number(0)) + 2);
            let (id, payload) = if qos > 0 { (number(topic), topic + 2) } else { (0, topic) };
            Packet::Publish { qos, id, payload: &body[payload..] }
        }
        kind @ 4..=7 => Packet::Ack { kind, id: number(0) },
        _ => Packet::Other,
    }
}

/// The lengths of the fixed header and of what follows it, once the header is there.
pub(crate) fn length(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (at, byte) in bytes.iter().skip(1).take(4).enumerate() {
        value |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((at + 2, value));
        }
    }
    None
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let mut rest = body.len();
    loop {
        let low = u8::try_from(rest % 128).unwrap_or_default();
        rest /= 128;
        out.push(if rest > 0 { low | 0x80 } else { low });
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(body);
    out
}

fn text(out: &mut Vec<u8>, value: &str) {
    out.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(value.as_bytes());
}
