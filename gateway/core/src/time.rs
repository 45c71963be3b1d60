//! Points in time, as arguments.
//!
//! A gateway often has no battery-backed clock: after a power cut the wall clock may be years off until NTP answers.
//! Windows and expiry therefore use the monotonic reading; records carry both readings and whether the wall clock was
//! trusted when they were made.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Milliseconds since the machine booted, suspended time included (`CLOCK_BOOTTIME`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mono(pub u64);

/// Milliseconds since 1970-01-01T00:00:00Z by the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Unix(pub u64);

/// One reading of both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Now {
    /// The monotonic reading: compare, add and expire with this one.
    pub mono: Mono,
    /// The wall clock reading: show this one.
    pub unix: Unix,
    /// Whether the wall clock was synchronised when this was read.
    pub trusted: bool,
}

// === impl Mono ===

impl Mono {
    /// The time that passed since `earlier`, or zero if `earlier` lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// This point moved on by `by`; stops at the end of time instead of wrapping.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(millis(by)))
    }
}

// === impl Unix ===

impl Unix {
    /// This point moved on by `by`; stops at the end of time instead of wrapping.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(millis(by)))
    }

    /// The time that passed since `earlier`, or zero if `earlier` lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Whole seconds since 1970.
    #[must_use]
    pub fn secs(self) -> u64 {
        self.0 / 1000
    }
}

// === impl Now ===

impl Now {
    /// A reading for tests and replays: both clocks moved on by `millis` from a fixed start.
    #[must_use]
    pub fn for_test(millis: u64) -> Self {
        Self { mono: Mono(1_000_000 + millis), unix: Unix(1_767_225_600_000 + millis), trusted: true }
    }

    /// This reading moved on by `by`.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self { mono: self.mono.plus(by), unix: self.unix.plus(by), trusted: self.trusted }
    }
}

fn millis(of: Duration) -> u64 {
    u64::try_from(of.as_millis()).unwrap_or(u64::MAX)
}
