//! The judge of one session.

use super::{Denied, Explanation, Match, Permit, Reason, Rulebook, reserved};
use crate::fleet::Thing;
use crate::isolation::{Isolation, Level};
use crate::policy::{Action, Compiled, Outcome, Principal, Subject};
use std::sync::Arc;

/// Decides for one session under one epoch. Nothing is allocated for an act that passes.
#[derive(Debug, Clone)]
pub struct Judge {
    compiled: Compiled,
    isolation: Isolation,
    /// The thing whose door a quarantine leaves open; empty when the principal stands for none.
    thing: Arc<str>,
    /// Whether a selector names it as a reader of `$SYS`.
    reads_sys: bool,
}

// === impl Judge ===

impl Judge {
    /// Precomputes everything but the resource.
    #[must_use]
    pub fn new(rulebook: &Rulebook, subject: &Subject) -> Self {
        let isolation = match (&subject.principal, subject.thing.as_deref()) {
            (Principal::Gateway, _) => Isolation::default(),
            (_, Some(thing)) => Isolation::for_thing(&rulebook.orders, &rulebook.protected, thing),
            // Reached by orders on everything alone.
            (_, None) => Isolation::for_thing(&rulebook.orders, &rulebook.protected, &Thing::default()),
        };
        let thing = subject.thing.as_deref().map_or("", |thing| &thing.name).into();
        Self { compiled: Compiled::new(subject), isolation, thing, reads_sys: reads_sys(rulebook, subject) }
    }

    /// Decides on one act. `resource` is a bare client id, topic or topic filter.
    ///
    /// # Errors
    /// The reason and the rule: an isolation order, else a reserved topic, else the policies.
    pub fn judge(&self, action: Action, resource: &str) -> Result<Permit, Denied> {
        self.decide(action, resource).map(|_| Permit::granted(action)).map_err(|(reason, rule)| Denied {
            action,
            resource: resource.to_owned(),
            reason,
            rule,
        })
    }

    /// The id of the order of level audit that would have cut the act.
    #[must_use]
    pub fn would_cut(&self, action: Action, resource: &str) -> Option<&str> {
        self.isolation.would_cut(action, resource, &self.thing).map(|order| order.id.as_str())
    }

    /// The strictest level of the orders that reach the session's thing.
    #[must_use]
    pub fn isolation_level(&self) -> Option<Level> {
        self.isolation.level()
    }

    /// The id of the order behind [`Judge::isolation_level`].
    #[must_use]
    pub fn isolation_order(&self) -> Option<&str> {
        self.isolation.orders().next().map(|order| order.id.as_str())
    }

    /// The decision on one act with everything that had a say in it.
    #[must_use]
    pub fn explain(&self, action: Action, resource: &str) -> Explanation {
        let (allowed, reason, rule) = match self.decide(action, resource) {
            Ok(rule) => (true, None, rule.to_owned()),
            Err((reason, rule)) => (false, Some(reason), rule),
        };
        let matching = self.compiled.matching(action, resource);
        Explanation {
            action,
            resource: resource.to_owned(),
            allowed,
            reason,
            rule,
            matching: matching.map(|(rule, effect)| Match { rule: rule.to_owned(), effect }).collect(),
            orders: self.isolation.orders().map(|order| format!("{} {}", order.id, order.level)).collect(),
        }
    }

    fn decide(&self, action: Action, resource: &str) -> Result<&str, (Reason, String)> {
        self.isolation.check(action, resource, &self.thing).map_err(|cut| (Reason::Isolated(cut.level), cut.order))?;
        if let Some(rule) = reserved::forbids(action, resource, self.reads_sys) {
            return Err((Reason::ReservedTopic, rule.to_owned()));
        }
        match self.compiled.evaluate(action, resource) {
            Outcome::Allowed { rule } => Ok(rule),
            Outcome::ExplicitDeny { rule } => Err((Reason::ExplicitDeny, rule.to_owned())),
            Outcome::ImplicitDeny => Err((Reason::ImplicitDeny, self.compiled.implicit_rule())),
        }
    }
}

/// Who proved nothing is named by no selector but `all`: a name that anybody can give makes nobody an operator.
fn reads_sys(rulebook: &Rulebook, subject: &Subject) -> bool {
    let named = |thing: &Thing| rulebook.readers.iter().any(|selector| selector.matches(thing));
    match (&subject.principal, subject.thing.as_deref()) {
        (Principal::Gateway, _) => true,
        (principal, Some(thing)) if principal.is_proven() => named(thing),
        _ => named(&Thing::default()),
    }
}

#[cfg(test)]
mod tests;
