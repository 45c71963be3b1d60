//! What one session keeps of its policies.

use super::action::ActionSet;
use super::resource::{Kind, Matcher};
use super::share::shared_filter;
use super::statement::{Effect, Statement};
use super::{Action, Policy, Subject};
use std::sync::Arc;

/// The policies of one session with everything but the resource decided.
///
/// Small for an idle session: statements and their patterns are shared with the [`Policy`]; only patterns that held a
/// variable are the session's own. Statements whose conditions do not hold are not kept.
#[derive(Debug, Clone)]
pub struct Compiled {
    policies: Box<[Arc<Policy>]>,
    /// Denies first.
    rules: Box<[Rule]>,
    denies: usize,
}

/// What the policies say, with the rule that decided: `policy <name> statement <sid or number>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// A statement allows it and none denies it.
    Allowed {
        /// The statement that allows it.
        rule: &'a str,
    },
    /// A statement denies it.
    ExplicitDeny {
        /// The statement that denies it.
        rule: &'a str,
    },
    /// No statement allows it.
    ImplicitDeny,
}

#[derive(Debug, Clone)]
struct Rule {
    statement: Arc<Statement>,
    matchers: Arc<[Matcher]>,
    actions: ActionSet,
}

// === impl Compiled ===

impl Compiled {
    /// Binds the subject's policies to it.
    #[must_use]
    pub fn new(subject: &Subject) -> Self {
        let statements = || subject.policies.iter().flat_map(|policy| policy.statements());
        let bind = |statement: &Arc<Statement>| {
            let actions = statement.in_force(subject);
            (!actions.is_empty()).then(|| Rule {
                statement: Arc::clone(statement),
                matchers: statement.bind(subject),
                actions,
            })
        };
        let of = |effect| statements().filter(move |statement| statement.effect == effect).filter_map(bind);
        let mut rules: Vec<Rule> = of(Effect::Deny).collect();
        let denies = rules.len();
        rules.extend(of(Effect::Allow));
        Self { policies: subject.policies.clone().into(), rules: rules.into(), denies }
    }

    /// Decides on one act. `resource` is the bare client id, topic or topic filter; nothing is allocated.
    ///
    /// A shared subscription is judged as a whole and by the filter it shares: denied if either is, allowed if either
    /// is.
    #[must_use]
    pub fn evaluate(&self, action: Action, resource: &str) -> Outcome<'_> {
        let shared = if action == Action::Subscribe { shared_filter(resource) } else { None };
        let kind = Kind::of(action);
        let hit = |rule: &&Rule| rule.actions.has(action) && rule.matches(kind, resource, shared);
        let (denies, allows) = self.rules.split_at(self.denies);
        if let Some(rule) = denies.iter().find(hit) {
            return Outcome::ExplicitDeny { rule: &rule.statement.rule };
        }
        match allows.iter().find(hit) {
            Some(rule) => Outcome::Allowed { rule: &rule.statement.rule },
            None => Outcome::ImplicitDeny,
        }
    }

    /// Every statement that has a say in this act, denies first, with what it says.
    pub fn matching(&self, action: Action, resource: &str) -> impl Iterator<Item = (&str, Effect)> {
        let shared = if action == Action::Subscribe { shared_filter(resource) } else { None };
        let kind = Kind::of(action);
        self.rules
            .iter()
            .filter(move |rule| rule.actions.has(action) && rule.matches(kind, resource, shared))
            .map(|rule| (&*rule.statement.rule, rule.statement.effect))
    }

    /// The rule behind an [`Outcome::ImplicitDeny`], in words.
    #[must_use]
    pub fn implicit_rule(&self) -> String {
        if self.policies.is_empty() {
            return "no policy is attached".to_owned();
        }
        let names: Vec<&str> = self.policies.iter().map(|policy| policy.name()).collect();
        format!("no statement of policy {} allows it", names.join(", "))
    }
}

// === impl Rule ===

impl Rule {
    /// Whether this is about the resource, or about the filter that it shares. An Allow for everything but its list is
    /// about neither when one of the two is on the list, or a shared subscription would slip past it.
    fn matches(&self, kind: Kind, resource: &str, shared: Option<&str>) -> bool {
        let inverted = self.statement.inverted;
        let one = |resource: &str| {
            inverted != self.matchers.iter().any(|matcher| matcher.kind == kind && matcher.pattern.matches(resource))
        };
        match shared {
            None => one(resource),
            Some(bare) if inverted && self.statement.effect == Effect::Allow => one(resource) && one(bare),
            Some(bare) => one(resource) || one(bare),
        }
    }
}
