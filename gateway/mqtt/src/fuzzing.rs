//! What fuzzing reaches that nobody else may: the tree of subscriptions, the retained messages, sealed
//! messages, records, and WebSockets.

use crate::codec::{QoS, SubscribeOptions};
use crate::envelope::{Envelope, Letter};
use crate::keeper;
use crate::retained::Retained;
use crate::stream;
use crate::subscriptions::{Subscriber, Subscriptions, Terms};
use bytes::Bytes;
use cordon_core::judge;
use cordon_core::policy::Action;
use cordon_core::time::{Mono, Now, Unix};
use std::rc::Rc;

struct Member(u64);

impl Subscriber for Member {
    fn number(&self) -> u64 {
        self.0
    }
}

/// The places of the filters that select `topic`, found in a tree of them. Afterwards the tree is taken down again.
#[must_use]
pub fn subscribed(filters: &[&str], topic: &str) -> Vec<usize> {
    let mut tree = Subscriptions::new();
    let terms = Terms { options: SubscribeOptions::default(), id: None, since: 0, group: 0 };
    for (number, filter) in (0..).zip(filters) {
        tree.insert(filter, None, &Rc::new(Member(number)), terms);
    }
    let matched = tree.matching(topic).single;
    let mut found: Vec<usize> = matched.iter().filter_map(|(member, _)| usize::try_from(member.0).ok()).collect();
    found.sort_unstable();
    for (number, filter) in (0..).zip(filters) {
        tree.remove(filter, None, number);
    }
    assert!(tree.filters() == 0 && tree.matching(topic).single.is_empty(), "the tree keeps what was taken out of it");
    found
}

/// The topics of retained messages that `filter` selects among these.
#[must_use]
pub fn retained(topics: &[&str], filter: &str) -> Vec<String> {
    let mut store = Retained::new(topics.len(), usize::MAX, false);
    for topic in topics {
        let letter = Letter {
            qos: QoS::AtMostOnce,
            retain: true,
            publisher: 0,
            thing: "",
            epoch: 0,
            expires: None,
            topic,
            properties: &[],
            payload: b"x",
        };
        let message = Envelope::seal(&letter, 0, &[], judge::judge_gateway(Action::Publish, topic));
        assert!(store.set(&message, Mono(0)).is_ok(), "there is room for as many as there are");
    }
    store.select(filter, Mono(0)).iter().map(|message| message.topic().to_owned()).collect()
}

/// Opens an envelope and reads all of it.
pub fn open(bytes: &[u8]) {
    let Some(envelope) = Envelope::open(Bytes::copy_from_slice(bytes)) else { return };
    let parts =
        envelope.topic().len() + envelope.thing().len() + envelope.properties().len() + envelope.payload().len();
    assert!(parts < envelope.size(), "the parts lie inside");
    let _ = (envelope.qos(), envelope.retain(), envelope.publisher(), envelope.epoch(), envelope.expires());
    let _ = (envelope.number(), envelope.elected(1));
}

/// Loads the records of a store, as at start, and reads the messages among them.
pub fn load(records: Vec<(Vec<u8>, Vec<u8>)>) {
    let now = Now { mono: Mono(1_000), unix: Unix(1_700_000_000_000), trusted: true };
    let loaded = keeper::load(records, 1, now);
    loaded.retained.iter().for_each(|message| open(message.bytes()));
    let waiting = loaded.sessions.iter().flat_map(|session| session.messages.values());
    waiting.filter_map(|record| record.message.as_ref()).for_each(|record| open(record.message.bytes()));
}

/// The MQTT bytes that come through a WebSocket which gets these pieces, from the HTTP request on.
#[must_use]
pub fn through_websocket(pieces: &[&[u8]]) -> Vec<u8> {
    stream::feed(pieces)
}
