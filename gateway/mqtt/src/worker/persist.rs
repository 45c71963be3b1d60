//! What of a worker's sessions must outlive the gateway, and handing it over to the keeper.
//!
//! A session outlives the gateway if it outlives its connection. What changes is noted with the session, and handed over
//! once per batch, together, so that a message and what it left behind become durable at once. Sessions that end with
//! their connection, and messages at QoS 0, leave nothing to hand over.

use super::Worker;
use crate::keeper::{Deadline, Entry, Key, MessageRecord, ProgressRecord, RetainedRecord};
use crate::keeper::{SessionRecord, Stamp, Value, WillRecord};
use crate::retained::Change;
use crate::session::{Logged, Session};
use crate::shared::lock;
use crate::subscriptions::Subscriber;
use cordon_core::time::{Mono, Now};
use std::rc::Rc;

/// What a record is written with: the boot and the time.
#[derive(Clone, Copy)]
struct Moment {
    boot: u64,
    now: Now,
}

// === impl Worker ===

impl Worker {
    /// Lets a session outlive the gateway, or not, as its expiry says; at the beginning of a connection.
    pub(super) fn settle_lasting(&self, session: &Rc<Session>) {
        let lasts = self.shared.keeper.is_some() && session.expiry.get() > 0;
        if lasts {
            session.lasting.is.set(true);
            session.delivery.borrow_mut().begin_record();
            self.set_absent(session, false);
            self.record(session);
            self.record_will(session);
        } else {
            self.strike(session);
        }
    }

    /// Puts the session itself on record with the next batch.
    pub(super) fn record(&self, session: &Rc<Session>) {
        if session.lasting.is.get() {
            session.lasting.session.set(true);
            self.line_up(session);
        }
    }

    /// Puts the session's will on record with the next batch, or its end.
    pub(super) fn record_will(&self, session: &Rc<Session>) {
        if session.lasting.is.get() {
            session.lasting.will.set(true);
            self.line_up(session);
        }
    }

    /// Has changes of a session's deliveries, if there are any, put on record with the next batch.
    pub(super) fn touch(&self, session: &Rc<Session>) {
        if session.lasting.is.get() && session.delivery.borrow().has_log() {
            self.line_up(session);
        }
    }

    /// The client of a lasting session has gone: everything that waits for it is put on record.
    pub(super) fn stay_behind(&self, session: &Rc<Session>) {
        if session.lasting.is.get() {
            let mut delivery = session.delivery.borrow_mut();
            delivery.keep_all();
            drop(delivery);
            self.set_absent(session, true);
            self.record(session);
            self.record_will(session);
        }
        session.delivery.borrow_mut().park();
    }

    /// Takes a session off the record.
    pub(super) fn strike(&self, session: &Rc<Session>) {
        if !session.lasting.is.replace(false) {
            return;
        }
        self.set_absent(session, false);
        let number = session.number();
        let mut struck = self.struck.borrow_mut();
        struck.extend([Key::Session(number), Key::Progress(number), Key::Will(number)].map(Entry::remove));
        for change in session.delivery.borrow_mut().end_record() {
            match change {
                Logged::Forget(place) => struck.push(Entry::remove(Key::Message(number, place))),
                Logged::Released(id) => struck.push(Entry::remove(Key::Unreleased(number, id))),
                Logged::Keep { .. } | Logged::Arrived(_) | Logged::Progress => {}
            }
        }
    }

    pub(super) fn set_absent(&self, session: &Session, absent: bool) {
        if session.lasting.absent.replace(absent) != absent {
            let count = self.absent.get();
            self.absent.set(if absent { count + 1 } else { count.saturating_sub(1) });
            self.shared.flow.set_absent(self.index, self.absent.get());
        }
    }

    /// Hands over what has changed since the last call. `urgent` if an acknowledgement waits for it.
    pub(super) fn persist(&self, urgent: bool) {
        let Some(keeper) = &self.shared.keeper else { return };
        let retained = self.retained_changed.take();
        if self.changed.borrow().is_empty() && self.struck.borrow().is_empty() && !retained {
            return;
        }
        let moment = Moment { boot: keeper.boot(), now: self.shared.now() };
        let mut entries = Vec::new();
        for session in self.changed.take() {
            session.lasting.changed.set(false);
            if session.lasting.is.get() {
                self.describe(&session, moment, &mut entries);
            }
        }
        entries.append(&mut self.struck.borrow_mut());
        let ticket = if retained {
            // Under the lock, so that what is written last is what was retained last.
            let mut store = lock(&self.shared.retained);
            entries.extend(store.take_log().into_iter().map(|change| moment.retained(change)));
            keeper.hand(entries, urgent)
        } else if entries.is_empty() {
            return;
        } else {
            keeper.hand(entries, urgent)
        };
        self.ticket.set(ticket);
    }

    fn line_up(&self, session: &Rc<Session>) {
        if !session.lasting.changed.replace(true) {
            self.changed.borrow_mut().push(session.clone());
        }
    }

    /// Tells what has changed of a session.
    fn describe(&self, session: &Session, moment: Moment, entries: &mut Vec<Entry>) {
        let number = session.number();
        if session.lasting.session.take() {
            entries.push(Entry::put(Key::Session(number), Value::Session(Box::new(moment.session(session)))));
        }
        if session.lasting.will.take() {
            let will = self.will_of(session, moment);
            let had = session.lasting.has_will.replace(will.is_some());
            match will {
                Some(will) => entries.push(Entry::put(Key::Will(number), Value::Will(Box::new(will)))),
                None if had => entries.push(Entry::remove(Key::Will(number))),
                None => {}
            }
        }
        let mut delivery = session.delivery.borrow_mut();
        for change in delivery.take_log() {
            match change {
                Logged::Keep { place, first } => {
                    let Some((queued, packet_id, released)) = delivery.at(place) else { continue };
                    let message = (!released).then(|| moment.message(&queued.message));
                    let ids = queued.ids.as_deref().unwrap_or_default().to_vec();
                    let record = MessageRecord { packet_id, qos: queued.qos, retain: queued.retain, ids, message };
                    let (key, value) = (Key::Message(number, place), Some(Value::Message(record)));
                    entries.push(Entry { key, value, fresh: first });
                }
                Logged::Forget(place) => entries.push(Entry::remove(Key::Message(number, place))),
                Logged::Arrived(id) => {
                    let (key, value) = (Key::Unreleased(number, id), Some(Value::Unreleased));
                    entries.push(Entry { key, value, fresh: true });
                }
                Logged::Released(id) => entries.push(Entry::remove(Key::Unreleased(number, id))),
                Logged::Progress => {
                    let (last_id, sent) = delivery.progress();
                    let progress = ProgressRecord { last_id, sent };
                    entries.push(Entry::put(Key::Progress(number), Value::Progress(progress)));
                }
            }
        }
    }

    /// The will of a session that may still have to be published.
    fn will_of(&self, session: &Session, moment: Moment) -> Option<WillRecord> {
        if let Some(connection) = session.connection() {
            let will = connection.will.borrow().clone()?;
            return Some(WillRecord { will, due: None });
        }
        if let Some(will) = self.due_wills.of(session) {
            return Some(WillRecord { will, due: Some(moment.deadline(moment.now.mono)) });
        }
        let wills = self.wills.borrow();
        let pending = wills.iter().find(|pending| std::ptr::eq(&*pending.session, session))?;
        Some(WillRecord { will: pending.will.clone(), due: Some(moment.deadline(pending.due)) })
    }
}

// === impl Moment ===

impl Moment {
    fn deadline(self, end: Mono) -> Deadline {
        Deadline::new(end, self.boot, self.now)
    }

    fn message(self, message: &crate::envelope::Envelope) -> RetainedRecord {
        RetainedRecord { message: message.clone(), expires: message.expires().map(|at| self.deadline(at)) }
    }

    fn retained(self, change: Change) -> Entry {
        match change {
            Change::Kept(message) => {
                Entry::put(Key::retained(message.topic()), Value::Retained(self.message(&message)))
            }
            Change::Gone(topic) => Entry::remove(Key::retained(&topic)),
        }
    }

    fn session(self, session: &Session) -> SessionRecord {
        let origin = session.origin.borrow();
        let filters = session.filters.borrow();
        let filters = filters.iter().map(|(filter, terms)| (filter.clone(), terms.options, terms.id)).collect();
        // What was a time before the gateway started counts as well.
        let left = session.left.get().map(|left| {
            let ago = self.now.mono.since(left) + session.away.get();
            let millis = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
            let at = Now {
                mono: Mono(self.now.mono.0.saturating_sub(millis)),
                unix: cordon_core::time::Unix(self.now.unix.0.saturating_sub(millis)),
                trusted: self.now.trusted,
            };
            Stamp { boot: self.boot, at }
        });
        SessionRecord {
            client_id: session.client_id.clone(),
            thing: Some(session.thing().to_owned()).filter(|thing| !thing.is_empty()),
            principal: session.principal.borrow().clone(),
            listener: origin.listener.to_string(),
            policies: origin.policies.to_vec(),
            peer: origin.peer,
            version: origin.version,
            since: origin.since,
            will: origin.will,
            expiry: session.expiry.get(),
            left: if session.connection.borrow().is_some() { None } else { left },
            filters,
        }
    }
}
