//! The fleet: things, groups, firmware versions, and the selectors that pick things out.
//!
//! A [`Registry`] is read from `fleet.toml` and never holds a secret. It fails as a whole: one wrong line and nothing
//! of the file is taken, with a [`FleetError`] that names the line, the key and what to write.
//!
//! ```toml
//! [[group]]
//! name = "line-1"
//! policies = ["press"]              # for every thing of the group
//!
//! [[thing]]
//! name = "press-01"                 # 1-128 of a-z A-Z 0-9 : _ -
//! type = "press"                    # optional, the AWS thing type
//! groups = ["line-1"]               # each declared as [[group]]
//! policies = ["device"]             # policy documents by name
//! username = "press-01"             # optional, for listeners with auth = "password"
//! certificates = ["9f86d0...0a08"]  # optional SHA-256 pins, hex; with pins the common name alone no longer counts
//! attributes = { firmware = "1.2.0", site = "west" }
//! ```

mod file;
mod nearest;
mod range;
mod registry;
mod selector;
mod thing;
mod version;

pub use file::FleetError;
pub use nearest::{did_you_mean, nearest};
pub use range::{RangeError, VersionRange};
pub use registry::Registry;
pub use selector::{Selector, SelectorError};
pub use thing::{Group, MAX_ATTRIBUTE_BYTES, MAX_NAME_BYTES, Thing, is_valid_thing_name};
pub use version::{Version, VersionError};
