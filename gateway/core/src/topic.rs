//! MQTT topic names and topic filters (MQTT 5.0, section 4.7).

/// The longest topic name or filter, in bytes (a UTF-8 string of the standard, section 1.5.4).
pub const MAX_TOPIC_BYTES: usize = 65_535;

/// Whether `topic` may be published to: not empty, no wildcard, no NUL.
#[must_use]
pub fn is_valid_name(topic: &str) -> bool {
    !topic.is_empty() && topic.len() <= MAX_TOPIC_BYTES && !topic.bytes().any(|b| matches!(b, b'+' | b'#' | 0))
}

/// Whether `filter` may be subscribed to: wildcards stand alone in their level and `#` is last.
#[must_use]
pub fn is_valid_filter(filter: &str) -> bool {
    if filter.is_empty() || filter.len() > MAX_TOPIC_BYTES || filter.bytes().any(|b| b == 0) {
        return false;
    }
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        let alone = level.len() == 1;
        if level.contains('#') && !(alone && levels.peek().is_none()) {
            return false;
        }
        if level.contains('+') && !alone {
            return false;
        }
    }
    true
}

/// Whether `filter` selects `topic`. A filter that begins with a wildcard selects no topic that begins with `$`.
#[must_use]
pub fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut names = topic.split('/');
    let mut levels = filter.split('/');
    loop {
        match (levels.next(), names.next()) {
            (Some("#"), _) => return true,
            (Some("+"), Some(_)) => {}
            (Some(level), Some(name)) if level == name => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

/// Whether a topic or a bare filter is in the gateway's own tree: its first level is `$SYS`.
///
/// What is published there is for operators, and is never kept on disk.
#[must_use]
pub fn is_sys(topic: &str) -> bool {
    topic.strip_prefix("$SYS").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_select_topics_as_the_standard_says() {
        for (filter, topic, selects) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
            ("sport/#", "sport", true),
            ("#", "a/b", true),
            ("#", "$SYS/x", false),
            ("+/x", "$SYS/x", false),
            ("$SYS/#", "$SYS/x", true),
            ("sport/tennis/+", "sport/tennis/player1", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("a/b", "a/b/", false),
        ] {
            assert_eq!(matches(filter, topic), selects, "{filter} {topic}");
        }
    }

    #[test]
    fn the_gateways_own_tree_is_told_by_its_first_level() {
        for (topic, own) in [
            ("$SYS", true),
            ("$SYS/", true),
            ("$SYS/broker/uptime", true),
            ("$SYS/#", true),
            ("$SYSTEM/a", false),
            ("$sys/a", false),
            ("a/$SYS/b", false),
            ("#", false),
            ("+/broker/uptime", false),
        ] {
            assert_eq!(is_sys(topic), own, "{topic}");
        }
    }

    #[test]
    fn malformed_filters_and_names_are_refused() {
        for filter in ["", "a#", "a/#/b", "a+", "a/+b", "a\0b"] {
            assert!(!is_valid_filter(filter), "{filter:?}");
        }
        for filter in ["#", "+", "a/+/#", "/", "$share/g/a"] {
            assert!(is_valid_filter(filter), "{filter:?}");
        }
        for name in ["", "a/+", "#", "a\0"] {
            assert!(!is_valid_name(name), "{name:?}");
        }
    }
}
