//! A new epoch: every session is judged anew, and what the rules in force cut does not leave any more, not even from
//! the buffer in front of a slow reader's socket.

use super::Worker;
use crate::auth::Identity;
use crate::codec::QoS;
use crate::session::{Connection, Ending, Origin, Session, Verdicts};
use cordon_core::isolation::Level;
use cordon_core::policy::Principal;
use cordon_core::time::Now;
use std::num::NonZeroU16;
use std::rc::Rc;

// === impl Worker ===

impl Worker {
    /// Applies the epoch in force to every session. Returns how many connections it ended.
    pub(super) fn enforce(self: &Rc<Self>) -> usize {
        self.routes.borrow_mut().clear();
        let now = self.shared.now();
        let cutting = self.shared.rulebook().orders.iter().any(|order| order.is_active() && order.level > Level::Audit);
        let sessions: Vec<_> = self.sessions.borrow().values().cloned().collect();
        let mut ended = 0;
        for session in sessions {
            let before = session.verdicts.borrow().level();
            self.refresh(&session);
            let after = session.verdicts.borrow().level();
            let Some(connection) = session.connection() else { continue };
            let stuck = connection.stream.borrow().wants_write();
            if let Some(ending) = self.unwelcome(&session, after) {
                ended += 1;
                if stuck {
                    connection.stream.borrow_mut().abort();
                }
                self.leave(&session, &connection, ending);
            } else if stuck && after > before && after > Some(Level::Audit) {
                // The system holds messages for the client that were sent under the rules before this order.
                ended += 1;
                connection.stream.borrow_mut().abort();
                let order = session.verdicts.borrow().order().unwrap_or_default();
                self.leave(&session, &connection, Ending::Isolated { order });
            } else if session.curtailed.get() && after < Some(Level::Quarantine) {
                self.leave(&session, &connection, Ending::Restored);
            } else if stuck && cutting && self.withdraw(&session, &connection, now) && connection.has_told_aliases() {
                // What is left may name its topic by an alias that was withdrawn.
                ended += 1;
                connection.stream.borrow_mut().withdraw(|_| false);
                self.leave(&session, &connection, Ending::Withdrawn);
            }
        }
        ended
    }

    /// Why a connected session may not stay, if it may not.
    fn unwelcome(&self, session: &Session, level: Option<Level>) -> Option<Ending> {
        if level == Some(Level::Disconnect) {
            return Some(Ending::Isolated { order: session.verdicts.borrow().order().unwrap_or_default() });
        }
        let registry = &self.shared.rulebook().registry;
        let anonymous = matches!(*session.principal.borrow(), Principal::Anonymous { .. });
        let gone = !anonymous && !session.thing().is_empty() && registry.get(session.thing()).is_none();
        gone.then_some(Ending::Revoked)
    }

    /// Takes back messages that wait for a slow reader and that nobody has begun to send: those that an order cuts, and
    /// QoS 0 messages, of which it is not known any more who published them. Returns whether there were any.
    fn withdraw(&self, session: &Rc<Session>, connection: &Connection, now: Now) -> bool {
        let mut dropped = 0;
        connection.stream.borrow_mut().withdraw(|packet| {
            let Some((qos, id)) = message_id(packet) else { return true };
            let flight = id.and_then(|id| session.delivery.borrow().flight(id).map(|flight| flight.queued.clone()));
            let keep = qos != QoS::AtMostOnce
                && flight.is_some_and(|queued| {
                    !self.is_cut_at_source(&queued.message, now)
                        && self.judge_receive(session, queued.message.topic(), now).is_some()
                });
            if !keep {
                dropped += 1;
                id.map(|id| session.delivery.borrow_mut().done(id));
            }
            keep
        });
        self.touch(session);
        self.shared.meters.messages_dropped.add(dropped);
        session.dropped.set(session.dropped.get() + dropped);
        dropped > 0
    }

    /// Compiles a session's judge anew if the epoch has moved on.
    pub(crate) fn refresh(&self, session: &Session) {
        if session.verdicts.borrow().epoch() != self.shared.epoch() {
            let verdicts = {
                let thing = Some(session.thing().to_owned()).filter(|thing| !thing.is_empty());
                let identity = Identity { principal: session.principal.borrow().clone(), thing };
                self.compile(&identity, &session.client_id, &session.origin.borrow())
            };
            session.verdicts.replace(verdicts);
        }
    }

    pub(crate) fn compile(&self, identity: &Identity, client_id: &str, origin: &Origin) -> Verdicts {
        let rulebook = self.shared.rulebook();
        let mut subject = rulebook.subject(
            identity.principal.clone(),
            client_id,
            identity.thing.as_deref(),
            Some(origin.peer.ip()),
            origin.persistent,
            origin.will,
        );
        if !origin.policies.is_empty() {
            subject.policies = rulebook.policies_named(origin.policies.iter().map(String::as_str));
        }
        Verdicts::new(&rulebook, &subject)
    }
}

/// The QoS and the identifier of an encoded PUBLISH (MQTT 5, 3.3); `None` for every other packet.
fn message_id(packet: &[u8]) -> Option<(QoS, Option<NonZeroU16>)> {
    let (first, rest) = packet.split_first()?;
    if first >> 4 != 3 {
        return None;
    }
    let qos = QoS::from_u8(first >> 1 & 0b11)?;
    let length = rest.iter().position(|byte| byte & 0x80 == 0)? + 1;
    let body = rest.get(length..)?;
    let topic = usize::from(u16::from_be_bytes([*body.first()?, *body.get(1)?]));
    let id = body.get(2 + topic..4 + topic).map(|id| u16::from_be_bytes([id[0], id[1]]));
    Some((qos, id.filter(|_| qos != QoS::AtMostOnce).and_then(NonZeroU16::new)))
}
