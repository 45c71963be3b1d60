//! Detection: what devices do, counted in windows and held against what is normal.
//!
//! The words are those of AWS IoT Device Defender Detect: a [`SecurityProfile`] has behaviors, and the criterion of a
//! behavior describes what is **normal**; a window whose count does not conform is a violation. A [`Detector`] counts per
//! thing and behavior on the monotonic clock, in windows from one second. A count that passes an upper bound alarms on the
//! spot; a lower bound can only be judged when the window ends. Alarms clear by themselves.
//!
//! A [`LoginGuard`] watches failed logins per address and per name and refuses for a growing time. An [`AlarmBook`] keeps
//! what is and what was alarming, for people.
//!
//! Nothing here reads a clock, and every table has a bound.

mod agenda;
mod alarm;
mod book;
mod checked;
mod criterion;
mod criterion_json;
mod detector;
mod guard;
mod guard_entry;
mod guard_key;
mod json;
mod profile;
mod profile_json;
mod violation;
mod window;

pub(crate) use agenda::Agenda;
pub use alarm::{Alarm, AlarmState, Source};
pub use book::AlarmBook;
pub use criterion::{Criterion, Operator};
pub use detector::{Detector, MAX_THINGS};
pub use guard::{LoginGuard, LoginLimits};
pub use guard_entry::{Normal, Refusal};
pub use guard_key::LoginKey;
pub use profile::{Behavior, MAX_BEHAVIORS, Metric, ProfileError, SecurityProfile, Watch};
pub use violation::Violation;
