//! Orders: enforced first, made durable second, returned third.

use super::{Knowledge, put};
use cordon_core::duration;
use cordon_core::event::{Code, Event};
use cordon_core::isolation::{IssueError, Order, Origin, ReleaseError, Request};
use cordon_core::time::Now;
use cordon_journal::{Bucket, StoreError};

/// Why an order was not given or not released as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OrderError {
    /// The order is not sound or not allowed.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// There is no such order.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// The order is in force but not on disk.
    #[error("order {id} is in force, but it is not on disk and would not survive a restart: {error}")]
    NotDurable {
        /// The order.
        id: String,
        /// What the store said.
        error: StoreError,
    },
}

// === impl Knowledge ===

impl Knowledge {
    /// Gives an order. When this returns, it is in force, on disk and in the journal.
    pub(crate) async fn isolate(&mut self, request: Request, now: Now) -> Result<Order, OrderError> {
        let order = self.orders.issue(request, &self.registry, now)?;
        let ended = self.enforce().await;
        let kept = self.keep(put(Bucket::Orders, &order.id, &order)).await;
        let things = self.orders.preview(&order.selector, &self.registry).len();
        let mut event = order_event(Code::IsolationOrdered, &order, now)
            .principal(order.author.as_str())
            .reason(order.reason.as_str())
            .detail("things", things.to_string())
            .detail("connections ended", ended.to_string());
        if let Some(left) = order.time_left(now) {
            event = event.detail("for", duration::format(left));
        }
        if let Origin::Automatic { rule } = &order.origin {
            event = event.rule(rule.as_str());
        }
        self.record_durably(event).await;
        kept.map_err(|error| OrderError::NotDurable { id: order.id.clone(), error })?;
        Ok(order)
    }

    /// Gives the order that a rule asks for. What the fleet-wide limit forbids is an event.
    pub(super) async fn isolate_automatically(&mut self, request: Request, now: Now) -> Option<Order> {
        let (selector, rule) = (request.selector.to_string(), request.author.clone());
        match self.isolate(request, now).await {
            Ok(order) => Some(order),
            Err(OrderError::NotDurable { id, .. }) => self.orders.get(&id).cloned(),
            Err(error) => {
                let event = Event::new(Code::IsolationRefused, now).resource(selector).rule(rule);
                self.record_durably(event.reason(error.to_string())).await;
                None
            }
        }
    }

    /// Ends an order before its time.
    pub(crate) async fn release(&mut self, id: &str, by: &str, reason: &str, now: Now) -> Result<Order, OrderError> {
        let order = self.orders.release(id, by, reason, now)?;
        let kept = self.keep(put(Bucket::Orders, &order.id, &order)).await;
        self.enforce().await;
        self.record_durably(order_event(Code::IsolationReleased, &order, now).principal(by).reason(reason)).await;
        kept.map_err(|error| OrderError::NotDurable { id: order.id.clone(), error })?;
        Ok(order)
    }

    /// Ends the orders whose time is over.
    pub(super) async fn expire_orders(&mut self, now: Now) {
        let expired = self.orders.expire(now);
        if expired.is_empty() {
            return;
        }
        self.enforce().await;
        for order in expired {
            self.keep(put(Bucket::Orders, &order.id, &order)).await.ok();
            self.record(order_event(Code::IsolationExpired, &order, now).principal("gateway"));
        }
    }
}

fn order_event(code: Code, order: &Order, now: Now) -> Event {
    let mut event = Event::new(code, now)
        .resource(order.id.as_str())
        .detail("selector", order.selector.to_string())
        .detail("level", order.level.to_string());
    if let cordon_core::fleet::Selector::Thing(thing) = &order.selector {
        event = event.thing(thing.as_str());
    }
    if !order.block.is_empty() {
        event = event.detail("block", order.block.join(" "));
    }
    event
}
