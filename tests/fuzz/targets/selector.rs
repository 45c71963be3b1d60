//! Isolation selectors: what is read is shown as it reads again, and selects the same.
#![no_main]

use cordon_core::fleet::{Selector, Thing};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(selector) = text.parse::<Selector>() else { return };
    let again: Selector = selector.to_string().parse().expect("what is shown reads again");
    assert_eq!(again, selector);
    let mut thing = Thing::named("press-01");
    thing.attributes.insert("firmware".to_owned(), "1.2.0-rc1".to_owned());
    assert_eq!(again.matches(&thing), selector.matches(&thing));
});
