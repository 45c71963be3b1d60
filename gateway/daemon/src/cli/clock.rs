//! Times and durations, read and shown.

use cordon_core::duration;
use cordon_proto::v1::Moment;
use std::str::FromStr;
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A point in time as people give it: so long ago, or an RFC 3339 time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// So many milliseconds ago, by the gateway's clock.
    Ago(u64),
    /// Milliseconds since 1970.
    At(u64),
}

// === impl When ===

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(ago) = duration::parse(text) {
            return Ok(Self::Ago(millis(ago)));
        }
        OffsetDateTime::parse(text, &Rfc3339)
            .ok()
            .and_then(|at| u64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok())
            .map(Self::At)
            .ok_or_else(|| "write how long ago, such as 10m or 2h30m, or a time such as 2026-01-31T08:00:00Z".into())
    }
}

/// Milliseconds of a duration.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A UTC time to the second, `2026-01-31T08:00:00Z`.
pub(crate) fn utc(unix_ms: u64) -> String {
    i64::try_from(unix_ms / 1000)
        .ok()
        .and_then(|secs| OffsetDateTime::from_unix_timestamp(secs).ok())
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("{unix_ms} ms"))
}

/// A UTC time to the millisecond, for machines.
pub(crate) fn utc_millis(unix_ms: u64) -> String {
    let whole = utc(unix_ms);
    whole.strip_suffix('Z').map(|start| format!("{start}.{:03}Z", unix_ms % 1000)).unwrap_or(whole)
}

/// When something happened, for people; a `?` marks a clock that was not synchronised.
pub(crate) fn shown(moment: Option<&Moment>) -> String {
    moment.map_or_else(|| "-".to_owned(), |at| utc(at.unix_ms) + if at.trusted { "" } else { "?" })
}

/// When something happened, for machines.
pub(crate) fn machine(moment: Option<&Moment>) -> Option<String> {
    moment.map(|at| utc_millis(at.unix_ms))
}

/// A duration to the second, for people; shorter ones to the millisecond.
pub(crate) fn human(millis: u64) -> String {
    duration::format(Duration::from_millis(if millis < 1000 { millis } else { millis - millis % 1000 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_given_as_how_long_ago_or_as_rfc_3339() {
        assert_eq!("10m".parse(), Ok(When::Ago(600_000)));
        assert_eq!("1970-01-01T00:00:01.5Z".parse(), Ok(When::At(1_500)));
        assert_eq!("1970-01-01T02:00:00+02:00".parse(), Ok(When::At(0)));
        for wrong in ["yesterday", "10", "-5m", "1969-12-31T23:59:59Z"] {
            assert!(wrong.parse::<When>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_are_shown_in_utc_and_say_when_the_clock_was_not_trusted() {
        let at = |trusted| Moment { unix_ms: 1_767_225_600_123, mono_ms: 0, trusted };
        assert_eq!(shown(Some(&at(true))), "2026-01-01T00:00:00Z");
        assert_eq!(shown(Some(&at(false))), "2026-01-01T00:00:00Z?");
        assert_eq!(machine(Some(&at(true))).as_deref(), Some("2026-01-01T00:00:00.123Z"));
        assert_eq!(human(61_999), "1m1s");
        assert_eq!(human(250), "250ms");
    }
}
