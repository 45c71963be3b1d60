//! Sessions come back when the gateway starts, before the first listener opens. They are judged by the rules in force.

use super::{PendingWill, Worker};
use crate::auth::Identity;
use crate::config::Acknowledge;
use crate::envelope::{Envelope, Letter};
use crate::keeper::{MessageRecord, Saved, SessionRecord, WillRecord};
use crate::session::{Delivery, Origin, Queued, Restored, Session, Slot};
use crate::subscriptions::Terms;
use cordon_core::judge;
use cordon_core::policy::Action;
use cordon_core::time::Now;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

// === impl Worker ===

impl Worker {
    /// Takes up the sessions that this worker holds.
    pub(super) fn restore(self: &Rc<Self>, sessions: Vec<Saved>) {
        let now = self.shared.now();
        for saved in sessions {
            self.restore_session(saved, now);
        }
        self.hand_over(now);
    }

    fn restore_session(self: &Rc<Self>, saved: Saved, now: Now) {
        let Saved { number, session: record, progress, messages, unreleased, will } = saved;
        let boot = self.shared.keeper.as_ref().map(|keeper| keeper.boot()).unwrap_or_default();
        let was_connected = record.left.is_none();
        let away = record.left.map_or(Duration::ZERO, |left| left.age(boot, now));
        let origin = origin(&record);
        let identity = Identity { principal: record.principal, thing: record.thing };
        let verdicts = self.compile(&identity, &record.client_id, &origin);
        let messages = self.restored(messages, progress.sent, was_connected);
        let progress = (progress.last_id, progress.sent);
        let session = Rc::new(Session::new(number, record.client_id, identity, origin, verdicts));
        session.delivery.replace(Delivery::restore(self.shared.pool.clone(), messages, progress, unreleased));
        session.expiry.set(record.expiry);
        session.left.set(Some(now.mono));
        session.away.set(away);
        session.lasting.is.set(true);
        session.lasting.has_will.set(will.is_some());
        if let Some(other) = self.sessions.borrow_mut().insert(session.client_id.clone(), session.clone()) {
            // Two records of one client id: the later one counts.
            self.strike(&other);
        } else {
            self.shared.meters.sessions.add(1);
        }
        self.set_absent(&session, true);
        for (filter, options, id) in record.filters {
            self.add_subscription(&session, &filter, Terms { options, id, since: 0, group: 0 });
        }
        if was_connected {
            // The absence counts from now on, for a further restart too.
            self.record(&session);
        }
        if let Some(WillRecord { will, due }) = will {
            let due = match due {
                Some(due) => due.end(boot, now),
                // The gateway went down with the connection.
                None => now.mono.plus(Duration::from_secs(u64::from(will.delay.min(record.expiry)))),
            };
            self.wills.borrow_mut().push(PendingWill { session: session.clone(), will, due });
            self.record_will(&session);
        }
    }

    /// The messages of a session in their order. Those that may have been sent are sent again, with DUP.
    fn restored(&self, messages: BTreeMap<u64, MessageRecord>, sent: u64, was_connected: bool) -> Vec<Restored> {
        // With a client that was connected, it is not known how far sending had come.
        let unsure = if was_connected { usize::from(self.shared.limits.max_inflight) } else { 0 };
        let released =
            messages.iter().rev().find(|(_, record)| record.message.is_none()).map_or(0, |(place, _)| *place);
        let sent = sent.max(released);
        let restore = |(at, (place, record)): (usize, (u64, MessageRecord))| {
            let released = record.message.is_none();
            let message = record.message.map_or_else(nothing, |message| message.message);
            let ids = (!record.ids.is_empty()).then(|| Rc::from(record.ids));
            let queued = Queued { message, qos: record.qos, retain: record.retain, ids, slot: Slot::default() };
            Restored { place, packet_id: record.packet_id, sent: place <= sent || at < unsure, released, queued }
        };
        messages.into_iter().enumerate().map(restore).collect()
    }
}

fn origin(record: &SessionRecord) -> Origin {
    Origin {
        listener: record.listener.as_str().into(),
        policies: record.policies.clone().into(),
        peer: record.peer,
        version: record.version,
        since: record.since,
        persistent: true,
        will: record.will,
        acknowledge: Acknowledge::default(),
    }
}

/// Stands for a message that the client has already.
fn nothing() -> Envelope {
    let letter = Letter {
        qos: crate::codec::QoS::ExactlyOnce,
        retain: false,
        publisher: 0,
        thing: "",
        epoch: 0,
        expires: None,
        topic: "",
        properties: &[],
        payload: &[],
    };
    Envelope::seal(&letter, 0, &[], judge::judge_gateway(Action::Publish, ""))
}
