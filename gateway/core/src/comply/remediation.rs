//! All findings of the fleet.

use super::case::Case;
use super::{Baseline, Finding, Step};
use crate::detect::Agenda;
use crate::fleet::{Registry, Thing};
use crate::time::{Mono, Now};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, VecDeque};

/// The most findings that are followed at the same time. Beyond that no new ones are opened, and
/// [`Remediation::overflow`] counts them.
pub const MAX_CASES: usize = 10_000;

/// The most past findings that are kept; the oldest are forgotten.
pub const MAX_PAST: usize = 1_000;

/// Judges reports by the baselines in force and follows every finding to its end.
///
/// Drive it with [`Remediation::handle_report`] and, at [`Remediation::poll_timeout`], [`Remediation::handle_timeout`],
/// and do the steps that each gives.
#[derive(Debug, Default)]
pub struct Remediation {
    baselines: Vec<Baseline>,
    /// By thing and baseline.
    cases: BTreeMap<CaseKey, Case>,
    agenda: Agenda<CaseKey>,
    past: VecDeque<Finding>,
    issued: u64,
    overflow: u64,
}

type CaseKey = (String, String);

// === impl Remediation ===

impl Remediation {
    /// Remediation without baselines.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts these baselines in place of all before, and withdraws the findings that have nothing to comply with any more.
    /// Judge the shadows of all things anew after it. Names must be unique; of two baselines with one name the first
    /// counts.
    pub fn set_baselines(&mut self, baselines: Vec<Baseline>, registry: &Registry, now: Now) -> Vec<Step> {
        self.baselines = baselines;
        self.fleet_changed(registry, now)
    }

    /// Withdraws the findings of things that are gone or that no baseline is for any more.
    pub fn fleet_changed(&mut self, registry: &Registry, now: Now) -> Vec<Step> {
        let applies = |(thing, name): &CaseKey, case: &Case| {
            let baseline = self.baselines.iter().find(|baseline| baseline.name == *name);
            let thing = registry.get(thing);
            baseline
                .zip(thing)
                .is_some_and(|(baseline, thing)| baseline.applies(thing) && baseline.shadow == case.finding.shadow)
        };
        let over: Vec<_> =
            self.cases.iter().filter(|(key, case)| !applies(key, case)).map(|(key, _)| key.clone()).collect();
        let mut steps = Vec::new();
        for key in &over {
            self.drop_case(key, now, &mut steps);
        }
        steps
    }

    /// The baselines in force.
    #[must_use]
    pub fn baselines(&self) -> &[Baseline] {
        &self.baselines
    }

    /// Puts stored findings back after a restart; call it after [`Remediation::set_baselines`]. On another boot the time
    /// that has passed is only known if the wall clock was trusted both times; otherwise devices get theirs again.
    /// Findings whose baseline or thing is gone meanwhile are withdrawn.
    pub fn restore(
        &mut self,
        findings: impl IntoIterator<Item = Finding>,
        registry: &Registry,
        now: Now,
        same_boot: bool,
    ) -> Vec<Step> {
        for finding in findings {
            let number = finding.id.strip_prefix("fnd-").and_then(|number| number.parse().ok());
            self.issued = self.issued.max(number.unwrap_or(0));
            let deadline = self.baselines.iter().find(|b| b.name == finding.baseline).map(|baseline| baseline.deadline);
            if finding.state.is_closed() {
                self.bury(finding);
            } else {
                let key = (finding.thing.clone(), finding.baseline.clone());
                let case = Case::resume(finding, deadline.unwrap_or_default(), now, same_boot);
                self.put(key, case);
            }
        }
        self.fleet_changed(registry, now)
    }

    /// Judges what `thing` reports in its classic shadow or the one called `shadow`; after every update of `reported`, and
    /// with an empty map after the shadow was deleted.
    pub fn handle_report(
        &mut self,
        thing: &Thing,
        shadow: Option<&str>,
        reported: &Map<String, Value>,
        now: Now,
    ) -> Vec<Step> {
        let mut steps = Vec::new();
        for baseline in self.baselines.iter().filter(|baseline| baseline.shadow.as_deref() == shadow) {
            let key = (thing.name.clone(), baseline.name.clone());
            if !baseline.applies(thing) {
                continue;
            }
            let deviations = baseline.evaluate(reported);
            let case = match self.cases.remove(&key) {
                Some(mut case) => {
                    case.report(baseline, deviations, now, &mut steps);
                    case
                }
                None if deviations.is_empty() => continue,
                None if self.cases.len() >= MAX_CASES => {
                    self.overflow = self.overflow.saturating_add(1);
                    continue;
                }
                None => {
                    self.issued += 1;
                    Case::open(format!("fnd-{}", self.issued), &thing.name, baseline, deviations, now, &mut steps)
                }
            };
            self.agenda.set(&key, case.wake());
            self.cases.insert(key, case);
        }
        steps
    }

    /// Does what is due: deltas again, deadlines, settled findings.
    pub fn handle_timeout(&mut self, now: Now) -> Vec<Step> {
        let mut steps = Vec::new();
        while let Some(key) = self.agenda.pop(now.mono) {
            let Some(mut case) = self.cases.remove(&key) else { continue };
            let baseline = self.baselines.iter().find(|baseline| baseline.name == key.1);
            match baseline.map(|baseline| case.timeout(baseline, now, &mut steps)) {
                Some(true) => self.put(key, case),
                Some(false) => self.bury(case.finding),
                None => {
                    case.withdraw(now, &mut steps);
                    self.bury(case.finding);
                }
            }
        }
        steps
    }

    /// When [`Remediation::handle_timeout`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Mono> {
        self.agenda.next()
    }

    /// Notes which isolation order came of an escalation, and gives the finding to be stored.
    pub fn note_order(&mut self, finding: &str, order: &str) -> Option<Finding> {
        let case = self.cases.values_mut().find(|case| case.finding.id == finding)?;
        case.finding.order = Some(order.to_owned());
        Some(case.finding.clone())
    }

    /// Every finding that is kept: past ones, oldest first, then those that are followed, by thing and baseline.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.past.iter().chain(self.cases.values().map(|case| &case.finding))
    }

    /// The findings that are not closed.
    pub fn open(&self) -> impl Iterator<Item = &Finding> {
        self.findings().filter(|finding| !finding.state.is_closed())
    }

    /// The finding with this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Finding> {
        self.findings().find(|finding| finding.id == id)
    }

    /// How many findings were not opened because [`MAX_CASES`] were being followed.
    #[must_use]
    pub fn overflow(&self) -> u64 {
        self.overflow
    }

    fn put(&mut self, key: CaseKey, case: Case) {
        self.agenda.set(&key, case.wake());
        self.cases.insert(key, case);
    }

    fn drop_case(&mut self, key: &CaseKey, now: Now, steps: &mut Vec<Step>) {
        self.agenda.set(key, None);
        if let Some(mut case) = self.cases.remove(key) {
            case.withdraw(now, steps);
            self.bury(case.finding);
        }
    }

    fn bury(&mut self, finding: Finding) {
        self.past.push_back(finding);
        if self.past.len() > MAX_PAST {
            self.past.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
