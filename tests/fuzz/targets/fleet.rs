//! The fleet file: what is accepted can be looked up by every key it gives.
#![no_main]

use cordon_core::fleet::{Registry, is_valid_thing_name};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| match Registry::from_toml(text) {
    Ok(registry) => {
        for (name, thing) in &registry.things {
            assert!(is_valid_thing_name(name) && thing.name == *name);
            assert!(thing.groups.iter().all(|group| registry.groups.contains_key(group)));
            if let Some(user) = &thing.username {
                assert_eq!(registry.by_username(user).map(|found| &found.name), Some(name));
            }
            for pin in &thing.certificates {
                assert_eq!(registry.by_certificate("nobody", pin).map(|found| &found.name), Some(name));
            }
        }
    }
    Err(error) => assert!(error.to_string().len() < 2000, "{error}"),
});
