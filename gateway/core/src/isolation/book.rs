//! The order book: every order in force, and those that ended lately.

use super::order::{Ended, Expiry, How, number};
use super::{Isolation, IssueError, Level, Limits, Order, Origin, Request};
use crate::fleet::{Registry, Selector, Thing};
use crate::time::{Mono, Now};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The most orders in force at once.
pub const MAX_ACTIVE: usize = 1000;

/// The most ended orders that are remembered; the oldest go first.
pub const MAX_HISTORY: usize = 1000;

/// Gives, ends and remembers orders. Pure: whoever owns it stores the orders and raises the epoch.
#[derive(Debug, Clone, Default)]
pub struct OrderBook {
    orders: BTreeMap<u64, Order>,
    last: u64,
    limits: Limits,
    protected: BTreeSet<String>,
    /// Orders brought over a reboot while the wall clock could not tell how much of their time was left.
    unanchored: BTreeSet<u64>,
}

/// Why an order was not released.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// There is no such order.
    #[error("there is no order `{id}`; `cordon orders` lists them")]
    Unknown {
        /// What was given, cut to 64 characters.
        id: String,
    },
    /// The order has ended.
    #[error("order `{id}` has already ended")]
    AlreadyEnded {
        /// The order's id.
        id: String,
    },
}

// === impl OrderBook ===

impl OrderBook {
    /// An empty book with the default limits and no protected things.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A book with these orders, as after a restart.
    ///
    /// `same_boot` says whether the stored monotonic times are of this boot. If not, the time left is taken from the
    /// wall clock where it was trusted then and is trusted at `now`; else the order stands for its whole time again,
    /// and is corrected by the first [`OrderBook::expire`] with a trusted clock. Store the orders again after a reboot,
    /// because their monotonic times changed.
    #[must_use]
    pub fn restore(orders: impl IntoIterator<Item = Order>, now: Now, same_boot: bool) -> Self {
        let mut book = Self::new();
        for mut order in orders {
            let Some(number) = order.number() else { continue };
            book.last = book.last.max(number);
            if !same_boot
                && order.is_active()
                && let Some(expires) = &mut order.expires
            {
                let total = expires.unix.since(order.created.unix);
                let anchored = now.trusted && order.created.trusted;
                let left = if anchored { expires.unix.since(now.unix).min(total) } else { total };
                expires.mono = now.mono.plus(left);
                if !anchored && order.created.trusted {
                    book.unanchored.insert(number);
                }
            }
            book.orders.insert(number, order);
        }
        book.forget();
        book
    }

    /// Sets what automatic orders must keep to, and the things that no order cuts.
    pub fn configure(&mut self, limits: Limits, protected: BTreeSet<String>) {
        self.limits = limits;
        self.protected = protected;
    }

    /// The things that no order cuts.
    #[must_use]
    pub fn protected(&self) -> &BTreeSet<String> {
        &self.protected
    }

    /// Gives an order and returns it; it is in the book from then on.
    ///
    /// # Errors
    /// The request is not sound, selects only protected things, would take automatic orders over their limit, or the
    /// book is full. The book stays as it was.
    pub fn issue(&mut self, request: Request, registry: &Registry, now: Now) -> Result<Order, IssueError> {
        request.check()?;
        if self.active().count() >= MAX_ACTIVE {
            return Err(IssueError::TooMany { limit: MAX_ACTIVE });
        }
        self.check_protected(&request.selector, registry)?;
        if request.level > Level::Audit && matches!(request.origin, Origin::Automatic { .. }) {
            self.check_limit(&request.selector, registry)?;
        }
        self.last += 1;
        let order = Order {
            id: format!("iso-{}", self.last),
            selector: request.selector,
            level: request.level,
            block: request.block,
            reason: request.reason,
            author: request.author,
            origin: request.origin,
            created: now,
            expires: request.duration.map(|time| Expiry { mono: now.mono.plus(time), unix: now.unix.plus(time) }),
            ended: None,
        };
        self.orders.insert(self.last, order.clone());
        Ok(order)
    }

    /// Ends an order before its time and returns it.
    ///
    /// # Errors
    /// There is no such order, or it has ended.
    pub fn release(&mut self, id: &str, by: &str, reason: &str, now: Now) -> Result<Order, ReleaseError> {
        let unknown = || ReleaseError::Unknown { id: id.chars().take(64).collect() };
        let number = number(id).ok_or_else(unknown)?;
        let order = self.orders.get_mut(&number).ok_or_else(unknown)?;
        if !order.is_active() {
            return Err(ReleaseError::AlreadyEnded { id: order.id.clone() });
        }
        order.ended = Some(Ended { at: now, how: How::Released { by: by.to_owned(), reason: reason.to_owned() } });
        let order = order.clone();
        self.unanchored.remove(&number);
        self.forget();
        Ok(order)
    }

    /// Ends every order whose time is over and returns them.
    pub fn expire(&mut self, now: Now) -> Vec<Order> {
        if now.trusted {
            for number in std::mem::take(&mut self.unanchored) {
                if let Some(expires) = self.orders.get_mut(&number).and_then(|order| order.expires.as_mut()) {
                    expires.mono = expires.mono.min(now.mono.plus(expires.unix.since(now.unix)));
                }
            }
        }
        let mut ended = Vec::new();
        for (number, order) in &mut self.orders {
            if order.is_active() && order.expires.is_some_and(|expires| expires.mono <= now.mono) {
                order.ended = Some(Ended { at: now, how: How::Expired });
                self.unanchored.remove(number);
                ended.push(order.clone());
            }
        }
        self.forget();
        ended
    }

    /// When [`OrderBook::expire`] has something to do next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Mono> {
        self.active().filter_map(|order| order.expires).map(|expires| expires.mono).min()
    }

    /// The orders in force, oldest first.
    pub fn active(&self) -> impl Iterator<Item = &Order> {
        self.orders.values().filter(|order| order.is_active())
    }

    /// Every remembered order, oldest first.
    pub fn all(&self) -> impl Iterator<Item = &Order> {
        self.orders.values()
    }

    /// The order of this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Order> {
        self.orders.get(&number(id)?)
    }

    /// The orders in force, for a [`crate::judge::Rulebook`].
    #[must_use]
    pub fn snapshot(&self) -> Arc<Vec<Order>> {
        Arc::new(self.active().cloned().collect())
    }

    /// The registered things that an order with `selector` would reach, by name; protected things are left out.
    #[must_use]
    pub fn preview(&self, selector: &Selector, registry: &Registry) -> Vec<String> {
        let reached = registry.select(selector).filter(|thing| !self.protected.contains(&thing.name));
        reached.map(|thing| thing.name.clone()).collect()
    }

    /// What the orders in force mean for `thing`.
    #[must_use]
    pub fn isolation(&self, thing: &Thing) -> Isolation {
        Isolation::for_thing(&self.snapshot(), &self.protected, thing)
    }

    fn check_protected(&self, selector: &Selector, registry: &Registry) -> Result<(), IssueError> {
        let mut names: BTreeSet<&str> = registry.select(selector).map(|thing| thing.name.as_str()).collect();
        if let Selector::Thing(name) = selector {
            names.insert(name);
        }
        if names.is_empty() || names.iter().any(|name| !self.protected.contains(*name)) {
            return Ok(());
        }
        let things = names.into_iter().take(5).collect::<Vec<_>>().join(", ");
        Err(IssueError::Protected { selector: selector.to_string(), things })
    }

    /// Refuses what would take the things cut by automatic orders over the limit. What is cut already adds nothing.
    fn check_limit(&self, selector: &Selector, registry: &Registry) -> Result<(), IssueError> {
        let standing: Vec<&Selector> =
            self.active().filter(|order| order.cuts_automatically()).map(|order| &order.selector).collect();
        let (before, after) =
            (self.reach(&standing, registry), self.reach(&[&standing[..], &[selector]].concat(), registry));
        let things = registry.things.len();
        let limit = self.limits.allowed(things);
        if after > limit && after > before {
            return Err(IssueError::FleetLimit { would_cut: after, limit, things });
        }
        Ok(())
    }

    /// How many things these selectors cut together. A thing named but not registered counts too.
    fn reach(&self, selectors: &[&Selector], registry: &Registry) -> usize {
        let mut names: BTreeSet<&str> = BTreeSet::new();
        for selector in selectors {
            match selector {
                Selector::Thing(name) => {
                    names.insert(name);
                }
                _ => names.extend(registry.select(selector).map(|thing| thing.name.as_str())),
            }
        }
        names.iter().filter(|name| !self.protected.contains(**name)).count()
    }

    /// Drops the oldest ended orders above [`MAX_HISTORY`].
    fn forget(&mut self) {
        let ended: Vec<u64> =
            self.orders.iter().filter(|(_, order)| !order.is_active()).map(|(number, _)| *number).collect();
        for number in &ended[..ended.len().saturating_sub(MAX_HISTORY)] {
            self.orders.remove(number);
        }
    }
}

#[cfg(test)]
mod tests;
