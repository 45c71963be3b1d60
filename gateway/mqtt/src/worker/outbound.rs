//! Messages to clients: who gets a topic, the verdict on each delivery, and the order and pace of sending.
//!
//! A topic's receivers are found once and remembered as a [`Route`] until a subscription or the epoch changes. Each
//! receiver's verdict is remembered with it, so an ordinary delivery costs one look-up and no judging.

use super::Worker;
use crate::codec::encode::{self, Outgoing};
use crate::codec::{QoS, ReasonCode};
use crate::envelope::Envelope;
use crate::session::{Accepted, Connection, Queued, Session};
use crate::subscriptions::{Subscriber, Terms};
use cordon_core::event::Code;
use cordon_core::judge::Permit;
use cordon_core::policy::Action;
use cordon_core::time::Now;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::num::NonZeroU16;
use std::rc::Rc;

/// Distinct topics whose receivers are remembered.
const ROUTES: usize = 8192;

/// Who gets a topic.
pub(crate) struct Route {
    receivers: Vec<Receiver>,
    groups: Vec<Group>,
}

struct Receiver {
    session: Rc<Session>,
    qos: QoS,
    no_local: bool,
    retain_as_published: bool,
    ids: Option<Rc<[u32]>>,
    verdict: Cell<Option<(u64, Option<Permit>)>>,
}

/// The members of a shared group; each message goes to one of them in turn.
struct Group {
    members: Vec<Receiver>,
    next: Cell<usize>,
}

// === impl Worker ===

impl Worker {
    /// Delivers one message out of the fabric to this worker's sessions.
    pub(super) fn deliver(self: &Rc<Self>, message: &Envelope) {
        let route = self.route(message.topic());
        if route.receivers.is_empty() && route.groups.is_empty() {
            return;
        }
        let now = self.shared.now();
        let epoch = self.shared.epoch();
        if message.epoch() != epoch && self.is_cut_at_source(message, now) {
            return;
        }
        for receiver in &route.receivers {
            if !(receiver.no_local && receiver.session.number() == message.publisher()) {
                self.deliver_to(receiver, message, epoch, now);
            }
        }
        for group in &route.groups {
            if let Some(member) = group.choose() {
                self.deliver_to(member, message, epoch, now);
            }
        }
    }

    fn deliver_to(self: &Rc<Self>, receiver: &Receiver, message: &Envelope, epoch: u64, now: Now) {
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
            return;
        };
        let qos = message.qos().min(receiver.qos);
        let retain = receiver.retain_as_published && message.retain();
        let Some(connection) = session.connection() else {
            if qos != QoS::AtMostOnce {
                self.enqueue(session, Queued { message: message.clone(), qos, retain, ids: receiver.ids.clone() });
            }
            return;
        };
        if qos == QoS::AtMostOnce {
            if connection.stream.borrow().unsent() > self.shared.limits.max_unsent_bytes {
                self.drop_message(session);
            } else {
                send(&connection, message, (qos, retain, None), receiver.ids.as_deref(), now, permit);
                self.sent(session, message.payload().len());
            }
            return;
        }
        let queued = Queued { message: message.clone(), qos, retain, ids: receiver.ids.clone() };
        self.send_or_queue(session, &connection, queued, permit, now);
    }

    /// Judges and sends or queues a message that does not come out of the fabric: a retained one.
    pub(super) fn offer(self: &Rc<Self>, session: &Rc<Session>, queued: Queued, now: Now) {
        if self.is_cut_at_source(&queued.message, now) {
            return;
        }
        let Some(permit) = self.judge_receive(session, queued.message.topic(), now) else { return };
        let Some(connection) = session.connection() else { return };
        if queued.qos == QoS::AtMostOnce {
            let terms = (queued.qos, queued.retain, None);
            send(&connection, &queued.message, terms, queued.ids.as_deref(), now, permit);
            self.sent(session, queued.message.payload().len());
        } else {
            self.send_or_queue(session, &connection, queued, permit, now);
        }
    }

    fn send_or_queue(
        self: &Rc<Self>,
        session: &Rc<Session>,
        connection: &Rc<Connection>,
        queued: Queued,
        permit: Permit,
        now: Now,
    ) {
        let crowded = connection.stream.borrow().unsent() > self.shared.limits.max_unsent_bytes;
        if crowded || !session.delivery.borrow().is_free(connection.window) {
            self.enqueue(session, queued);
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
        if send(connection, &message, (qos, retain, Some((id, false))), ids.as_deref(), now, permit) {
            self.sent(session, message.payload().len());
        } else {
            session.delivery.borrow_mut().done(id);
            self.drop_message(session);
        }
    }

    fn enqueue(&self, session: &Session, queued: Queued) {
        let limits = &self.shared.limits;
        let mut delivery = session.delivery.borrow_mut();
        if delivery.enqueue(queued, limits.max_queued_messages, limits.max_queued_bytes) == Accepted::Dropped {
            drop(delivery);
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
        if !session.unwritten.replace(true) {
            self.unwritten.borrow_mut().push(session.clone());
        }
    }

    /// Writes what was encoded since the last call.
    pub(super) fn write_all(&self) {
        let sessions = self.unwritten.take();
        for session in &sessions {
            session.unwritten.set(false);
            if let Some(connection) = session.connection()
                && connection.flush().is_err()
            {
                connection.end(crate::session::Ending::Lost);
            }
        }
    }

    /// Writes what waits for a client, and sends from its queue as far as the window and the socket have room.
    pub(super) fn pump(self: &Rc<Self>, session: &Rc<Session>, connection: &Connection) -> io::Result<()> {
        connection.stream.borrow_mut().flush()?;
        let now = self.shared.now();
        let room = |connection: &Connection| connection.stream.borrow().unsent() <= self.shared.limits.max_unsent_bytes;
        while room(connection) {
            let next = session.delivery.borrow_mut().next(connection.window);
            let Some(queued) = next else { break };
            if queued.message.expires().is_some_and(|at| at <= now.mono) || self.is_cut_at_source(&queued.message, now)
            {
                continue;
            }
            self.refresh(session);
            match self.judge_receive(session, queued.message.topic(), now) {
                Some(permit) => self.send_tracked(session, connection, queued, permit, now),
                None => self.shared.meters.receives_refused.add(1),
            }
        }
        connection.stream.borrow_mut().flush()
    }

    /// Sends what a resumed session had not acknowledged, in its first order (MQTT-4.4.0-1).
    pub(super) fn resume(self: &Rc<Self>, session: &Rc<Session>, connection: &Connection) {
        let now = self.shared.now();
        let flights = session.delivery.borrow().flights();
        for flight in flights {
            let (id, queued) = (flight.packet_id, flight.queued);
            if flight.released {
                let mut stream = connection.stream.borrow_mut();
                encode::pubrel(stream.out(), connection.version, id, ReasonCode::Success, None);
                continue;
            }
            let cut = self.is_cut_at_source(&queued.message, now);
            let permit = if cut { None } else { self.judge_receive(session, queued.message.topic(), now) };
            let terms = (queued.qos, queued.retain, Some((id, true)));
            let sent = permit
                .is_some_and(|permit| send(connection, &queued.message, terms, queued.ids.as_deref(), now, permit));
            if !sent {
                session.delivery.borrow_mut().done(id);
            }
        }
    }

    fn judge_receive(&self, session: &Rc<Session>, topic: &str, now: Now) -> Option<Permit> {
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
    fn is_cut_at_source(&self, message: &Envelope, now: Now) -> bool {
        if message.thing().is_empty() || message.epoch() == self.shared.epoch() {
            return false;
        }
        let Some(denied) = self.shared.rulebook().sender_cut(message.thing(), message.topic()) else { return false };
        let event = cordon_core::event::Event::new(Code::IsolationCut, now)
            .thing(message.thing())
            .action(Action::Publish.name())
            .resource(message.topic())
            .reason(denied.reason.to_string())
            .rule(denied.rule)
            .detail("message", "published before the order");
        let event = crate::shared::lock(&self.shared.refusals).note(event);
        event.into_iter().for_each(|event| self.shared.sink.event(event));
        true
    }

    fn route(&self, topic: &str) -> Rc<Route> {
        if let Some(route) = self.routes.borrow().get(topic) {
            return route.clone();
        }
        let matched = self.subscriptions.borrow().matching(topic);
        let route = Rc::new(Route {
            receivers: merge(matched.single),
            groups: matched
                .shared
                .into_iter()
                .map(|members| Group { members: merge(members), next: Cell::new(0) })
                .collect(),
        });
        let mut routes = self.routes.borrow_mut();
        if routes.len() >= ROUTES {
            routes.clear();
        }
        routes.insert(topic.into(), route.clone());
        route
    }
}

// === impl Group ===

impl Group {
    /// The member whose turn it is; connected members go first.
    fn choose(&self) -> Option<&Receiver> {
        let count = self.members.len();
        let start = self.next.get();
        self.next.set(start.wrapping_add(1));
        let turn = (0..count).map(|step| &self.members[(start.wrapping_add(step)) % count]);
        let mut waiting = None;
        for member in turn {
            if member.session.connection.borrow().is_some() {
                return Some(member);
            }
            waiting = waiting.or(Some(member));
        }
        waiting
    }
}

/// One receiver per session: with overlapping filters a client gets a message once, at the highest QoS, with all
/// identifiers (MQTT-3.3.4-2 and 3.3.4-4).
fn merge(matched: Vec<(Rc<Session>, Terms)>) -> Vec<Receiver> {
    let mut receivers: BTreeMap<u64, (Receiver, Vec<u32>)> = BTreeMap::new();
    for (session, terms) in matched {
        let options = terms.options;
        match receivers.entry(session.number()) {
            Entry::Vacant(place) => {
                let receiver = Receiver {
                    session,
                    qos: options.qos,
                    no_local: options.no_local,
                    retain_as_published: options.retain_as_published,
                    ids: None,
                    verdict: Cell::new(None),
                };
                place.insert((receiver, terms.id.into_iter().collect()));
            }
            Entry::Occupied(mut known) => {
                let (receiver, ids) = known.get_mut();
                receiver.qos = receiver.qos.max(options.qos);
                receiver.no_local &= options.no_local;
                receiver.retain_as_published |= options.retain_as_published;
                ids.extend(terms.id);
            }
        }
    }
    receivers
        .into_values()
        .map(|(mut receiver, ids)| {
            receiver.ids = (!ids.is_empty()).then(|| ids.into());
            receiver
        })
        .collect()
}

/// Encodes a delivery. The permit proves that it was judged. `false` if the client cannot take it.
fn send(
    connection: &Connection,
    message: &Envelope,
    (qos, retain, tracked): (QoS, bool, Option<(NonZeroU16, bool)>),
    ids: Option<&[u32]>,
    now: Now,
    _permit: Permit,
) -> bool {
    let left = message.expires().map(|at| at.since(now.mono).as_secs());
    connection.publish(&Outgoing {
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
    })
}
