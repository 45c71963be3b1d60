//! The proof that an act was judged.

use crate::policy::Action;

/// Proof that the judge let an act pass. What publishes or delivers takes one, so forgetting the check does not
/// compile.
///
/// A copy stands for a decision that is remembered for the same act under the same epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permit {
    action: Action,
}

// === impl Permit ===

impl Permit {
    /// Made by the judge alone.
    pub(super) fn granted(action: Action) -> Self {
        Self { action }
    }

    /// What was permitted.
    #[must_use]
    pub fn action(&self) -> Action {
        self.action
    }
}

/// The gateway's own authority, for what it publishes and delivers itself: shadow answers, job notices, break glass.
/// No order and no policy stands against it. The resource is named so that a call reads like a judgement.
#[must_use]
pub fn judge_gateway(action: Action, _resource: &str) -> Permit {
    Permit::granted(action)
}
