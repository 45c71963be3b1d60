//! What the orders in force mean for one thing.

use super::{Level, Order, contains, door};
use crate::fleet::Thing;
use crate::policy::{Action, bare_filter};
use crate::topic;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The orders that reach one thing. Empty for most things, and then one word wide.
#[derive(Debug, Clone, Default)]
pub struct Isolation {
    effective: Option<Box<Effective>>,
}

/// An act was cut by an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The order's id.
    pub order: String,
    /// The order's level.
    pub level: Level,
}

#[derive(Debug, Clone)]
struct Effective {
    orders: Arc<Vec<Order>>,
    /// Places in `orders`, the strictest level first, the older first within a level.
    places: Box<[u32]>,
}

// === impl Isolation ===

impl Isolation {
    /// The orders that reach `thing`. Ended orders and protected things are left out.
    #[must_use]
    pub fn for_thing(orders: &Arc<Vec<Order>>, protected: &BTreeSet<String>, thing: &Thing) -> Self {
        if protected.contains(&thing.name) {
            return Self::default();
        }
        let mut reaching: Vec<(u32, &Order)> =
            (0..).zip(orders.iter()).filter(|(_, order)| reaches(order, thing)).collect();
        if reaching.is_empty() {
            return Self::default();
        }
        reaching.sort_by_key(|(_, order)| std::cmp::Reverse(order.level));
        let places = reaching.into_iter().map(|(place, _)| place).collect();
        Self { effective: Some(Box::new(Effective { orders: Arc::clone(orders), places })) }
    }

    /// Whether the act may go on, as far as orders are concerned. `thing` is the name whose door stays open.
    ///
    /// # Errors
    /// The strictest order that cuts it.
    pub fn check(&self, action: Action, resource: &str, thing: &str) -> Result<(), Cut> {
        match self.cutting(action, resource, thing).find(|order| order.level > Level::Audit) {
            None => Ok(()),
            Some(order) => Err(Cut { order: order.id.clone(), level: order.level }),
        }
    }

    /// The order of level audit that would have cut the act, if it was any stricter.
    #[must_use]
    pub fn would_cut(&self, action: Action, resource: &str, thing: &str) -> Option<&Order> {
        self.cutting(action, resource, thing).find(|order| order.level == Level::Audit)
    }

    /// The strictest level in force.
    #[must_use]
    pub fn level(&self) -> Option<Level> {
        self.orders().next().map(|order| order.level)
    }

    /// The orders that reach the thing, the strictest first.
    pub fn orders(&self) -> impl Iterator<Item = &Order> {
        self.effective
            .iter()
            .flat_map(|effective| effective.places.iter().filter_map(|place| effective.orders.get(*place as usize)))
    }

    fn cutting(&self, action: Action, resource: &str, thing: &str) -> impl Iterator<Item = &Order> {
        self.orders().filter(move |order| cuts(order, action, resource, thing))
    }
}

/// The order that cuts a message which `thing` published on `topic`, if one does. For messages that are already under
/// way: queued, retained, in flight, or a will.
#[must_use]
pub fn sender_cut(orders: &[Order], protected: &BTreeSet<String>, thing: &Thing, topic: &str) -> Option<Cut> {
    if orders.is_empty() || protected.contains(&thing.name) {
        return None;
    }
    orders
        .iter()
        .filter(|order| order.level > Level::Audit && reaches(order, thing))
        .filter(|order| cuts(order, Action::Publish, topic, &thing.name))
        .rev()
        .max_by_key(|order| order.level)
        .map(|order| Cut { order: order.id.clone(), level: order.level })
}

fn reaches(order: &Order, thing: &Thing) -> bool {
    order.is_active() && order.selector.matches(thing)
}

/// Whether the order's level, or the one it rehearses, cuts the act.
fn cuts(order: &Order, action: Action, resource: &str, thing: &str) -> bool {
    match order.level {
        Level::Disconnect => true,
        Level::Quarantine => !door::is_open(action, resource, thing),
        Level::Restrict => is_blocked(&order.block, action, resource),
        Level::Audit if order.block.is_empty() => !door::is_open(action, resource, thing),
        Level::Audit => is_blocked(&order.block, action, resource),
    }
}

fn is_blocked(block: &[String], action: Action, resource: &str) -> bool {
    match action {
        Action::Connect => false,
        Action::Publish | Action::RetainPublish | Action::Receive => {
            block.iter().any(|filter| topic::matches(filter, resource))
        }
        Action::Subscribe => block.iter().any(|filter| contains(filter, bare_filter(resource))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]
    use super::super::{OrderBook, Origin, Request};
    use super::*;
    use crate::fleet::Registry;
    use crate::time::Now;

    fn isolation(orders: &[(Level, &[&str])]) -> Isolation {
        let mut book = OrderBook::new();
        for (level, block) in orders {
            let request = Request {
                selector: "thing:press-01".parse().unwrap(),
                level: *level,
                block: block.iter().map(|filter| (*filter).to_owned()).collect(),
                reason: "odd traffic".into(),
                author: "operator:ada".into(),
                origin: Origin::Operator,
                duration: None,
            };
            book.issue(request, &Registry::default(), Now::for_test(0)).unwrap();
        }
        book.isolation(&Thing::named("press-01"))
    }

    fn passes(isolation: &Isolation, action: Action, resource: &str) -> bool {
        isolation.check(action, resource, "press-01").is_ok()
    }

    #[test]
    fn each_level_cuts_what_it_promises_and_nothing_else() {
        let restrict = isolation(&[(Level::Restrict, &["plant/+/cmd/#"])]);
        let quarantine = isolation(&[(Level::Quarantine, &[])]);
        let disconnect = isolation(&[(Level::Disconnect, &[])]);
        let audit = isolation(&[(Level::Audit, &[])]);
        // Passing under: restrict, quarantine, disconnect, audit.
        for (action, resource, pass) in [
            (Action::Connect, "press-01", [true, true, false, true]),
            (Action::Publish, "plant/press-01/data", [true, false, false, true]),
            (Action::Publish, "plant/press-01/cmd", [false, false, false, true]),
            (Action::RetainPublish, "plant/press-01/cmd/x", [false, false, false, true]),
            (Action::Receive, "plant/press-02/cmd/start", [false, false, false, true]),
            (Action::Receive, "plant/press-02/data", [true, false, false, true]),
            (Action::Subscribe, "plant/press-01/cmd/#", [false, false, false, true]),
            (Action::Subscribe, "$share/g/plant/press-01/cmd/#", [false, false, false, true]),
            (Action::Subscribe, "plant/#", [true, false, false, true]),
            (Action::Publish, "$aws/things/press-01/shadow/update", [true, true, false, true]),
            (Action::Receive, "$aws/things/press-01/shadow/name/config/update/delta", [true, true, false, true]),
            (Action::Subscribe, "$aws/things/press-01/jobs/#", [true, true, false, true]),
            (Action::Publish, "$aws/things/press-02/shadow/update", [true, false, false, true]),
        ] {
            let found = [&restrict, &quarantine, &disconnect, &audit].map(|level| passes(level, action, resource));
            assert_eq!(found, pass, "{action} {resource}");
        }
    }

    #[test]
    fn audit_tells_what_its_filters_or_a_quarantine_would_cut() {
        let quarantine = isolation(&[(Level::Audit, &[])]);
        assert!(quarantine.would_cut(Action::Publish, "a", "press-01").is_some());
        assert!(quarantine.would_cut(Action::Publish, "$aws/things/press-01/shadow/get", "press-01").is_none());
        let restrict = isolation(&[(Level::Audit, &["a/#"])]);
        assert_eq!(
            restrict.would_cut(Action::Publish, "a/b", "press-01").map(|order| order.id.as_str()),
            Some("iso-1")
        );
        assert!(restrict.would_cut(Action::Publish, "b", "press-01").is_none());
    }

    #[test]
    fn the_strictest_order_that_cuts_is_named() {
        let both = isolation(&[(Level::Restrict, &["a"]), (Level::Audit, &[]), (Level::Quarantine, &[])]);
        assert_eq!(both.level(), Some(Level::Quarantine));
        assert_eq!(
            both.check(Action::Publish, "a", "press-01"),
            Err(Cut { order: "iso-3".into(), level: Level::Quarantine })
        );
        let door = isolation(&[(Level::Quarantine, &[]), (Level::Restrict, &["$aws/things/+/shadow/#"])]);
        assert!(matches!(
            door.check(Action::Publish, "$aws/things/press-01/shadow/update", "press-01"),
            Err(Cut { level: Level::Restrict, .. })
        ));
    }

    #[test]
    fn other_things_are_not_reached() {
        let orders = Arc::new(isolation(&[(Level::Disconnect, &[])]).orders().cloned().collect::<Vec<_>>());
        let none = BTreeSet::new();
        assert_eq!(Isolation::for_thing(&orders, &none, &Thing::named("press-02")).level(), None);
        assert!(sender_cut(&orders, &none, &Thing::named("press-02"), "a").is_none());
        assert!(sender_cut(&orders, &none, &Thing::named("press-01"), "a").is_some());
        assert!(sender_cut(&orders, &["press-01".to_owned()].into(), &Thing::named("press-01"), "a").is_none());
    }
}
