//! What MQTT promises, in one page: who gets which message, with which QoS, flags and identifiers, and in which order.
//!
//! The model knows sessions, subscriptions, retained messages, wills and shared groups (MQTT 5, chapters 3 and 4), and
//! nothing of sockets, packets or time: expiries are either at once or far away. Whoever plays a history tells the model
//! what the clients do, and then asks it about each message that arrives. Where the standard leaves a choice it takes
//! the gateway's: a client gets a message once however many of its filters match, at the highest QoS they allow and with
//! all their identifiers (3.3.4); and a group prefers its connected members (4.8.2).

use crate::history::{Filter, Terms};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// A message that was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) publisher: usize,
    pub(crate) topic: String,
    /// Tells the message from all others, or is empty.
    pub(crate) payload: String,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    /// Whether it has a message expiry, which is far away.
    pub(crate) expires: bool,
}

/// A message that a client has received.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) topic: String,
    pub(crate) payload: String,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) again: bool,
    /// The subscription identifiers; none in MQTT 3.
    pub(crate) ids: Vec<u32>,
    pub(crate) expires: bool,
}

/// What a client says as it connects.
#[derive(Debug, Clone)]
pub(crate) struct Hello {
    pub(crate) v5: bool,
    pub(crate) clean: bool,
    /// Whether the session outlives the connection.
    pub(crate) lasting: bool,
    /// Whether the client acknowledges what it receives.
    pub(crate) acknowledges: bool,
    /// The will, and whether its delay is far away.
    pub(crate) will: Option<(Message, bool)>,
}

/// A message on its way to one client.
#[derive(Debug, Clone)]
struct Delivery {
    message: Rc<Message>,
    qos: u8,
    retain: bool,
    ids: Vec<u32>,
    again: bool,
}

/// A message for one member of a group.
#[derive(Debug)]
struct Shared {
    members: BTreeMap<usize, Delivery>,
    /// Members that have not been connected since.
    unseen: BTreeSet<usize>,
    /// Cleared when the message may have gone with a session that ended.
    certain: bool,
}

#[derive(Debug, Default)]
struct Session {
    connection: Option<Hello>,
    lasting: bool,
    subscriptions: BTreeMap<Filter, Terms>,
    /// What must arrive, in the order of publication.
    due: Vec<Delivery>,
    /// What arrived and was not acknowledged.
    unacknowledged: Vec<Delivery>,
    /// A will that waits for the end of the session.
    will: Option<Message>,
}

/// The state of the broker, as far as clients can tell.
#[derive(Debug, Default)]
pub(crate) struct Model {
    sessions: BTreeMap<usize, Session>,
    retained: BTreeMap<String, Rc<Message>>,
    shared: Vec<Shared>,
}

// === impl Model ===

impl Model {
    /// A client connects. Returns whether its session was present (3.2.2.1.1).
    pub(crate) fn connect(&mut self, client: usize, hello: Hello) -> bool {
        if self.is_connected(client) {
            // It is taken over (MQTT-3.1.4-3), and its will is published (3.1.2.5).
            self.leave(client, false);
        }
        if hello.clean {
            self.end(client);
        }
        let present = self.sessions.contains_key(&client);
        let session = self.sessions.entry(client).or_default();
        // A session that is resumed in time keeps its will to itself (MQTT-3.1.3-9).
        session.will = None;
        // What was not acknowledged comes again, before everything else (MQTT-4.4.0-1).
        let repeated = session.unacknowledged.drain(..).map(|delivery| Delivery { again: true, ..delivery });
        session.due.splice(0..0, repeated.collect::<Vec<_>>());
        session.lasting = hello.lasting;
        session.connection = Some(hello);
        present
    }

    /// A client goes, with a goodbye that discards its will or without (MQTT-3.14.4-3).
    pub(crate) fn leave(&mut self, client: usize, goodbye: bool) {
        let Some(session) = self.sessions.get_mut(&client) else { return };
        let will = session.connection.take().and_then(|hello| hello.will).filter(|_| !goodbye);
        let lasting = session.lasting;
        match will {
            Some((will, delayed)) if delayed && lasting => session.will = Some(will),
            Some((will, _)) => self.publish(will),
            None => {}
        }
        if !lasting {
            self.end(client);
        }
    }

    /// A session ends with all that waits for it; a will that waited is published (MQTT-3.1.2-8).
    fn end(&mut self, client: usize) {
        let Some(session) = self.sessions.remove(&client) else { return };
        for shared in &mut self.shared {
            if shared.members.remove(&client).is_some() {
                shared.certain = false;
            }
        }
        if let Some(will) = session.will {
            self.publish(will);
        }
    }

    /// A client subscribes. Retained messages follow, but not to groups (MQTT-3.3.1-9 to -11, 4.8.2).
    pub(crate) fn subscribe(&mut self, client: usize, filter: Filter, terms: Terms) {
        let Some(session) = self.sessions.get_mut(&client) else { return };
        let old = session.subscriptions.insert(filter.clone(), terms);
        let wanted =
            filter.group.is_none() && (terms.retain_handling == 0 || terms.retain_handling == 1 && old.is_none());
        let own = |message: &Message| terms.no_local && message.publisher == client;
        let found =
            self.retained.values().filter(|message| wanted && selects(filter.text, &message.topic) && !own(message));
        session.due.extend(found.map(|message| Delivery {
            message: message.clone(),
            qos: message.qos.min(terms.qos),
            retain: true,
            ids: terms.id.into_iter().collect(),
            again: false,
        }));
    }

    /// A client gives a subscription up. Returns whether there was one (3.11.3).
    pub(crate) fn unsubscribe(&mut self, client: usize, filter: &Filter) -> bool {
        self.sessions.get_mut(&client).is_some_and(|session| session.subscriptions.remove(filter).is_some())
    }

    /// A message is published.
    pub(crate) fn publish(&mut self, message: Message) {
        let message = Rc::new(message);
        if message.retain && message.payload.is_empty() {
            self.retained.remove(&message.topic);
        } else if message.retain {
            self.retained.insert(message.topic.clone(), message.clone());
        }
        let mut groups: BTreeMap<Filter, BTreeMap<usize, Delivery>> = BTreeMap::new();
        for (&client, session) in &mut self.sessions {
            let mut plain = Vec::new();
            for (filter, terms) in
                session.subscriptions.iter().filter(|(filter, _)| selects(filter.text, &message.topic))
            {
                match filter.group {
                    Some(_) => {
                        drop(groups.entry(filter.clone()).or_default().insert(client, delivery(&message, &[*terms])))
                    }
                    None if terms.no_local && message.publisher == client => {}
                    None => plain.push(*terms),
                }
            }
            let delivery = delivery(&message, &plain);
            if !plain.is_empty() && (session.connection.is_some() || delivery.qos > 0) {
                session.due.push(delivery);
            }
        }
        groups.into_values().for_each(|members| self.share(members));
    }

    /// One member of a group gets a message: a connected one, if there is one.
    fn share(&mut self, mut members: BTreeMap<usize, Delivery>) {
        let connected = members.keys().any(|client| self.is_connected(*client));
        // If an absent member takes only QoS 0, the message may have been lost on it.
        let certain = connected || members.values().all(|delivery| delivery.qos > 0);
        members.retain(|client, delivery| self.is_connected(*client) || !connected && delivery.qos > 0);
        self.shared.push(Shared { unseen: members.keys().copied().collect(), members, certain });
    }

    /// A message arrives at a client. Fails if MQTT does not want it there, or not yet.
    pub(crate) fn arrived(&mut self, client: usize, arrival: &Arrival) -> Result<(), String> {
        let session = self.sessions.get_mut(&client).ok_or("a message for nobody")?;
        let hello = session.connection.as_ref().ok_or("a message for a client that is gone")?;
        let (v5, acknowledges) = (hello.v5, hello.acknowledges);
        let found = session.due.iter().position(|delivery| delivery.fits(arrival, v5));
        let delivery = if let Some(at) = found {
            let delivery = session.due.remove(at);
            if let Some(first) = session.due[..at].iter().find(|before| before.is_in_order_with(&delivery)) {
                return Err(format!("client {client} got {arrival:?} before {first:?}"));
            }
            delivery
        } else {
            let fits = |shared: &Shared| shared.members.get(&client).is_some_and(|delivery| delivery.fits(arrival, v5));
            let at =
                self.shared.iter().position(fits).ok_or_else(|| {
                    format!("client {client} got {arrival:?}, but only these are due: {:?}", session.due)
                })?;
            self.shared.remove(at).members.remove(&client).ok_or("a group without its member")?
        };
        if !acknowledges && delivery.qos > 0 {
            session.unacknowledged.push(delivery);
        }
        Ok(())
    }

    /// Everything that was under way has arrived.
    pub(crate) fn settled(&mut self) {
        let sessions = &self.sessions;
        let connected = |client: &usize| sessions.get(client).is_some_and(|session| session.connection.is_some());
        self.shared.iter_mut().for_each(|shared| shared.unseen.retain(|client| !connected(client)));
    }

    /// A connected client that still awaits a message, alone or as the last member that can have it.
    pub(crate) fn awaited(&self) -> Option<(usize, String)> {
        let due = self.sessions.iter().filter(|(_, session)| session.connection.is_some());
        let due = due.filter_map(|(client, session)| Some((*client, format!("{:?}", session.due.first()?))));
        let shared = self.shared.iter().filter(|shared| shared.certain);
        let shared = shared.filter(|shared| shared.unseen.iter().all(|client| self.is_connected(*client)));
        let shared = shared.flat_map(|shared| &shared.members).map(|(client, what)| (*client, format!("{what:?}")));
        due.chain(shared.filter(|(client, _)| self.is_connected(*client))).next()
    }

    pub(crate) fn is_connected(&self, client: usize) -> bool {
        self.sessions.get(&client).is_some_and(|session| session.connection.is_some())
    }

    /// The clients with a session that waits for them.
    pub(crate) fn absent(&self) -> Vec<usize> {
        self.sessions.keys().copied().filter(|client| !self.is_connected(*client)).collect()
    }
}

// === impl Delivery ===

impl Delivery {
    fn fits(&self, arrival: &Arrival, v5: bool) -> bool {
        let message = (&*self.message.topic, &*self.message.payload, self.qos, self.retain, self.again);
        message == (&*arrival.topic, &*arrival.payload, arrival.qos, arrival.retain, arrival.again)
            && (!v5 || (self.ids == arrival.ids && self.message.expires == arrival.expires))
    }

    /// Whether the two must arrive in the order they were published in (MQTT-4.6.0-6).
    fn is_in_order_with(&self, other: &Self) -> bool {
        let key = |delivery: &Self| (delivery.message.publisher, delivery.message.topic.clone(), delivery.qos);
        key(self) == key(other)
    }
}

/// What a client with these matching subscriptions gets (MQTT-3.3.4-1 to -4, MQTT-3.3.1-12 and -13).
fn delivery(message: &Rc<Message>, terms: &[Terms]) -> Delivery {
    let mut ids: Vec<u32> = terms.iter().filter_map(|terms| terms.id).collect();
    ids.sort_unstable();
    let qos = terms.iter().map(|terms| terms.qos).max().unwrap_or(0).min(message.qos);
    let retain = message.retain && terms.iter().any(|terms| terms.retain_as_published);
    Delivery { message: message.clone(), qos, retain, ids, again: false }
}

/// Whether a filter selects a topic (4.7). No topic of a history begins with `$`.
fn selects(filter: &str, topic: &str) -> bool {
    match (filter.split_once('/'), topic.split_once('/')) {
        _ if filter == "#" => true,
        (Some((level, levels)), Some((name, names))) => (level == "+" || level == name) && selects(levels, names),
        (Some((level, "#")), None) => level == "+" || level == topic,
        (None, None) => filter == "+" || filter == topic,
        _ => false,
    }
}
