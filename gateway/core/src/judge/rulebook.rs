//! One immutable state of all rules.

use super::{Denied, Reason};
use crate::fleet::{Registry, Selector, Thing, is_valid_thing_name};
use crate::isolation::{Order, sender_cut};
use crate::policy::{Action, Policy, Principal, Subject};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// Everything that decisions depend on, at one epoch. Cheap to clone; a change makes a new one with a higher epoch.
#[derive(Debug, Clone, Default)]
pub struct Rulebook {
    /// Rises with every change; decisions made under another epoch are stale.
    pub epoch: u64,
    /// The things and groups.
    pub registry: Arc<Registry>,
    /// The policies, by name.
    pub policies: Arc<BTreeMap<String, Arc<Policy>>>,
    /// The isolation orders in force.
    pub orders: Arc<Vec<Order>>,
    /// The things that no order cuts (break glass).
    pub protected: Arc<BTreeSet<String>>,
    /// Who may see the gateway's own tree, `$SYS`, as far as policies allow: the things that any of these selects.
    pub readers: Arc<Vec<Selector>>,
}

// === impl Rulebook ===

impl Rulebook {
    /// The subject that a session is judged as.
    ///
    /// A proven principal has the policies of its thing and of the thing's groups. An anonymous client is the thing
    /// named by its client id, and has the one policy that bears the name of its listener and none of the thing's:
    /// nobody proved to be that thing. A listener with a list of policies puts [`Rulebook::policies_named`] in their
    /// place. A policy that is named but not loaded denies everything, because its Denies are unknown.
    #[must_use]
    pub fn subject(
        &self,
        principal: Principal,
        client_id: &str,
        thing: Option<&str>,
        source_ip: Option<IpAddr>,
        persistent: bool,
        last_will: bool,
    ) -> Subject {
        let registered = |name: &str| self.registry.get(name).cloned();
        let thing = match &principal {
            Principal::Anonymous { .. } => {
                let name = thing.unwrap_or(client_id);
                registered(name).or_else(|| is_valid_thing_name(name).then(|| Thing::named(name)))
            }
            _ => thing.and_then(registered),
        };
        let policies = match (&principal, &thing) {
            (Principal::Anonymous { listener }, _) => vec![self.policy(listener)],
            (_, Some(thing)) => self.policies_of(thing),
            (_, None) => Vec::new(),
        };
        Subject {
            client_id: client_id.to_owned(),
            thing: thing.map(Arc::new),
            principal,
            source_ip,
            persistent,
            last_will,
            policies,
        }
    }

    /// The policies of these names. One that is not loaded is stood in for by a policy that denies everything.
    #[must_use]
    pub fn policies_named<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Vec<Arc<Policy>> {
        names.into_iter().map(|name| self.policy(name)).collect()
    }

    /// Whether a message that `thing` already published on `topic` is cut by an order: one that is queued, retained or
    /// in flight, or a will. `thing` need not be registered.
    #[must_use]
    pub fn sender_cut(&self, thing: &str, topic: &str) -> Option<Denied> {
        if self.orders.is_empty() {
            return None;
        }
        let sender = self.registry.get(thing).map_or_else(|| Cow::Owned(Thing::named(thing)), Cow::Borrowed);
        let cut = sender_cut(&self.orders, &self.protected, &sender, topic)?;
        Some(Denied {
            action: Action::Publish,
            resource: topic.to_owned(),
            reason: Reason::Isolated(cut.level),
            rule: cut.order,
        })
    }

    /// The policies that things and groups name and that are not loaded, each with who names it.
    #[must_use]
    pub fn missing_policies(&self) -> Vec<(String, String)> {
        let things = self.registry.things.values().map(|thing| (format!("thing {}", thing.name), &thing.policies));
        let groups = self.registry.groups.values().map(|group| (format!("group {}", group.name), &group.policies));
        let named = things
            .chain(groups)
            .flat_map(|(owner, policies)| policies.iter().map(move |policy| (owner.clone(), policy.clone())));
        named.filter(|(_, policy)| !self.policies.contains_key(policy)).collect()
    }

    fn policies_of(&self, thing: &Thing) -> Vec<Arc<Policy>> {
        let of_groups = thing.groups.iter().filter_map(|name| self.registry.groups.get(name));
        let mut names: Vec<&str> = thing.policies.iter().map(String::as_str).collect();
        for name in of_groups.flat_map(|group| &group.policies) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        self.policies_named(names)
    }

    fn policy(&self, name: &str) -> Arc<Policy> {
        self.policies.get(name).map_or_else(|| Arc::new(Policy::missing(name)), Arc::clone)
    }
}
