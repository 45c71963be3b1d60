//! The judge: whether a session may do a thing, and by which rule.
//!
//! A decision falls in this order: isolation orders, reserved topics, policies. It is a value: a [`Permit`], which only
//! this module can make and which whatever publishes or delivers must be handed, or a [`Denied`] with its reason and
//! rule. A [`Rulebook`] is one immutable state of all rules; it carries an epoch, and a [`Judge`] made under another
//! epoch is to be made anew before the next packet.

mod bench;
mod denied;
mod explain;
mod permit;
mod reserved;
mod rulebook;

pub use crate::policy::Subject;
pub use bench::Judge;
pub use denied::{Denied, Reason};
pub use explain::{Explanation, Match};
pub use permit::{Permit, judge_gateway};
pub use rulebook::Rulebook;
