//! The HTTP request that begins a WebSocket, and its answer (RFC 6455, 4.2).
//!
//! The request's head is bounded and is looked at once, when it is complete. A request that is refused gets an HTTP answer
//! that says why.

use super::breach::Breach;
use crate::codec::{ReasonCode, Violation};
use crate::config::WebSocketConfig;
use std::sync::Arc;
use tungstenite::handshake::machine::TryParse;
use tungstenite::handshake::server::{Request, create_response, write_response};
use tungstenite::http::HeaderValue;
use tungstenite::http::header::{ORIGIN, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE};

/// The longest head of a request, in bytes.
const LONGEST_HEAD: usize = 8 * 1024;
/// The part of a foreign origin that is recorded.
const SHOWN: usize = 128;
/// The sub-protocols of MQTT (MQTT-6.0.0-3); the second is what clients of MQTT 3.1 ask for.
const PROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];

const NOT_HTTP: Refusal =
    refusal("400 Bad Request", "RFC6455 4.2.1", "the connection does not begin with an HTTP request");
const TOO_LONG: Refusal =
    refusal("431 Request Header Fields Too Large", "RFC6455 10.4", "the head of the request is longer than 8 KiB");
const MALFORMED: Refusal = refusal("400 Bad Request", "RFC6455 4.2.1", "the HTTP request is malformed or not a GET");
const OTHER_PATH: Refusal = refusal("404 Not Found", "listener.path", "nothing is served at this path");
const NO_UPGRADE: Refusal =
    refusal("426 Upgrade Required", "RFC6455 4.2.1", "the request asks for no upgrade to WebSocket, version 13");
const NO_PROTOCOL: Refusal =
    refusal("400 Bad Request", "MQTT-6.0.0-3", "the request does not offer the sub-protocol `mqtt`");
const NO_KEY: Refusal = refusal("400 Bad Request", "RFC6455 4.2.1", "the request has no valid Sec-WebSocket-Key");
const FOREIGN: Refusal = refusal("403 Forbidden", "listener.origins", "pages of this origin are not admitted");

/// A request that is under way.
#[derive(Debug)]
pub(super) struct Upgrade {
    config: Arc<WebSocketConfig>,
    head: Vec<u8>,
}

/// What a complete request is answered with.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) response: Vec<u8>,
    /// Why it was refused, if it was.
    pub(super) refused: Option<Breach>,
    /// How many of the bytes taken last belong to what follows.
    pub(super) rest: usize,
}

#[derive(Debug, Clone, Copy)]
struct Refusal {
    status: &'static str,
    violation: Violation,
}

// === impl Upgrade ===

impl Upgrade {
    pub(super) fn new(config: Arc<WebSocketConfig>) -> Self {
        Self { config, head: Vec::new() }
    }

    /// Takes bytes; `None` until the request is complete.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Option<Answer> {
        let looked_at = self.head.len().saturating_sub(3);
        self.head.extend_from_slice(bytes);
        if !self.head.first()?.is_ascii_uppercase() {
            return Some(NOT_HTTP.answer());
        }
        let end = self.head[looked_at..].windows(4).position(|four| four == b"\r\n\r\n").map(|at| looked_at + at + 4);
        match end {
            None if self.head.len() <= LONGEST_HEAD => None,
            Some(end) if end <= LONGEST_HEAD => {
                let answer = match self.judge(&self.head[..end]) {
                    Ok(response) => Answer { response, refused: None, rest: self.head.len() - end },
                    Err(answer) => answer,
                };
                Some(answer)
            }
            _ => Some(TOO_LONG.answer()),
        }
    }

    fn judge(&self, head: &[u8]) -> Result<Vec<u8>, Answer> {
        let Ok(Some((_, request))) = Request::try_parse(head) else { return Err(MALFORMED.answer()) };
        if request.uri().path() != self.config.path {
            return Err(OTHER_PATH.answer());
        }
        let headers = request.headers();
        if !headers.contains_key(UPGRADE) || headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
            return Err(NO_UPGRADE.answer());
        }
        // A client that is no browser sends no origin, and could send any.
        if let Some(origin) = headers.get(ORIGIN)
            && !self.config.admits(origin.as_bytes())
        {
            let shown = String::from_utf8_lossy(origin.as_bytes()).chars().take(SHOWN).collect();
            return Err(Answer { refused: Some(Breach::Origin(shown)), ..FOREIGN.answer() });
        }
        let protocol = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().find_map(offered).ok_or(NO_PROTOCOL.answer())?;
        if headers.get(SEC_WEBSOCKET_KEY).is_none_or(|key| key.len() != 24) {
            return Err(NO_KEY.answer());
        }
        let mut response = create_response(&request).map_err(|_| NO_UPGRADE.answer())?;
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
        let mut written = Vec::with_capacity(256);
        write_response(&mut written, &response).map_err(|_| MALFORMED.answer())?;
        Ok(written)
    }
}

// === impl Refusal ===

impl Refusal {
    fn answer(&self) -> Answer {
        let (status, detail) = (self.status, self.violation.detail);
        let response = format!(
            "HTTP/1.1 {status}\r\nConnection: close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{detail}\n",
            detail.len() + 1,
        );
        Answer { response: response.into_bytes(), refused: Some(Breach::Violation(self.violation)), rest: 0 }
    }
}

const fn refusal(status: &'static str, rule: &'static str, detail: &'static str) -> Refusal {
    Refusal { status, violation: Violation { reason: ReasonCode::ProtocolError, rule, detail } }
}

/// The first sub-protocol of MQTT in a list of offered ones.
fn offered(list: &HeaderValue) -> Option<&'static str> {
    let names = list.to_str().ok()?.split(',').map(str::trim);
    names.into_iter().find_map(|name| PROTOCOLS.into_iter().find(|known| *known == name))
}

#[cfg(test)]
mod tests;
