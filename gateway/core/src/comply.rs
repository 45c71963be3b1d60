//! Compliance: what a device's reported configuration must look like, and how it is brought back.
//!
//! A [`Baseline`] is a list of rules over what a device reports to its shadow. A [`Remediation`] judges every report,
//! opens a [`Finding`] for a deviation, asks the device through its shadow's `desired`, and takes the baseline's
//! [`Measure`] when the deadline passes. It says what is to be done in [`Step`]s and does nothing itself.
//!
//! Devices are not trusted: whatever they report, in whatever order, the number of deltas and measures in a time is
//! bounded, and a device that wavers between right and wrong does not gain time by it.

mod baseline;
mod baseline_toml;
mod case;
mod check;
mod finding;
mod remediation;
mod toml_table;

pub use baseline::{Baseline, BaselineError, Deviation, MAX_RULES, Measure, Rule, desired};
pub use check::{Bound, Check};
pub use finding::{Finding, FindingState, Step};
pub use remediation::{MAX_CASES, MAX_PAST, Remediation};
