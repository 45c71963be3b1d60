//! A blocking MQTT 3.1.1 client of few words.

use super::packet::{self, GOODBYE, Packet};
use super::wire::Wire;
use anyhow::{Result, ensure};
use std::io::{self, Read as _, Write as _};
use std::time::Duration;

/// How long any answer may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Room for what one read may bring.
const BUFFER: usize = 64 * 1024;

/// A connected client.
pub(crate) struct Client {
    wire: Wire,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

/// What one read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Got {
    /// Bytes; the whole packets among them were handed over.
    Something,
    /// Nothing within the time set by [`Client::patience`].
    Silence,
    /// The broker has ended the connection.
    End,
}

// === impl Client ===

impl Client {
    /// Says CONNECT and waits for CONNACK.
    pub(crate) fn open(mut wire: Wire, client_id: &str, login: Option<(&str, &str)>) -> Result<Self> {
        wire.socket().set_read_timeout(Some(PATIENCE))?;
        wire.write_all(&packet::connect(client_id, login))?;
        let mut answer = [0; 4];
        wire.read_exact(&mut answer)?;
        ensure!(answer[3] == 0, "{client_id} was refused with {}", answer[3]);
        Ok(Self { wire, buffer: Vec::new(), start: 0, end: 0 })
    }

    /// Subscribes and waits for SUBACK. Nothing else may be on its way.
    pub(crate) fn subscribe(&mut self, filter: &str, qos: u8) -> Result<()> {
        self.send(&packet::subscribe(filter, qos))?;
        let mut answer = [0; 5];
        self.wire.read_exact(&mut answer)?;
        ensure!(answer[4] < 0x80, "{filter} was refused");
        Ok(())
    }

    /// How long a read may wait.
    pub(crate) fn patience(&self, limit: Duration) -> Result<()> {
        Ok(self.wire.socket().set_read_timeout(Some(limit))?)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.wire.write_all(bytes)?)
    }

    /// Reads once and hands every whole packet to `take`.
    pub(crate) fn read(&mut self, mut take: impl FnMut(Packet<'_>)) -> Result<Got> {
        if self.buffer.is_empty() {
            self.buffer = vec![0; BUFFER];
        }
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let got = match self.wire.read(&mut self.buffer[self.end..]) {
            Ok(got) => got,
            Err(error) if is_silence(&error) => return Ok(Got::Silence),
            Err(error) => return Err(error.into()),
        };
        self.end += got;
        while let Some((header, length)) = packet::length(&self.buffer[self.start..self.end]) {
            if self.end - self.start < header + length {
                break;
            }
            let whole = &self.buffer[self.start..self.start + header + length];
            take(packet::parse(whole[0], &whole[header..]));
            self.start += header + length;
        }
        Ok(if got > 0 { Got::Something } else { Got::End })
    }

    /// Says DISCONNECT and leaves.
    pub(crate) fn leave(mut self) -> Result<()> {
        self.send(&GOODBYE)
    }
}

fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
