//! What a worker looks at four times a second: counts, keep-alives, expiry, wills that are due, refusals to tell.

use super::Worker;
use crate::session::{Ending, Session};
use crate::shared::lock;
use cordon_core::event::Code;
use cordon_core::time::{Mono, Now};
use std::rc::Rc;
use std::time::Duration;

// === impl Worker ===

impl Worker {
    pub(super) fn tick(self: &Rc<Self>, now: Now) {
        self.fair.set(*lock(&self.shared.fair));
        let sessions: Vec<_> = self.sessions.borrow().values().cloned().collect();
        let mut counters = Vec::new();
        for session in &sessions {
            self.tally.look(session);
            counters.extend(session.take_counters());
            self.report(session, now);
            match session.connection() {
                Some(connection) if connection.is_silent(now.mono) => connection.end(Ending::KeepAlive),
                Some(connection) => {
                    session.delivery.borrow_mut().age();
                    self.watch(&connection, now.mono);
                }
                None => self.expire(session, now.mono),
            }
            self.touch(session);
        }
        if !counters.is_empty() {
            self.shared.sink.observe(counters);
        }
        if self.index == 0 {
            let repeats = lock(&self.shared.refusals).flush(now.mono);
            repeats.into_iter().for_each(|event| self.shared.sink.event(event));
            self.tell_sources(now);
        }
        self.publish_due_wills(now);
        self.tell_waiting(now);
        // What has expired in the retained store meanwhile goes from the record too.
        if self.index == 0 {
            self.retained_changed.set(true);
        }
        self.hand_over(now);
        self.release_all();
        self.measure();
        self.write_all();
    }

    /// Tells what was counted for a session and not recorded one by one.
    fn report(&self, session: &Session, now: Now) {
        let repeats = session.refusals.borrow_mut().flush(now.mono);
        repeats.into_iter().for_each(|event| self.shared.sink.event(event));
        if let Some(throttled) = session.usage.due(now.mono) {
            self.tell_throttled(session, throttled, now);
        }
        let dropped = session.dropped.take();
        if dropped > 0 {
            let limits = "limits.max_queued_messages, limits.max_queued_bytes, limits.max_queued_bytes_total";
            let event = session.event(Code::MessageDropped, now).rule(limits);
            self.shared.sink.event(event.count(dropped));
        }
    }

    fn expire(self: &Rc<Self>, session: &Rc<Session>, now: Mono) {
        let limit = self.shared.limits.max_session_expiry;
        let stay = Duration::from_secs(u64::from(session.expiry.get())).min(limit);
        if session.left.get().is_some_and(|left| now.since(left) + session.away.get() >= stay) {
            self.forget(session);
        }
    }
}
