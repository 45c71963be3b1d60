//! What fuzzing reaches that nobody else may.

use super::WebSocket;
use crate::config::WebSocketConfig;
use std::sync::Arc;

/// Feeds a new WebSocket piece by piece, until it is over. Returns the MQTT bytes that came through.
pub(crate) fn feed(pieces: &[&[u8]]) -> Vec<u8> {
    let config = WebSocketConfig { path: "/mqtt".to_owned(), origins: vec!["https://plant.example".to_owned()] };
    let mut websocket = WebSocket::new(Arc::new(config));
    let mut through = Vec::new();
    for piece in pieces {
        let mut bytes = piece.to_vec();
        if websocket.is_over() {
            break;
        }
        let Ok(length) = websocket.take(&mut bytes) else { break };
        through.extend_from_slice(&bytes[..length]);
    }
    through
}
