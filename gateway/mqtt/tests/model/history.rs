//! Histories: what clients do, one after the other. Every history is legal, and so is every part of it that shrinking
//! leaves: a step of a client that is not connected is passed over.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// A run of a broker and its clients.
#[derive(Debug, Clone)]
pub(crate) struct History {
    /// Worker threads of the broker.
    pub(crate) workers: usize,
    /// How each client connects at first.
    pub(crate) clients: Vec<Greeting>,
    pub(crate) steps: Vec<Step>,
}

/// One thing that one client does. Clients are counted modulo their number.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Connect(usize, Greeting),
    Subscribe { client: usize, wishes: Vec<(Filter, Terms)>, id: Option<u32> },
    Unsubscribe(usize, Filter),
    Publish { client: usize, letter: Letter, twice: bool },
    Leave(usize, Farewell),
}

/// A CONNECT. What MQTT 3.1.1 does not know is left out there.
#[derive(Debug, Clone)]
pub(crate) struct Greeting {
    pub(crate) v5: bool,
    pub(crate) clean: bool,
    pub(crate) lasting: bool,
    pub(crate) acknowledges: bool,
    /// How many unacknowledged messages the client takes, if it acknowledges them.
    pub(crate) receive_maximum: Option<u16>,
    pub(crate) will: Option<Letter>,
    /// Whether the will waits for the end of the session.
    pub(crate) delayed: bool,
}

/// A message to publish.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) topic: &'static str,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) empty: bool,
    pub(crate) expires: bool,
}

/// What a subscription is made to: a topic filter, perhaps shared by a group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Filter {
    pub(crate) group: Option<&'static str>,
    pub(crate) text: &'static str,
}

/// The options of a subscription (MQTT 5, 3.8.3.1).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Terms {
    pub(crate) qos: u8,
    pub(crate) no_local: bool,
    pub(crate) retain_as_published: bool,
    /// 0: send retained messages, 1: if the subscription is new, 2: do not.
    pub(crate) retain_handling: u8,
    pub(crate) id: Option<u32>,
}

/// How a client goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// With a DISCONNECT.
    Goodbye,
    /// With a DISCONNECT that asks for the will (MQTT 5).
    GoodbyeWithWill,
    /// Without a word.
    Lost,
}

const TOPICS: &[&str] = &["a", "a/b", "a/b/c", "a/", "/a", "b", "b/b"];
const FILTERS: &[&str] = &["#", "+", "a", "a/b", "a/#", "a/+", "+/b", "+/+", "/#", "a/+/c", "b/b", "a/"];
/// No two of them select the same topic: it could not be told for which of them a message came.
const SHARED: &[(&str, &str)] = &[("g", "a/#"), ("h", "b/+"), ("g", "/+"), ("h", "b")];

/// Any history of two to five clients.
pub(crate) fn history() -> impl Strategy<Value = History> {
    let parts = (1..=2_usize, vec(greeting(), 2..=5), vec(step(), 5..40));
    parts.prop_map(|(workers, clients, steps)| History { workers, clients, steps })
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0..5_usize;
    prop_oneof![
        3 => (client.clone(), greeting()).prop_map(|(client, greeting)| Step::Connect(client, greeting)),
        6 => (client.clone(), vec((filter(), terms()), 1..=2), option::of(1..4_u32))
            .prop_map(|(client, wishes, id)| Step::Subscribe { client, wishes, id }),
        1 => (client.clone(), filter()).prop_map(|(client, filter)| Step::Unsubscribe(client, filter)),
        9 => (client.clone(), letter(), any::<bool>())
            .prop_map(|(client, letter, twice)| Step::Publish { client, letter, twice }),
        2 => (client, farewell()).prop_map(|(client, farewell)| Step::Leave(client, farewell)),
    ]
}

fn greeting() -> impl Strategy<Value = Greeting> {
    let flags = (any::<bool>(), prop::bool::weighted(0.3), prop::bool::weighted(0.7), prop::bool::weighted(0.8));
    let rest = (option::weighted(0.3, 1..4_u16), option::of(letter()), any::<bool>());
    (flags, rest).prop_map(|((v5, clean, lasting, acknowledges), (receive_maximum, will, delayed))| Greeting {
        v5,
        clean,
        lasting,
        acknowledges,
        receive_maximum,
        will,
        delayed,
    })
}

fn letter() -> impl Strategy<Value = Letter> {
    let topic = prop::sample::select(TOPICS);
    let flags = (prop::bool::weighted(0.3), prop::bool::weighted(0.2), prop::bool::weighted(0.2));
    (topic, 0..=2_u8, flags).prop_map(|(topic, qos, (retain, empty, expires))| Letter {
        topic,
        qos,
        retain,
        empty,
        expires,
    })
}

fn filter() -> impl Strategy<Value = Filter> {
    prop_oneof![
        3 => prop::sample::select(FILTERS).prop_map(|text| Filter { group: None, text }),
        1 => prop::sample::select(SHARED).prop_map(|(group, text)| Filter { group: Some(group), text }),
    ]
}

fn terms() -> impl Strategy<Value = Terms> {
    (0..=2_u8, prop::bool::weighted(0.3), any::<bool>(), 0..=2_u8).prop_map(
        |(qos, no_local, retain_as_published, retain_handling)| Terms {
            qos,
            no_local,
            retain_as_published,
            retain_handling,
            id: None,
        },
    )
}

fn farewell() -> impl Strategy<Value = Farewell> {
    prop_oneof![Just(Farewell::Goodbye), Just(Farewell::GoodbyeWithWill), Just(Farewell::Lost)]
}
