//! Topic filters: matching one by one, the tree of subscriptions and the retained messages all agree with the words of
//! the standard (MQTT 5, 4.7).
//!
//! The input is lines: the first is the topic, the others are filters.
#![no_main]

use cordon_core::topic;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut lines = text.lines();
    let Some(name) = lines.next().filter(|name| topic::is_valid_name(name)) else { return };
    let filters: Vec<&str> = lines.filter(|filter| topic::is_valid_filter(filter)).take(16).collect();
    let levels: Vec<&str> = name.split('/').collect();
    for filter in &filters {
        let parts: Vec<&str> = filter.split('/').collect();
        let expected = selects(&parts, &levels, true);
        assert_eq!(topic::matches(filter, name), expected, "{filter:?} {name:?}");
        let retained = cordon_mqtt::fuzzing::retained(&[name, "a", "a/b", "z"], filter);
        assert_eq!(retained.iter().any(|topic| topic == name), expected, "retained: {filter:?} {name:?}");
    }
    let expected: Vec<usize> = (0..filters.len()).filter(|at| topic::matches(filters[*at], name)).collect();
    assert_eq!(cordon_mqtt::fuzzing::subscribed(&filters, name), expected, "{filters:?} {name:?}");
});

/// The standard's rules, level by level.
fn selects(filter: &[&str], topic: &[&str], first: bool) -> bool {
    let hidden = first && topic.first().is_some_and(|level| level.starts_with('$'));
    match (filter.split_first(), topic.split_first()) {
        (None, None) => true,
        (Some((&"#", [])), _) => !hidden,
        (Some((&"+", filter)), Some((_, topic))) => !hidden && selects(filter, topic, false),
        (Some((level, filter)), Some((name, topic))) => level == name && selects(filter, topic, false),
        _ => false,
    }
}
