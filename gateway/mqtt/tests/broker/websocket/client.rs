//! A WebSocket client that can break every rule.

use crate::support::{Bench, Hello, PATIENCE, Packet, connect, listener, split, subscribe};
use cordon_mqtt::{ListenerConfig, Transport, WebSocketConfig};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8A;

/// WebSocket at `/mqtt`.
pub(crate) fn websocket(origins: &[&str]) -> Transport {
    let origins = origins.iter().map(ToString::to_string).collect();
    Transport::WebSocket(WebSocketConfig { path: "/mqtt".into(), origins })
}

/// Opens a WebSocket listener on the broker.
pub(crate) async fn open(bench: &mut Bench, origins: &[&str]) -> SocketAddr {
    let config = ListenerConfig { transport: websocket(origins), ..listener(None) };
    bench.broker.listen(vec![config]).await.unwrap()[0]
}

/// A request for MQTT, with more headers, each ended by CR LF.
pub(crate) fn request(path: &str, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: mqtt\r\n{more}\r\n"
    )
}

/// A masked frame.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first, payload.len() as u64);
    let mask = [frame[frame.len() - 4], frame[frame.len() - 3], frame[frame.len() - 2], frame[frame.len() - 1]];
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The header of a masked frame of this length.
pub(crate) fn header(first: u8, length: u64) -> Vec<u8> {
    let mut header = vec![first];
    match length {
        0..=125 => header.push(0x80 | length as u8),
        126..=0xFFFF => header.extend([&[0xFE], &(length as u16).to_be_bytes()[..]].concat()),
        _ => header.extend([&[0xFF], &length.to_be_bytes()[..]].concat()),
    }
    header.extend([0x5A, 0xC3, 0x0F, 0x96]);
    header
}

/// One connection.
pub(crate) struct Web<S> {
    pub(crate) stream: S,
    /// Bytes of frames, and of MQTT.
    buffer: Vec<u8>,
    mqtt: Vec<u8>,
    v5: bool,
}

impl Web<TcpStream> {
    /// A WebSocket without a session.
    pub(crate) fn dial(address: SocketAddr) -> Self {
        let mut web = Self::over(TcpStream::connect(address).unwrap());
        web.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        web.raw(request("/mqtt", "").as_bytes());
        let head = web.head();
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        web
    }

    pub(crate) fn connect(address: SocketAddr, hello: &Hello<'_>) -> Self {
        let mut web = Self::dial(address);
        web.greet(hello);
        web
    }
}

impl<S: Read + Write> Web<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self { stream, buffer: Vec::new(), mqtt: Vec::new(), v5: true }
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends bytes of MQTT in one frame.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.raw(&frame(BINARY, bytes));
    }

    pub(crate) fn greet(&mut self, hello: &Hello<'_>) {
        self.v5 = hello.v5;
        self.send(&connect(hello));
        let connack = self.packet();
        assert_eq!((connack.first, connack.body[1]), (0x20, 0), "{connack:?}");
    }

    pub(crate) fn subscribe(&mut self, filter: &str, qos: u8) {
        self.send(&subscribe(filter, qos, self.v5));
        assert_eq!(self.packet_of(9).body.last(), Some(&qos));
    }

    /// The head of the HTTP answer.
    pub(crate) fn head(&mut self) -> String {
        loop {
            if let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                return String::from_utf8(self.buffer.drain(..at + 4).collect()).unwrap();
            }
            assert!(self.more(), "the broker closed");
        }
    }

    /// The next frame, which the broker must not mask; `None` if the broker closed.
    pub(crate) fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            let at = match self.buffer.get(1) {
                Some(126) => 4,
                Some(127) => 10,
                _ => 2,
            };
            if self.buffer.len() >= at {
                let length = match at {
                    2 => usize::from(self.buffer[1]),
                    _ => self.buffer[2..at].iter().fold(0, |length, byte| length << 8 | usize::from(*byte)),
                };
                if self.buffer.len() >= at + length {
                    let frame = (self.buffer[0], self.buffer[at..at + length].to_vec());
                    self.buffer.drain(..at + length);
                    return Some(frame);
                }
            }
            if !self.more() {
                assert_eq!(self.buffer, b"", "half a frame");
                return None;
            }
        }
    }

    /// The next packet of MQTT.
    pub(crate) fn packet(&mut self) -> Packet {
        loop {
            if let Some((header, length)) = split(&self.mqtt)
                && self.mqtt.len() >= header + length
            {
                let packet = Packet { first: self.mqtt[0], body: self.mqtt[header..header + length].to_vec() };
                self.mqtt.drain(..header + length);
                return packet;
            }
            let (kind, payload) = self.frame().expect("the broker closed");
            assert_eq!(kind, BINARY, "{payload:02x?}");
            self.mqtt.extend(payload);
        }
    }

    /// The next packet of this kind; others are passed over.
    pub(crate) fn packet_of(&mut self, kind: u8) -> Packet {
        loop {
            let packet = self.packet();
            if packet.kind() == kind {
                return packet;
            }
        }
    }

    /// Everything until the broker closes.
    pub(crate) fn rest(&mut self) -> String {
        while self.more() {}
        String::from_utf8_lossy(&self.buffer).into_owned()
    }

    fn more(&mut self) -> bool {
        let mut chunk = vec![0; 64 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => false,
            Ok(n) => {
                self.buffer.extend_from_slice(&chunk[..n]);
                true
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("nothing came: {error}"),
        }
    }
}
