//! A session's verdicts: its judge, compiled once per epoch, and the publish verdicts it has already given.

use cordon_core::isolation::Level;
use cordon_core::judge::{Denied, Judge, Permit, Rulebook, Subject};
use cordon_core::policy::Action;
use std::collections::HashMap;
use std::rc::Rc;

/// Distinct topics whose verdict is remembered.
const REMEMBERED: usize = 256;
/// The bytes of those topics together.
const REMEMBERED_BYTES: usize = 16 * 1024;

/// A remembered verdict.
#[derive(Debug, Clone)]
pub(crate) enum Verdict {
    Permit(Permit),
    Denied(Rc<Denied>),
}

/// The judge of one session and its memory.
pub(crate) struct Verdicts {
    epoch: u64,
    judge: Judge,
    publishes: HashMap<Box<str>, Verdict>,
    bytes: usize,
}

// === impl Verdicts ===

impl Verdicts {
    pub(crate) fn new(rulebook: &Rulebook, subject: &Subject) -> Self {
        Self { epoch: rulebook.epoch, judge: Judge::new(rulebook, subject), publishes: HashMap::new(), bytes: 0 }
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(crate) fn level(&self) -> Option<Level> {
        self.judge.isolation_level()
    }

    /// The order behind [`Verdicts::level`].
    pub(crate) fn order(&self) -> Option<String> {
        self.judge.isolation_order().map(|order| order.to_string())
    }

    pub(crate) fn judge(&self, action: Action, resource: &str) -> Result<Permit, Rc<Denied>> {
        self.judge.judge(action, resource).map_err(Rc::new)
    }

    /// The verdict on a message of the client that is not remembered: a will.
    pub(crate) fn message(&self, topic: &str, retain: bool) -> Result<Permit, Rc<Denied>> {
        let permit = self.judge(Action::Publish, topic)?;
        if retain { self.judge(Action::RetainPublish, topic) } else { Ok(permit) }
    }

    /// The audit-level order that would have cut this, if one would.
    pub(crate) fn would_cut(&self, action: Action, resource: &str) -> Option<String> {
        self.judge.would_cut(action, resource).map(|order| order.to_string())
    }

    /// The verdict on a publish, remembered per topic. The second value tells whether it is fresh in this epoch.
    pub(crate) fn publish(&mut self, topic: &str) -> (Result<Permit, Rc<Denied>>, bool) {
        if let Some(verdict) = self.publishes.get(topic) {
            return (verdict.clone().into(), false);
        }
        let verdict = match self.judge.judge(Action::Publish, topic) {
            Ok(permit) => Verdict::Permit(permit),
            Err(denied) => Verdict::Denied(Rc::new(denied)),
        };
        self.bytes += topic.len();
        if self.publishes.len() >= REMEMBERED || self.bytes > REMEMBERED_BYTES {
            self.publishes.clear();
            self.bytes = topic.len();
        }
        self.publishes.insert(topic.into(), verdict.clone());
        (verdict.into(), true)
    }
}

impl From<Verdict> for Result<Permit, Rc<Denied>> {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Permit(permit) => Ok(permit),
            Verdict::Denied(denied) => Err(denied),
        }
    }
}
