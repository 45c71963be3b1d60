//! A change of an alarm, and the log that windows write it to.

use super::window::Rule;
use super::{AlarmState, Criterion, Metric};
use crate::time::Now;
use serde_json::{Value, json};
use std::collections::VecDeque;

/// A change of an alarm of one thing's behavior.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The id that the alarm keeps from rise to end, of `[a-z0-9-]`.
    pub violation_id: String,
    /// The thing.
    pub thing: String,
    /// The security profile.
    pub profile: String,
    /// The behavior in that profile.
    pub behavior: String,
    /// What was counted.
    pub metric: Metric,
    /// Whether the alarm rose, cleared or has lost its meaning.
    pub event_type: AlarmState,
    /// The count of the window that made the change.
    pub seen: u64,
    /// What is normal, in words.
    pub normal: String,
    /// What is normal, exactly.
    pub criterion: Criterion,
    /// Whether the profile asks to keep this from being sent.
    pub suppress_alerts: bool,
}

/// Where the windows of one thing write what changes, at one moment.
pub(super) struct Log<'d> {
    pub(super) thing: &'d str,
    pub(super) now: Now,
    pub(super) issued: &'d mut u64,
    pub(super) events: &'d mut VecDeque<Violation>,
}

// === impl Violation ===

impl Violation {
    /// The alert as AWS IoT Device Defender sends it.
    #[must_use]
    pub fn document(&self, at: Now) -> Value {
        json!({
            "violationEventTime": at.unix.0,
            "thingName": self.thing,
            "behavior": {
                "name": self.behavior,
                "metric": self.metric.name(),
                "criteria": self.criterion.document(),
            },
            "violationEventType": self.event_type.name(),
            "metricValue": { "count": self.seen },
            "violationId": self.violation_id,
            "securityProfileName": self.profile,
        })
    }

    pub(super) fn of(thing: &str, rule: &Rule, violation_id: String, event_type: AlarmState, seen: u64) -> Self {
        Self {
            violation_id,
            thing: thing.to_owned(),
            profile: rule.profile.clone(),
            behavior: rule.behavior.clone(),
            metric: rule.metric,
            event_type,
            seen,
            normal: rule.criterion.to_string(),
            criterion: rule.criterion,
            suppress_alerts: rule.suppressed,
        }
    }
}

// === impl Log ===

impl Log<'_> {
    /// Writes that an alarm rises, and gives its id: unique on this gateway, restarts included.
    pub(super) fn raise(&mut self, rule: &Rule, seen: u64) -> String {
        *self.issued += 1;
        let id = format!("vio-{:x}-{}", self.now.unix.0, self.issued);
        self.events.push_back(Violation::of(self.thing, rule, id.clone(), AlarmState::InAlarm, seen));
        id
    }

    /// Writes that the alarm `id` ends.
    pub(super) fn end(&mut self, rule: &Rule, id: String, state: AlarmState, seen: u64) {
        self.events.push_back(Violation::of(self.thing, rule, id, state, seen));
    }
}
