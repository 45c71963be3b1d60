//! What a principal may be allowed to do.

use super::pattern::Pattern;
use crate::fleet::did_you_mean;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// An act on the broker that policies decide on (AWS IoT Core policy actions).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Action {
    /// To connect with a client id; checked at CONNECT against `client/<client id>`.
    #[serde(rename = "iot:Connect")]
    Connect,
    /// To publish, as a message or a will; checked against `topic/<topic>`.
    #[serde(rename = "iot:Publish")]
    Publish,
    /// To subscribe; checked once against `topicfilter/<filter>`.
    #[serde(rename = "iot:Subscribe")]
    Subscribe,
    /// To be delivered a message; checked at every delivery against `topic/<topic>`.
    #[serde(rename = "iot:Receive")]
    Receive,
    /// To publish with RETAIN, asked in addition to [`Action::Publish`]; checked against `topic/<topic>`.
    #[serde(rename = "iot:RetainPublish")]
    RetainPublish,
}

/// Actions of AWS IoT policies that a document may name and that this gateway is never asked about.
pub(super) const NEVER_ASKED: &[&str] = &[
    "iot:AssumeRoleWithCertificate",
    "iot:DeleteConnection",
    "iot:DeleteThingShadow",
    "iot:DescribeJobExecution",
    "iot:GetPendingJobExecutions",
    "iot:GetRetainedMessage",
    "iot:GetThingShadow",
    "iot:ListNamedShadowsForThing",
    "iot:ListRetainedMessages",
    "iot:StartNextPendingJobExecution",
    "iot:UpdateJobExecution",
    "iot:UpdateThingShadow",
    "iotjobsdata:DescribeJobExecution",
    "iotjobsdata:GetPendingJobExecutions",
    "iotjobsdata:StartNextPendingJobExecution",
    "iotjobsdata:UpdateJobExecution",
];

/// The text is no action that the gateway is asked about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no action; {help}")]
pub struct UnknownAction {
    /// What was given, cut to 64 characters.
    pub text: String,
    /// What to write.
    pub help: String,
}

/// A set of actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ActionSet(u8);

// === impl Action ===

impl Action {
    /// Every action the gateway asks about.
    pub const ALL: [Self; 5] = [Self::Connect, Self::Publish, Self::Subscribe, Self::Receive, Self::RetainPublish];

    /// The action's name in policy documents, for example `iot:Publish`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "iot:Connect",
            Self::Publish => "iot:Publish",
            Self::Subscribe => "iot:Subscribe",
            Self::Receive => "iot:Receive",
            Self::RetainPublish => "iot:RetainPublish",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Action {
    type Err = UnknownAction;

    /// Reads `iot:Publish` or `publish`, in any letter case.
    fn from_str(text: &str) -> Result<Self, UnknownAction> {
        let bare = |name: &'static str| name.strip_prefix("iot:").unwrap_or(name);
        let is =
            |action: &Self| text.eq_ignore_ascii_case(action.name()) || text.eq_ignore_ascii_case(bare(action.name()));
        Self::ALL.into_iter().find(is).ok_or_else(|| UnknownAction {
            text: text.chars().take(64).collect(),
            help: did_you_mean(text, &Self::ALL.map(|action| bare(action.name()))),
        })
    }
}

// === impl ActionSet ===

impl ActionSet {
    /// The actions that a document's text selects, case-insensitive, with `*` and `?`; `None` if it selects no action
    /// that AWS IoT knows.
    pub(super) fn of_text(text: &str) -> Option<Self> {
        let pattern = Pattern::of_glob(&text.to_ascii_lowercase());
        let selected = |name: &str| pattern.matches(&name.to_ascii_lowercase());
        let set = Action::ALL.into_iter().filter(|action| selected(action.name())).fold(Self::default(), Self::with);
        (!set.is_empty() || NEVER_ASKED.iter().any(|name| selected(name))).then_some(set)
    }

    pub(super) fn with(self, action: Action) -> Self {
        Self(self.0 | Self::bit(action))
    }

    pub(super) fn without(self, action: Action) -> Self {
        Self(self.0 & !Self::bit(action))
    }

    pub(super) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn has(self, action: Action) -> bool {
        self.0 & Self::bit(action) != 0
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn bit(action: Action) -> u8 {
        1 << action as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_reads_back_from_its_name_with_or_without_the_prefix() {
        for action in Action::ALL {
            assert_eq!(action.name().parse(), Ok(action));
        }
        assert_eq!("retainpublish".parse(), Ok(Action::RetainPublish));
        let error = "publsh".parse::<Action>().map_err(|error| error.to_string());
        assert_eq!(error, Err("`publsh` is no action; did you mean \"Publish\"?".to_owned()));
    }

    #[test]
    fn texts_select_actions_as_iam_does() {
        let names = |text| {
            ActionSet::of_text(text).map(|set| {
                Action::ALL.into_iter().filter(|action| set.has(*action)).map(Action::name).collect::<Vec<_>>()
            })
        };
        assert_eq!(names("iot:Publish"), Some(vec!["iot:Publish"]));
        assert_eq!(names("IOT:publish"), Some(vec!["iot:Publish"]));
        assert_eq!(names("iot:*Publish"), Some(vec!["iot:Publish", "iot:RetainPublish"]));
        assert_eq!(names("iot:*").map(|all| all.len()), Some(5));
        assert_eq!(names("*").map(|all| all.len()), Some(5));
        assert_eq!(names("iot:GetThingShadow"), Some(vec![]));
        assert_eq!(names("iot:Publsh"), None);
        assert_eq!(names("s3:*"), None);
    }
}
