//! Remediation: reports are held against baselines, devices are told what to change, and who does not is escalated.

use super::{Knowledge, put};
use cordon_core::comply::{Finding, FindingState, Step};
use cordon_core::event::{Code, Event};
use cordon_core::fleet::Thing;
use cordon_core::shadow::ShadowKey;
use cordon_core::time::Now;
use cordon_journal::Bucket;
use serde_json::{Map, Value};

// === impl Knowledge ===

impl Knowledge {
    /// Ids of the findings that are not closed.
    pub(crate) fn open_findings(&self) -> Vec<String> {
        self.remediation.open().map(|finding| finding.id.clone()).collect()
    }

    /// Whether a thing is in line: `compliant`, `deviating`, `escalated` or `unknown`.
    pub(crate) fn compliance_of(&self, thing: &str) -> &'static str {
        let mut word = "unknown";
        let judged = self.registry.get(thing).is_some_and(|known| {
            let baselines = self.remediation.baselines().iter().filter(|baseline| baseline.applies(known));
            baselines
                .map(|baseline| ShadowKey::of(thing, baseline.shadow.as_deref()))
                .any(|key| self.shadows.peek(&key).is_some_and(|shadow| !shadow.reported().is_empty()))
        });
        if judged {
            word = "compliant";
        }
        for finding in self.remediation.open().filter(|finding| finding.thing == thing) {
            match finding.state {
                FindingState::Escalated => return "escalated",
                _ => word = "deviating",
            }
        }
        word
    }

    /// Holds what a thing reported against its baselines.
    pub(super) async fn assess(&mut self, key: &ShadowKey, reported: &Map<String, Value>, now: Now) {
        let stranger;
        let thing = match self.registry.get(&key.thing) {
            Some(thing) => thing,
            None => {
                stranger = Thing::named(&key.thing);
                &stranger
            }
        };
        let steps = self.remediation.handle_report(thing, key.name.as_deref(), reported, now);
        self.carry_out(steps, now).await;
    }

    /// Holds what every shadow reports against the baselines, after these have changed.
    pub(super) async fn assess_all(&mut self, now: Now) {
        let reports: Vec<(ShadowKey, Map<String, Value>)> =
            self.shadows.iter().map(|(key, shadow)| (key.clone(), shadow.reported().clone())).collect();
        for (key, reported) in reports {
            self.assess(&key, &reported, now).await;
        }
    }

    /// Does what is due.
    pub(super) async fn follow_up(&mut self, now: Now) {
        let steps = self.remediation.handle_timeout(now);
        self.carry_out(steps, now).await;
    }

    pub(super) async fn carry_out(&mut self, steps: Vec<Step>, now: Now) {
        for step in steps {
            match step {
                Step::FindingOpened(finding) => {
                    self.announce(Code::ComplianceDeviation, &finding, now).await;
                }
                Step::FindingUpdated(finding) => self.keep_finding(&finding).await,
                Step::FindingClosed(finding) => {
                    self.announce(Code::ComplianceCorrected, &finding, now).await;
                    self.lift(&finding, now).await;
                }
                Step::SendDelta { thing, shadow, desired, finding, attempt } => {
                    let key = ShadowKey::of(&thing, shadow.as_deref());
                    self.desire(&key, &desired, now).await;
                    let event =
                        Event::new(Code::ComplianceDeltaSent, now).thing(thing).resource(key.topic("update/delta"));
                    self.record(event.detail("finding", finding).detail("attempt", attempt.to_string()));
                }
                Step::WithdrawDesired { thing, shadow, desired } => {
                    self.desire(&ShadowKey::of(&thing, shadow.as_deref()), &desired, now).await;
                }
                Step::Escalate { finding, request } => {
                    self.announce(Code::ComplianceEscalated, &finding, now).await;
                    let order = match request {
                        Some(request) => self.isolate_automatically(request, now).await,
                        None => None,
                    };
                    if let Some(order) = order
                        && let Some(finding) = self.remediation.note_order(&finding.id, &order.id)
                    {
                        self.keep_finding(&finding).await;
                    }
                }
            }
        }
    }

    async fn announce(&self, code: Code, finding: &Finding, now: Now) {
        let event = Event::new(code, now)
            .thing(finding.thing.as_str())
            .resource(finding.id.as_str())
            .rule(format!("baseline {}", finding.baseline))
            .reason(finding.summary());
        self.record_durably(event).await;
        self.keep_finding(finding).await;
    }

    async fn keep_finding(&self, finding: &Finding) {
        self.keep(put(Bucket::Findings, &finding.id, finding)).await.ok();
    }

    /// The order that a finding led to ends with the finding.
    async fn lift(&mut self, finding: &Finding, now: Now) {
        let Some(id) = &finding.order else { return };
        if self.orders.get(id).is_some_and(cordon_core::isolation::Order::is_active) {
            let reason = format!("{} is closed: {}", finding.id, finding.state);
            if let Err(error) = self.release(id, "gateway", &reason, now).await {
                tracing::error!(order = %id, %error, "An order was not lifted in order.");
            }
        }
    }
}
