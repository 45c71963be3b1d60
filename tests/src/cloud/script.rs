//! How the stand-in is told to misbehave.

use std::collections::BTreeMap;

/// A moment in a connection at which it can be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// TLS is up; CONNECT is not read.
    Handshake,
    /// CONNECT is read; CONNACK is not sent.
    Connect,
    /// CONNACK is sent.
    Connack,
    /// SUBSCRIBE is read; SUBACK is not sent.
    Subscribe,
    /// A PUBLISH is read, and lost.
    Publish,
    /// A PUBLISH is recorded; PUBACK is not sent.
    Recorded,
    /// PUBACK is sent.
    Acknowledged,
}

/// What the stand-in does otherwise than a willing server; the default is a willing server.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// Answer CONNECT with this code (MQTT 5 reason or MQTT 3.1.1 return code).
    pub refuse_connect: Option<u8>,
    /// Answer PUBLISH to this topic with this PUBACK reason (MQTT 5), or close (MQTT 3.1.1).
    pub refuse_publish: BTreeMap<String, u8>,
    /// Answer SUBSCRIBE to this filter with this SUBACK reason.
    pub refuse_subscribe: BTreeMap<String, u8>,
    /// On a PUBLISH to this topic, close the connection; with a reason, say DISCONNECT first.
    pub close_on_publish: BTreeMap<String, Option<u8>>,
    /// Record publishes but do not acknowledge them.
    pub withhold_puback: bool,
    /// Answer an MQTT 5 CONNECT as a server does that knows MQTT 3.1.1 only: return code 1 in a 3.1.1 CONNACK.
    pub only_v311: bool,
    /// The Receive Maximum of CONNACK (MQTT 5).
    pub receive_maximum: Option<u16>,
    /// The Maximum Packet Size of CONNACK (MQTT 5).
    pub maximum_packet: Option<u32>,
    pub(super) cuts: Vec<(Point, usize)>,
}

// === impl Script ===

impl Script {
    /// Counts one passing of `point`; whether the connection is to be cut here.
    pub(super) fn passes(&mut self, point: Point) -> bool {
        for (_, left) in self.cuts.iter_mut().filter(|(at, _)| *at == point) {
            *left -= 1;
        }
        let before = self.cuts.len();
        self.cuts.retain(|(_, left)| *left > 0);
        self.cuts.len() < before
    }
}
