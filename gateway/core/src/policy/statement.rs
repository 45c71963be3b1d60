//! One statement of a policy, ready to be bound to a session.

use super::action::ActionSet;
use super::condition::{Condition, Truth};
use super::resource::{Matcher, Target};
use super::template::Unresolved;
use super::{Action, Subject};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a matching statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// It lets the act pass unless another statement denies it.
    Allow,
    /// It refuses the act, whatever else allows it.
    Deny,
}

/// A statement as read.
#[derive(Debug)]
pub(super) struct Statement {
    /// `policy <name> statement <sid or number>`.
    pub(super) rule: Arc<str>,
    pub(super) effect: Effect,
    pub(super) actions: ActionSet,
    /// Whether it is about everything but its targets (`NotResource`).
    pub(super) inverted: bool,
    pub(super) targets: Box<[Target]>,
    pub(super) conditions: Box<[Condition]>,
    /// The matchers that every session shares, when no variable is in the targets.
    shared: Option<Arc<[Matcher]>>,
}

// === impl Statement ===

impl Statement {
    pub(super) fn new(
        rule: Arc<str>,
        effect: Effect,
        actions: ActionSet,
        inverted: bool,
        targets: Vec<Target>,
        conditions: Vec<Condition>,
    ) -> Self {
        let fixed = |target: &Target| target.template.fixed().map(|pattern| Matcher { kind: target.kind, pattern });
        let shared = targets.iter().map(fixed).collect::<Option<Arc<[Matcher]>>>();
        Self { rule, effect, actions, inverted, targets: targets.into(), conditions: conditions.into(), shared }
    }

    /// The actions for which this statement is in force for `subject`: those whose conditions hold. What cannot be
    /// decided holds for a Deny and not for an Allow.
    pub(super) fn in_force(&self, subject: &Subject) -> ActionSet {
        let holds = |action| {
            let truth = self.conditions.iter().fold(Truth::Yes, |all, one| all.and(one.decide(subject, action)));
            match truth {
                Truth::Yes => true,
                Truth::No => false,
                Truth::Unknown => self.effect == Effect::Deny,
            }
        };
        let drop_if_not = |set: ActionSet, action| if holds(action) { set } else { set.without(action) };
        Action::ALL.into_iter().filter(|action| self.actions.has(*action)).fold(self.actions, drop_if_not)
    }

    /// The matchers for `subject`. A target whose variable has no value is widened or dropped, whichever permits less.
    pub(super) fn bind(&self, subject: &Subject) -> Arc<[Matcher]> {
        if let Some(shared) = &self.shared {
            return Arc::clone(shared);
        }
        let denies_by_match = (self.effect == Effect::Deny) != self.inverted;
        let unresolved = if denies_by_match { Unresolved::Widen } else { Unresolved::Drop };
        let bound = |target: &Target| {
            target.template.bind(subject, unresolved).map(|pattern| Matcher { kind: target.kind, pattern })
        };
        self.targets.iter().filter_map(bound).collect()
    }
}
