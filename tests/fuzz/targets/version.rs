//! Firmware versions and ranges: the order is total, and a range contains what its words say.
//!
//! The input is lines: versions, and ranges of them.
#![no_main]

use cordon_core::fleet::{Version, VersionRange};
use libfuzzer_sys::fuzz_target;
use std::cmp::Ordering;

fuzz_target!(|text: &str| {
    let versions: Vec<Version> = text.lines().take(12).filter_map(|line| line.parse().ok()).collect();
    let ranges: Vec<VersionRange> = text.lines().take(12).filter_map(|line| line.parse().ok()).collect();
    for range in &ranges {
        let again: VersionRange = range.to_string().parse().expect("what is shown reads again");
        for version in &versions {
            assert_eq!(range.contains(version), again.contains(version), "{range} {version}");
        }
    }
    for a in &versions {
        let again: Version = a.to_string().parse().expect("what is shown reads again");
        assert_eq!(a.cmp(&again), Ordering::Equal);
        for b in &versions {
            assert_eq!(a.cmp(b), b.cmp(a).reverse(), "{a} {b}");
            for (operator, holds) in [("<", a < b), (">=", a >= b), ("=", a == b)] {
                let Ok(range) = format!("{operator}{b}").parse::<VersionRange>() else { continue };
                assert_eq!(range.contains(a), holds, "{a} {operator} {b}");
            }
            for c in &versions {
                assert!(!(a <= b && b <= c) || a <= c, "{a} {b} {c}");
            }
        }
    }
});
