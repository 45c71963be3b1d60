//! When the acknowledgements of a connection may go: at once, or when what they promise is durable.
//!
//! What must be durable first: a message that waits for a lasting session whose client is away, a retained message, that a
//! QoS 2 message of a lasting session was received or released, and a lasting session's subscriptions. Nothing else is
//! held, unless something before it is. When the store fails, nothing is held.

use super::Worker;
use crate::codec::{Publish, QoS};
use crate::session::{Connection, Ending, Hold, Queued, Session};
use std::rc::Rc;

// === impl Worker ===

impl Worker {
    /// What an answer has to wait for if it promises that what was changed in this batch stays.
    pub(super) fn promise(&self, connection: &Connection) -> Hold {
        let failing = self.shared.keeper.as_ref().is_none_or(|keeper| keeper.is_failing());
        if connection.waits.get() && !failing { Hold::Batch } else { Hold::No }
    }

    /// [`Worker::promise`], for what only lasting sessions have on record.
    pub(super) fn lasting_promise(&self, session: &Session, connection: &Connection) -> Hold {
        if session.lasting.is.get() { self.promise(connection) } else { Hold::No }
    }

    /// What the answer to a message that was just posted has to wait for.
    pub(super) fn hold_for(
        &self,
        session: &Session,
        connection: &Connection,
        publish: &Publish<'_>,
        topic: &str,
    ) -> Hold {
        if publish.qos == QoS::AtMostOnce || self.shared.keeper.is_none() {
            return Hold::No;
        }
        let promise = self.promise(connection);
        let received = publish.packet_id.filter(|_| publish.qos == QoS::ExactlyOnce && session.lasting.is.get());
        if promise != Hold::No && self.shared.flow.lanes() > 1 {
            let awaited = self.fabric.borrow().awaited();
            if !awaited.is_empty() {
                return Hold::Lanes(awaited, received);
            }
        }
        if let Some(id) = received {
            session.delivery.borrow_mut().note_arrival(id);
        }
        if received.is_some() || publish.retain || self.reaches_absent(topic) { promise } else { Hold::No }
    }

    /// Answers SUBSCRIBE or UNSUBSCRIBE, now or when the subscriptions are durable; what is retained follows the answer.
    pub(super) fn answer_then(
        self: &Rc<Self>,
        session: &Rc<Session>,
        connection: &Connection,
        messages: Vec<Queued>,
        encode: impl FnOnce(&mut bytes::BytesMut),
    ) {
        let hold = self.lasting_promise(session, connection);
        if hold != Hold::No {
            return connection.answers.borrow_mut().push(hold, messages, encode);
        }
        encode(connection.stream.borrow_mut().out());
        let now = self.shared.now();
        messages.into_iter().for_each(|message| self.offer(session, message, now));
    }

    /// The batch of a connection has been handed over: its answers know what they wait for.
    pub(super) fn seal_answers(self: &Rc<Self>, session: &Rc<Session>, connection: &Rc<Connection>) {
        if connection.answers.borrow().is_empty() {
            return;
        }
        connection.answers.borrow_mut().seal(self.ticket.get());
        if self.release_answers(session, connection) {
            self.wait(session, connection);
        }
    }

    /// Lets go what need not wait any more, on all connections.
    pub(super) fn release_all(self: &Rc<Self>) {
        for (session, connection) in self.waiting.take() {
            connection.in_line.set(false);
            if connection.over.get() {
                continue;
            }
            if self.release_answers(&session, &connection) {
                self.wait(&session, &connection);
            }
            if connection.flush().is_err() {
                connection.end(Ending::Lost);
            }
        }
    }

    fn wait(&self, session: &Rc<Session>, connection: &Rc<Connection>) {
        if !connection.in_line.replace(true) {
            self.waiting.borrow_mut().push((session.clone(), connection.clone()));
        }
    }

    /// Lets go what need not wait any more. Returns whether something still has to.
    fn release_answers(self: &Rc<Self>, session: &Rc<Session>, connection: &Rc<Connection>) -> bool {
        let was_full = connection.answers.borrow().is_full();
        while self.may_go(session, connection) {
            let Some((packet, messages)) = connection.answers.borrow_mut().pop() else { break };
            connection.stream.borrow_mut().out().extend_from_slice(&packet);
            let now = self.shared.now();
            messages.into_iter().for_each(|message| self.offer(session, message, now));
        }
        let answers = connection.answers.borrow();
        if was_full && !answers.is_full() {
            // It was not read meanwhile, which is not the client's silence.
            connection.last_packet.set(self.shared.now().mono);
            connection.wake.ring();
        }
        !answers.is_empty()
    }

    /// Whether the first answer need not wait any more.
    fn may_go(&self, session: &Rc<Session>, connection: &Connection) -> bool {
        let Some(keeper) = &self.shared.keeper else { return true };
        let settled = match connection.answers.borrow_mut().first() {
            None | Some(Hold::Batch) => return false,
            Some(Hold::No) => return true,
            Some(Hold::Ticket(ticket)) => return keeper.is_past(*ticket),
            Some(Hold::Lanes(lanes, received)) => {
                let done = |(lane, count): &(usize, u64)| self.shared.flow.is_settled(*lane, self.index, *count);
                if !(keeper.is_failing() || lanes.iter().all(done)) {
                    return false;
                }
                received.take()
            }
        };
        // The other workers have handed over what they had to. What is noted here comes after it.
        if let Some(id) = settled {
            session.delivery.borrow_mut().note_arrival(id);
            self.touch(session);
            self.persist(true);
        }
        let ticket = keeper.hand(Vec::new(), true);
        if let Some(hold) = connection.answers.borrow_mut().first() {
            *hold = Hold::Ticket(ticket);
        }
        keeper.is_past(ticket)
    }

    /// Whether a message on this topic may have to wait for a lasting session whose client is away.
    fn reaches_absent(&self, topic: &str) -> bool {
        if self.absent.get() == 0 {
            return false;
        }
        let route = self.routes.borrow_mut().get(topic, &self.subscriptions.borrow());
        route.has(|session, qos| qos != QoS::AtMostOnce && session.lasting.absent.get())
    }
}
