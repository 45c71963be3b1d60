//! Security profiles: named sets of behaviors, in the JSON form of AWS IoT `CreateSecurityProfile`.

use super::{Criterion, profile_json};
use serde::{Deserialize, Serialize};

/// The most behaviors of one profile (AWS IoT quota).
pub const MAX_BEHAVIORS: usize = 100;

/// What the gateway counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Metric {
    /// Refusals by a policy, in number.
    #[serde(rename = "aws:num-authorization-failures")]
    AuthorizationFailures,
    /// Messages that a thing published, in number.
    #[serde(rename = "aws:num-messages-sent")]
    MessagesSent,
}

/// A security profile. Which things it is about is configured beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityProfile {
    /// The name, 1 to 128 of `[a-zA-Z0-9:_-]`.
    pub name: String,
    /// What it is for, in words.
    pub description: String,
    /// Its behaviors, at most [`MAX_BEHAVIORS`], each with its own name.
    pub behaviors: Vec<Behavior>,
}

/// One behavior: a metric and what is normal for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behavior {
    /// The name, unique in its profile.
    pub name: String,
    /// The metric as the profile spells it.
    pub metric: String,
    /// What is made of it.
    pub watch: Watch,
    /// Whether its alarms are kept but sent to nobody.
    pub suppress_alerts: bool,
}

/// Whether a behavior is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watch {
    /// The metric is counted and held against the criterion.
    Count {
        /// What is counted.
        metric: Metric,
        /// What is normal.
        criterion: Criterion,
    },
    /// The behavior is well-formed, but this gateway cannot watch it.
    Unsupported {
        /// Why not, in words.
        reason: String,
    },
}

/// What is wrong in a security profile, where, and what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("security profile {profile}: line {line}, column {column}: {key}: {problem}; {help}")]
pub struct ProfileError {
    /// The profile's file name without extension.
    pub profile: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The path to the key, for example `behaviors[0].criteria.durationSeconds`.
    pub key: String,
    /// What is wrong there.
    pub problem: String,
    /// What to write.
    pub help: String,
}

// === impl Metric ===

impl Metric {
    /// Every metric that is counted.
    pub const ALL: [Self; 2] = [Self::AuthorizationFailures, Self::MessagesSent];

    /// The name in AWS IoT Device Defender.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AuthorizationFailures => "aws:num-authorization-failures",
            Self::MessagesSent => "aws:num-messages-sent",
        }
    }
}

// === impl SecurityProfile ===

impl SecurityProfile {
    /// Reads a profile; `name` is used when the document gives none, usually the file's name without extension.
    ///
    /// Window lengths from 1 s to 86,400 s are accepted, where AWS IoT takes only five from 300 s on. What AWS IoT sends
    /// and stores with a profile (`alertTargets`, `tags` and the like) is accepted and not used.
    ///
    /// # Errors
    /// The first thing that is wrong: not JSON, an unknown key, a key given twice, a wrong type, a name or number outside
    /// its range, a value that does not fit its operator or metric, a criterion that nothing can fulfil.
    pub fn parse(name: &str, json: &str) -> Result<Self, ProfileError> {
        profile_json::read(name, json)
    }

    /// The behaviors that this gateway cannot watch, with the reason; to be told to whoever wrote them.
    pub fn unsupported(&self) -> impl Iterator<Item = (&str, &str)> {
        self.behaviors.iter().filter_map(|behavior| match &behavior.watch {
            Watch::Unsupported { reason } => Some((behavior.name.as_str(), reason.as_str())),
            Watch::Count { .. } => None,
        })
    }
}
