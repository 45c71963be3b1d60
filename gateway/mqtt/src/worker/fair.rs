//! Limits that keep one client from slowing others: how fast it may send, how long it may leave unread what it is sent.

use super::Worker;
use crate::front;
use crate::session::{Connection, Ending, Session};
use cordon_core::event::{Code, Event};
use cordon_core::time::{Mono, Now};

// === impl Worker ===

impl Worker {
    /// Until when no more is read from a client that sends faster than it may.
    pub(super) fn throttled(&self, session: &Session, connection: &Connection, now: Now) -> Option<Mono> {
        let throttled = session.usage.throttle(&self.fair.get(), now.mono)?;
        self.shared.meters.throttled.add(1);
        connection.paced_until.set(throttled.until);
        if throttled.begins {
            self.tell_throttled(session, (1, throttled.rule), now);
        }
        Some(throttled.until)
    }

    /// Waits until more may be read.
    pub(super) async fn paced(&self, until: Option<Mono>) {
        if let Some(until) = until {
            tokio::time::sleep(until.since(self.shared.now().mono)).await;
        }
    }

    pub(super) fn tell_throttled(&self, session: &Session, (count, rule): (u64, &'static str), now: Now) {
        let event = session.event(Code::LimitReached, now).rule(rule).count(count);
        self.shared.sink.event(event.reason("the client sends faster than it may, and is not read for a while"));
    }

    /// Tells how often addresses were refused since that was told.
    pub(super) fn tell_sources(&self, now: Now) {
        for repeats in self.shared.sources.repeats() {
            let event = Event::new(Code::LimitReached, now).peer(repeats.peer).rule(repeats.rule);
            self.shared.sink.event(event.reason(front::TOO_MUCH).count(repeats.count));
        }
    }

    /// Ends the connection of a client that has not taken anything of what waits for it for too long.
    pub(super) fn watch(&self, connection: &Connection, now: Mono) {
        if connection.is_ending() {
            return;
        }
        let idle = {
            let mut stream = connection.stream.borrow_mut();
            stream.take_moved() || !stream.wants_write()
        };
        if idle {
            connection.drained.set(now);
        } else if now.since(connection.drained.get()) >= self.fair.get().write_timeout {
            self.shared.meters.writes_timed_out.add(1);
            connection.end(Ending::WriteTimeout);
        }
    }
}
