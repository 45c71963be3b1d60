//! Points in time that must be understood by the process after this one.
//!
//! The monotonic clock is right for as long as the machine has not booted anew. After that the wall clock tells, if it
//! was trusted then and is trusted now. If neither helps, the time while the gateway was down does not count. Nothing ever
//! lasts longer than what was left when it was written.

use super::wire::{Read, Write};
use cordon_core::time::{Mono, Now, Unix};
use std::time::Duration;

/// When something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) boot: u64,
    pub(crate) at: Now,
}

/// When something ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadline {
    written: Stamp,
    left: Duration,
}

/// A boot of the machine as a number.
pub(super) fn boot(id: &str) -> u64 {
    blake3::hash(id.as_bytes()).as_bytes().iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

// === impl Stamp ===

impl Stamp {
    /// How long ago it was.
    pub(crate) fn age(&self, boot: u64, now: Now) -> Duration {
        if self.boot == boot {
            now.mono.since(self.at.mono)
        } else if self.at.trusted && now.trusted {
            now.unix.since(self.at.unix)
        } else {
            Duration::ZERO
        }
    }

    pub(super) fn write(&self, into: &mut Vec<u8>) {
        into.long(self.boot);
        into.long(self.at.mono.0);
        into.long(self.at.unix.0);
        into.byte(u8::from(self.at.trusted));
    }

    pub(super) fn read(from: &mut Read<'_>) -> Option<Self> {
        let boot = from.long()?;
        Some(Self { boot, at: Now { mono: Mono(from.long()?), unix: Unix(from.long()?), trusted: from.flag()? } })
    }
}

// === impl Deadline ===

impl Deadline {
    /// A deadline at `end`, written now.
    pub(crate) fn new(end: Mono, boot: u64, now: Now) -> Self {
        Self { written: Stamp { boot, at: now }, left: end.since(now.mono) }
    }

    /// When it is by the clock of this boot.
    pub(crate) fn end(&self, boot: u64, now: Now) -> Mono {
        now.mono.plus(self.left.saturating_sub(self.written.age(boot, now)))
    }

    pub(super) fn write(&self, into: &mut Vec<u8>) {
        self.written.write(into);
        into.long(u64::try_from(self.left.as_millis()).unwrap_or(u64::MAX));
    }

    pub(super) fn read(from: &mut Read<'_>) -> Option<Self> {
        Some(Self { written: Stamp::read(from)?, left: Duration::from_millis(from.long()?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_deadline_goes_by_the_clock_that_can_be_relied_on() {
        let then = Now::for_test(0);
        let deadline = Deadline::new(then.mono.plus(60 * SECOND), 1, then);
        let later = then.plus(20 * SECOND);
        assert_eq!(deadline.end(1, later), later.mono.plus(40 * SECOND), "the same boot");
        let stepped = Now { unix: Unix(0), ..later };
        assert_eq!(deadline.end(1, stepped), later.mono.plus(40 * SECOND), "whatever the wall clock says");
        let booted = Now { mono: Mono(5_000), ..later };
        assert_eq!(deadline.end(2, booted), booted.mono.plus(40 * SECOND), "another boot");
        let unset = Now { trusted: false, ..booted };
        assert_eq!(deadline.end(2, unset), unset.mono.plus(60 * SECOND), "nothing to go by");
        let back = Now { unix: Unix(1), ..booted };
        assert_eq!(deadline.end(2, back), back.mono.plus(60 * SECOND), "never longer than what was left");
        let over = booted.plus(100 * SECOND);
        assert_eq!(deadline.end(2, over), over.mono, "it has passed");
    }
}
