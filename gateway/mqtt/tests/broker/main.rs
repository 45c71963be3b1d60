//! The front door in process, over real sockets, spoken to by a client that can break every rule.

#![allow(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

mod endings;
mod fair;
mod floods;
mod flows;
mod half_open;
mod hostile;
mod isolation;
mod lifecycle;
mod own_topics;
mod persistence;
mod pressure;
mod server_traps;
mod sources;
mod support;
mod tls;
mod traps;
mod websocket;
mod wills;
