//! Taking a client in: session takeover, the verdict on CONNECT, the will, and CONNACK (MQTT 5, 3.1.4 and 3.2).

use super::{Admission, Worker};
use crate::codec::ReasonCode;
use crate::codec::encode::{self, ConnackProperties};
use crate::config::Acknowledge;
use crate::connack;
use crate::session::{ConnectedAs, Connection, Delivery, Ending, Session};
use crate::shared::{lock, shown};
use crate::stream::{Stream, farewell};
use cordon_core::event::{Code, Event};
use cordon_core::judge::Reason;
use cordon_core::policy::Action;
use cordon_core::time::Now;
use std::rc::Rc;

// === impl Worker ===

impl Worker {
    pub(super) fn admit(self: &Rc<Self>, admission: Admission) {
        let Admission { stream, connect, identity, origin, leftover, mut place } = admission;
        let now = self.shared.now();
        let Ok(stream) = stream.attach() else { return };
        let verdicts = self.compile(&identity, &connect.client_id, &origin);
        let known = self.sessions.borrow().get(&connect.client_id).cloned();
        let candidate = Session::new(self.shared.next_session(), connect.client_id.clone(), identity, origin, verdicts);

        if let Some(known) = &known
            && !known.belongs_to(&candidate)
        {
            let event = candidate.event(Code::AuthnClientIdForeign, now);
            let event = event.action(Action::Connect.name()).resource(shown(&connect.client_id));
            let event = event.detail("held_by", known.principal.borrow().to_string());
            let event = event.reason("the client id belongs to another principal");
            let event = event.rule("a session belongs to the principal that began it");
            candidate.failures.set(1);
            self.turn_away(stream, &candidate, &connect, ReasonCode::ClientIdentifierNotValid, event);
            return;
        }
        if let Err(event) = self.judge_connect(&candidate, &connect, now) {
            self.tell_connect_failed(&candidate, now);
            self.hand_over(now);
            self.write_all();
            self.turn_away(stream, &candidate, &connect, ReasonCode::NotAuthorized, *event);
            return;
        }
        if known.is_none() && self.shared.meters.sessions.get() >= self.shared.limits.max_sessions as u64 {
            let event = candidate.event(Code::LimitReached, now).action(Action::Connect.name());
            let event = event.rule("limits.max_sessions").reason("the gateway holds as many sessions as it may");
            self.turn_away(stream, &candidate, &connect, ReasonCode::QuotaExceeded, event);
            return;
        }
        let limits = &self.shared.limits;
        let Some(terms) = connack::terms(&connect, limits) else {
            let event = candidate.event(Code::LimitReached, now).action(Action::Connect.name()).rule("MQTT-3.1.2-24");
            let event = event.reason("the client takes no packet as large as CONNACK with what it must be told");
            self.turn_away(stream, &candidate, &connect, ReasonCode::PacketTooLarge, event);
            return;
        };

        let beside = |old: &Connection| old.place.borrow().as_ref().is_some_and(|old| old.is_beside(&place));
        let replaces = known.as_ref().and_then(|known| known.connection()).is_some_and(|old| beside(&old));
        if !place.seat(replaces) {
            let event = candidate.event(Code::LimitReached, now).action(Action::Connect.name());
            let event = event.rule("sources.max_connections").reason("as many clients come from its address as may");
            self.turn_away(stream, &candidate, &connect, ReasonCode::QuotaExceeded, event);
            return;
        }

        let waits = candidate.origin.borrow().acknowledge == Acknowledge::Disk;
        let (session, present) = self.seat(known, candidate, &connect, now);
        let connection = Rc::new(Connection::new(stream, &connect, limits, now.mono, place));
        session.expiry.set(connect.session_expiry);
        session.left.set(None);
        session.away.take();
        connection.waits.set(waits);
        session.connection.replace(Some(connection.clone()));
        self.tell_groups(&session, true);
        self.settle_lasting(&session);
        self.shared.meters.connections.add(1);
        session.connects.set(session.connects.get() + 1);
        self.welcome(&connection, present, &terms);
        self.tell_connected(&session, present, now);
        self.hand_over(now);
        self.write_all();
        let mut event = session.event(Code::SessionConnected, now);
        event = event.detail("version", connect.version.name());
        self.shared.sink.event(event);
        tokio::task::spawn_local(self.clone().serve(session, connection, leftover));
    }

    fn judge_connect(&self, candidate: &Session, connect: &ConnectedAs, now: Now) -> Result<(), Box<Event>> {
        let verdicts = candidate.verdicts.borrow();
        let denied = match verdicts.judge(Action::Connect, &connect.client_id) {
            Err(denied) => denied,
            Ok(_) => match connect.will.as_ref().map(|will| verdicts.message(&will.topic, will.retain)) {
                // A will that an isolation order cuts is judged again when it is due; policy refuses it now.
                Some(Err(denied)) if !matches!(denied.reason, Reason::Isolated(_)) => denied,
                _ => return Ok(()),
            },
        };
        candidate.failures.set(u64::from(!matches!(denied.reason, Reason::Isolated(_))));
        Err(Box::new(self.denial(candidate, &denied, now)))
    }

    /// Refuses a client with a CONNACK and an event.
    fn turn_away(
        &self,
        mut stream: Stream,
        candidate: &Session,
        connect: &ConnectedAs,
        code: ReasonCode,
        event: Event,
    ) {
        connack::refuse(stream.out(), connect.version, code, event.reason.as_deref(), connect.max_packet);
        stream.close_for(Some(code), None);
        self.tally.answered();
        let busy = self.busy.clone();
        tokio::task::spawn_local(async move {
            farewell(stream).await;
            drop(busy);
        });
        self.shared.meters.connects_refused.add(1);
        if let Some(counters) = candidate.take_counters() {
            self.shared.sink.observe(vec![counters]);
        }
        let event = lock(&self.shared.refusals).note(event);
        event.into_iter().for_each(|event| self.shared.sink.event(event));
    }

    /// Finds the session to carry on with, or begins a new one. Returns it and whether it was present.
    fn seat(
        self: &Rc<Self>,
        known: Option<Rc<Session>>,
        candidate: Session,
        connect: &ConnectedAs,
        now: Now,
    ) -> (Rc<Session>, bool) {
        if let Some(known) = known {
            if let Some(old) = known.connection() {
                self.shared.sink.event(candidate.event(Code::SessionTakenOver, now));
                self.leave(&known, &old, Ending::TakenOver);
            }
            let lives = self.sessions.borrow().contains_key(&known.client_id);
            // What was begun without proof is not handed to the one who has it.
            if lives && !connect.clean_start && known.is_proven() == candidate.is_proven() {
                self.drop_pending_will(&known);
                known.delivery.borrow_mut().resume();
                known.principal.replace(candidate.principal.into_inner());
                known.origin.replace(candidate.origin.into_inner());
                known.verdicts.replace(candidate.verdicts.into_inner());
                known.curtailed.set(false);
                return (known, true);
            }
            candidate.usage.inherit(&known.usage);
            self.forget(&known);
        }
        let session = Rc::new(candidate);
        session.delivery.replace(Delivery::within(self.shared.pool.clone()));
        self.sessions.borrow_mut().insert(session.client_id.clone(), session.clone());
        self.shared.meters.sessions.add(1);
        (session, false)
    }

    fn welcome(&self, connection: &Connection, present: bool, terms: &ConnackProperties<'_>) {
        let mut stream = connection.stream.borrow_mut();
        encode::connack(stream.out(), connection.version, present, ReasonCode::Success, terms);
        self.tally.answered();
        stream.flush().ok();
    }
}
