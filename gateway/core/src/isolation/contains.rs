//! Whether one topic filter contains another.

/// Whether every topic that `inner` selects is selected by `outer` too (MQTT 5.0, section 4.7).
///
/// Exact: when this is false, some topic is selected by `inner` alone. Both must be valid, not shared, filters.
#[must_use]
pub fn contains(outer: &str, inner: &str) -> bool {
    // A leading wildcard selects no topic that begins with `$`.
    if inner.starts_with('$') && outer.starts_with(['+', '#']) {
        return false;
    }
    // Every topic has a first level, so `+/#` selects what `#` does.
    if inner == "#" {
        return matches!(outer, "#" | "+/#");
    }
    let mut outers = outer.split('/');
    let mut inners = inner.split('/');
    loop {
        match (outers.next(), inners.next()) {
            (Some("#"), _) | (None, None) => return true,
            (_, Some("#")) => return false,
            (Some("+"), Some(_)) => {}
            (Some(one), Some(two)) if one == two => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic;
    use proptest::prelude::*;

    #[test]
    fn filters_contain_what_lies_inside_them() {
        for (outer, inner, inside) in [
            ("plant/+/cmd/#", "plant/press-01/cmd/start", true),
            ("plant/+/cmd/#", "plant/+/cmd/#", true),
            ("plant/+/cmd/#", "plant/+/cmd", true),
            ("plant/+/cmd/#", "plant/press-01/cmd/+/x", true),
            ("plant/+/cmd/#", "plant/#", false),
            ("plant/+/cmd/#", "plant/+/+", false),
            ("plant/+/cmd/#", "#", false),
            ("plant/+", "plant/#", false),
            ("plant/#", "plant", true),
            ("#", "+/+", true),
            ("#", "#", true),
            ("+/#", "#", true),
            ("a/+/#", "a/#", false),
            ("+/+/#", "#", false),
            ("#", "$SYS/a", false),
            ("+/a", "$SYS/a", false),
            ("$SYS/#", "$SYS/+", true),
            ("a", "+", false),
            ("+", "a", true),
            ("+", "", true),
        ] {
            assert_eq!(contains(outer, inner), inside, "{outer} {inner}");
        }
    }

    /// Every topic of up to `levels` levels over a few names, one of which no filter of the test mentions.
    fn topics(levels: usize) -> Vec<String> {
        let mut all: Vec<String> = ["a", "b", "", "$s", "other"].map(String::from).to_vec();
        let mut last = all.clone();
        for _ in 1..levels {
            last =
                last.iter().flat_map(|head| ["a", "b", "", "other"].map(|level| format!("{head}/{level}"))).collect();
            all.extend(last.iter().cloned());
        }
        all.retain(|topic| topic::is_valid_name(topic));
        all
    }

    proptest! {
        #[test]
        fn containment_is_exactly_what_the_topics_show(
            outer in "(a|b|\\+|\\$s)(/(a|b|\\+|)){0,2}(/#)?|#",
            inner in "(a|b|\\+|\\$s)(/(a|b|\\+|)){0,2}(/#)?|#",
        ) {
            let shown = topics(5)
                .iter()
                .filter(|topic| topic::matches(&inner, topic))
                .all(|topic| topic::matches(&outer, topic));
            prop_assert_eq!(contains(&outer, &inner), shown, "{} {}", outer, inner);
        }
    }
}
