//! Topics whose entries the far side refuses for now.
//!
//! While a topic is held its entries wait in the outbox, in order, and other topics go on. When its pause is over, one
//! entry goes on trial. If that is accepted, the hold ends and all are sent; if it is refused again, the pause doubles;
//! after the last retry the entry is given up and the next one goes on trial.

use super::{RETRY_FIRST, RETRY_LONGEST};
use crate::backoff::ceiling;
use std::collections::BTreeMap;
use tokio::time::Instant;

#[derive(Debug)]
pub(super) struct Holds {
    max_retries: u32,
    /// One per topic that the gateway publishes to, of which there are a handful.
    topics: BTreeMap<String, Hold>,
}

#[derive(Debug)]
struct Hold {
    /// The lowest id that waits, as far as is known.
    first: u64,
    /// The entry that goes first; `None` if it is to be the first one that comes along.
    trial: Option<u64>,
    refusals: u32,
    /// When the trial may go; `None` once it may.
    until: Option<Instant>,
}

/// Whether an entry may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    Open,
    Shut,
}

/// What a refusal leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    TryAgain,
    GivenUp { refusals: u32 },
}

// === impl Holds ===

impl Holds {
    pub(super) fn new(max_retries: u32) -> Self {
        Self { max_retries, topics: BTreeMap::new() }
    }

    /// Whether this entry may go. Entries come along in order: one that is beyond a trial which is not out takes its
    /// place, because that one was given up or has left the outbox otherwise.
    pub(super) fn gate(&mut self, topic: &str, id: u64, is_out: impl Fn(u64) -> bool) -> Gate {
        let Some(hold) = self.topics.get_mut(topic) else { return Gate::Open };
        if hold.until.is_some() {
            return Gate::Shut;
        }
        if hold.trial.is_none_or(|trial| trial < id && !is_out(trial)) {
            hold.trial = Some(id);
        }
        if hold.trial == Some(id) { Gate::Open } else { Gate::Shut }
    }

    pub(super) fn refused(&mut self, topic: &str, id: u64, now: Instant) -> Verdict {
        let hold = self.topics.entry(topic.to_owned()).or_insert(Hold {
            first: id,
            trial: Some(id),
            refusals: 0,
            until: None,
        });
        hold.first = hold.first.min(id);
        let on_trial = hold.trial == Some(id) && hold.until.is_none();
        if !on_trial {
            // It was in flight behind the trial when that was refused.
            hold.trial = hold.trial.map(|trial| trial.min(id));
            return Verdict::TryAgain;
        }
        hold.refusals += 1;
        let refusals = hold.refusals;
        let given_up = refusals > self.max_retries;
        if given_up {
            (hold.first, hold.trial, hold.refusals) = (id.saturating_add(1), None, 0);
        }
        hold.until = Some(now + ceiling(RETRY_FIRST, RETRY_LONGEST, hold.refusals.saturating_sub(1)));
        if given_up { Verdict::GivenUp { refusals } } else { Verdict::TryAgain }
    }

    /// Ends the hold if this was its trial; the first id that waited for it.
    pub(super) fn accepted(&mut self, topic: &str, id: u64) -> Option<u64> {
        let hold = self.topics.get(topic)?;
        let first = (hold.trial == Some(id)).then_some(hold.first)?;
        self.topics.remove(topic);
        Some(first)
    }

    /// Lets trials go whose pause is over; the lowest id that is worth reading again.
    pub(super) fn expire(&mut self, now: Instant) -> Option<u64> {
        let over = self.topics.values_mut().filter(|hold| hold.until.is_some_and(|until| now >= until));
        over.map(|hold| {
            hold.until = None;
            hold.first
        })
        .min()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.topics.values().filter_map(|hold| hold.until).min()
    }
}
