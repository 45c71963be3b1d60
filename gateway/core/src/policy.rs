//! Policies: AWS IoT policy documents, parsed strictly and compiled per session.
//!
//! The vocabulary, wildcards, variables and conditions are those of AWS IoT Core policies (document version
//! `2012-10-17`). A [`Policy`] is immutable; [`Compiled`] is what one session keeps of its policies, with every
//! variable filled in and every condition decided, because for MQTT all of them are fixed at CONNECT. Any matching Deny
//! wins, then any matching Allow, else the answer is no.
//!
//! Where AWS IoT fails open, this fails closed: a Deny whose variable has no value covers every value it could have
//! had. What the gateway cannot judge (an unknown action, operator, key or variable) is refused when the document is
//! read.
//!
//! `*` crosses `/`, `?` is one character, and the MQTT wildcards `+` and `#` are ordinary characters.

mod action;
mod compiled;
mod condition;
mod document;
mod error;
mod hints;
mod json;
mod operator;
mod pattern;
mod resource;
mod share;
mod statement;
mod subject;
mod template;
mod variable;

#[cfg(test)]
mod aws_examples;

pub use action::{Action, UnknownAction};
pub use compiled::{Compiled, Outcome};
pub use document::{MAX_DOCUMENT_BYTES, MAX_STATEMENTS, Policy, is_valid_policy_name};
pub use error::PolicyError;
pub use hints::Hint;
pub use share::bare_filter;
pub use statement::Effect;
pub use subject::{Principal, Subject};
