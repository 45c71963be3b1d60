//! What the tests of this crate share: certificates and a gateway that only answers.

mod fake;
mod pki;

pub(crate) use fake::Fake;
pub(crate) use pki::{Credentials, Pki};
