//! The state machine of one thing against one baseline.

use super::baseline::{desired, put};
use super::{Baseline, Deviation, Finding, FindingState, Step};
use crate::time::{Mono, Now};
use serde_json::{Map, Value};
use std::time::Duration;

/// How long after the first delta the second goes out; each wait is twice the one before.
const FIRST_WAIT: Duration = Duration::from_secs(5);

/// The longest wait between two deltas.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// The shortest time between two deltas, whatever the device reports.
const SHORTEST_GAP: Duration = Duration::from_secs(1);

/// How often a device may relapse before its time is taken to be over.
const MAX_RELAPSES: u32 = 3;

/// A finding with its timers.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) finding: Finding,
    /// When the state ends by itself: the deadline, the end of settling, or when a corrected finding is forgotten.
    ends: Option<Mono>,
    last_delta: Option<Mono>,
    next_delta: Option<Mono>,
}

// === impl Case ===

impl Case {
    /// Opens a case for a report that deviates.
    pub(super) fn open(
        id: String,
        thing: &str,
        baseline: &Baseline,
        deviations: Vec<Deviation>,
        now: Now,
        steps: &mut Vec<Step>,
    ) -> Self {
        let finding = Finding {
            id,
            thing: thing.to_owned(),
            baseline: baseline.name.clone(),
            shadow: baseline.shadow.clone(),
            state: FindingState::Open,
            deviations,
            opened: now,
            since: now,
            left: baseline.deadline,
            relapses: 0,
            attempts: 0,
            asked: Default::default(),
            escalated: None,
            order: None,
        };
        steps.push(Step::FindingOpened(finding.clone()));
        let mut case = Self { finding, ends: None, last_delta: None, next_delta: None };
        case.run(baseline, now, steps);
        case
    }

    /// Takes a case up after a restart, with what was left of its time.
    pub(super) fn resume(mut finding: Finding, deadline: Duration, now: Now, same_boot: bool) -> Self {
        let passed = if same_boot {
            now.mono.since(finding.since.mono)
        } else if now.trusted && finding.since.trusted {
            now.unix.since(finding.since.unix)
        } else {
            Duration::ZERO
        };
        finding.left =
            finding.left.saturating_sub(if finding.state == FindingState::Open { passed } else { Duration::ZERO });
        finding.since = now;
        let mut case = Self { finding, ends: None, last_delta: None, next_delta: None };
        match case.finding.state {
            FindingState::Open => {
                case.ends = Some(now.mono.plus(case.finding.left));
                case.plan_delta(now.mono);
            }
            FindingState::Escalated => case.plan_delta(now.mono),
            FindingState::Settling | FindingState::Corrected => case.ends = Some(now.mono.plus(deadline)),
            FindingState::Withdrawn => {}
        }
        case
    }

    /// Judges a report.
    pub(super) fn report(&mut self, baseline: &Baseline, deviations: Vec<Deviation>, now: Now, steps: &mut Vec<Step>) {
        use FindingState::{Corrected, Escalated, Open, Settling, Withdrawn};
        match (self.finding.state, deviations.is_empty()) {
            (Open | Escalated, true) => self.comply(baseline, now, steps),
            (Open | Escalated, false) => self.deviate_on(deviations, now, steps),
            (Settling | Corrected, false) => self.relapse(baseline, deviations, now, steps),
            (Settling | Corrected | Withdrawn, true) | (Withdrawn, false) => {}
        }
    }

    /// Does what is due. Gives `false` when the case is to be forgotten.
    pub(super) fn timeout(&mut self, baseline: &Baseline, now: Now, steps: &mut Vec<Step>) -> bool {
        if self.ends.is_some_and(|ends| ends <= now.mono) {
            self.ends = None;
            match self.finding.state {
                FindingState::Open => self.escalate(baseline, now, steps),
                FindingState::Settling => self.close(FindingState::Corrected, baseline.deadline, now, steps),
                FindingState::Escalated => {}
                FindingState::Corrected | FindingState::Withdrawn => return false,
            }
        }
        if self.next_delta.is_some_and(|next| next <= now.mono) {
            self.send_delta(now, steps);
            steps.push(Step::FindingUpdated(self.finding.clone()));
        }
        true
    }

    /// Ends the case because there is nothing to comply with any more.
    pub(super) fn withdraw(&mut self, now: Now, steps: &mut Vec<Step>) {
        if !self.finding.state.is_closed() {
            self.close(FindingState::Withdrawn, Duration::ZERO, now, steps);
        }
    }

    /// When [`Case::timeout`] has something to do.
    pub(super) fn wake(&self) -> Option<Mono> {
        self.ends.into_iter().chain(self.next_delta).min()
    }

    fn comply(&mut self, baseline: &Baseline, now: Now, steps: &mut Vec<Step>) {
        if self.finding.state == FindingState::Open {
            self.finding.left = self.finding.left.saturating_sub(now.mono.since(self.finding.since.mono));
        }
        if self.finding.relapses == 0 {
            self.close(FindingState::Corrected, baseline.deadline, now, steps);
            return;
        }
        self.enter(FindingState::Settling, now);
        self.next_delta = None;
        self.ends = Some(now.mono.plus(baseline.deadline));
        steps.push(Step::FindingUpdated(self.finding.clone()));
    }

    fn deviate_on(&mut self, deviations: Vec<Deviation>, now: Now, steps: &mut Vec<Step>) {
        if self.finding.deviations == deviations {
            return;
        }
        let asks_more = deviations.iter().any(|deviation| {
            deviation.fix.is_some() && !self.finding.deviations.iter().any(|old| old.path == deviation.path)
        });
        self.finding.deviations = deviations;
        if asks_more {
            let earliest = self.last_delta.map_or(now.mono, |last| last.plus(SHORTEST_GAP));
            self.next_delta = Some(earliest.max(now.mono));
        }
        if self.next_delta.is_some_and(|next| next <= now.mono) {
            self.send_delta(now, steps);
        }
        steps.push(Step::FindingUpdated(self.finding.clone()));
    }

    fn relapse(&mut self, baseline: &Baseline, deviations: Vec<Deviation>, now: Now, steps: &mut Vec<Step>) {
        let was_closed = self.finding.state.is_closed();
        self.finding.relapses = self.finding.relapses.saturating_add(1);
        self.finding.deviations = deviations;
        if self.finding.relapses > MAX_RELAPSES {
            self.finding.left = Duration::ZERO;
        }
        self.enter(FindingState::Open, now);
        steps.push(if was_closed {
            Step::FindingOpened(self.finding.clone())
        } else {
            Step::FindingUpdated(self.finding.clone())
        });
        self.run(baseline, now, steps);
    }

    /// Begins or goes on with the device's time, and asks it.
    fn run(&mut self, baseline: &Baseline, now: Now, steps: &mut Vec<Step>) {
        if self.finding.left.is_zero() {
            self.ends = None;
            self.escalate(baseline, now, steps);
        } else {
            self.ends = Some(now.mono.plus(self.finding.left));
        }
        self.plan_delta(now.mono);
        if self.next_delta.is_some_and(|next| next <= now.mono) {
            self.send_delta(now, steps);
            steps.push(Step::FindingUpdated(self.finding.clone()));
        }
    }

    fn escalate(&mut self, baseline: &Baseline, now: Now, steps: &mut Vec<Step>) {
        self.finding.left = Duration::ZERO;
        self.enter(FindingState::Escalated, now);
        // A device that wavers would otherwise have a measure taken with every report.
        let lately = |at: Now| now.mono.since(at.mono) < baseline.deadline && at.mono <= now.mono;
        if self.finding.escalated.is_some_and(lately) {
            steps.push(Step::FindingUpdated(self.finding.clone()));
            return;
        }
        self.finding.escalated = Some(now);
        let finding = self.finding.clone();
        let request = baseline.on_deadline.as_ref().map(|measure| measure.request(&finding));
        steps.push(Step::Escalate { finding, request });
    }

    fn close(&mut self, state: FindingState, remember: Duration, now: Now, steps: &mut Vec<Step>) {
        self.enter(state, now);
        self.next_delta = None;
        self.ends = Some(now.mono.plus(remember));
        let mut nulls = Map::new();
        for path in std::mem::take(&mut self.finding.asked) {
            put(&mut nulls, &path, Value::Null);
        }
        if !nulls.is_empty() {
            steps.push(Step::WithdrawDesired {
                thing: self.finding.thing.clone(),
                shadow: self.finding.shadow.clone(),
                desired: Value::Object(nulls),
            });
        }
        steps.push(Step::FindingClosed(self.finding.clone()));
    }

    fn plan_delta(&mut self, now: Mono) {
        let asks = self.finding.deviations.iter().any(|deviation| deviation.fix.is_some());
        let earliest = self.last_delta.map_or(now, |last| last.plus(SHORTEST_GAP));
        self.next_delta = asks.then(|| earliest.max(now));
    }

    fn send_delta(&mut self, now: Now, steps: &mut Vec<Step>) {
        let wait = FIRST_WAIT.saturating_mul(1 << self.finding.attempts.min(10)).min(LONGEST_WAIT);
        self.last_delta = Some(now.mono);
        self.next_delta = None;
        let desired = desired(&self.finding.deviations);
        if desired.as_object().is_none_or(Map::is_empty) {
            return;
        }
        self.next_delta = Some(now.mono.plus(wait));
        self.finding.attempts = self.finding.attempts.saturating_add(1);
        let fixed = self.finding.deviations.iter().filter(|deviation| deviation.fix.is_some());
        self.finding.asked.extend(fixed.map(|deviation| deviation.path.clone()));
        steps.push(Step::SendDelta {
            thing: self.finding.thing.clone(),
            shadow: self.finding.shadow.clone(),
            desired,
            finding: self.finding.id.clone(),
            attempt: self.finding.attempts,
        });
    }

    fn enter(&mut self, state: FindingState, now: Now) {
        self.finding.state = state;
        self.finding.since = now;
    }
}
