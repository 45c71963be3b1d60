//! SUBSCRIBE and UNSUBSCRIBE (MQTT 5, 3.8 to 3.11).

use super::Worker;
use super::inbound::broken;
use crate::codec::{Filter, ReasonCode, RetainHandling, Subscribe, Unsubscribe, Version, encode};
use crate::envelope::Envelope;
use crate::session::{Connection, Ending, Queued, Session, Slot};
use crate::shared::{lock, shown};
use crate::subscriptions::{Subscriber, Terms};
use cordon_core::event::Code;
use cordon_core::isolation::Level;
use cordon_core::judge::Reason;
use cordon_core::policy::Action;
use cordon_core::time::Now;
use std::rc::Rc;

/// The deepest topic filter. The standard knows no limit, but each level costs memory (Mosquitto has the same).
const MAX_LEVELS: usize = 200;
/// The topic filters of one session together, in bytes.
const MAX_FILTER_BYTES: usize = 64 * 1024;
/// What a SUBSCRIBE counts against a connection's share of its worker, and each retained message it finds, in bytes.
const SUBSCRIBE_COST: usize = 1024;
const RETAINED_COST: usize = 256;
/// Retained messages that one SUBSCRIBE looks further for; what is found beyond them would not fit any queue.
const RETAINED_AT_ONCE: usize = 65_536;
/// Why filters are refused without a look at them, when a packet has more of them than a session may hold.
const TOO_MANY: &str = "too many topic filters in one packet";
/// No message is for a subscription yet.
const NOT_BEGUN: u64 = u64::MAX;

/// Why one filter of a SUBSCRIBE is refused: for SUBACK, and in words.
struct Refused {
    code: ReasonCode,
    why: String,
}

// === impl Worker ===

impl Worker {
    pub(super) fn subscribe(
        self: &Rc<Self>,
        session: &Rc<Session>,
        connection: &Rc<Connection>,
        packet: &Subscribe<'_>,
        now: Now,
    ) -> Result<(), Ending> {
        self.refresh(session);
        let version = connection.version;
        let fits = |why| connection.takes(encode::suback_len(version, packet.filters().count(), why));
        if !fits(None) {
            return Err(too_large());
        }
        let mut codes = Vec::new();
        let mut granted = Vec::new();
        let mut why = None;
        let mut further = 0;
        for (filter, options) in packet.filters() {
            self.spend(SUBSCRIBE_COST);
            let terms = Terms { options, id: packet.subscription_identifier, since: NOT_BEGUN, group: 0 };
            let admitted = if codes.len() < self.shared.limits.max_subscriptions {
                self.admit_filter(session, &filter, now)
            } else {
                further += 1;
                Err(Refused { code: ReasonCode::QuotaExceeded, why: TOO_MANY.to_owned() })
            };
            let code = match admitted {
                Ok(()) => {
                    let old = self.add_subscription(session, filter.text, terms);
                    granted.push((filter, terms, old));
                    ReasonCode::granted(options.qos)
                }
                Err(refused) => {
                    self.shared.meters.subscribes_refused.add(1);
                    why.get_or_insert(refused.why);
                    refused.code
                }
            };
            codes.push(code);
        }
        if further > 0 {
            let event = session.event(Code::LimitReached, now).action(Action::Subscribe.name());
            self.refuse(session, event.rule("limits.max_subscriptions").reason(TOO_MANY).count(further));
        }
        let why = why.as_deref().map(shown).filter(|why| connection.explain && fits(Some(why)));
        // MQTT 3.1 has no word for a failure and asks for a grant in its place (3.8).
        let grants = || packet.filters().map(|(_, options)| ReasonCode::granted(options.qos)).collect();
        let told: Vec<_> = if version == Version::V31 { grants() } else { codes.clone() };
        let why = why.filter(|_| version != Version::V31);
        if !granted.is_empty() {
            self.record(session);
        }
        let queued = |(message, terms): (Envelope, Terms)| {
            let ids = terms.id.map(|id| Rc::from([id]));
            let qos = message.qos().min(terms.options.qos);
            Queued { message, qos, retain: true, ids, slot: Slot::default() }
        };
        let retained = self.begin(session, granted, now).into_iter().map(queued).collect();
        self.answer_then(session, connection, retained, |out| {
            encode::suback(out, version, packet.packet_id, &told, why);
        });
        let granted = packet.filters().zip(&codes).filter(|(_, code)| !code.is_error());
        self.tell_subscribed(session, granted.map(|((filter, _), _)| filter.text), now);
        Ok(())
    }

    /// Lets subscriptions begin at one point between all messages: what is retained by then is returned, and what is
    /// published later comes out of the fabric.
    fn begin(
        &self,
        session: &Rc<Session>,
        granted: Vec<(Filter<'_>, Terms, Option<Terms>)>,
        now: Now,
    ) -> Vec<(Envelope, Terms)> {
        let mut retained = lock(&self.shared.retained);
        let since = self.shared.coming_message();
        let mut found = Vec::new();
        for (filter, terms, old) in granted {
            // One filter given twice in a packet: the first of the two has not begun either.
            let since = old.map(|old| old.since).filter(|since| *since != NOT_BEGUN).unwrap_or(since);
            self.add_subscription(session, filter.text, Terms { since, ..terms });
            let wanted = match terms.options.retain_handling {
                RetainHandling::Send => true,
                RetainHandling::SendIfNew => old.is_none(),
                RetainHandling::DoNotSend => false,
            };
            if found.len() >= RETAINED_AT_ONCE {
                let event = session.event(Code::LimitReached, now).action(Action::Subscribe.name());
                self.refuse(session, event.rule("one SUBSCRIBE gets some 65,536 retained messages at most"));
            } else if wanted && filter.share.is_none() {
                let messages = retained.select(filter.text, now.mono);
                self.spend(messages.len() * RETAINED_COST);
                let own = |message: &Envelope| terms.options.no_local && message.publisher() == session.author;
                found.extend(messages.into_iter().filter(|message| !own(message)).map(|message| (message, terms)));
            }
        }
        found
    }

    fn admit_filter(&self, session: &Rc<Session>, filter: &Filter<'_>, now: Now) -> Result<(), Refused> {
        let verdicts = session.verdicts.borrow();
        if let Err(denied) = verdicts.judge(Action::Subscribe, filter.text) {
            drop(verdicts);
            self.count_failure(session, &denied);
            if matches!(denied.reason, Reason::Isolated(level) if level >= Level::Quarantine) {
                session.curtailed.set(true);
            }
            let event = self.denial(session, &denied, now);
            self.refuse(session, event);
            return Err(Refused { code: ReasonCode::NotAuthorized, why: denied.to_string() });
        }
        if let Some(order) = verdicts.would_cut(Action::Subscribe, filter.text) {
            self.note_audit(session, Action::Subscribe, filter.text, &order, now);
        }
        drop(verdicts);
        let Some(rule) = self.limit_reached(session, filter.text) else { return Ok(()) };
        let event = session.event(Code::LimitReached, now).action(Action::Subscribe.name());
        self.refuse(session, event.resource(shown(filter.text)).rule(rule));
        Err(Refused { code: ReasonCode::QuotaExceeded, why: rule.to_owned() })
    }

    /// The limit that one more subscription would break, if it would break one.
    fn limit_reached(&self, session: &Session, filter: &str) -> Option<&'static str> {
        let filters = session.filters.borrow();
        if filters.contains_key(filter) {
            return None;
        }
        if filter.split('/').nth(MAX_LEVELS).is_some() {
            return Some("a topic filter has at most 200 levels");
        }
        if session.filter_bytes.get() + filter.len() > MAX_FILTER_BYTES {
            return Some("the topic filters of a session have at most 64 KiB");
        }
        (filters.len() >= self.shared.limits.max_subscriptions).then_some("limits.max_subscriptions")
    }

    /// Adds or replaces a subscription. Returns the terms that were replaced.
    pub(super) fn add_subscription(&self, session: &Rc<Session>, filter: &str, mut terms: Terms) -> Option<Terms> {
        let (plain, group) = split_share(filter);
        if let Some(name) = group
            && self.shared.limits.workers > 1
        {
            let connected = session.connection.borrow().is_some();
            terms.group = self.shared.groups.join(plain, name, session.number(), connected);
        }
        let old = session.filters.borrow_mut().insert(filter.to_owned(), terms);
        if old.is_none() {
            session.filter_bytes.set(session.filter_bytes.get() + filter.len());
            self.shared.meters.subscriptions.add(1);
            self.shared.presence.subscribed(plain);
        }
        self.subscriptions.borrow_mut().insert(plain, group, session, terms);
        self.subscriptions_changed();
        old
    }

    pub(super) fn drop_subscription(&self, session: &Rc<Session>, filter: &str) -> bool {
        if session.filters.borrow_mut().remove(filter).is_none() {
            return false;
        }
        session.filter_bytes.set(session.filter_bytes.get() - filter.len());
        let (plain, group) = split_share(filter);
        self.shared.meters.subscriptions.sub(1);
        self.shared.presence.unsubscribed(plain);
        if let Some(name) = group {
            self.shared.groups.leave(plain, name, session.number());
        }
        self.subscriptions.borrow_mut().remove(plain, group, session.number());
        self.subscriptions_changed();
        true
    }

    /// Tells the shared groups of a session whether it is connected.
    pub(super) fn tell_groups(&self, session: &Session, connected: bool) {
        if self.shared.limits.workers > 1 {
            for filter in session.filters.borrow().keys() {
                if let (plain, Some(name)) = split_share(filter) {
                    self.shared.groups.join(plain, name, session.number(), connected);
                }
            }
        }
    }

    fn subscriptions_changed(&self) {
        self.routes.borrow_mut().clear();
        self.shared.flow.set_filters(self.index, self.subscriptions.borrow().filters());
    }

    pub(super) fn unsubscribe(
        self: &Rc<Self>,
        session: &Rc<Session>,
        connection: &Connection,
        packet: &Unsubscribe<'_>,
    ) -> Result<(), Ending> {
        let version = connection.version;
        if !connection.takes(encode::unsuback_len(version, packet.filters().count(), None)) {
            return Err(too_large());
        }
        self.spend(SUBSCRIBE_COST);
        let dropped = |filter: Filter<'_>| self.drop_subscription(session, filter.text);
        let code = |known| if known { ReasonCode::Success } else { ReasonCode::NoSubscriptionExisted };
        let codes: Vec<ReasonCode> = packet.filters().map(|filter| code(dropped(filter))).collect();
        self.record(session);
        self.answer_then(session, connection, Vec::new(), |out| {
            encode::unsuback(out, version, packet.packet_id, &codes, None);
        });
        let ended = packet.filters().zip(&codes).filter(|(_, code)| **code == ReasonCode::Success);
        self.tell_unsubscribed(session, ended.map(|(filter, _)| filter.text), self.shared.now());
        Ok(())
    }
}

/// A client that asks for an answer larger than it takes cannot be answered (MQTT-3.1.2-24).
fn too_large() -> Ending {
    broken(ReasonCode::PacketTooLarge, "MQTT-3.1.2-24", "the answer would be larger than the client takes")
}

/// Splits `$share/group/filter` (MQTT 5, 4.8.2). What only looks like it, which MQTT 3 allows, is an ordinary filter.
fn split_share(filter: &str) -> (&str, Option<&str>) {
    let share = filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/'));
    match share {
        Some((group, plain)) if !group.is_empty() && !plain.is_empty() => (plain, Some(group)),
        _ => (filter, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_group_with_a_name_and_a_filter_is_shared() {
        for (filter, parts) in [
            ("$share/g/a/b", ("a/b", Some("g"))),
            ("$share/g//a", ("/a", Some("g"))),
            ("$share//a", ("$share//a", None)),
            ("$share/g/", ("$share/g/", None)),
            ("$share/g", ("$share/g", None)),
            ("a/b", ("a/b", None)),
        ] {
            assert_eq!(split_share(filter), parts, "{filter}");
        }
    }
}
