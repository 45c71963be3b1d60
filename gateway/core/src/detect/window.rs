//! One behavior of one thing: the running window, the datapoints before it, and whether it is in alarm.

use super::violation::Log;
use super::{AlarmState, Criterion, Metric};
use crate::time::Mono;
use std::sync::Arc;
use std::time::Duration;

/// How long a lower bound is held against a thing of which nothing at all is heard (AWS IoT: two days).
const SILENCE: Duration = Duration::from_secs(48 * 3600);

/// What a window is held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) profile: String,
    pub(super) behavior: String,
    pub(super) metric: Metric,
    pub(super) criterion: Criterion,
    pub(super) suppressed: bool,
}

/// Counts for one rule. Windows follow each other without gaps while there is anything to wait for; a thing that is
/// quiet, in line with an upper bound and not in alarm has no window, and the next one begins with what it does next.
#[derive(Debug, Clone)]
pub(super) struct Window {
    pub(super) rule: Arc<Rule>,
    /// The id of the violation, while in alarm.
    pub(super) alarm: Option<String>,
    start: Option<Mono>,
    heard: Mono,
    count: u64,
    violating: u32,
    conforming: u32,
}

// === impl Rule ===

impl Rule {
    /// Whether counts for `self` mean the same under `other`.
    pub(super) fn counts_like(&self, other: &Self) -> bool {
        self.profile == other.profile
            && self.behavior == other.behavior
            && self.metric == other.metric
            && self.criterion == other.criterion
    }

    pub(super) fn is_lower_bound(&self) -> bool {
        !self.criterion.operator.is_upper_bound()
    }
}

// === impl Window ===

impl Window {
    pub(super) fn new(rule: Arc<Rule>, now: Mono) -> Self {
        let start = rule.is_lower_bound().then_some(now);
        Self { rule, alarm: None, start, heard: now, count: 0, violating: 0, conforming: 0 }
    }

    /// The same counts under a rule that counts like the one before.
    pub(super) fn under(self, rule: Arc<Rule>) -> Self {
        Self { rule, ..self }
    }

    /// Takes up an alarm from before a restart; it clears as if it had just risen.
    pub(super) fn resume(&mut self, id: &str, now: Mono) {
        self.alarm = Some(id.to_owned());
        self.start.get_or_insert(now);
    }

    /// Counts `count` more.
    pub(super) fn add(&mut self, count: u64, log: &mut Log<'_>) {
        self.roll(log);
        self.start.get_or_insert(log.now.mono);
        self.heard = log.now.mono;
        self.count = self.count.saturating_add(count);
        let reaches = self.violating.saturating_add(1) >= self.rule.criterion.to_alarm;
        if self.alarm.is_none() && reaches && self.rule.criterion.is_already_violated(self.count) {
            self.alarm = Some(log.raise(&self.rule, self.count));
        }
    }

    /// Ends every window that is over.
    pub(super) fn roll(&mut self, log: &mut Log<'_>) {
        let now = log.now.mono;
        let Some(start) = self.start else { return };
        let length = u64::try_from(self.rule.criterion.window.as_millis()).unwrap_or(u64::MAX).max(1);
        let over = now.0.saturating_sub(start.0) / length;
        if over == 0 {
            return;
        }
        let count = std::mem::take(&mut self.count);
        self.datapoints(count, 1, log);
        if over > 1 {
            self.datapoints(0, over - 1, log);
        }
        self.start = Some(Mono(start.0.saturating_add(over.saturating_mul(length))));
        if self.rule.is_lower_bound() {
            self.give_up_when_silent(log);
        } else if self.alarm.is_none() && self.violating == 0 {
            self.start = None;
        }
    }

    /// When [`Window::roll`] has something to do.
    pub(super) fn wake(&self) -> Option<Mono> {
        self.start.map(|start| start.plus(self.rule.criterion.window))
    }

    /// What the running window has counted.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    fn datapoints(&mut self, count: u64, windows: u64, log: &mut Log<'_>) {
        let windows = u32::try_from(windows).unwrap_or(u32::MAX);
        if self.rule.criterion.conforms(count) {
            self.violating = 0;
            self.conforming = self.conforming.saturating_add(windows);
            if self.conforming >= self.rule.criterion.to_clear {
                self.end(AlarmState::AlarmCleared, count, log);
            }
        } else {
            self.conforming = 0;
            self.violating = self.violating.saturating_add(windows);
            if self.violating >= self.rule.criterion.to_alarm && self.alarm.is_none() {
                self.alarm = Some(log.raise(&self.rule, count));
            }
        }
    }

    fn give_up_when_silent(&mut self, log: &mut Log<'_>) {
        if log.now.mono.since(self.heard) >= SILENCE {
            self.start = None;
            self.violating = 0;
            self.end(AlarmState::AlarmInvalidated, 0, log);
        }
    }

    fn end(&mut self, state: AlarmState, count: u64, log: &mut Log<'_>) {
        if let Some(id) = self.alarm.take() {
            log.end(&self.rule, id, state, count);
        }
    }
}
