//! Who gets a topic.
//!
//! A topic's receivers are found once and remembered until a subscription or the epoch changes. Each receiver's verdict
//! is remembered with it, so an ordinary delivery costs one look-up and no judging. What is remembered is bounded in
//! bytes; beyond, everything is forgotten and found anew.

use crate::codec::QoS;
use crate::envelope::Envelope;
use crate::session::Session;
use crate::subscriptions::{Subscriber, Subscriptions, Terms};
use cordon_core::judge::Permit;
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

/// What the remembered routes may take, in bytes.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// The remembered routes by topic.
#[derive(Default)]
pub(crate) struct Routes {
    by_topic: HashMap<Box<str>, Rc<Route>>,
    bytes: usize,
}

/// The receivers of one topic.
#[derive(Default)]
pub(crate) struct Route {
    pub(super) receivers: Vec<Receiver>,
    pub(super) groups: Vec<Group>,
}

pub(super) struct Receiver {
    pub(super) session: Rc<Session>,
    pub(super) qos: QoS,
    pub(super) audience: Audience,
    pub(super) retain_as_published: bool,
    pub(super) ids: Option<Rc<[u32]>>,
    pub(super) since: u64,
    pub(super) verdict: Cell<Option<(u64, Option<Permit>)>>,
}

/// Whose messages are for a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    All,
    /// Only those the session did not publish itself.
    Others,
    /// Only those the session published itself.
    Own,
}

/// The members of a shared group; each message goes to one of them in turn.
pub(super) struct Group {
    /// Its number, if there is more than one worker.
    number: u32,
    members: Vec<Receiver>,
    next: Cell<usize>,
}

// === impl Routes ===

impl Routes {
    /// Forgets everything: a subscription or the epoch has changed.
    pub(crate) fn clear(&mut self) {
        if !self.by_topic.is_empty() {
            *self = Self::default();
        }
    }

    pub(crate) fn get(&mut self, topic: &str, subscriptions: &Subscriptions<Session>) -> Rc<Route> {
        if let Some(route) = self.by_topic.get(topic) {
            return route.clone();
        }
        let matched = subscriptions.matching(topic);
        let groups = matched.shared.into_iter().map(Group::new).collect();
        let route = Rc::new(Route { receivers: merge(matched.single), groups });
        let cost = topic.len() + route.cost();
        if self.bytes + cost > MAX_BYTES {
            self.clear();
        }
        self.bytes += cost;
        self.by_topic.insert(topic.into(), route.clone());
        route
    }
}

// === impl Route ===

impl Route {
    /// Whether any receiver, at the QoS it subscribed at, is as asked.
    pub(crate) fn has(&self, wanted: impl Fn(&Session, QoS) -> bool) -> bool {
        let members = self.groups.iter().flat_map(|group| &group.members);
        self.receivers.iter().chain(members).any(|receiver| wanted(&receiver.session, receiver.qos))
    }

    /// About how many bytes it takes, with its place in the table.
    fn cost(&self) -> usize {
        let members: usize = self.groups.iter().map(|group| group.members.len()).sum();
        128 + (self.receivers.len() + members) * size_of::<Receiver>() + self.groups.len() * size_of::<Group>()
    }
}

// === impl Receiver ===

impl Receiver {
    /// `terms` are those of the session's matching subscriptions, at least one.
    fn new(session: Rc<Session>, audience: Audience, terms: &[Terms]) -> Self {
        let ids: Vec<u32> = terms.iter().filter_map(|terms| terms.id).collect();
        Self {
            session,
            qos: terms.iter().map(|terms| terms.options.qos).max().unwrap_or_default(),
            audience,
            retain_as_published: terms.iter().any(|terms| terms.options.retain_as_published),
            ids: (!ids.is_empty()).then(|| ids.into()),
            since: terms.iter().map(|terms| terms.since).min().unwrap_or(u64::MAX),
            verdict: Cell::new(None),
        }
    }
}

// === impl Audience ===

impl Audience {
    pub(super) fn includes(self, own: bool) -> bool {
        match self {
            Self::All => true,
            Self::Others => !own,
            Self::Own => own,
        }
    }
}

// === impl Group ===

impl Group {
    fn new(members: Vec<(Rc<Session>, Terms)>) -> Self {
        let number = members.first().map_or(0, |(_, terms)| terms.group);
        Self { number, members: merge(members), next: Cell::new(0) }
    }

    /// Those asked to take a message, in this order, and only as long as nobody has taken it. With several workers, only
    /// the elected member's worker asks anybody.
    pub(super) fn candidates(&self, message: &Envelope) -> impl Iterator<Item = &Receiver> {
        let number = |member: &Receiver| member.session.number();
        let elected = if self.number == 0 { None } else { message.elected(self.number) };
        let first = self.members.iter().find(|member| Some(number(member)) == elected);
        let mine = self.number == 0 || first.is_some();
        let others = move |member: &&Receiver| mine && Some(number(member)) != elected;
        first.into_iter().chain(self.turn().filter(others))
    }

    /// The members in the order in which they are asked to take a message: in turn, those connected first.
    fn turn(&self) -> impl Iterator<Item = &Receiver> {
        let start = self.next.get();
        self.next.set(start.wrapping_add(1));
        let round = move |connected: bool| {
            let members = self.members.iter().filter(move |member| member.is_connected() == connected);
            let count = members.clone().count();
            members.cycle().skip(start.checked_rem(count).unwrap_or(0)).take(count)
        };
        round(true).chain(round(false))
    }
}

// === impl Receiver ===

impl Receiver {
    fn is_connected(&self) -> bool {
        self.session.connection.borrow().is_some()
    }
}

/// One receiver per session: with overlapping filters a client gets a message once, at the highest QoS, with all
/// identifiers (MQTT-3.3.4-2 and 3.3.4-4). Its own messages are for those of its subscriptions alone that do not exclude
/// them (MQTT-3.8.3-3).
fn merge(matched: Vec<(Rc<Session>, Terms)>) -> Vec<Receiver> {
    let mut sessions: BTreeMap<u64, (Rc<Session>, Vec<Terms>)> = BTreeMap::new();
    for (session, terms) in matched {
        sessions.entry(session.number()).or_insert_with(|| (session, Vec::new())).1.push(terms);
    }
    let mut receivers = Vec::with_capacity(sessions.len());
    for (session, terms) in sessions.into_values() {
        let own: Vec<Terms> = terms.iter().copied().filter(|terms| !terms.options.no_local).collect();
        if own.len() == terms.len() {
            receivers.push(Receiver::new(session, Audience::All, &terms));
            continue;
        }
        if !own.is_empty() {
            receivers.push(Receiver::new(session.clone(), Audience::Own, &own));
        }
        receivers.push(Receiver::new(session, Audience::Others, &terms));
    }
    receivers
}
