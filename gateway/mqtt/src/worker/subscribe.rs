//! SUBSCRIBE and UNSUBSCRIBE (MQTT 5, 3.8 to 3.11).

use super::Worker;
use crate::codec::{Filter, ReasonCode, RetainHandling, Subscribe, Unsubscribe, encode};
use crate::session::{Connection, Queued, Session};
use crate::shared::lock;
use crate::subscriptions::{Subscriber, Terms};
use cordon_core::event::Code;
use cordon_core::isolation::Level;
use cordon_core::judge::Reason;
use cordon_core::policy::Action;
use cordon_core::time::Now;
use std::rc::Rc;

// === impl Worker ===

impl Worker {
    pub(super) fn subscribe(
        self: &Rc<Self>,
        session: &Rc<Session>,
        connection: &Rc<Connection>,
        packet: &Subscribe<'_>,
        now: Now,
    ) {
        self.refresh(session);
        let mut codes = Vec::new();
        let mut granted = Vec::new();
        for (filter, options) in packet.filters() {
            let terms = Terms { options, id: packet.subscription_identifier };
            let code = match self.admit_filter(session, &filter, now) {
                Ok(()) => {
                    let new = self.add_subscription(session, &filter, terms);
                    granted.push((filter.text.to_owned(), filter.share.is_some(), terms, new));
                    ReasonCode::granted(options.qos)
                }
                Err(code) => {
                    self.shared.meters.subscribes_refused.add(1);
                    code
                }
            };
            codes.push(code);
        }
        encode::suback(connection.stream.borrow_mut().out(), connection.version, packet.packet_id, &codes, None);
        for (filter, shared, terms, new) in granted {
            let wanted = match terms.options.retain_handling {
                RetainHandling::Send => true,
                RetainHandling::SendIfNew => new,
                RetainHandling::DoNotSend => false,
            };
            if wanted && !shared {
                self.send_retained(session, &filter, terms, now);
            }
        }
    }

    fn admit_filter(&self, session: &Rc<Session>, filter: &Filter<'_>, now: Now) -> Result<(), ReasonCode> {
        if let Some(fault) = filter.fault {
            let event = session.event(Code::ProtocolViolation, now).action(Action::Subscribe.name());
            self.refuse(session, event.resource(filter.text).rule(fault.rule).reason(fault.detail));
            return Err(fault.reason);
        }
        if filter.share.is_some() && self.shared.limits.workers > 1 {
            return Err(ReasonCode::SharedSubscriptionsNotSupported);
        }
        let verdicts = session.verdicts.borrow();
        if let Err(denied) = verdicts.judge(Action::Subscribe, filter.text) {
            drop(verdicts);
            self.count_failure(session, &denied);
            if matches!(denied.reason, Reason::Isolated(level) if level >= Level::Quarantine) {
                session.curtailed.set(true);
            }
            let event = self.denial(session, &denied, now);
            self.refuse(session, event);
            return Err(ReasonCode::NotAuthorized);
        }
        if let Some(order) = verdicts.would_cut(Action::Subscribe, filter.text) {
            self.note_audit(session, Action::Subscribe, filter.text, &order, now);
        }
        let known = session.filters.borrow().contains_key(filter.text);
        if !known && session.filters.borrow().len() >= self.shared.limits.max_subscriptions {
            let event = session.event(Code::LimitReached, now).action(Action::Subscribe.name());
            self.refuse(session, event.resource(filter.text).rule("limits.max_subscriptions"));
            return Err(ReasonCode::QuotaExceeded);
        }
        Ok(())
    }

    /// Adds or replaces a subscription. Returns whether it is new.
    fn add_subscription(&self, session: &Rc<Session>, filter: &Filter<'_>, terms: Terms) -> bool {
        let new = session.filters.borrow_mut().insert(filter.text.to_owned(), terms).is_none();
        let (plain, group) = filter.share.map_or((filter.text, None), |share| (share.filter, Some(share.name)));
        self.subscriptions.borrow_mut().insert(plain, group, session, terms);
        self.subscriptions_changed();
        new
    }

    pub(super) fn drop_subscription(&self, session: &Rc<Session>, filter: &str) -> bool {
        if session.filters.borrow_mut().remove(filter).is_none() {
            return false;
        }
        let (plain, group) = split_share(filter);
        self.subscriptions.borrow_mut().remove(plain, group, session.number());
        self.subscriptions_changed();
        true
    }

    fn subscriptions_changed(&self) {
        self.routes.borrow_mut().clear();
        self.shared.flow.set_filters(self.index, self.subscriptions.borrow().filters());
    }

    pub(super) fn unsubscribe(&self, session: &Rc<Session>, connection: &Connection, packet: &Unsubscribe<'_>) {
        let codes: Vec<ReasonCode> = packet
            .filters()
            .map(|filter| match (filter.fault, self.drop_subscription(session, filter.text)) {
                (Some(fault), _) => fault.reason,
                (None, true) => ReasonCode::Success,
                (None, false) => ReasonCode::NoSubscriptionExisted,
            })
            .collect();
        let mut stream = connection.stream.borrow_mut();
        encode::unsuback(stream.out(), connection.version, packet.packet_id, &codes, None);
    }

    fn send_retained(self: &Rc<Self>, session: &Rc<Session>, filter: &str, terms: Terms, now: Now) {
        let messages = lock(&self.shared.retained).select(filter, now.mono);
        let ids = terms.id.map(|id| Rc::from([id]));
        for message in messages {
            let qos = message.qos().min(terms.options.qos);
            self.offer(session, Queued { message, qos, retain: true, ids: ids.clone() }, now);
        }
    }
}

/// Splits `$share/group/filter` (MQTT 5, 4.8.2).
fn split_share(filter: &str) -> (&str, Option<&str>) {
    let Some(rest) = filter.strip_prefix("$share/") else { return (filter, None) };
    rest.split_once('/').map_or((filter, None), |(group, plain)| (plain, Some(group)))
}
