//! Device shadows, with the semantics of the AWS IoT Device Shadow service (AWS IoT developer guide, "Device Shadow
//! service documents" and "Device Shadow MQTT topics").
//!
//! A [`Shadow`] holds what a device should be (`desired`) and what it says it is (`reported`). An update merges: only the
//! named fields change, `null` deletes, arrays are replaced whole. Every accepted update raises the version by one, and
//! deleting a shadow does not reset it. A request that cannot be accepted changes nothing and gives a [`Rejected`] with
//! AWS's code and message.
//!
//! Differences from AWS, all for bounded memory: a field that holds an array has one timestamp and not one per element, a
//! thing has at most ten named shadows, and all shadows together have a limit.

mod delta;
mod document;
mod key;
mod merge;
mod rejected;
mod request;
mod section;
mod store;

pub use delta::same;
pub use document::{Shadow, UpdateOutcome};
pub(crate) use key::is_valid_shadow_name;
pub use key::{Operation, ShadowKey, ShadowKeyError, parse_topic};
pub use rejected::Rejected;
pub use request::{MAX_DEPTH, MAX_DOCUMENT_BYTES, MAX_REQUEST_BYTES, MAX_TOKEN_BYTES};
pub use store::{ShadowLimits, ShadowStore};
