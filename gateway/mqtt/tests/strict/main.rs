//! The standard's rules one by one, over real sockets: no illegal packet passes, no legal one is refused.
//!
//! The tables are grouped like the chapters of the standard. A row of an illegal packet names the statement (`MQTT-...`)
//! or, where the standard states a rule without a number, the section (`MQTT5 ...`, `MQTT3 ...`). What has to come about
//! is the same for each: the answer that the version has, the close, one more violation counted, and an event that names
//! the rule.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

mod acknowledge;
mod aliases;
mod connect;
mod data;
mod goodbye;
mod keep_alive;
mod operation;
mod properties;
mod publish;
mod sizes;
mod subscribe;
mod table;
mod wills;

#[path = "../broker/support.rs"]
#[allow(dead_code, reason = "shared with the broker's tests")]
mod support;
