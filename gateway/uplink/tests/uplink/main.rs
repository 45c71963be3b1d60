//! The uplink over real sockets and real TLS, against the stand-in for AWS IoT Core.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]

mod delivery;
mod refusals;
mod tls;
mod world;
