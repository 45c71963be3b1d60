//! Pure judgement for the Cordon gateway.
//!
//! This crate knows no runtime, no filesystem, no socket and no clock. Time and randomness are arguments, so every
//! decision can be replayed and every test is exact. Decisions are values: a [`judge::Permit`] in hand proves that the
//! check was made, a [`judge::Denied`] says which rule said no.

pub mod comply;
pub mod detect;
pub mod duration;
pub mod event;
pub mod fleet;
pub mod isolation;
pub mod judge;
pub mod policy;
pub mod shadow;
pub mod time;
pub mod topic;
