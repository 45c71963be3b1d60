//! Configuration baselines, and the judgement of what a device reports: a TOML document, a line of `---`, JSON.
#![no_main]

use cordon_core::comply::{Baseline, desired};
use cordon_core::fleet::Thing;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

fuzz_target!(|text: &str| {
    let (toml, json) = text.split_once("\n---\n").unwrap_or((text, "{}"));
    let baseline = match Baseline::parse("fuzz", toml) {
        Ok(baseline) => baseline,
        Err(error) => {
            assert!(error.to_string().len() < 2000, "{error}");
            return;
        }
    };
    let _ = baseline.applies(&Thing::named("press-01"));
    let reported = serde_json::from_str::<Map<String, Value>>(json).unwrap_or_default();
    let deviations = baseline.evaluate(&reported);
    let fix = desired(&deviations);
    assert!(fix.is_object());
    assert!(deviations.iter().all(|deviation| !deviation.to_string().is_empty() && !deviation.rule.is_empty()));
});
