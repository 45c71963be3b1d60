//! Messages to clients: the verdict on each delivery, and the order and pace of sending.

mod routes;
mod stencil;

use super::Worker;
use crate::codec::encode::{self, Outgoing};
use crate::codec::{QoS, ReasonCode};
use crate::envelope::Envelope;
use crate::session::{Accepted, Connection, Ending, Queued, Session, Slot};
use crate::shared::shown;
use cordon_core::event::{Code, Event};
use cordon_core::judge::Permit;
use cordon_core::policy::Action;
use cordon_core::time::Now;
use std::io;
use std::num::NonZeroU16;
use std::rc::Rc;

use routes::Receiver;
pub(crate) use routes::Routes;
pub(crate) use stencil::Stencil;

// === impl Worker ===

impl Worker {
    /// Delivers one message to this worker's sessions. Returns to how many at most.
    pub(super) fn deliver(self: &Rc<Self>, message: &Envelope, now: Now) -> usize {
        let route = self.routes.borrow_mut().get(message.topic(), &self.subscriptions.borrow());
        if route.receivers.is_empty() && route.groups.is_empty() {
            return 0;
        }
        let epoch = self.shared.epoch();
        if message.epoch() != epoch && self.is_cut_at_source(message, now) {
            return 0;
        }
        if message.expires().is_some_and(|at| at < now.mono) {
            // It was too long on its way from another worker (MQTT-3.3.2-5).
            return 0;
        }
        for receiver in &route.receivers {
            if receiver.audience.includes(receiver.session.author == message.publisher()) {
                self.deliver_to(receiver, message, epoch, now);
            }
        }
        for group in &route.groups {
            // Who may not receive does not keep the message from the others.
            for member in group.candidates(message) {
                if self.deliver_to(member, message, epoch, now) {
                    break;
                }
            }
        }
        route.receivers.len() + route.groups.len()
    }

    /// Sends or queues a message, unless it is not for the receiver. Returns whether it was.
    fn deliver_to(self: &Rc<Self>, receiver: &Receiver, message: &Envelope, epoch: u64, now: Now) -> bool {
        if message.number() < receiver.since {
            return false;
        }
        let session = &receiver.session;
        let verdict = match receiver.verdict.get() {
            Some((at, verdict)) if at == epoch => verdict,
            _ => {
                let verdict = self.judge_receive(session, message.topic(), now);
                receiver.verdict.set(Some((epoch, verdict)));
                verdict
            }
        };
        let Some(permit) = verdict else {
            self.shared.meters.receives_refused.add(1);
            return false;
        };
        let qos = message.qos().min(receiver.qos);
        let retain = receiver.retain_as_published && message.retain();
        match session.connection() {
            None if qos == QoS::AtMostOnce => {}
            None => {
                let (message, ids) = (message.clone(), receiver.ids.clone());
                self.enqueue(session, Queued { message, qos, retain, ids, slot: Slot::default() }, now);
            }
            Some(connection) if qos == QoS::AtMostOnce => {
                self.send_once(session, &connection, message, (retain, receiver.ids.as_deref()), permit, now);
            }
            Some(connection) => {
                let (message, ids) = (message.clone(), receiver.ids.clone());
                let queued = Queued { message, qos, retain, ids, slot: Slot::default() };
                self.send_or_queue(session, &connection, queued, permit, now);
            }
        }
        true
    }

    /// Judges and sends or queues a message that does not come out of the fabric: a retained one.
    pub(super) fn offer(self: &Rc<Self>, session: &Rc<Session>, queued: Queued, now: Now) {
        if self.is_cut_at_source(&queued.message, now) {
            return;
        }
        let Some(permit) = self.judge_receive(session, queued.message.topic(), now) else { return };
        let Some(connection) = session.connection() else { return };
        if queued.qos == QoS::AtMostOnce {
            let terms = (queued.retain, queued.ids.as_deref());
            self.send_once(session, &connection, &queued.message, terms, permit, now);
        } else {
            self.send_or_queue(session, &connection, queued, permit, now);
        }
    }

    /// Sends a QoS 0 message, or drops it if the client reads too slowly.
    fn send_once(
        &self,
        session: &Rc<Session>,
        connection: &Connection,
        message: &Envelope,
        (retain, ids): (bool, Option<&[u32]>),
        permit: Permit,
        now: Now,
    ) {
        let terms = (QoS::AtMostOnce, retain, None);
        if self.is_crowded(session, connection, now) || !self.send(connection, message, terms, ids, now, permit) {
            self.drop_message(session);
        } else {
            self.sent(session, message.payload().len());
        }
    }

    /// Whether so much waits to be written to a client that nothing may be added.
    fn is_crowded(&self, session: &Rc<Session>, connection: &Connection, now: Now) -> bool {
        let (unsent, limit) = (connection.stream.borrow().unsent(), self.shared.limits.max_unsent_bytes);
        if unsent > limit / 2 {
            self.press(session, now.mono);
        }
        unsent > limit
    }

    fn send_or_queue(
        self: &Rc<Self>,
        session: &Rc<Session>,
        connection: &Rc<Connection>,
        queued: Queued,
        permit: Permit,
        now: Now,
    ) {
        if self.is_crowded(session, connection, now) || !session.delivery.borrow().is_free(connection.window) {
            self.enqueue(session, queued, now);
        } else {
            self.send_tracked(session, connection, queued, permit, now);
        }
    }

    fn send_tracked(
        self: &Rc<Self>,
        session: &Rc<Session>,
        connection: &Connection,
        queued: Queued,
        permit: Permit,
        now: Now,
    ) {
        let (message, qos, retain, ids) = (queued.message.clone(), queued.qos, queued.retain, queued.ids.clone());
        let id = session.delivery.borrow_mut().take_off(queued);
        if self.send(connection, &message, (qos, retain, Some((id, false))), ids.as_deref(), now, permit) {
            self.sent(session, message.payload().len());
        } else {
            session.delivery.borrow_mut().done(id);
            self.drop_message(session);
        }
    }

    fn enqueue(&self, session: &Rc<Session>, queued: Queued, now: Now) {
        let limits = &self.shared.limits;
        let mut delivery = session.delivery.borrow_mut();
        let half = (limits.max_queued_messages / 2, limits.max_queued_bytes / 2);
        if (delivery.queued() >= half.0 || delivery.queued_bytes() >= half.1) && session.connection.borrow().is_some() {
            self.press(session, now.mono);
        }
        let accepted = delivery.enqueue(queued, limits.max_queued_messages, limits.max_queued_bytes);
        if session.lasting.absent.get() {
            delivery.keep_all();
        }
        drop(delivery);
        self.touch(session);
        if accepted == Accepted::Dropped {
            self.drop_message(session);
        }
    }

    fn drop_message(&self, session: &Session) {
        session.dropped.set(session.dropped.get() + 1);
        self.shared.meters.messages_dropped.add(1);
    }

    fn sent(&self, session: &Rc<Session>, bytes: usize) {
        session.received.set(session.received.get() + 1);
        session.bytes.set(session.bytes.get() + bytes as u64);
        self.shared.meters.messages_out.add(1);
        self.tally.delivered(bytes);
        if !session.unwritten.replace(true) {
            self.unwritten.borrow_mut().push(session.clone());
        }
    }

    /// Writes what was encoded since the last call.
    pub(super) fn write_all(&self) {
        loop {
            let next = self.unwritten.borrow_mut().pop();
            let Some(session) = next else { return };
            session.unwritten.set(false);
            let Some(connection) = session.connection() else { continue };
            match connection.flush() {
                Ok(()) => self.relieve(&session, &connection),
                Err(_) => connection.end(Ending::Lost),
            }
        }
    }

    /// Writes what waits for a client, and sends from its queue as far as the window and the socket have room.
    pub(super) fn pump(self: &Rc<Self>, session: &Rc<Session>, connection: &Connection) -> io::Result<()> {
        connection.stream.borrow_mut().flush()?;
        if session.delivery.borrow().is_waiting() {
            let now = self.shared.now();
            self.send_again(session, connection, now);
            self.send_queued(session, connection, now);
            connection.stream.borrow_mut().flush()?;
        }
        self.relieve(session, connection);
        Ok(())
    }

    fn send_queued(self: &Rc<Self>, session: &Rc<Session>, connection: &Connection, now: Now) {
        while !self.is_crowded(session, connection, now) {
            let next = session.delivery.borrow_mut().next(connection.window);
            let Some(queued) = next else { break };
            if queued.message.expires().is_some_and(|at| at <= now.mono) || self.is_cut_at_source(&queued.message, now)
            {
                session.delivery.borrow_mut().discard(&queued);
                continue;
            }
            match self.judge_receive(session, queued.message.topic(), now) {
                Some(permit) => self.send_tracked(session, connection, queued, permit, now),
                None => {
                    session.delivery.borrow_mut().discard(&queued);
                    self.shared.meters.receives_refused.add(1);
                }
            }
        }
        self.touch(session);
    }

    /// Sends what a resumed session had not acknowledged.
    fn send_again(&self, session: &Rc<Session>, connection: &Connection, now: Now) {
        while !self.is_crowded(session, connection, now) {
            let next = session.delivery.borrow_mut().again(connection.window);
            let Some(flight) = next else { break };
            let (id, queued) = (flight.packet_id, flight.queued);
            if flight.released {
                let mut stream = connection.stream.borrow_mut();
                encode::pubrel(stream.out(), connection.version, id, ReasonCode::Success, None);
                continue;
            }
            let cut = self.is_cut_at_source(&queued.message, now);
            let permit = if cut { None } else { self.judge_receive(session, queued.message.topic(), now) };
            let terms = (queued.qos, queued.retain, Some((id, true)));
            let sent = permit.is_some_and(|permit| {
                self.send(connection, &queued.message, terms, queued.ids.as_deref(), now, permit)
            });
            if !sent {
                session.delivery.borrow_mut().done(id);
            }
        }
    }

    pub(super) fn judge_receive(&self, session: &Rc<Session>, topic: &str, now: Now) -> Option<Permit> {
        self.refresh(session);
        let verdict = session.verdicts.borrow().judge(Action::Receive, topic);
        match verdict {
            Ok(permit) => {
                let order = session.verdicts.borrow().would_cut(Action::Receive, topic);
                if let Some(order) = order {
                    self.note_audit(session, Action::Receive, topic, &order, now);
                }
                Some(permit)
            }
            Err(denied) => {
                self.count_failure(session, &denied);
                let event = self.denial(session, &denied, now);
                self.refuse(session, event);
                None
            }
        }
    }

    /// Whether an order in force by now cuts a message off that was published before it.
    pub(super) fn is_cut_at_source(&self, message: &Envelope, now: Now) -> bool {
        if message.thing().is_empty() || message.epoch() == self.shared.epoch() {
            return false;
        }
        let Some(denied) = self.shared.rulebook().sender_cut(message.thing(), message.topic()) else { return false };
        let event = Event::new(Code::IsolationCut, now)
            .thing(shown(message.thing()))
            .action(Action::Publish.name())
            .resource(shown(message.topic()))
            .reason(denied.reason.to_string())
            .rule(denied.rule)
            .detail("message", "published before the order");
        let event = crate::shared::lock(&self.shared.refusals).note(event);
        event.into_iter().for_each(|event| self.shared.sink.event(event));
        true
    }

    /// Encodes a delivery. The permit proves that it was judged. `false` if the client cannot take it.
    fn send(
        &self,
        connection: &Connection,
        message: &Envelope,
        (qos, retain, tracked): (QoS, bool, Option<(NonZeroU16, bool)>),
        ids: Option<&[u32]>,
        now: Now,
        _permit: Permit,
    ) -> bool {
        // To the nearest second: another worker's reading of the clock may be a little ahead of this one's, and a message
        // never has more time left than it was given.
        let left = message.expires().map(|at| (at.since(now.mono).as_millis() + 500) / 1000);
        let outgoing = Outgoing {
            dup: tracked.is_some_and(|(_, again)| again),
            qos,
            retain,
            topic: message.topic(),
            packet_id: tracked.map(|(id, _)| id),
            forwarded: message.properties(),
            message_expiry: left.map(|secs| u32::try_from(secs).unwrap_or(u32::MAX)),
            subscription_ids: ids.unwrap_or_default(),
            topic_alias: None,
            payload: message.payload(),
        };
        let mut stencil = self.stencil.borrow_mut();
        connection.publish(&outgoing, message.number(), &mut stencil)
    }
}
