//! What happens to publishers while a connected subscriber does not keep up.
//!
//! A subscriber is behind when half of what may wait for it does. Whoever publishes to it then is not read for a while, so
//! that TCP carries the pressure back and nothing needs to be dropped. But a slow reader must not slow everybody else
//! down: it may hold publishers back for [`PATIENCE`] at most; then it loses that right, and messages, until it has
//! caught up. Who is behind itself is never held back: its acknowledgements must be read.

use super::Worker;
use crate::session::{Connection, Pressure, Session};
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a subscriber that is behind may hold a publisher back.
const PATIENCE: Duration = Duration::from_millis(250);

/// A publisher's wait for a subscriber that is behind.
pub(super) struct Held {
    behind: Rc<Session>,
    until: Instant,
}

// === impl Held ===

impl Held {
    /// Waits until the subscriber has caught up or its time is over. May be dropped and begun again.
    pub(super) async fn relieved(&self) {
        let relief = self.behind.relief.notified();
        if self.behind.pressure.get() != Pressure::Behind {
            return;
        }
        if tokio::time::timeout_at(self.until, relief).await.is_err() {
            self.behind.pressure.set(Pressure::Tardy);
            self.behind.relief.notify_waiters();
        }
    }
}

// === impl Worker ===

impl Worker {
    /// Marks a connected subscriber as behind, for the publisher whose packets are being processed.
    pub(super) fn press(&self, session: &Rc<Session>) {
        if session.pressure.get() == Pressure::None {
            session.pressure.set(Pressure::Behind);
        }
        if session.pressure.get() == Pressure::Behind {
            self.pressing.replace(Some(session.clone()));
        }
    }

    /// Whom a publisher has to wait for after its last packet, if for anybody.
    pub(super) fn held(&self, publisher: &Session) -> Option<Held> {
        let behind = self.pressing.take()?;
        let waits = publisher.pressure.get() == Pressure::None && behind.pressure.get() == Pressure::Behind;
        waits.then(|| self.hold(behind))
    }

    /// The wait for a subscriber that is behind.
    pub(super) fn hold(&self, behind: Rc<Session>) -> Held {
        self.shared.meters.publishers_held.add(1);
        Held { behind, until: Instant::now() + PATIENCE }
    }

    /// Lets publishers go on if the subscriber has caught up: a quarter of what may wait for it does.
    pub(super) fn relieve(&self, session: &Session, connection: &Connection) {
        if session.pressure.get() == Pressure::None {
            return;
        }
        let limits = &self.shared.limits;
        let delivery = session.delivery.borrow();
        let caught_up = connection.stream.borrow().unsent() <= limits.max_unsent_bytes / 4
            && delivery.queued() <= limits.max_queued_messages / 4
            && delivery.queued_bytes() <= limits.max_queued_bytes / 4;
        if caught_up {
            session.relieve();
        }
    }
}
