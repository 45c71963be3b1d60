//! `[journal]` and `[outbox]`: how much disk the gateway may use.

use super::source::{Section, Wrong};
use std::time::Duration;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;
const DAY: Duration = Duration::from_secs(86_400);

/// How much the security journal keeps. What goes over is deleted, oldest segment first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JournalConfig {
    /// What the journal may use on disk, in bytes.
    pub(crate) max_bytes: u64,
    /// The size at which a segment is closed and the next one begun, in bytes.
    pub(crate) segment_bytes: u64,
    /// The age at which a segment is closed.
    pub(crate) segment_age: Duration,
}

/// What may wait for the uplink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutboxConfig {
    /// The bytes that may wait.
    pub(crate) max_bytes: u64,
}

pub(super) fn journal(section: Section<'_>) -> JournalConfig {
    let config = JournalConfig {
        max_bytes: section.size("max_bytes", GIB, 8 * MIB..=TIB),
        segment_bytes: section.size("segment_bytes", 48 * MIB, MIB..=GIB),
        segment_age: section.duration("segment_age", 7 * DAY, DAY / 24..=365 * DAY),
    };
    if config.segment_bytes > config.max_bytes / 2 {
        let key = if section.has("segment_bytes") { "segment_bytes" } else { "max_bytes" };
        let problem = "a segment must fit at least twice into the journal's max_bytes";
        section.wrong(key, Wrong::new(problem, "lower segment_bytes, or raise max_bytes"));
    }
    section.finish();
    config
}

pub(super) fn outbox(section: Section<'_>) -> OutboxConfig {
    let config = OutboxConfig { max_bytes: section.size("max_bytes", 64 * MIB, 64 * KIB..=TIB) };
    section.finish();
    config
}
