//! One isolation order.

use super::Level;
use crate::fleet::Selector;
use crate::time::{Mono, Now, Unix};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A standing instruction that cuts a set of things off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// `iso-` and a number that is never used again.
    pub id: String,
    /// Which things it cuts.
    pub selector: Selector,
    /// How far it cuts.
    pub level: Level,
    /// The topic filters it cuts, for [`Level::Restrict`], or would cut, for [`Level::Audit`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub block: Vec<String>,
    /// Why it was given.
    pub reason: String,
    /// Who gave it.
    pub author: String,
    /// Whether a person or a rule gave it.
    pub origin: Origin,
    /// When it came into force.
    pub created: Now,
    /// When it ends by itself; without, it stands until it is released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Expiry>,
    /// When and how it ended; while it is in force, nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
}

/// Who decided on an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// A person.
    Operator,
    /// A rule of the gateway; such orders obey the fleet-wide limit.
    Automatic {
        /// The rule: a behaviour of a security profile, a baseline.
        rule: String,
    },
}

/// The end of an order on both clocks. The monotonic one decides; the wall clock carries it over a reboot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expiry {
    /// When it ends, on this boot's monotonic clock.
    pub mono: Mono,
    /// When it ends, by the wall clock.
    pub unix: Unix,
}

/// The end of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// When it ended.
    pub at: Now,
    /// How it ended.
    pub how: How,
}

/// How an order ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// Somebody ended it before its time.
    Released {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// Its time was over.
    Expired,
}

// === impl Order ===

impl Order {
    /// Whether the order has not ended.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.ended.is_none()
    }

    /// The time left at `now`; `None` for an order that stands until released.
    #[must_use]
    pub fn time_left(&self, now: Now) -> Option<Duration> {
        self.expires.map(|expires| expires.mono.since(now.mono))
    }

    /// The number in the order's id.
    pub(super) fn number(&self) -> Option<u64> {
        number(&self.id)
    }

    /// Whether it is an automatic order that cuts something.
    pub(super) fn cuts_automatically(&self) -> bool {
        self.is_active() && self.level > Level::Audit && matches!(self.origin, Origin::Automatic { .. })
    }
}

/// The number in an order id of exactly the form that is given out.
pub(super) fn number(id: &str) -> Option<u64> {
    let number = id.strip_prefix("iso-")?.parse().ok()?;
    (id == format!("iso-{number}")).then_some(number)
}
