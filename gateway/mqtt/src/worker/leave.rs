//! Letting a client go: the last packet, the will, and what stays of the session (MQTT 5, 3.1.2.5 and 3.14).

use super::Worker;
use crate::codec::encode;
use crate::envelope::Letter;
use crate::front;
use crate::session::{Connection, Ending, Session, Will};
use crate::shared::{lock, shown};
use cordon_core::event::Code;
use cordon_core::time::{Mono, Now};
use std::rc::Rc;
use std::time::Duration;

/// A will that is due later.
pub(crate) struct PendingWill {
    pub(super) session: Rc<Session>,
    pub(super) will: Will,
    pub(super) due: Mono,
}

// === impl Worker ===

impl Worker {
    /// Ends a session's connection. What happens to the session depends on its expiry.
    pub(super) fn leave(self: &Rc<Self>, session: &Rc<Session>, connection: &Rc<Connection>, ending: Ending) {
        if connection.over.replace(true) {
            return;
        }
        let now = self.shared.now();
        {
            let mut stream = connection.stream.borrow_mut();
            let explanation = ending.explanation();
            let explanation = explanation.as_deref().map(shown);
            stream.close_for(ending.reason(), explanation);
            if connection.version.is_v5()
                && let Some(reason) = ending.reason()
            {
                let fits = |why: &&str| connection.takes(encode::disconnect_len(reason, Some(why)));
                encode::disconnect(stream.out(), reason, explanation.filter(fits));
                self.tally.answered();
            }
            // What does not go out at once, the connection's task writes.
            stream.finish().ok();
        }
        self.tally.wrote(connection);
        connection.wake.ring();
        let place = connection.place.take();
        let violations = place.filter(|_| matches!(ending, Ending::Violation(_))).and_then(|place| place.violated());
        session.connection.replace(None);
        self.tell_groups(session, false);
        session.relieve(now.mono);
        session.left.set(Some(now.mono));
        self.shared.meters.connections.sub(1);
        if ending.is_termination() {
            self.shared.meters.terminated.add(1);
        }
        self.account(session, &ending, violations, now);
        self.tell_disconnected(session, &ending, now);
        if let Some(will) = connection.will.take()
            && !ending.discards_will()
        {
            self.schedule_will(session, will, now);
        }
        if session.expiry.get() == 0 {
            self.forget(session);
        } else {
            self.stay_behind(session);
        }
        self.hand_over(now);
        self.write_all();
    }

    fn account(&self, session: &Rc<Session>, ending: &Ending, violations: Option<u64>, now: Now) {
        let sink = &self.shared.sink;
        if let Ending::Violation(violation) = ending {
            self.shared.meters.violations.add(1);
            let event = front::with_violations(session.event(Code::ProtocolViolation, now), violations);
            let event = lock(&self.shared.refusals).note(event.rule(violation.rule).reason(violation.detail));
            event.into_iter().for_each(|event| sink.event(event));
        }
        if *ending == Ending::WriteTimeout {
            let event = session.event(Code::LimitReached, now).rule("limits.write_timeout");
            sink.event(event.reason("the client took nothing of what was sent to it for too long"));
        }
        if let Some(throttled) = session.usage.finish() {
            self.tell_throttled(session, throttled, now);
        }
        let repeats = session.refusals.borrow_mut().finish();
        repeats.into_iter().for_each(|event| sink.event(event));
        if let Some(counters) = session.take_counters() {
            sink.observe(vec![counters]);
        }
        let mut event = session.event(Code::SessionDisconnected, now).reason(ending.lifecycle());
        if let Ending::Isolated { order } = ending {
            event = event.rule(format!("order {order}"));
        }
        if let Some(why) = ending.explanation() {
            event = event.detail("explanation", why);
        }
        sink.event(event);
    }

    /// Drops a session with its subscriptions and everything that waits for it.
    pub(super) fn forget(self: &Rc<Self>, session: &Rc<Session>) {
        let same = self.sessions.borrow().get(&session.client_id).is_some_and(|held| Rc::ptr_eq(held, session));
        if !same {
            return;
        }
        self.sessions.borrow_mut().remove(&session.client_id);
        self.shared.meters.sessions.sub(1);
        self.remember_version(session);
        let filters: Vec<String> = session.filters.borrow().keys().cloned().collect();
        for filter in filters {
            self.drop_subscription(session, &filter);
        }
        // A will waits no longer than its session lives (MQTT-3.1.3-9).
        let now = self.shared.now();
        let due: Vec<PendingWill> =
            self.wills.borrow_mut().extract_if(.., |will| Rc::ptr_eq(&will.session, session)).collect();
        for pending in due {
            self.will_is_due(pending.session, pending.will, now);
        }
        self.strike(session);
    }

    fn schedule_will(self: &Rc<Self>, session: &Rc<Session>, will: Will, now: Now) {
        let delay = will.delay.min(session.expiry.get());
        if delay == 0 {
            self.will_is_due(session.clone(), will, now);
        } else {
            let due = now.mono.plus(Duration::from_secs(u64::from(delay)));
            self.wills.borrow_mut().push(PendingWill { session: session.clone(), will, due });
        }
    }

    /// A session that is resumed in time takes its will back.
    pub(super) fn drop_pending_will(&self, session: &Rc<Session>) {
        self.wills.borrow_mut().retain(|will| !Rc::ptr_eq(&will.session, session));
    }

    pub(super) fn publish_will(&self, session: &Rc<Session>, will: &Will, now: Now) {
        self.refresh(session);
        self.record_will(session);
        let verdict = session.verdicts.borrow().message(&will.topic, will.retain);
        let permit = match verdict {
            Ok(permit) => permit,
            Err(denied) => {
                let event = self.denial(session, &denied, now).detail("will", "true");
                self.shared.sink.event(event);
                return;
            }
        };
        let letter = Letter {
            qos: will.qos,
            retain: will.retain,
            publisher: session.author,
            thing: session.thing(),
            epoch: self.shared.epoch(),
            expires: will.message_expiry.map(|secs| now.mono.plus(Duration::from_secs(u64::from(secs)))),
            topic: &will.topic,
            properties: &will.properties,
            payload: &will.payload,
        };
        let (size, _) = self.post(&letter, permit, now);
        self.spend(size);
    }
}
