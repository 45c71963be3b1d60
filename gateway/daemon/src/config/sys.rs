//! `[sys]`: what the gateway tells about itself under `$SYS`, and to whom.

use super::selector;
use super::source::{Section, Wrong};
use cordon_core::fleet::Selector;
use std::time::Duration;

/// The `$SYS` topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SysConfig {
    /// How often numbers that changed are published; zero is never.
    pub(crate) interval: Duration,
    /// Who may read them, as far as policies allow: the things that any of these selects.
    pub(crate) readers: Vec<Selector>,
}

// === impl SysConfig ===

impl SysConfig {
    /// Whether anything is published: what nobody may read is not.
    pub(crate) fn is_on(&self) -> bool {
        !self.interval.is_zero() && !self.readers.is_empty()
    }
}

pub(super) fn sys(section: Section<'_>) -> SysConfig {
    let second = Duration::from_secs(1);
    let interval = section.duration("interval", 10 * second, Duration::ZERO..=3600 * second);
    if !interval.is_zero() && interval < second {
        section.wrong("interval", Wrong::new("this is too often", "write at least \"1s\", or \"0s\" for never"));
    }
    let config = SysConfig { interval, readers: section.list("readers", selector) };
    section.finish();
    config
}
