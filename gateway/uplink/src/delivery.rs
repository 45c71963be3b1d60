//! What is in flight, what comes next, and what an answer means for an entry: the whole of delivery without I/O.
//!
//! The outbox is the only list of what remains to be sent. Each connection starts from the first entry that was not
//! acknowledged, so that nothing needs to be carried from one connection to the next and the order is the outbox's.
//!
//! - At most `window` entries, and [`FLIGHT_BYTES`], are out at a time. An entry stays in flight until the outbox has
//!   removed it.
//! - A refused entry goes back, and its topic is held (see [`Holds`]); other topics go on. Only a quota pauses them all.
//! - When the far side closes the connection on entries in flight, those are sent one by one from then on. One that is
//!   alone in flight when the connection is closed on it for the second time can never be delivered. A link that merely
//!   dies (a timeout, no network) blames nobody.

mod holds;
mod ready;

use crate::backoff::ceiling;
use crate::config::Config;
use crate::entry::{Entry, EntryError};
use crate::reason::{self, Answer};
use holds::{Gate, Holds, Verdict};
use ready::Ready;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tokio::time::Instant;

pub(crate) use ready::Look;

/// The most bytes of topics and payloads in flight, unless a single entry is larger.
const FLIGHT_BYTES: usize = 1 << 20;

/// How often the far side may close the connection on an entry that is alone in flight.
const KILLS: u32 = 2;

/// A connection that is closed later than this after an entry was sent is not closed because of it.
const KILLS_WITHIN: Duration = Duration::from_secs(10);

/// Pauses between attempts after a refusal: from the first to the longest, doubling.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_LONGEST: Duration = Duration::from_secs(60);

/// The state of delivery, across connections.
#[derive(Debug)]
pub(crate) struct Delivery {
    configured_window: usize,
    window: usize,
    max_packet: Option<usize>,
    ack_timeout: Duration,
    flights: VecDeque<Flight>,
    ready: Ready,
    holds: Holds,
    pause: Pause,
    /// Entries up to this id are sent one by one.
    alone_until: u64,
    kills: BTreeMap<u64, u32>,
}

#[derive(Debug)]
struct Flight {
    id: u64,
    topic: String,
    bytes: usize,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Handed to the link.
    Queued(Instant),
    /// Written by the link under this packet identifier.
    Sent(u16, Instant),
    /// Answered for good; the outbox is removing it.
    Leaving,
}

#[derive(Debug, Default)]
struct Pause {
    until: Option<Instant>,
    times: u32,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Send this entry; it is in flight.
    Send(Entry),
    /// This entry can never be delivered; it is leaving.
    Undeliverable(Entry, EntryError),
    /// Nothing until something changes.
    Nothing,
}

/// What a PUBACK meant.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The far side has it; remove it from the outbox.
    Accepted { id: u64 },
    /// It stays in the outbox and is sent again later.
    SentAgain { id: u64, topic: String },
    /// It is given up; remove it from the outbox.
    GivenUp { id: u64, topic: String, refusals: u32 },
    /// Nothing in flight has this packet identifier.
    Unknown,
}

// === impl Delivery ===

impl Delivery {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            configured_window: config.window,
            window: config.window,
            max_packet: None,
            ack_timeout: config.ack_timeout,
            flights: VecDeque::new(),
            ready: Ready::default(),
            holds: Holds::new(config.max_retries),
            pause: Pause::default(),
            alone_until: 0,
            kills: BTreeMap::new(),
        }
    }

    /// A connection was accepted with these limits.
    pub(crate) fn connected(&mut self, receive_max: Option<u16>, max_packet: Option<u32>) {
        let receive_max = receive_max.map_or(usize::MAX, usize::from);
        self.window = self.configured_window.min(receive_max).max(1);
        self.max_packet = max_packet.and_then(|bytes| usize::try_from(bytes).ok());
        // What was not answered on the last connection is sent on this one.
        self.ready.more();
    }

    /// The look at the outbox that is wanted, if any.
    pub(crate) fn look(&mut self, now: Instant) -> Option<Look> {
        if let Some(first) = self.holds.expire(now) {
            self.ready.rewind(first);
        }
        let room = self.window.saturating_sub(self.flights.len());
        if self.paused(now) || room == 0 { None } else { self.ready.look(room) }
    }

    /// What a look at the outbox found.
    pub(crate) fn found(&mut self, look: Look, entries: Vec<Entry>) {
        self.ready.found(look, entries);
    }

    /// The id after which something new is worth a look; `None` if there is still something to look at.
    pub(crate) fn waits_beyond(&self) -> Option<u64> {
        self.ready.waits_beyond()
    }

    /// The outbox has something new.
    pub(crate) fn more(&mut self) {
        self.ready.more();
    }

    /// The next entry to send.
    pub(crate) fn next(&mut self, now: Instant) -> Next {
        if self.paused(now) {
            return Next::Nothing;
        }
        while let Some(entry) = self.ready.first() {
            if self.flights.iter().any(|flight| flight.id == entry.id) {
                self.ready.take();
                continue;
            }
            if !self.has_room_for(entry) {
                break;
            }
            let flights = &self.flights;
            let is_out = |id| flights.iter().any(|flight| flight.id == id && flight.stage != Stage::Leaving);
            if self.holds.gate(&entry.topic, entry.id, is_out) == Gate::Shut {
                self.ready.skip();
                continue;
            }
            let checked = self.check(entry);
            let Some(entry) = self.ready.take() else { break };
            let stage = if checked.is_ok() { Stage::Queued(now) } else { Stage::Leaving };
            let (id, topic, bytes) = (entry.id, entry.topic.clone(), entry.bytes());
            self.flights.push_back(Flight { id, topic, bytes, stage });
            return match checked {
                Ok(()) => Next::Send(entry),
                Err(error) => Next::Undeliverable(entry, error),
            };
        }
        Next::Nothing
    }

    /// The link wrote the first entry that it was given and had not written. False if there is none.
    pub(crate) fn sent(&mut self, pkid: u16, now: Instant) -> bool {
        let queued = self.flights.iter_mut().find(|flight| matches!(flight.stage, Stage::Queued(_)));
        queued.map(|flight| flight.stage = Stage::Sent(pkid, now)).is_some()
    }

    /// The far side answered the publish `pkid`.
    pub(crate) fn answered(&mut self, pkid: u16, code: u8, now: Instant) -> Outcome {
        let this = |flight: &Flight| matches!(flight.stage, Stage::Sent(one, _) if one == pkid);
        let Some(at) = self.flights.iter().position(this) else { return Outcome::Unknown };
        let flight = &mut self.flights[at];
        let (id, topic) = (flight.id, flight.topic.clone());
        let answer = reason::answer(code);
        if let Answer::Accepted = answer {
            flight.stage = Stage::Leaving;
            self.pause = Pause::default();
            if let Some(first) = self.holds.accepted(&topic, id) {
                self.ready.rewind(first);
            }
            return Outcome::Accepted { id };
        }
        let verdict = match answer {
            Answer::Impossible => Verdict::GivenUp { refusals: 1 },
            Answer::Later => {
                self.pause.until = Some(now + ceiling(RETRY_FIRST, RETRY_LONGEST, self.pause.times));
                self.pause.times = self.pause.times.saturating_add(1);
                self.ready.rewind(id);
                Verdict::TryAgain
            }
            Answer::Accepted | Answer::Refused => self.holds.refused(&topic, id, now),
        };
        match verdict {
            Verdict::TryAgain => {
                self.flights.remove(at);
                Outcome::SentAgain { id, topic }
            }
            Verdict::GivenUp { refusals } => {
                self.flights[at].stage = Stage::Leaving;
                Outcome::GivenUp { id, topic, refusals }
            }
        }
    }

    /// The outbox has removed the entry.
    pub(crate) fn gone(&mut self, id: u64) {
        self.flights.retain(|flight| flight.id != id);
        self.kills.remove(&id);
    }

    /// The connection ended; `blamed` if the far side ended it in a way that may be an answer to an entry. Returns the
    /// entry that is given up for it, which is then leaving.
    pub(crate) fn lost(&mut self, blamed: bool, now: Instant) -> Option<(u64, String)> {
        let mut given_up = None;
        let mut back: Vec<Flight> = Vec::new();
        self.flights.retain_mut(|flight| {
            let leaving = flight.stage == Stage::Leaving;
            if !leaving {
                back.push(Flight { topic: flight.topic.clone(), ..*flight });
            }
            leaving
        });
        if blamed && let Some(newest) = back.iter().map(|flight| flight.id).max() {
            self.alone_until = self.alone_until.max(newest);
        }
        if let ([flight], true) = (back.as_mut_slice(), blamed)
            && flight.age(now) <= KILLS_WITHIN
        {
            let kills = self.kills.entry(flight.id).or_insert(0);
            *kills += 1;
            if *kills >= KILLS {
                given_up = Some((flight.id, flight.topic.clone()));
                self.flights.push_back(Flight { topic: flight.topic.clone(), stage: Stage::Leaving, ..*flight });
            }
        }
        if let Some(first) = back.iter().map(|flight| flight.id).min() {
            self.ready.rewind(first);
        }
        given_up
    }

    /// When [`Self::look`], [`Self::next`] or [`Self::overdue`] may have something new to say, if nothing else happens.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        [self.pause.until, self.holds.poll_timeout(), self.oldest().map(|sent| sent + self.ack_timeout)]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether an answer is overdue, so that the link counts as dead.
    pub(crate) fn overdue(&self, now: Instant) -> bool {
        self.oldest().is_some_and(|sent| now >= sent + self.ack_timeout)
    }

    /// Whether nothing is in flight.
    pub(crate) fn is_idle(&self) -> bool {
        self.flights.is_empty()
    }

    /// The topic of the only entry that is out, if it is the only one.
    pub(crate) fn alone(&self) -> Option<&str> {
        let mut out = self.flights.iter().filter(|flight| flight.stage != Stage::Leaving);
        let first = out.next()?;
        out.next().is_none().then_some(first.topic.as_str())
    }

    fn paused(&mut self, now: Instant) -> bool {
        if self.pause.until.is_some_and(|until| now >= until) {
            self.pause.until = None;
        }
        self.pause.until.is_some()
    }

    fn check(&self, entry: &Entry) -> Result<(), EntryError> {
        Entry::check(&entry.topic, &entry.payload)?;
        match self.max_packet {
            Some(limit) if entry.packet_bytes() > limit => {
                Err(EntryError::PayloadTooLarge { bytes: entry.packet_bytes(), limit })
            }
            _ => Ok(()),
        }
    }

    fn has_room_for(&self, entry: &Entry) -> bool {
        let out = self.flights.iter().filter(|flight| flight.stage != Stage::Leaving);
        let (mut count, mut bytes, mut suspect) = (0, 0, entry.id <= self.alone_until);
        for flight in out {
            count += 1;
            bytes += flight.bytes;
            suspect |= flight.id <= self.alone_until;
        }
        let fits = count == 0 || (!suspect && bytes + entry.bytes() <= FLIGHT_BYTES);
        fits && self.flights.len() < self.window
    }

    fn oldest(&self) -> Option<Instant> {
        self.flights.iter().filter_map(Flight::since).min()
    }
}

// === impl Flight ===

impl Flight {
    fn since(&self) -> Option<Instant> {
        match self.stage {
            Stage::Queued(at) | Stage::Sent(_, at) => Some(at),
            Stage::Leaving => None,
        }
    }

    fn age(&self, now: Instant) -> Duration {
        self.since().map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

#[cfg(test)]
mod tests;
