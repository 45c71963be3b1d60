//! What is asked for when an order is to be given, and why it may be refused.

use super::{Level, Origin};
use crate::fleet::Selector;
use crate::topic;
use std::time::Duration;

/// The longest reason or author, in bytes.
pub const MAX_TEXT_BYTES: usize = 512;

/// The most blocked filters of one order.
pub const MAX_BLOCKS: usize = 64;

/// The longest time an order can be given for; without a time it stands until released.
pub const MAX_DURATION: Duration = Duration::from_secs(366 * 24 * 3600);

/// An order that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Which things to cut.
    pub selector: Selector,
    /// How far to cut.
    pub level: Level,
    /// The topic filters to cut: at least one for [`Level::Restrict`], optional for [`Level::Audit`], else none.
    pub block: Vec<String>,
    /// Why; not empty.
    pub reason: String,
    /// Who asks; not empty.
    pub author: String,
    /// Whether a person or a rule asks.
    pub origin: Origin,
    /// For how long; `None` until released.
    pub duration: Option<Duration>,
}

/// What automatic orders must keep to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// The largest share of the registered things that automatic orders together may cut, 0 to 1. One thing may always
    /// be cut.
    pub max_automatic_fraction: f64,
}

/// Why an order was not given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// The reason or the author is empty or too long.
    #[error("the {what} of an order must be 1 to 512 bytes; say it in a sentence")]
    Text {
        /// `reason` or `author`.
        what: &'static str,
    },
    /// A restriction names no filter.
    #[error("an order of level restrict needs at least one topic filter to block, for example `plant/+/cmd/#`")]
    NothingBlocked,
    /// The level leaves no room for single filters.
    #[error(
        "an order of level {level} cuts more than single topics; leave the blocked filters out or use level restrict"
    )]
    NeedlessBlock {
        /// The level asked for.
        level: Level,
    },
    /// There are too many filters.
    #[error("an order blocks at most 64 topic filters; give several orders")]
    TooManyBlocks,
    /// A filter is no topic filter.
    #[error("`{filter}` cannot be blocked; write a topic filter such as `plant/+/cmd/#`, without $share")]
    Filter {
        /// The filter, cut to 64 characters.
        filter: String,
    },
    /// The duration is zero or longer than a year.
    #[error(
        "the duration of an order must be more than zero and at most 366 days; leave it out to stand until released"
    )]
    Duration,
    /// Nothing but protected things is selected.
    #[error("`{selector}` selects only protected things ({things}), which are never cut")]
    Protected {
        /// The selector asked for.
        selector: String,
        /// The protected things, by name.
        things: String,
    },
    /// An automatic order would cut too much of the fleet.
    #[error(
        "automatic orders would cut {would_cut} of {things} things, more than the limit of {limit}; an operator can still give this order"
    )]
    FleetLimit {
        /// How many things would be cut by automatic orders.
        would_cut: usize,
        /// How many may be.
        limit: usize,
        /// How many things are registered.
        things: usize,
    },
    /// The book is full.
    #[error("there are already {limit} orders in force; release some that are no longer needed")]
    TooMany {
        /// The most orders that can be in force at once.
        limit: usize,
    },
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self { max_automatic_fraction: 0.10 }
    }
}

impl Limits {
    /// How many of `things` automatic orders may cut.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "clamped")]
    pub fn allowed(self, things: usize) -> usize {
        let fraction =
            if self.max_automatic_fraction.is_finite() { self.max_automatic_fraction.clamp(0.0, 1.0) } else { 0.0 };
        // A hair more, so that a tenth of ten is one whatever binary fractions make of it.
        ((things as f64 * fraction + 1e-9).floor() as usize).max(1)
    }
}

// === impl Request ===

impl Request {
    /// Checks everything that does not depend on the fleet.
    pub(super) fn check(&self) -> Result<(), IssueError> {
        for (what, text) in [("reason", &self.reason), ("author", &self.author)] {
            if text.trim().is_empty() || text.len() > MAX_TEXT_BYTES {
                return Err(IssueError::Text { what });
            }
        }
        match (self.level, self.block.len()) {
            (Level::Restrict, 0) => return Err(IssueError::NothingBlocked),
            (level @ (Level::Quarantine | Level::Disconnect), 1..) => return Err(IssueError::NeedlessBlock { level }),
            (_, count) if count > MAX_BLOCKS => return Err(IssueError::TooManyBlocks),
            _ => {}
        }
        if let Some(filter) = self.block.iter().find(|f| !topic::is_valid_filter(f) || f.starts_with("$share/")) {
            return Err(IssueError::Filter { filter: filter.chars().take(64).collect() });
        }
        if self.duration.is_some_and(|time| time.as_millis() == 0 || time > MAX_DURATION) {
            return Err(IssueError::Duration);
        }
        Ok(())
    }
}
