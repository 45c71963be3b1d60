//! A finding, and what is to be done about it.

use super::Deviation;
use crate::isolation::Request;
use crate::time::Now;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

/// How far a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FindingState {
    /// The device deviates; its time to correct that is running.
    Open,
    /// The device deviates and its time is over; the baseline's measure was taken.
    Escalated,
    /// The device complies, but has relapsed before; it must comply for the length of the deadline.
    Settling,
    /// The device complies.
    Corrected,
    /// The baseline or the thing is gone, or the one no longer applies to the other.
    Withdrawn,
}

/// A deviation of one thing from one baseline, from its discovery to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// `fnd-` and a number that is never used again.
    pub id: String,
    /// The thing.
    pub thing: String,
    /// The baseline.
    pub baseline: String,
    /// The named shadow; `None` is the classic one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<String>,
    /// How far it is.
    pub state: FindingState,
    /// What deviates; what deviated last once the device complies.
    pub deviations: Vec<Deviation>,
    /// When it was found.
    pub opened: Now,
    /// When its state last changed.
    pub since: Now,
    /// How much of its time the device had left then.
    pub left: Duration,
    /// How often the device deviated again after it had complied.
    pub relapses: u32,
    /// How many deltas were sent.
    pub attempts: u32,
    /// The paths that were put into the shadow's `desired`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub asked: BTreeSet<String>,
    /// When the baseline's measure was last asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalated: Option<Now>,
    /// The isolation order that came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
}

/// Something to do, in the order given.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Store and announce the finding: it is new, or the device has relapsed after it was closed.
    FindingOpened(Finding),
    /// Store the finding. Nothing to announce.
    FindingUpdated(Finding),
    /// Merge `desired` into the thing's shadow, which tells the device.
    SendDelta {
        /// The thing.
        thing: String,
        /// The named shadow; `None` is the classic one.
        shadow: Option<String>,
        /// What to merge, a JSON object.
        desired: Value,
        /// The finding's id.
        finding: String,
        /// The how manieth delta this is, from 1.
        attempt: u32,
    },
    /// Merge `desired`, all nulls, into the thing's shadow: what remediation asked for is asked no more. Otherwise a device
    /// that went further than the minimum would be asked to go back.
    WithdrawDesired {
        /// The thing.
        thing: String,
        /// The named shadow; `None` is the classic one.
        shadow: Option<String>,
        /// What to merge, a JSON object.
        desired: Value,
    },
    /// Store and announce the finding: the device complies, or there is nothing to comply with any more.
    FindingClosed(Finding),
    /// Store and announce the finding, and ask for the order if the baseline names one. Say what came of it with
    /// [`super::Remediation::note_order`].
    Escalate {
        /// The finding.
        finding: Finding,
        /// The order to ask for.
        request: Option<Request>,
    },
}

// === impl FindingState ===

impl FindingState {
    /// The lower-case word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Escalated => "escalated",
            Self::Settling => "settling",
            Self::Corrected => "corrected",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// Whether nothing more is expected of the device.
    #[must_use]
    pub fn is_closed(self) -> bool {
        matches!(self, Self::Corrected | Self::Withdrawn)
    }
}

impl std::fmt::Display for FindingState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

// === impl Finding ===

impl Finding {
    /// What is wrong, in words, at most about 400 bytes: `baseline hardened: telnet is true, wanted false`.
    #[must_use]
    pub fn summary(&self) -> String {
        let shown: Vec<_> = self
            .deviations
            .iter()
            .take(2)
            .map(|deviation| deviation.to_string().chars().take(120).collect::<String>())
            .collect();
        let more = match self.deviations.len().saturating_sub(shown.len()) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("baseline {}: {}{more}", self.baseline, shown.join("; "))
    }
}
