//! What the session target is made of: the script of an input, and the broker it is played to.

pub mod script;
pub mod stage;
