//! Plays a history against a running broker and holds every message that arrives against the model.
//!
//! After each step everybody waits until it has had its whole effect: the client that acted, or a bystander if it is
//! gone, sends a marker to every other one on a topic of the gateway's own, which no wildcard selects; what was published
//! before lies before the marker. Then each client pings until it has nothing more to acknowledge.

use crate::history::{Farewell, Filter, Greeting, History, Letter, Step, Terms};
use crate::model::{Hello, Message, Model};
use crate::peer::Peer;
use crate::support::Bench;
use cordon_mqtt::Limits;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// A broker with its clients and the model of it.
struct Stage<'r> {
    runtime: &'r Runtime,
    bench: Bench,
    model: Model,
    peers: BTreeMap<usize, Peer>,
    bystander: Peer,
    published: usize,
    markers: usize,
    patience: Duration,
}

/// Plays a history. Fails with what MQTT would not have done; a message that must come may take `patience`.
pub(crate) fn play(runtime: &Runtime, history: &History, patience: Duration) -> Result<(), String> {
    let limits = Limits { workers: history.workers, ..Limits::default() };
    let bench = runtime.block_on(Bench::with(limits));
    let (bystander, _) = Peer::connect(bench.address, "bystander", &plain(), None);
    let (model, peers) = (Model::default(), BTreeMap::new());
    let mut stage = Stage { runtime, bench, model, peers, bystander, published: 0, markers: 0, patience };
    let result = stage.play(history);
    let Stage { bench, peers, bystander, .. } = stage;
    // The broker waits for clients that stay.
    drop((peers, bystander));
    runtime.block_on(bench.broker.stop(patience));
    result
}

// === impl Stage ===

impl Stage<'_> {
    fn play(&mut self, history: &History) -> Result<(), String> {
        for (client, greeting) in history.clients.iter().enumerate() {
            self.connect(client, greeting)?;
        }
        for (at, step) in history.steps.iter().enumerate() {
            self.step(step, history.clients.len()).map_err(|why| format!("step {at}: {why}"))?;
        }
        // Nothing may be left behind: whoever is away comes back for what waits.
        for client in self.model.absent() {
            self.connect(client, &plain()).map_err(|why| format!("at the end: {why}"))?;
        }
        Ok(())
    }

    fn step(&mut self, step: &Step, clients: usize) -> Result<(), String> {
        match step {
            Step::Connect(client, greeting) => self.connect(client % clients, greeting),
            Step::Subscribe { client, wishes, id } => self.subscribe(client % clients, wishes, *id),
            Step::Unsubscribe(client, filter) => self.unsubscribe(client % clients, filter),
            Step::Publish { client, letter, twice } => self.publish(client % clients, letter, *twice),
            Step::Leave(client, farewell) => self.leave(client % clients, *farewell),
        }
    }

    fn connect(&mut self, client: usize, greeting: &Greeting) -> Result<(), String> {
        let greeting = &legal(greeting);
        let will = greeting.will.as_ref().map(|letter| self.message(client, letter));
        let payload = will.as_ref().map(|will| will.payload.clone());
        let expected = self.model.connect(client, hello(greeting, will));
        let (mut peer, present) = Peer::connect(self.bench.address, &name(client), greeting, payload.as_deref());
        if present != expected {
            return Err(format!("client {client}: session present is {present}"));
        }
        let qos_0 = Terms { retain_handling: if greeting.v5 { 2 } else { 0 }, ..Terms::default() };
        peer.subscribe(&[(marker_topic(client), qos_0)], None);
        self.peers.insert(client, peer);
        self.settle(Some(client))
    }

    fn subscribe(&mut self, client: usize, wishes: &[(Filter, Terms)], id: Option<u32>) -> Result<(), String> {
        let Some(peer) = self.peers.get_mut(&client) else { return Ok(()) };
        let id = id.filter(|_| peer.v5);
        let mut written = Vec::new();
        for (filter, terms) in wishes {
            let terms = match peer.v5 {
                true => Terms { no_local: terms.no_local && filter.group.is_none(), id, ..*terms },
                false => Terms { qos: terms.qos, ..Terms::default() },
            };
            written.push((spelled(filter), terms));
            self.model.subscribe(client, filter.clone(), terms);
        }
        peer.subscribe(&written, id);
        self.settle(Some(client))
    }

    fn unsubscribe(&mut self, client: usize, filter: &Filter) -> Result<(), String> {
        let Some(peer) = self.peers.get_mut(&client) else { return Ok(()) };
        let expected = self.model.unsubscribe(client, filter);
        if peer.unsubscribe(&spelled(filter)).is_some_and(|existed| existed != expected) {
            return Err(format!("client {client}: UNSUBACK does not say {expected} for {filter:?}"));
        }
        self.settle(Some(client))
    }

    fn publish(&mut self, client: usize, letter: &Letter, twice: bool) -> Result<(), String> {
        let Some(v5) = self.peers.get(&client).map(|peer| peer.v5) else { return Ok(()) };
        let letter = Letter { expires: letter.expires && v5, ..letter.clone() };
        let message = self.message(client, &letter);
        self.model.publish(message.clone());
        if let Some(peer) = self.peers.get_mut(&client) {
            peer.publish(&letter, &message.payload, twice);
        }
        self.settle(Some(client))
    }

    fn leave(&mut self, client: usize, farewell: Farewell) -> Result<(), String> {
        let Some(peer) = self.peers.remove(&client) else { return Ok(()) };
        self.model.leave(client, farewell == Farewell::Goodbye);
        match farewell {
            Farewell::Goodbye => peer.goodbye(0),
            Farewell::GoodbyeWithWill if peer.v5 => peer.goodbye(4),
            _ => drop(peer),
        }
        let started = Instant::now();
        let is_there = |sessions: Vec<cordon_mqtt::SessionInfo>| {
            sessions.iter().any(|session| session.client_id == name(client) && session.peer.is_some())
        };
        while is_there(self.runtime.block_on(self.bench.handle.sessions())) {
            if started.elapsed() > self.patience {
                return Err(format!("client {client} is gone and the broker does not notice"));
            }
        }
        self.settle(None)
    }

    /// Waits until all of a step's messages have arrived, and no others.
    fn settle(&mut self, actor: Option<usize>) -> Result<(), String> {
        self.markers += 1;
        let marker = self.markers.to_string();
        let clients: Vec<usize> = self.peers.keys().copied().collect();
        for client in &clients {
            let to = marker_topic(*client);
            let actor = actor.and_then(|actor| self.peers.get_mut(&actor)).unwrap_or(&mut self.bystander);
            actor.mark(&to, &marker);
        }
        for client in clients {
            if let Some(peer) = self.peers.get_mut(&client) {
                peer.read_to(&marker_topic(client), &marker);
            }
            self.hear(client)?;
        }
        let started = Instant::now();
        while let Some((client, what)) = self.model.awaited() {
            if started.elapsed() > self.patience {
                return Err(format!("client {client} did not get {what}"));
            }
            let clients: Vec<usize> = self.peers.keys().copied().collect();
            clients.into_iter().try_for_each(|client| self.hear(client))?;
        }
        self.model.settled();
        Ok(())
    }

    /// Lets a client acknowledge all it has, and holds it against the model.
    fn hear(&mut self, client: usize) -> Result<(), String> {
        let Some(peer) = self.peers.get_mut(&client) else { return Ok(()) };
        peer.rest();
        for arrival in peer.take_arrived() {
            if arrival.topic != marker_topic(client) {
                self.model.arrived(client, &arrival)?;
            }
        }
        Ok(())
    }

    fn message(&mut self, publisher: usize, letter: &Letter) -> Message {
        self.published += 1;
        let payload = if letter.empty { String::new() } else { format!("message {}", self.published) };
        let Letter { qos, retain, expires, .. } = *letter;
        Message { publisher, topic: letter.topic.to_owned(), payload, qos, retain, expires }
    }
}

/// A greeting without what its version does not know.
fn legal(greeting: &Greeting) -> Greeting {
    let mut legal = greeting.clone();
    if !legal.v5 {
        legal.lasting = !legal.clean;
        legal.receive_maximum = None;
        legal.delayed = false;
        legal.will.iter_mut().for_each(|will| will.expires = false);
    }
    legal
}

fn hello(greeting: &Greeting, will: Option<Message>) -> Hello {
    let Greeting { v5, clean, lasting, acknowledges, delayed, .. } = *greeting;
    Hello { v5, clean, lasting, acknowledges, will: will.map(|will| (will, delayed)) }
}

/// A client that only comes to collect.
fn plain() -> Greeting {
    Greeting {
        v5: true,
        clean: false,
        lasting: true,
        acknowledges: true,
        receive_maximum: None,
        will: None,
        delayed: false,
    }
}

fn name(client: usize) -> String {
    format!("client-{client}")
}

fn marker_topic(client: usize) -> String {
    format!("$aws/things/{}/shadow/update", name(client))
}

fn spelled(filter: &Filter) -> String {
    filter.group.map_or_else(|| filter.text.to_owned(), |group| format!("$share/{group}/{}", filter.text))
}
