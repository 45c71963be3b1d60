//! Isolation: standing orders that cut things off, and what they cut.
//!
//! An [`Order`] names a selector and a level; the [`OrderBook`] gives, ends, expires and remembers orders; an
//! [`Isolation`] is what the orders mean for one thing. Orders are independent: an act is cut when any order in force
//! cuts it. Protected things (break glass) are never cut, whatever an order selects.
//!
//! - `audit` cuts nothing and tells what would be cut: by its blocked filters, or as a quarantine when it has none.
//! - `restrict` cuts messages on topics that a blocked filter selects, both ways, and new subscriptions inside one. A
//!   wider subscription stays and loses single deliveries.
//! - `quarantine` cuts everything but the connection and the door: the thing's own shadow and jobs topics.
//! - `disconnect` cuts everything, the connection too.

mod book;
mod contains;
mod door;
mod level;
mod order;
mod request;
mod verdict;

pub use book::{MAX_ACTIVE, MAX_HISTORY, OrderBook, ReleaseError};
pub use contains::contains;
pub use level::{Level, UnknownLevel};
pub use order::{Ended, Expiry, How, Order, Origin};
pub use request::{IssueError, Limits, MAX_BLOCKS, MAX_DURATION, MAX_TEXT_BYTES, Request};
pub use verdict::{Cut, Isolation, sender_cut};
