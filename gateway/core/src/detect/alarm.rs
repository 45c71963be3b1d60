//! An alarm, as people see it.

use super::{LoginKey, Refusal, Violation};
use crate::time::Now;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// The state of an alarm (AWS IoT `ViolationEventType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlarmState {
    /// What is seen is not normal.
    InAlarm,
    /// It is normal again.
    AlarmCleared,
    /// The behavior, the thing or the gateway's memory of it is gone, so nobody can tell.
    AlarmInvalidated,
}

/// What raised an alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A behavior of a security profile.
    Behavior {
        /// The security profile.
        profile: String,
        /// The behavior in it.
        behavior: String,
    },
    /// Repeated failed logins.
    Login {
        /// From where, or as whom.
        key: LoginKey,
    },
}

/// An alarm, active or past.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// The id, of `[a-z0-9-]`.
    pub id: String,
    /// What raised it.
    pub source: Source,
    /// The thing, or the name that was given at login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thing: Option<String>,
    /// The address that failed to log in; of IPv6 the first address of its /64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// What was counted.
    pub metric: String,
    /// The count that raised it; the highest when it was raised again while active.
    pub seen: u64,
    /// What is normal, in words.
    pub normal: String,
    /// When it rose.
    pub started: Now,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleared: Option<Now>,
    /// How it stands.
    pub state: AlarmState,
    /// Whether its profile asks to keep it from being sent.
    #[serde(default)]
    pub suppress_alerts: bool,
}

// === impl AlarmState ===

impl AlarmState {
    /// The spelling of AWS IoT: `in-alarm`, `alarm-cleared`, `alarm-invalidated`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::InAlarm => "in-alarm",
            Self::AlarmCleared => "alarm-cleared",
            Self::AlarmInvalidated => "alarm-invalidated",
        }
    }
}

impl fmt::Display for AlarmState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

// === impl Source ===

impl fmt::Display for Source {
    /// The rule that decided, for events: `security profile presses behavior auth-fail`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Behavior { profile, behavior } => write!(f, "security profile {profile} behavior {behavior}"),
            Self::Login { key } => write!(f, "failed logins of {key}"),
        }
    }
}

// === impl Alarm ===

impl Alarm {
    pub(super) fn of_violation(violation: &Violation, now: Now) -> Self {
        Self {
            id: violation.violation_id.clone(),
            source: Source::Behavior { profile: violation.profile.clone(), behavior: violation.behavior.clone() },
            thing: Some(violation.thing.clone()),
            address: None,
            metric: violation.metric.name().to_owned(),
            seen: violation.seen,
            normal: violation.normal.clone(),
            started: now,
            cleared: None,
            state: AlarmState::InAlarm,
            suppress_alerts: violation.suppress_alerts,
        }
    }

    pub(super) fn of_refusal(id: String, refusal: &Refusal, now: Now) -> Self {
        Self {
            id,
            source: Source::Login { key: refusal.key.clone() },
            thing: refusal.key.as_name().map(str::to_owned),
            address: refusal.key.as_address(),
            metric: "cordon:num-login-failures".to_owned(),
            seen: u64::from(refusal.failures),
            normal: refusal.normal.to_string(),
            started: now,
            cleared: None,
            state: AlarmState::InAlarm,
            suppress_alerts: false,
        }
    }

    pub(super) fn ended(mut self, state: AlarmState, now: Now) -> Self {
        self.cleared = Some(now);
        self.state = state;
        self
    }
}
