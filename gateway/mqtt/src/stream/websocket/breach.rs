//! What a WebSocket client did that cannot be let pass.

use crate::codec::Violation;
use std::io;

/// Why a WebSocket connection is refused or ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Breach {
    /// A rule of the standards or of the listener was broken.
    #[error(transparent)]
    Violation(Violation),
    /// The page comes from an origin that the listener does not admit.
    #[error("the origin `{0}` is not admitted")]
    Origin(String),
}

/// A broken rule of the framing, and the status code of the Close frame that answers it (RFC 6455, 7.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) violation: Violation,
    pub(super) close: u16,
}

impl From<Breach> for io::Error {
    fn from(breach: Breach) -> Self {
        Self::new(io::ErrorKind::InvalidData, breach)
    }
}
