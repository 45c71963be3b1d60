//! Asking the journal.
//!
//! Segments, then blocks are skipped by what their summaries and headers say about sequence numbers, times and
//! severities. Wall-clock times need not rise with the numbers, because the clock may have been set; nothing relies on it.

use super::Recorded;
use super::archive::{Archive, Segment};
use super::block::Header;
use crate::database::{Database, Direction};
use crate::error::StoreError;
use cordon_core::event::{Event, Severity};
use std::ops::ControlFlow;

/// The most events that one query returns; ask again with `after_seq` or `before_seq` for more.
pub const MAX_QUERY_EVENTS: usize = 10_000;

/// Which events come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The newest, so a limit keeps the newest ones.
    #[default]
    NewestFirst,
    /// The oldest.
    OldestFirst,
}

/// Which events are asked for: those that match everything that is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// At or after this wall-clock time, in milliseconds since 1970.
    pub since: Option<u64>,
    /// Before this wall-clock time, in milliseconds since 1970.
    pub until: Option<u64>,
    /// With a number above this.
    pub after_seq: Option<u64>,
    /// With a number below this.
    pub before_seq: Option<u64>,
    /// Of this thing.
    pub thing: Option<String>,
    /// Of this client id.
    pub client_id: Option<String>,
    /// With a code that is or begins with this, upper or lower case.
    pub code: Option<String>,
    /// At least this severe.
    pub min_severity: Option<Severity>,
    /// At most this many, never more than [`MAX_QUERY_EVENTS`].
    pub limit: usize,
    /// In this order.
    pub order: Order,
}

// === impl Filter ===

impl Default for Filter {
    /// The newest 1000 events.
    fn default() -> Self {
        Self {
            since: None,
            until: None,
            after_seq: None,
            before_seq: None,
            thing: None,
            client_id: None,
            code: None,
            min_severity: None,
            limit: 1000,
            order: Order::default(),
        }
    }
}

impl Filter {
    /// Whether `event` is asked for; the limit and the order do not matter.
    #[must_use]
    pub fn matches(&self, seq: u64, event: &Event) -> bool {
        let same = |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
        self.matches_seqs(seq, seq + 1)
            && self.matches_times(event.at.unix.0, event.at.unix.0)
            && self.min_severity.is_none_or(|least| event.severity >= least)
            && same(&self.thing, &event.thing)
            && same(&self.client_id, &event.client_id)
            && self.code.as_deref().is_none_or(|pattern| event.code.matches(pattern))
    }

    fn matches_seqs(&self, first: u64, end: u64) -> bool {
        self.after_seq.is_none_or(|after| end > after.saturating_add(1))
            && self.before_seq.is_none_or(|before| first < before)
    }

    fn matches_times(&self, least: u64, greatest: u64) -> bool {
        self.since.is_none_or(|since| greatest >= since) && self.until.is_none_or(|until| least < until)
    }

    fn may_be_in_segment(&self, segment: &Segment) -> bool {
        let Some(summary) = &segment.summary else {
            return self.matches_seqs(segment.first_seq, segment.end);
        };
        self.matches_seqs(segment.first_seq, summary.last_seq + 1)
            && self.matches_times(summary.unix_min, summary.unix_max)
            && self.min_severity.is_none_or(|least| summary.severity_max >= least)
    }

    fn may_be_in_block(&self, header: &Header) -> bool {
        self.matches_seqs(header.first_seq, header.end())
            && self.matches_times(header.unix_min, header.unix_max)
            && self.min_severity.is_none_or(|least| header.severity_max >= least)
    }
}

/// Answers `filter`. A block that cannot be read is left out and logged; `verify` names it.
pub(super) fn run(archive: &Archive, filter: &Filter) -> Result<Vec<Recorded>, StoreError> {
    let limit = filter.limit.min(MAX_QUERY_EVENTS);
    let mut segments = archive.segments();
    if filter.order == Order::NewestFirst {
        segments.reverse();
    }
    let mut found = Vec::new();
    for segment in segments.iter().filter(|segment| filter.may_be_in_segment(segment)) {
        if found.len() >= limit {
            break;
        }
        if let Some(db) = archive.database(segment.first_seq)? {
            search(&db, segment, filter, limit, &mut found)?;
        }
    }
    Ok(found)
}

fn search(
    db: &Database,
    segment: &Segment,
    filter: &Filter,
    limit: usize,
    found: &mut Vec<Recorded>,
) -> Result<(), StoreError> {
    let end = filter.before_seq.map_or(segment.end, |before| before.min(segment.end)).to_be_bytes();
    let from = filter.after_seq.map_or(0, |after| after.saturating_add(1));
    // The block that holds the first number wanted may begin before it.
    let from = match db.last(&[0; 8], &from.saturating_add(1).to_be_bytes())? {
        Some((key, _)) => key,
        None => vec![0; 8],
    };
    let direction = match filter.order {
        Order::NewestFirst => Direction::Backward,
        Order::OldestFirst => Direction::Forward,
    };
    db.scan(&from, &end, direction, &mut |key, stored| {
        let Ok(header) = Header::read(&stored) else {
            tracing::warn!(?key, "A journal block cannot be read.");
            return ControlFlow::Continue(());
        };
        if !filter.may_be_in_block(&header) {
            return ControlFlow::Continue(());
        }
        let Ok(mut events) = header.events(&stored) else {
            tracing::warn!(first_seq = header.first_seq, "The events of a journal block cannot be read.");
            return ControlFlow::Continue(());
        };
        if filter.order == Order::NewestFirst {
            events.reverse();
        }
        let recorded = events.into_iter().filter_map(|(_, recorded)| recorded);
        let wanted = recorded.filter(|recorded| filter.matches(recorded.seq, &recorded.event));
        found.extend(wanted.take(limit - found.len()));
        if found.len() >= limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
}
