//! What a client writes, for tests: CONNECT, and the properties of a message.

use super::packet;

/// A CONNECT to be written. The defaults make the smallest legal one of MQTT 3.1.1.
#[derive(Debug, Clone)]
pub(super) struct ConnectBytes<'a> {
    pub(super) name: &'a str,
    pub(super) level: u8,
    pub(super) flags: u8,
    pub(super) keep_alive: u16,
    /// Written with its length when the level is 5.
    pub(super) properties: &'a [u8],
    /// Everything after: client identifier, will, user name, password.
    pub(super) payload: Vec<u8>,
}

// === impl ConnectBytes ===

impl Default for ConnectBytes<'_> {
    fn default() -> Self {
        Self { name: "MQTT", level: 4, flags: 0x02, keep_alive: 60, properties: b"", payload: field(b"c") }
    }
}

impl ConnectBytes<'_> {
    pub(super) fn write(&self) -> Vec<u8> {
        let mut body = field(self.name.as_bytes());
        body.push(self.level);
        body.push(self.flags);
        body.extend_from_slice(&self.keep_alive.to_be_bytes());
        if self.level == 5 {
            body.extend(block(self.properties));
        }
        body.extend_from_slice(&self.payload);
        packet(0x10, &body)
    }
}

/// Binary data or a string with its length.
pub(super) fn field(bytes: &[u8]) -> Vec<u8> {
    let mut field = (bytes.len() as u16).to_be_bytes().to_vec();
    field.extend_from_slice(bytes);
    field
}

/// Several fields one after the other.
pub(super) fn fields(parts: &[&[u8]]) -> Vec<u8> {
    parts.iter().flat_map(|part| field(part)).collect()
}

/// Properties with their length.
pub(super) fn block(properties: &[u8]) -> Vec<u8> {
    packet(0, properties).split_off(1)
}
