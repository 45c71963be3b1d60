//! Rows and what is demanded of each.

use crate::support::{Bench, Client, Hello, packet, until};
use cordon_core::event::Code;
use std::net::TcpStream;

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum V {
    V31,
    V311,
    V5,
}

pub(crate) use V::{V5, V31, V311};

/// What a connected client must not send.
pub(crate) struct Illegal {
    /// The rule as the event names it.
    rule: &'static str,
    bytes: Vec<u8>,
    /// The reason of the DISCONNECT (MQTT 5).
    reason: u8,
}

/// What a client must not send first.
pub(crate) struct BadConnect {
    pub(crate) rule: &'static str,
    pub(crate) bytes: Vec<u8>,
    /// The code of the CONNACK; none when the connection is closed without one.
    pub(crate) answer: Option<u8>,
}

/// What a connected client may send, and the packets it gets for it.
pub(crate) struct Legal {
    statement: &'static str,
    send: Vec<u8>,
    answers: Vec<Vec<u8>>,
}

/// A row of a packet with its first byte and body.
pub(crate) fn illegal(rule: &'static str, first: u8, body: &[u8], reason: u8) -> Illegal {
    Illegal { rule, bytes: packet(first, &[body]), reason }
}

/// A row of bytes as they are.
pub(crate) fn raw(rule: &'static str, bytes: &[u8], reason: u8) -> Illegal {
    Illegal { rule, bytes: bytes.to_vec(), reason }
}

pub(crate) fn legal(statement: &'static str, send: Vec<u8>, answers: &[Vec<u8>]) -> Legal {
    Legal { statement, send, answers: answers.to_vec() }
}

/// A client that has been let in.
pub(crate) fn client(bench: &Bench, version: V, id: &str) -> Client {
    if version != V31 {
        return bench.client_with(&Hello { id, v5: version == V5, ..Hello::default() });
    }
    let mut client = stranger(bench);
    client.v5 = false;
    let id = [&u16::try_from(id.len()).unwrap().to_be_bytes()[..], id.as_bytes()].concat();
    client.send(&packet(0x10, &[b"\x00\x06MQIsdp\x03\x02\x00\x00", &id]));
    let connack = client.next();
    assert_eq!((connack.first, connack.body), (0x20, vec![0, 0]));
    client
}

/// A connection on which nothing has been said.
pub(crate) fn stranger(bench: &Bench) -> Client {
    Client::over(TcpStream::connect(bench.address).unwrap())
}

/// Each packet, from a client of its own, is answered, counted, recorded, and ends the connection.
pub(crate) async fn refuse_all(version: V, rows: Vec<Illegal>) {
    let bench = Bench::start().await;
    for (number, row) in rows.into_iter().enumerate() {
        let name = format!("{version:?} row {number}: {} {:02x?}", row.rule, &row.bytes[..row.bytes.len().min(24)]);
        let mut client = client(&bench, version, &format!("client{number}"));
        client.send(&row.bytes);
        refused(&mut client, version, row.reason, &name);
        recorded(&bench, number as u64 + 1, row.rule, &name);
    }
}

/// The last words are a DISCONNECT with this reason, in MQTT 3 none, and the connection is closed.
pub(crate) fn refused(client: &mut Client, version: V, reason: u8, name: &str) {
    if version == V5 {
        let last = client.try_next().unwrap_or_else(|| panic!("{name}: closed without a word"));
        assert_eq!((last.first, last.body.first()), (0xE0, Some(&reason)), "{name}: {last:02x?}");
    }
    assert_eq!(client.try_next(), None, "{name}: it goes on");
}

/// So many violations are counted by now, and one was recorded with this rule.
pub(crate) fn recorded(bench: &Bench, count: u64, rule: &str, name: &str) {
    until(&format!("{name}: the violation is counted"), || bench.handle.meters().violations.get() == count);
    until(&format!("{name}: an event names {rule}"), || is_recorded(bench, rule));
}

fn is_recorded(bench: &Bench, rule: &str) -> bool {
    let codes = [Code::ProtocolViolation, Code::AuthnNoCredentials];
    codes.iter().any(|code| bench.log.rules(*code).iter().any(|told| told == rule))
}

/// Each CONNECT is refused, counted and recorded.
pub(crate) async fn turn_away_all(rows: Vec<BadConnect>) {
    let bench = Bench::start().await;
    for (number, row) in rows.into_iter().enumerate() {
        let name = format!("row {number}: {} {:02x?}", row.rule, &row.bytes[..row.bytes.len().min(24)]);
        let mut client = stranger(&bench);
        client.send(&row.bytes);
        if let Some(code) = row.answer {
            let connack = client.try_next().unwrap_or_else(|| panic!("{name}: closed without a word"));
            assert_eq!((connack.first, &connack.body[..2]), (0x20, &[0, code][..]), "{name}: {connack:02x?}");
        }
        assert_eq!(client.try_next(), None, "{name}: it goes on");
        until(&format!("{name}: an event names the rule"), || is_recorded(&bench, row.rule));
        let refused = number as u64 + 1;
        until(&format!("{name}: the refusal is counted"), || bench.handle.meters().connects_refused.get() == refused);
    }
    assert_eq!(bench.handle.meters().connections.get(), 0);
}

/// Each packet, from a client of its own, is answered as told, and the connection goes on.
pub(crate) async fn pass_all(version: V, rows: Vec<Legal>) {
    let bench = Bench::start().await;
    for (number, row) in rows.into_iter().enumerate() {
        let name = format!("{version:?} row {number}: {} {:02x?}", row.statement, &row.send[..row.send.len().min(24)]);
        let mut client = client(&bench, version, &format!("client{number}"));
        client.send(&row.send);
        client.send(&[0xC0, 0]);
        let mut answers = Vec::new();
        loop {
            let next = client.try_next().unwrap_or_else(|| panic!("{name}: closed"));
            if next.first == 0xD0 {
                break;
            }
            answers.push(packet(next.first, &[&next.body]));
        }
        assert_eq!(answers, row.answers, "{name}");
    }
    assert_eq!(bench.handle.meters().violations.get(), 0);
}
