//! Who gets a topic: the subscriptions of one worker's sessions, as a tree of topic levels.
//!
//! Matching walks the tree once per distinct topic; the worker remembers the result until a subscription changes.

use crate::codec::SubscribeOptions;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

/// One session's subscription to one filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) options: SubscribeOptions,
    /// The subscription identifier (MQTT 5, 3.8.2.1.2).
    pub(crate) id: Option<u32>,
    /// The number of the first message that is for it: what was published before it was made is not.
    pub(crate) since: u64,
    /// The number of the shared group, if it is shared and there is more than one worker; see [`crate::groups`].
    pub(crate) group: u32,
}

/// Anything that can hold subscriptions: a session, told apart by its number.
pub(crate) trait Subscriber {
    fn number(&self) -> u64;
}

/// The tree.
#[derive(Debug)]
pub(crate) struct Subscriptions<S> {
    root: Node<S>,
    filters: usize,
}

/// What a topic matched.
#[derive(Debug)]
pub(crate) struct Matched<S> {
    /// One entry per matching subscription.
    pub(crate) single: Vec<(Rc<S>, Terms)>,
    /// The members of each matching shared group; each message goes to one of them.
    pub(crate) shared: Vec<Vec<(Rc<S>, Terms)>>,
}

/// Subscriptions to one filter, by the session's number.
type Members<S> = BTreeMap<u64, (Rc<S>, Terms)>;

#[derive(Debug)]
struct Node<S> {
    children: HashMap<Box<str>, Node<S>>,
    single: Members<S>,
    shared: BTreeMap<Box<str>, Members<S>>,
}

// === impl Subscriptions ===

impl<S: Subscriber> Subscriptions<S> {
    pub(crate) fn new() -> Self {
        Self { root: Node::new(), filters: 0 }
    }

    /// Distinct places of the tree that hold a subscription.
    pub(crate) fn filters(&self) -> usize {
        self.filters
    }

    /// Adds or replaces a session's subscription. `group` is the share name of a shared subscription.
    pub(crate) fn insert(&mut self, filter: &str, group: Option<&str>, session: &Rc<S>, terms: Terms) {
        let mut node = &mut self.root;
        for level in filter.split('/') {
            node = node.children.entry(level.into()).or_insert_with(Node::new);
        }
        let was_empty = node.is_leafless();
        let members = match group {
            Some(name) => node.shared.entry(name.into()).or_default(),
            None => &mut node.single,
        };
        members.insert(session.number(), (session.clone(), terms));
        self.filters += usize::from(was_empty);
    }

    /// Removes a session's subscription, and the branches that nobody needs any more.
    pub(crate) fn remove(&mut self, filter: &str, group: Option<&str>, session: u64) {
        let levels: Vec<&str> = filter.split('/').collect();
        if self.root.remove(&levels, group, session) {
            self.filters -= 1;
        }
    }

    /// Everybody whose filter selects `topic`.
    pub(crate) fn matching(&self, topic: &str) -> Matched<S> {
        let levels: Vec<&str> = topic.split('/').collect();
        let mut matched = Matched { single: Vec::new(), shared: Vec::new() };
        self.root.collect(&levels, topic.starts_with('$'), &mut matched);
        matched
    }
}

// === impl Node ===

impl<S> Node<S> {
    fn new() -> Self {
        Self { children: HashMap::new(), single: BTreeMap::new(), shared: BTreeMap::new() }
    }

    fn is_leafless(&self) -> bool {
        self.single.is_empty() && self.shared.is_empty()
    }

    /// Returns whether the place became empty of subscriptions.
    fn remove(&mut self, levels: &[&str], group: Option<&str>, session: u64) -> bool {
        let Some((first, rest)) = levels.split_first() else {
            let had = !self.is_leafless();
            if let Some(name) = group {
                if let Some(members) = self.shared.get_mut(name) {
                    members.remove(&session);
                    if members.is_empty() {
                        self.shared.remove(name);
                    }
                }
            } else {
                self.single.remove(&session);
            }
            return had && self.is_leafless();
        };
        let Some(child) = self.children.get_mut(*first) else { return false };
        let emptied = child.remove(rest, group, session);
        if child.is_leafless() && child.children.is_empty() {
            self.children.remove(*first);
        }
        emptied
    }

    fn collect(&self, levels: &[&str], hidden: bool, into: &mut Matched<S>) {
        // MQTT-4.7.2-1: a leading wildcard does not select a topic that begins with `$`.
        if !hidden && let Some(all) = self.children.get("#") {
            all.take(into);
        }
        let Some((first, rest)) = levels.split_first() else { return self.take(into) };
        if let Some(child) = self.children.get(*first) {
            child.collect(rest, false, into);
        }
        if !hidden && let Some(any) = self.children.get("+") {
            any.collect(rest, false, into);
        }
    }

    fn take(&self, into: &mut Matched<S>) {
        into.single.extend(self.single.values().cloned());
        into.shared.extend(self.shared.values().map(|members| members.values().cloned().collect()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{QoS, RetainHandling};
    use cordon_core::topic;
    use proptest::prelude::*;

    struct Member(u64);

    impl Subscriber for Member {
        fn number(&self) -> u64 {
            self.0
        }
    }

    fn terms() -> Terms {
        let options = SubscribeOptions {
            qos: QoS::AtMostOnce,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::default(),
        };
        Terms { options, id: None, since: 0, group: 0 }
    }

    proptest! {
        #[test]
        fn the_tree_agrees_with_matching_filter_by_filter(
            filters in prop::collection::vec("(\\$?[ab]|\\+)(/([ab]|\\+|)){0,3}(/#)?|#", 1..8),
            topic in "\\$?[ab](/[ab]?){0,4}",
        ) {
            let mut tree = Subscriptions::new();
            for (number, filter) in filters.iter().enumerate() {
                tree.insert(filter, None, &Rc::new(Member(number as u64)), terms());
            }
            let mut found: Vec<u64> = tree.matching(&topic).single.iter().map(|(member, _)| member.0).collect();
            found.sort_unstable();
            let expected: Vec<u64> = filters.iter().enumerate()
                .filter(|(_, filter)| topic::matches(filter, &topic))
                .map(|(number, _)| number as u64)
                .collect();
            prop_assert_eq!(found, expected);
            for (number, filter) in filters.iter().enumerate() {
                tree.remove(filter, None, number as u64);
            }
            prop_assert_eq!(tree.filters(), 0);
            prop_assert!(tree.root.children.is_empty());
        }
    }
}
