//! A decision with everything that had a say in it, for `cordon explain`.

use super::Reason;
use crate::policy::{Action, Effect};
use serde::Serialize;
use std::fmt;

/// A decision and how it came about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// What was asked for.
    pub action: Action,
    /// On what.
    pub resource: String,
    /// Whether it may be done.
    pub allowed: bool,
    /// Why not; nothing when it is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The rule that decided.
    pub rule: String,
    /// Every policy statement about this act, denies first.
    pub matching: Vec<Match>,
    /// Every isolation order that reaches the thing, as `<id> <level>`, the strictest first.
    pub orders: Vec<String>,
}

/// A policy statement that is about the act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Match {
    /// The statement: `policy <name> statement <sid or number>`.
    pub rule: String,
    /// What it says.
    pub effect: Effect,
}

// === impl Explanation ===

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.allowed { "allowed" } else { "denied" };
        write!(f, "{word}: {} on `{}`", self.action, self.resource)?;
        match self.reason {
            Some(reason) => write!(f, ", {reason}\nrule: {}", self.rule)?,
            None => write!(f, "\nrule: {}", self.rule)?,
        }
        for Match { rule, effect } in &self.matching {
            write!(f, "\n  {effect:?} by {rule}")?;
        }
        for order in &self.orders {
            write!(f, "\n  order {order}")?;
        }
        Ok(())
    }
}
