//! `[sources]`: what one source address may do, over all listeners.

use super::source::{Section, Wrong, cut};
use cordon_mqtt::{Prefix, PrefixError, SourceLimits};

pub(super) fn sources(section: Section<'_>) -> SourceLimits {
    let default = SourceLimits::default();
    let limits = SourceLimits {
        max_connections: section.number("max_connections", default.max_connections, 0..=1_000_000),
        max_connections_per_second: section.number(
            "max_connections_per_second",
            default.max_connections_per_second,
            0..=1_000_000,
        ),
        max_failures_per_second: section.number(
            "max_failures_per_second",
            default.max_failures_per_second,
            0..=1_000_000,
        ),
        failure_burst: section.number("failure_burst", default.failure_burst, 1..=1_000_000),
        exempt: if section.has("exempt") { section.list("exempt", prefix) } else { default.exempt },
    };
    if section.has("failure_burst") && limits.max_failures_per_second == 0 {
        let help = "take it out, or set max_failures_per_second";
        section.warn("failure_burst", Wrong::new("without max_failures_per_second this does nothing", help));
    }
    section.finish();
    limits
}

fn prefix(text: &str) -> Result<Prefix, Wrong> {
    text.parse().map_err(|error: PrefixError| {
        let help = "write for example \"10.0.0.5\", \"10.0.0.0/8\" or \"fd00::/8\"";
        Wrong::new(format!("\"{}\": {error}", cut(text)), help)
    })
}
