//! Refused shadow requests, in AWS's codes and words.

use crate::time::Now;
use serde_json::{Map, Value};

/// A shadow request that was not accepted. Nothing was changed.
///
/// Codes: 400 malformed, 404 no such shadow, 409 another version, 413 too large, 415 not UTF-8, 429 no room.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("shadow request refused with {code}: {message}")]
pub struct Rejected {
    /// The HTTP-like code that AWS IoT would answer.
    pub code: u16,
    /// What is wrong, for the device's developer.
    pub message: String,
    /// The request's token, so that the device can tell which request this is about.
    pub client_token: Option<String>,
}

// === impl Rejected ===

impl Rejected {
    pub(super) fn new(code: u16, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), client_token: None }
    }

    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    pub(super) fn with_token(mut self, token: Option<String>) -> Self {
        self.client_token = token;
        self
    }

    /// The document for the topic `.../rejected`.
    #[must_use]
    pub fn document(&self, now: Now) -> Value {
        let mut document = Map::new();
        document.insert("code".to_owned(), self.code.into());
        document.insert("message".to_owned(), self.message.clone().into());
        document.insert("timestamp".to_owned(), now.unix.secs().into());
        if let Some(token) = &self.client_token {
            document.insert("clientToken".to_owned(), token.clone().into());
        }
        Value::Object(document)
    }
}
