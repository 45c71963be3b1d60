//! Publishers wait a moment for a connected subscriber that is behind.
//!
//! A subscriber is behind when half of what may wait for it does, and has caught up when a quarter does. Whoever publishes
//! to it meanwhile is not read, so that TCP carries the pressure back and nothing needs to be dropped; for how long,
//! [`Pressure`](crate::session::Pressure) decides. Who is behind itself is never held back: its acknowledgements must be
//! read.

use super::Worker;
use crate::session::{Connection, Session};
use cordon_core::time::Mono;
use std::rc::Rc;

/// A publisher's wait for a subscriber that is behind.
pub(super) struct Held {
    behind: Rc<Session>,
}

// === impl Worker ===

impl Worker {
    /// Marks a connected subscriber as behind, for the publisher whose packets are being processed.
    pub(super) fn press(&self, session: &Rc<Session>, now: Mono) {
        let mut pressure = session.pressure.get();
        if pressure.fall_behind(now).is_some() {
            self.pressing.replace(Some(session.clone()));
        }
        session.pressure.set(pressure);
    }

    /// Whom a publisher has to wait for after its last packet, if for anybody.
    pub(super) fn held(&self, publisher: &Session) -> Option<Held> {
        let behind = self.pressing.take()?;
        publisher.pressure.get().keeps_up().then(|| self.hold(behind))
    }

    /// The wait for a subscriber that is behind.
    pub(super) fn hold(&self, behind: Rc<Session>) -> Held {
        self.shared.meters.publishers_held.add(1);
        Held { behind }
    }

    /// Waits until the subscriber has caught up or its time is over. May be dropped and begun again.
    pub(super) async fn relieved(&self, held: &Held) {
        loop {
            let relief = held.behind.relief.notified();
            let now = self.shared.now().mono;
            let mut pressure = held.behind.pressure.get();
            let until = pressure.waits_until(now);
            held.behind.pressure.set(pressure);
            let Some(until) = until else { return };
            tokio::time::timeout(until.since(now), relief).await.ok();
        }
    }

    /// Lets publishers go on if the subscriber has caught up.
    pub(super) fn relieve(&self, session: &Session, connection: &Connection) {
        if session.pressure.get().keeps_up() {
            return;
        }
        let limits = &self.shared.limits;
        let caught_up = {
            let delivery = session.delivery.borrow();
            connection.stream.borrow().unsent() <= limits.max_unsent_bytes / 4
                && delivery.queued() <= limits.max_queued_messages / 4
                && delivery.queued_bytes() <= limits.max_queued_bytes / 4
        };
        if caught_up {
            session.relieve(self.shared.now().mono);
        }
    }
}
