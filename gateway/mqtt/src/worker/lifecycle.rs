//! Lifecycle events: the gateway publishes on `$aws/events/presence/...` and `$aws/events/subscriptions/...` what clients
//! do, with the topics and fields of AWS IoT, at QoS 1 and not retained.
//!
//! Nothing is made while nobody could receive it. A client id with `+` or `#` is no topic level, so there are no events
//! for it. When many clients leave at once and the fabric has no room, events wait, in order and bounded; beyond the
//! bound they are dropped and counted.
//!
//! What tells an event only posts it: whoever calls hands it over.

use super::Worker;
use crate::envelope::Letter;
use crate::session::{Ending, Session};
use cordon_core::judge::judge_gateway;
use cordon_core::policy::{Action, Principal};
use cordon_core::time::Now;
use cordon_core::topic;
use serde::Serialize;
use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;

/// What may wait for room in the fabric, in bytes of topics and payloads.
const WAITING_BYTES: usize = 4 * 1024 * 1024;

/// Events that wait for room in the fabric.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    waiting: VecDeque<(String, Vec<u8>)>,
    bytes: usize,
}

/// The payload of an event, in the field names of AWS IoT.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Notice<'a> {
    client_id: &'a str,
    /// Only when the client proved to be that thing.
    #[serde(skip_serializing_if = "Option::is_none")]
    thing_name: Option<&'a str>,
    /// Milliseconds since 1970.
    timestamp: u64,
    event_type: &'static str,
    /// Names one connection.
    session_identifier: String,
    /// The certificate's id, which is its fingerprint, or the user name.
    principal_identifier: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_address: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_initiated_disconnect: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disconnect_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connect_failure_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    topics: BTreeSet<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_number: Option<u64>,
}

// === impl Notices ===

impl Notices {
    /// `false` if there is no room left.
    fn push(&mut self, topic: String, payload: Vec<u8>) -> bool {
        let bytes = topic.len() + payload.len();
        if self.bytes + bytes > WAITING_BYTES {
            return false;
        }
        self.bytes += bytes;
        self.waiting.push_back((topic, payload));
        true
    }

    fn pop(&mut self) -> Option<(String, Vec<u8>)> {
        let (topic, payload) = self.waiting.pop_front()?;
        self.bytes -= topic.len() + payload.len();
        Some((topic, payload))
    }
}

// === impl Worker ===

impl Worker {
    /// Numbers a connection that was let in, and tells of it.
    pub(super) fn tell_connected(&self, session: &Session, resumed: bool, now: Now) {
        let version = if resumed {
            session.version.get().saturating_add(1)
        } else {
            self.versions.borrow_mut().first(&session.client_id, now.mono)
        };
        session.version.set(version);
        if !self.shared.presence.is_watched() {
            return;
        }
        let notice = Notice {
            thing_name: thing_name(session),
            ip_address: Some(address(session)),
            version_number: Some(version),
            ..self.notice("connected", session, now)
        };
        self.tell("presence", &notice, now);
    }

    pub(super) fn tell_disconnected(&self, session: &Session, ending: &Ending, now: Now) {
        if !self.shared.presence.is_watched() {
            return;
        }
        let notice = Notice {
            thing_name: thing_name(session),
            client_initiated_disconnect: Some(matches!(ending, Ending::Client | Ending::ClientWithWill)),
            disconnect_reason: Some(ending.lifecycle()),
            version_number: Some(session.version.get()),
            ..self.notice("disconnected", session, now)
        };
        self.tell("presence", &notice, now);
    }

    /// Tells of a client that was recognised and may not connect.
    pub(super) fn tell_connect_failed(&self, candidate: &Session, now: Now) {
        if !self.shared.presence.is_watched() {
            return;
        }
        let notice = Notice {
            thing_name: thing_name(candidate),
            ip_address: Some(address(candidate)),
            connect_failure_reason: Some("AUTHORIZATION_FAILED"),
            ..self.notice("connect_failed", candidate, now)
        };
        self.tell("presence", &notice, now);
    }

    /// Tells which filters a client was granted.
    pub(super) fn tell_subscribed<'a>(&self, session: &Session, filters: impl Iterator<Item = &'a str>, now: Now) {
        self.tell_filters("subscribed", session, filters, now);
    }

    /// Tells which of its filters a client gave up.
    pub(super) fn tell_unsubscribed<'a>(&self, session: &Session, filters: impl Iterator<Item = &'a str>, now: Now) {
        self.tell_filters("unsubscribed", session, filters, now);
    }

    /// Lets the client's next session, if it begins soon, go on counting where this one ended.
    pub(super) fn remember_version(&self, session: &Session) {
        let now = self.shared.now().mono;
        let left = session.left.get().unwrap_or(now);
        self.versions.borrow_mut().remember(&session.client_id, session.version.get(), left, now);
    }

    /// Publishes what waits, as far as there is room.
    pub(super) fn tell_waiting(&self, now: Now) {
        while self.shared.flow.has_room(self.index) {
            let next = self.notices.borrow_mut().pop();
            let Some((topic, payload)) = next else { break };
            self.publish_notice(&topic, &payload, now);
        }
    }

    fn tell_filters<'a>(
        &self,
        event_type: &'static str,
        session: &Session,
        filters: impl Iterator<Item = &'a str>,
        now: Now,
    ) {
        if !self.shared.presence.is_watched() {
            return;
        }
        // A filter may be written several times in one packet.
        let topics: BTreeSet<&str> = filters.collect();
        if !topics.is_empty() {
            let notice = Notice { topics, ..self.notice(event_type, session, now) };
            self.tell("subscriptions", &notice, now);
        }
    }

    /// What every event says.
    fn notice<'a>(&self, event_type: &'static str, session: &'a Session, now: Now) -> Notice<'a> {
        let number = crate::subscriptions::Subscriber::number(session);
        Notice {
            client_id: &session.client_id,
            thing_name: None,
            timestamp: now.unix.0,
            event_type,
            session_identifier: self.shared.presence.session_identifier(number, session.version.get()),
            principal_identifier: match &*session.principal.borrow() {
                Principal::Certificate { fingerprint, .. } => fingerprint.clone(),
                Principal::User(name) => name.clone(),
                other => other.to_string(),
            },
            ip_address: None,
            client_initiated_disconnect: None,
            disconnect_reason: None,
            connect_failure_reason: None,
            topics: BTreeSet::new(),
            version_number: None,
        }
    }

    fn tell(&self, family: &str, notice: &Notice<'_>, now: Now) {
        let topic = format!("$aws/events/{family}/{}/{}", notice.event_type, notice.client_id);
        if !topic::is_valid_name(&topic) {
            return;
        }
        let payload = match serde_json::to_vec(notice) {
            Ok(payload) => payload,
            Err(error) => return tracing::error!(%error, topic, "A lifecycle event has no JSON form."),
        };
        let others_wait = !self.notices.borrow().waiting.is_empty();
        if !others_wait && self.shared.flow.has_room(self.index) {
            self.publish_notice(&topic, &payload, now);
        } else if !self.notices.borrow_mut().push(topic, payload) {
            self.shared.meters.lifecycle_dropped.add(1);
        }
    }

    fn publish_notice(&self, topic: &str, payload: &[u8], now: Now) {
        let letter = Letter::of_gateway(topic, payload, false, self.shared.epoch());
        let (size, _) = self.post(&letter, judge_gateway(Action::Publish, topic), now);
        self.spend(size);
    }
}

/// AWS IoT names the thing when a principal stands for one thing alone, which is always so here.
fn thing_name(session: &Session) -> Option<&str> {
    (session.is_proven() && !session.thing().is_empty()).then(|| session.thing())
}

/// An IPv4 address that came through an IPv6 socket is shown as what it is.
fn address(session: &Session) -> IpAddr {
    session.origin.borrow().peer.ip().to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_and_keeps_its_order() {
        let mut notices = Notices::default();
        let body = vec![0; WAITING_BYTES / 4];
        let taken: Vec<bool> = (0..5).map(|n| notices.push(n.to_string(), body.clone())).collect();
        assert_eq!(taken, [true, true, true, false, false], "the topics count too");
        for topic in ["0", "1", "2"] {
            assert_eq!(notices.pop().map(|(topic, _)| topic).as_deref(), Some(topic));
        }
        assert_eq!((notices.pop(), notices.bytes), (None, 0));
    }
}
