//! Frames from a client, taken apart where they lie (RFC 6455, 5.2).
//!
//! Held between two reads are a header that is not complete and the payload of a control frame, at most 125 bytes. Of
//! several pings only the latest is answered (RFC 6455, 5.5.3), so that a flood of them makes no queue.

use super::breach::Fault;
use crate::codec::{ReasonCode, Violation};
use std::io::Cursor;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

/// The longest header: flags, a length of 64 bits, and the mask.
const LONGEST_HEADER: usize = 14;
/// The longest payload of a control frame (RFC 6455, 5.5).
pub(super) const LONGEST_CONTROL: u64 = 125;

const UNREADABLE: Fault = protocol("RFC6455 5.2", "the frame has an unknown kind or an illegal header");
const UNMASKED: Fault = protocol("RFC6455 5.1", "the frame is not masked");
const RESERVED: Fault = protocol("RFC6455 5.2", "the frame uses an extension that was not agreed");
const LENGTH: Fault = protocol("RFC6455 5.2", "the length of the frame is not encoded as it must be");
const CONTROL: Fault = protocol("RFC6455 5.5", "a control frame is fragmented or longer than 125 bytes");
const FRAGMENT: Fault = protocol("RFC6455 5.4", "the fragments of a message do not follow each other");
const CLOSE: Fault = protocol("RFC6455 7.4", "the Close frame holds no legal status code or reason");
const TEXT: Fault = fault(1003, "MQTT-6.0.0-1", "the frame is text; MQTT goes in binary frames");

/// What has come of the frames that are under way.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    header: [u8; LONGEST_HEADER],
    /// Bytes of `header` that have come.
    have: usize,
    frame: Option<Frame>,
    /// A message has begun whose last fragment has not come.
    in_message: bool,
    /// The payload of the control frame that is under way.
    control: Vec<u8>,
    ping: Option<Vec<u8>>,
    /// The status code of the peer's Close frame.
    closed: Option<u16>,
}

/// A frame whose payload has not come whole.
#[derive(Debug, Clone, Copy)]
struct Frame {
    kind: Kind,
    left: u64,
    /// Turned so that the first byte is for the next byte of the payload.
    mask: [u8; 4],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Data,
    Ping,
    Pong,
    Close,
}

// === impl Incoming ===

impl Incoming {
    /// Moves the payload of the binary frames in `bytes` to the front. Returns its length, also when a rule is broken
    /// after it. What follows a Close frame is dropped.
    pub(super) fn take(&mut self, bytes: &mut [u8]) -> (usize, Result<(), Fault>) {
        let (mut at, mut length) = (0, 0);
        while at < bytes.len() && self.closed.is_none() {
            let Some(frame) = &mut self.frame else {
                match self.read_header(&bytes[at..]) {
                    Ok(read) => at += read,
                    Err(fault) => return (length, Err(fault)),
                }
                continue;
            };
            let run = usize::try_from(frame.left).unwrap_or(usize::MAX).min(bytes.len() - at);
            let part = at..at + run;
            unmask(&mut bytes[part.clone()], frame.mask);
            frame.mask.rotate_left(run % 4);
            frame.left -= run as u64;
            let (kind, over) = (frame.kind, frame.left == 0);
            if kind == Kind::Data {
                bytes.copy_within(part, length);
                length += run;
            } else {
                self.control.extend_from_slice(&bytes[part]);
            }
            at += run;
            if over && let Err(fault) = self.end_frame(kind) {
                return (length, Err(fault));
            }
        }
        (length, Ok(()))
    }

    /// The payload of the latest ping that was not answered.
    pub(super) fn take_ping(&mut self) -> Option<Vec<u8>> {
        self.ping.take()
    }

    /// What to answer the peer's Close frame with, if it has come.
    pub(super) fn close_code(&self) -> Option<u16> {
        self.closed
    }

    /// Reads on in a header. Returns how many bytes belong to it.
    fn read_header(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        let had = self.have;
        let more = bytes.len().min(LONGEST_HEADER - had);
        self.header[had..had + more].copy_from_slice(&bytes[..more]);
        let mut cursor = Cursor::new(&self.header[..had + more]);
        let Some((header, left)) = FrameHeader::parse(&mut cursor).map_err(|_| UNREADABLE)? else {
            self.have = had + more;
            return Ok(more);
        };
        let length = usize::try_from(cursor.position()).unwrap_or(LONGEST_HEADER);
        self.have = 0;
        let mask = header.mask.ok_or(UNMASKED)?;
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(RESERVED);
        }
        if header.len(left) != length || left > i64::MAX as u64 {
            return Err(LENGTH);
        }
        let kind = self.kind(&header, left)?;
        self.frame = Some(Frame { kind, left, mask });
        if left == 0 {
            self.end_frame(kind)?;
        }
        Ok(length.saturating_sub(had))
    }

    fn kind(&mut self, header: &FrameHeader, length: u64) -> Result<Kind, Fault> {
        let kind = match header.opcode {
            OpCode::Data(data) => {
                match data {
                    Data::Text => return Err(TEXT),
                    Data::Binary if self.in_message => return Err(FRAGMENT),
                    Data::Continue if !self.in_message => return Err(FRAGMENT),
                    Data::Binary | Data::Continue => self.in_message = !header.is_final,
                    Data::Reserved(_) => return Err(UNREADABLE),
                }
                return Ok(Kind::Data);
            }
            OpCode::Control(Control::Ping) => Kind::Ping,
            OpCode::Control(Control::Pong) => Kind::Pong,
            OpCode::Control(Control::Close) => Kind::Close,
            OpCode::Control(Control::Reserved(_)) => return Err(UNREADABLE),
        };
        if header.is_final && length <= LONGEST_CONTROL { Ok(kind) } else { Err(CONTROL) }
    }

    fn end_frame(&mut self, kind: Kind) -> Result<(), Fault> {
        self.frame = None;
        let payload = std::mem::take(&mut self.control);
        match kind {
            Kind::Data | Kind::Pong => {}
            Kind::Ping => self.ping = Some(payload),
            Kind::Close => self.closed = Some(closing(&payload)?),
        }
        Ok(())
    }
}

/// The status code in a Close frame's payload; 1000 if there is none (RFC 6455, 5.5.1).
fn closing(payload: &[u8]) -> Result<u16, Fault> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() { Ok(1000) } else { Err(CLOSE) };
    };
    let code = u16::from_be_bytes(*code);
    if CloseCode::from(code).is_allowed() && std::str::from_utf8(reason).is_ok() { Ok(code) } else { Err(CLOSE) }
}

fn unmask(bytes: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

const fn protocol(rule: &'static str, detail: &'static str) -> Fault {
    fault(1002, rule, detail)
}

const fn fault(close: u16, rule: &'static str, detail: &'static str) -> Fault {
    Fault { violation: Violation { reason: ReasonCode::ProtocolError, rule, detail }, close }
}

#[cfg(test)]
mod tests;
