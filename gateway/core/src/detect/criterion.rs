//! What is normal, as a comparison of a window's count.

use crate::duration;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;
use std::time::Duration;

/// How a count is compared (AWS IoT `ComparisonOperator`, the numeric ones).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operator {
    /// Normal is below the threshold.
    LessThan,
    /// Normal is at or below the threshold.
    LessThanEquals,
    /// Normal is above the threshold.
    GreaterThan,
    /// Normal is at or above the threshold.
    GreaterThanEquals,
}

/// What is normal for one behavior (AWS IoT `BehaviorCriteria`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Criterion {
    /// How the count is compared.
    pub operator: Operator,
    /// What it is compared with.
    pub count: u64,
    /// The length of a window, 1 to 86,400 s.
    #[serde(with = "crate::duration")]
    pub window: Duration,
    /// How many windows in a row must not conform before the alarm rises, 1 to 10.
    pub to_alarm: u32,
    /// How many windows in a row must conform before the alarm clears, 1 to 10.
    pub to_clear: u32,
}

// === impl Operator ===

impl Operator {
    /// The spelling in a security profile.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LessThan => "less-than",
            Self::LessThanEquals => "less-than-equals",
            Self::GreaterThan => "greater-than",
            Self::GreaterThanEquals => "greater-than-equals",
        }
    }

    /// Whether the threshold is an upper bound, which a growing count can only pass and never come back under.
    #[must_use]
    pub fn is_upper_bound(self) -> bool {
        matches!(self, Self::LessThan | Self::LessThanEquals)
    }
}

// === impl Criterion ===

impl Criterion {
    /// Whether a window with this count is normal.
    #[must_use]
    pub fn conforms(&self, count: u64) -> bool {
        match self.operator {
            Operator::LessThan => count < self.count,
            Operator::LessThanEquals => count <= self.count,
            Operator::GreaterThan => count > self.count,
            Operator::GreaterThanEquals => count >= self.count,
        }
    }

    /// Whether a window that has come to this count will not conform, whatever is still to come.
    #[must_use]
    pub fn is_already_violated(&self, count: u64) -> bool {
        self.operator.is_upper_bound() && !self.conforms(count)
    }

    /// The criterion as a security profile writes it.
    #[must_use]
    pub fn document(&self) -> Value {
        json!({
            "comparisonOperator": self.operator.name(),
            "value": { "count": self.count },
            "durationSeconds": self.window.as_secs(),
            "consecutiveDatapointsToAlarm": self.to_alarm,
            "consecutiveDatapointsToClear": self.to_clear,
        })
    }
}

impl fmt::Display for Criterion {
    /// What is normal, in words: `fewer than 5 in 10s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self.operator {
            Operator::LessThan => "fewer than",
            Operator::LessThanEquals => "at most",
            Operator::GreaterThan => "more than",
            Operator::GreaterThanEquals => "at least",
        };
        write!(f, "{words} {} in {}", self.count, duration::format(self.window))
    }
}
