//! Shared subscriptions (MQTT 5.0, section 4.8.2).

/// The filter inside `$share/<group>/<filter>`, or the filter itself when it is not shared.
#[must_use]
pub fn bare_filter(filter: &str) -> &str {
    shared_filter(filter).unwrap_or(filter)
}

/// The filter inside a shared subscription, if it is one.
pub(super) fn shared_filter(filter: &str) -> Option<&str> {
    let (group, bare) = filter.strip_prefix("$share/")?.split_once('/')?;
    (!group.is_empty() && !bare.is_empty()).then_some(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_filter_gives_what_it_shares() {
        for (filter, bare) in [
            ("$share/g/a/b", "a/b"),
            ("$share/g//a", "/a"),
            ("$share/g", "$share/g"),
            ("$share/g/", "$share/g/"),
            ("$share//a", "$share//a"),
            ("a/b", "a/b"),
        ] {
            assert_eq!(bare_filter(filter), bare, "{filter}");
        }
    }
}
