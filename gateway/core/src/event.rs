//! The event catalogue: every security event that Cordon records, in one enum and one table.
//!
//! A [`Code`] is stable once released. Its family is the part before the first `_`, so `--code AUTH` selects all
//! authentication and authorization failures. An [`Event`] names who, from where, what, on what, why and by which rule.
//! It never holds a payload or a password.

mod catalogue;
mod page;
mod record;

pub use catalogue::{CATALOGUE, Code, Entry, Severity};
pub use page::page;
pub use record::{Event, MAX_FIELD_BYTES};
