//! `[limits]`, `[login]` and `[isolation]`: what clients may use, and how far the gateway acts by itself.

use super::source::{Section, Wrong};
use cordon_mqtt::Limits;
use std::time::Duration;

const KIB: u64 = 1 << 10;
const GIB: u64 = 1 << 30;
const HOUR: Duration = Duration::from_secs(3600);

/// The largest packet that MQTT can express, in bytes (MQTT 5.0, 1.5.5: four bytes of remaining length).
const LARGEST_PACKET: u64 = 268_435_455;

/// When failed logins lead to a temporary refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LoginConfig {
    /// Failures from one address, or for one name, that lead to a refusal.
    pub(crate) failures: u32,
    /// The time in which they must fall.
    pub(crate) window: Duration,
    /// The length of the first refusal; each further one is twice as long.
    pub(crate) refusal: Duration,
    /// The longest refusal.
    pub(crate) max_refusal: Duration,
}

/// How far the gateway may isolate by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IsolationConfig {
    /// The share of all things that automatic orders may cut off, in percent. One thing may always be cut off.
    pub(crate) max_automatic_percent: u8,
}

pub(super) fn limits(section: Section<'_>) -> Limits {
    let (default, second) = (Limits::default(), Duration::from_secs(1));
    let limits = Limits {
        max_packet_size: section.size("max_packet_size", default.max_packet_size, KIB..=LARGEST_PACKET),
        max_inflight: section.number("max_inflight", default.max_inflight, 1..=65_535),
        max_queued_messages: section.number("max_queued_messages", default.max_queued_messages, 1..=1_000_000),
        max_queued_bytes: section.size("max_queued_bytes", default.max_queued_bytes, 4 * KIB..=GIB),
        max_queued_bytes_total: section.size(
            "max_queued_bytes_total",
            default.max_queued_bytes_total,
            64 * KIB..=64 * GIB,
        ),
        max_subscriptions: section.number("max_subscriptions", default.max_subscriptions, 1..=100_000),
        max_sessions: section.number("max_sessions", default.max_sessions, 1..=1_000_000),
        max_session_expiry: section.duration(
            "max_session_expiry",
            default.max_session_expiry,
            Duration::ZERO..=Duration::from_secs(365 * 86_400),
        ),
        max_keep_alive: section.duration(
            "max_keep_alive",
            default.max_keep_alive,
            Duration::from_secs(1)..=Duration::from_secs(u64::from(u16::MAX)),
        ),
        max_retained: section.number("max_retained", default.max_retained, 0..=10_000_000),
        max_retained_bytes: section.size("max_retained_bytes", default.max_retained_bytes, 64 * KIB..=64 * GIB),
        max_topic_alias: section.number("max_topic_alias", default.max_topic_alias, 0..=65_535),
        max_unsent_bytes: section.size("max_unsent_bytes", default.max_unsent_bytes, 4 * KIB..=GIB),
        max_packets_per_second: section.number("max_packets_per_second", default.max_packets_per_second, 0..=1_000_000),
        max_bytes_per_second: section.size("max_bytes_per_second", default.max_bytes_per_second, 0..=GIB),
        max_topics: section.number("max_topics", default.max_topics, 0..=100_000),
        write_timeout: section.duration("write_timeout", default.write_timeout, second..=HOUR),
        sources: default.sources,
        workers: section.number("workers", default.workers, 1..=4),
    };
    if (1..KIB).contains(&limits.max_bytes_per_second) {
        let wrong =
            Wrong::new("so slow a client does not get a packet through", "write at least 1KiB, or 0 for no limit");
        section.wrong("max_bytes_per_second", wrong);
    }
    section.finish();
    limits
}

pub(super) fn login(section: Section<'_>) -> LoginConfig {
    let second = Duration::from_secs(1);
    let config = LoginConfig {
        failures: section.number("failures", 5, 1..=1000),
        window: section.duration("window", 60 * second, second..=24 * HOUR),
        refusal: section.duration("refusal", 10 * second, second..=HOUR),
        max_refusal: section.duration("max_refusal", HOUR, second..=24 * HOUR),
    };
    if config.max_refusal < config.refusal {
        let help = "write a duration that is no shorter";
        section.wrong("max_refusal", Wrong::new("the longest refusal is shorter than the first", help));
    }
    section.finish();
    config
}

pub(super) fn isolation(section: Section<'_>) -> IsolationConfig {
    let config = IsolationConfig { max_automatic_percent: section.number("max_automatic_percent", 10, 0..=100) };
    section.finish();
    config
}
