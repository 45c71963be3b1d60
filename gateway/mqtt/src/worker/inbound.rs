//! Packets from a client (MQTT 5, chapter 3): each is decoded, judged, answered, and counted.

use super::Worker;
use super::acks::{acknowledged, completed, received, released};
use crate::codec::{self, Packet, Publish, QoS, ReasonCode, Version, Violation, encode};
use crate::envelope::Letter;
use crate::session::{Connection, Ending, Hold, Session};
use crate::shared::{DeviceMessage, shown};
use cordon_core::event::{Code, Event};
use cordon_core::judge::{Denied, Permit, Reason};
use cordon_core::policy::Action;
use cordon_core::time::Now;
use std::rc::Rc;
use std::time::Duration;

/// What one connection may publish, in bytes, before others get a turn and the fabric is asked for room again. A small
/// packet can become a large message: its topic may be an alias.
pub(super) const SHARE: usize = 64 * 1024;

// === impl Worker ===

impl Worker {
    /// Processes the whole packets in `bytes` as far as the connection's share of the worker's time and of the fabric
    /// goes. Returns how many bytes were used, and whether the share was used up before them.
    pub(super) fn process(
        self: &Rc<Self>,
        session: &Rc<Session>,
        connection: &Rc<Connection>,
        bytes: &[u8],
    ) -> Result<(usize, bool), Ending> {
        let now = self.shared.now();
        self.spent.set(0);
        self.pressing.take();
        let fair = self.fair.get();
        let mut allowance = session.usage.allowance(&fair, now.mono);
        let mut used = 0;
        let result = loop {
            if self.spent.get() > SHARE {
                break Ok((used, true));
            }
            let rest = &bytes[used..];
            let frame = match codec::frame_of(connection.version, rest, self.shared.limits.max_packet_size) {
                Ok(Some(frame)) if frame.total_len <= rest.len() => frame,
                Ok(_) => break Ok((used, false)),
                Err(violation) => break Err(Ending::Violation(violation)),
            };
            if allowance.is_used_up() {
                break Ok((used, true));
            }
            allowance.take(frame.total_len);
            used += frame.total_len;
            let packet = match codec::decode(connection.version, &rest[..frame.total_len]) {
                Ok(packet) => packet,
                Err(violation) => break Err(Ending::Violation(violation)),
            };
            self.tally.received(&packet);
            if let Err(ending) = self.packet(session, connection, &packet, now) {
                break Err(ending);
            }
            self.deliver_local(now);
            if connection.over.get() {
                break Ok((bytes.len(), false));
            }
            if self.pressing.borrow().is_some() || connection.answers.borrow().is_full() {
                break Ok((used, true));
            }
        };
        self.tally.read(used);
        session.usage.charge(&fair, &allowance, now.mono);
        if used > 0 {
            // Part of a packet is no sign of life: bytes that trickle in keep no connection.
            connection.last_packet.set(now.mono);
        }
        self.touch(session);
        self.urgent.set(connection.answers.borrow().has_batch());
        self.hand_over(now);
        self.seal_answers(session, connection);
        if connection.flush().is_err() {
            return Err(Ending::Lost);
        }
        result
    }

    /// Counts what a packet costs against the share of its connection.
    pub(super) fn spend(&self, bytes: usize) {
        self.spent.set(self.spent.get().saturating_add(bytes));
    }

    fn packet(
        self: &Rc<Self>,
        session: &Rc<Session>,
        connection: &Rc<Connection>,
        packet: &Packet<'_>,
        now: Now,
    ) -> Result<(), Ending> {
        let version = connection.version;
        match packet {
            Packet::Publish(publish) => return self.publish(session, connection, publish, now),
            Packet::PubAck(ack) => return acknowledged(session, version, ack),
            Packet::PubComp(ack) => return completed(session, version, ack),
            Packet::PubRec(ack) => return received(session, connection, ack, self.promise(connection)),
            Packet::PubRel(ack) => released(session, connection, ack, self.lasting_promise(session, connection)),
            Packet::Subscribe(subscribe) => return self.subscribe(session, connection, subscribe, now),
            Packet::Unsubscribe(unsubscribe) => return self.unsubscribe(session, connection, unsubscribe),
            Packet::PingReq => {
                encode::pingresp(connection.stream.borrow_mut().out());
            }
            Packet::Disconnect(disconnect) => {
                if let Some(expiry) = disconnect.session_expiry {
                    if session.expiry.get() == 0 && expiry != 0 {
                        return Err(broken(
                            ReasonCode::ProtocolError,
                            "MQTT5 3.14.2.2.2",
                            "a session that ends with its connection cannot be prolonged by DISCONNECT",
                        ));
                    }
                    session.expiry.set(expiry);
                }
                let with_will = disconnect.reason == ReasonCode::DisconnectWithWillMessage;
                let failed = disconnect.reason.is_error();
                return Err(if with_will || failed { Ending::ClientWithWill } else { Ending::Client });
            }
            Packet::Connect => {
                return Err(broken(ReasonCode::ProtocolError, "MQTT-3.1.0-2", "a second CONNECT on one connection"));
            }
            Packet::Auth(_) => {
                return Err(broken(
                    ReasonCode::ProtocolError,
                    "MQTT-4.12.0-7",
                    "AUTH without an authentication method in CONNECT",
                ));
            }
        }
        Ok(())
    }

    fn publish(
        self: &Rc<Self>,
        session: &Rc<Session>,
        connection: &Rc<Connection>,
        publish: &Publish<'_>,
        now: Now,
    ) -> Result<(), Ending> {
        let mut aliases = connection.aliases.borrow_mut();
        let topic = match publish.properties.topic_alias {
            None => publish.topic,
            Some(alias) => resolve(&mut aliases, alias, publish.topic, self.shared.limits.max_topic_alias)?,
        };
        self.refresh(session);
        match self.judge_publish(session, topic, publish.retain, now) {
            Ok(_) if !session.usage.admits(topic, self.fair.get().max_topics) => {
                self.shared.meters.publishes_refused.add(1);
                let why = "the session publishes to as many topics as it may";
                answer(connection, publish, Hold::No, ReasonCode::QuotaExceeded, Some(why));
                let event = session.event(Code::LimitReached, now).action(Action::Publish.name());
                self.refuse(session, event.resource(shown(topic)).rule("limits.max_topics").reason(why));
                Ok(())
            }
            Ok(permit) => self.accept(session, connection, publish, topic, permit, now),
            Err(denied) => {
                self.shared.meters.publishes_refused.add(1);
                self.count_failure(session, &denied);
                let mut hold = Hold::No;
                if let (QoS::ExactlyOnce, Version::V5, Some(id)) = (publish.qos, connection.version, publish.packet_id)
                {
                    // A repeat of what was once accepted: PUBREC with a failure ends it (MQTT-4.3.3-9).
                    if session.delivery.borrow_mut().released(id) {
                        hold = self.lasting_promise(session, connection);
                    }
                }
                answer(connection, publish, hold, ReasonCode::NotAuthorized, Some(&denied.to_string()));
                let event = self.denial(session, &denied, now);
                self.refuse(session, event);
                Ok(())
            }
        }
    }

    fn judge_publish(&self, session: &Session, topic: &str, retain: bool, now: Now) -> Result<Permit, Rc<Denied>> {
        let mut verdicts = session.verdicts.borrow_mut();
        let (verdict, fresh) = verdicts.publish(topic);
        if fresh && let Some(order) = verdicts.would_cut(Action::Publish, topic) {
            self.note_audit(session, Action::Publish, topic, &order, now);
        }
        match verdict {
            Ok(_) if retain => verdicts.judge(Action::RetainPublish, topic),
            other => other,
        }
    }

    fn accept(
        self: &Rc<Self>,
        session: &Rc<Session>,
        connection: &Rc<Connection>,
        publish: &Publish<'_>,
        topic: &str,
        permit: Permit,
        now: Now,
    ) -> Result<(), Ending> {
        if let (QoS::AtLeastOnce, Version::V5, Some(id)) = (publish.qos, connection.version, publish.packet_id)
            && session.delivery.borrow().is_unreleased(id)
        {
            self.refuse_identifier(session, connection, publish, now);
            return Ok(());
        }
        if let (QoS::ExactlyOnce, Some(id)) = (publish.qos, publish.packet_id) {
            // MQTT 3 knows no receive maximum.
            let limit = if connection.version.is_v5() { self.shared.limits.max_inflight } else { u16::MAX };
            let limit = usize::from(limit);
            match session.delivery.borrow_mut().arrive(id, limit) {
                Some(true) => {}
                Some(false) => {
                    let hold = self.lasting_promise(session, connection);
                    answer(connection, publish, hold, ReasonCode::Success, None);
                    return Ok(());
                }
                None => {
                    return Err(broken(
                        ReasonCode::ReceiveMaximumExceeded,
                        "MQTT-3.3.4-7",
                        "more QoS 2 messages unreleased than the receive maximum",
                    ));
                }
            }
        }
        let picked;
        let properties = match publish.properties.forwarded_verbatim() {
            Some(all) => all,
            None => {
                let mut into = Vec::with_capacity(publish.properties.forwarded_len());
                publish.properties.write_forwarded(&mut into);
                picked = into;
                &picked
            }
        };
        let expiry = publish.properties.message_expiry;
        let letter = Letter {
            qos: publish.qos,
            retain: publish.retain,
            publisher: session.author,
            thing: session.thing(),
            epoch: session.verdicts.borrow().epoch(),
            expires: expiry.map(|secs| now.mono.plus(Duration::from_secs(u64::from(secs)))),
            topic,
            properties,
            payload: publish.payload,
        };
        let (size, kept) = self.post(&letter, permit, now);
        self.spend(size);
        let hold = self.hold_for(session, connection, publish, topic);
        if kept.is_err() {
            let event = session.event(Code::LimitReached, now).action(Action::RetainPublish.name());
            let event = event.resource(shown(topic));
            self.refuse(
                session,
                event.rule("limits.max_retained").reason("the message was delivered but not retained"),
            );
        }
        if topic.starts_with("$aws/") {
            self.shared.sink.device_message(DeviceMessage {
                thing: session.thing().to_owned(),
                topic: topic.to_owned(),
                payload: bytes::Bytes::copy_from_slice(publish.payload),
            });
        }
        session.sent.set(session.sent.get() + 1);
        session.bytes.set(session.bytes.get() + publish.payload.len() as u64);
        self.shared.meters.messages_in.add(1);
        answer(connection, publish, hold, ReasonCode::Success, None);
        Ok(())
    }

    /// The client took the identifier of one of its QoS 2 messages that are not yet released. MQTT 5 has an answer for
    /// it; in MQTT 3 the message is taken: a close would meet the client again with the next one.
    fn refuse_identifier(&self, session: &Session, connection: &Connection, publish: &Publish<'_>, now: Now) {
        let why = "the packet identifier belongs to a QoS 2 message that is not released";
        answer(connection, publish, Hold::No, ReasonCode::PacketIdentifierInUse, Some(why));
        self.shared.meters.publishes_refused.add(1);
        self.shared.meters.violations.add(1);
        self.refuse(session, session.event(Code::ProtocolViolation, now).rule("MQTT-2.2.1-3").reason(why));
    }

    /// The event for a denial.
    pub(super) fn denial(&self, session: &Session, denied: &Denied, now: Now) -> Event {
        let event = session.event(denied.code(), now).action(denied.action.name()).resource(shown(&denied.resource));
        event.reason(denied.reason.to_string()).rule(denied.rule.as_str())
    }

    /// What a policy refuses is an authorization failure of the thing; what an order cuts is not.
    pub(super) fn count_failure(&self, session: &Session, denied: &Denied) {
        if !matches!(denied.reason, Reason::Isolated(_)) {
            session.failures.set(session.failures.get() + 1);
        }
    }

    /// Records what an audit-level order would have cut.
    pub(super) fn note_audit(&self, session: &Session, action: Action, resource: &str, order: &str, now: Now) {
        let event = session.event(Code::IsolationWouldCut, now).action(action.name()).resource(shown(resource));
        self.refuse(session, event.rule(format!("order {order}")).reason("the order is at level audit"));
    }
}

/// Answers a PUBLISH as its QoS demands. MQTT 3 cannot tell a refusal, so the message is acknowledged and goes nowhere
/// (MQTT 3.1.1, MQTT-3.3.5-2).
fn answer(connection: &Connection, publish: &Publish<'_>, hold: Hold, reason: ReasonCode, why: Option<&str>) {
    let Some(id) = publish.packet_id else { return };
    let (reason, why) = match connection.version {
        Version::V5 => (reason, why.filter(|_| connection.explain)),
        Version::V31 | Version::V311 => (ReasonCode::Success, None),
    };
    let why = why.map(shown).filter(|why| connection.takes(encode::ack_len(connection.version, reason, Some(why))));
    connection.answer(hold, |out| {
        match publish.qos {
            QoS::AtMostOnce => 0,
            QoS::AtLeastOnce => encode::puback(out, connection.version, id, reason, why),
            QoS::ExactlyOnce => encode::pubrec(out, connection.version, id, reason, why),
        };
    });
}

/// The topic that an alias stands for, after taking over a new meaning (MQTT 5, 3.3.2.3.4).
fn resolve<'a>(
    aliases: &'a mut Vec<Option<Box<str>>>,
    alias: u16,
    topic: &'a str,
    limit: u16,
) -> Result<&'a str, Ending> {
    if alias > limit {
        return Err(broken(ReasonCode::TopicAliasInvalid, "MQTT-3.3.2-9", "a topic alias over the maximum of CONNACK"));
    }
    let at = usize::from(alias);
    if aliases.len() <= at {
        aliases.resize(at + 1, None);
    }
    if !topic.is_empty() {
        aliases[at] = Some(topic.into());
        return Ok(topic);
    }
    aliases[at].as_deref().ok_or_else(|| {
        broken(ReasonCode::ProtocolError, "MQTT5 3.3.2.3.4", "a topic alias that was never given a topic")
    })
}

pub(super) fn broken(reason: ReasonCode, rule: &'static str, detail: &'static str) -> Ending {
    Ending::Violation(Violation { reason, rule, detail })
}
