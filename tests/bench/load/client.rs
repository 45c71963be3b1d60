//! A blocking MQTT 3.1.1 client of few words.

use crate::Options;
use anyhow::{Context, Result, ensure};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long any answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The broker, and what clients need to get in.
pub(crate) struct Target {
    address: SocketAddr,
    login: Option<(String, String)>,
    /// The first levels of every topic.
    pub(crate) topic: String,
    /// The broker's process, to measure.
    pub(crate) pid: Option<u32>,
}

/// A connected client.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

/// A packet from the broker.
pub(crate) enum Packet<'a> {
    Publish { qos: u8, id: u16, payload: &'a [u8] },
    Ack { kind: u8, id: u16 },
    Other,
}

// === impl Target ===

impl Target {
    pub(crate) fn new(options: &Options) -> Result<Self> {
        let host = options.text("host").unwrap_or("127.0.0.1");
        let address = format!("{host}:{}", options.number("port", 1883)?);
        let address: SocketAddr = address.parse().with_context(|| address.clone())?;
        ensure!(address.ip().is_loopback(), "{address}: load is only sent to loopback addresses");
        let user = options.text("user").map(str::to_owned);
        Ok(Self {
            address,
            login: user.map(|user| (user, options.text("password").unwrap_or_default().to_owned())),
            topic: options.text("topic").unwrap_or("load").to_owned(),
            pid: options.text("pid").map(str::parse).transpose()?,
        })
    }

    pub(crate) fn connect(&self, client_id: &str) -> Result<Client> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut client = Client { stream, buffer: vec![0; 256 * 1024], start: 0, end: 0 };
        let mut body = b"\x00\x04MQTT\x04".to_vec();
        body.push(if self.login.is_some() { 0xC2 } else { 0x02 });
        body.extend_from_slice(&[0, 60]);
        text(&mut body, client_id);
        if let Some((user, password)) = &self.login {
            text(&mut body, user);
            text(&mut body, password);
        }
        client.stream.write_all(&packet(0x10, &body))?;
        let mut answer = [0; 4];
        client.stream.read_exact(&mut answer)?;
        ensure!(answer[3] == 0, "{client_id} was refused with {}", answer[3]);
        Ok(client)
    }
}

// === impl Client ===

impl Client {
    pub(crate) fn subscribe(&mut self, filter: &str, qos: u8) -> Result<()> {
        let mut body = vec![0, 1];
        text(&mut body, filter);
        body.push(qos);
        self.stream.write_all(&packet(0x82, &body))?;
        let mut answer = [0; 5];
        self.stream.read_exact(&mut answer)?;
        ensure!(answer[4] < 0x80, "{filter} was refused");
        Ok(())
    }

    /// Gives up the large read buffer, for clients that only stand by.
    pub(crate) fn stand_by(&mut self) {
        self.buffer = Vec::new();
    }

    /// Reads once and hands every whole packet to `take`. Returns `false` at the end of the stream.
    pub(crate) fn read(&mut self, mut take: impl FnMut(Packet<'_>)) -> Result<bool> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let got = self.stream.read(&mut self.buffer[self.end..])?;
        self.end += got;
        while let Some((header, length)) = length(&self.buffer[self.start..self.end]) {
            if self.end - self.start < header + length {
                break;
            }
            let whole = &self.buffer[self.start..self.start + header + length];
            take(parse(whole[0], &whole[header..]));
            self.start += header + length;
        }
        Ok(got > 0)
    }
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

fn parse(first: u8, body: &[u8]) -> Packet<'_> {
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

fn length(bytes: &[u8]) -> Option<(usize, usize)> {
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
