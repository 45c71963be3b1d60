//! Device Defender security profiles.
#![no_main]

use cordon_core::detect::SecurityProfile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &str| match SecurityProfile::parse("fuzz", json) {
    Ok(profile) => assert!(profile.unsupported().all(|(behavior, reason)| !behavior.is_empty() && !reason.is_empty())),
    Err(error) => assert!(error.to_string().len() < 2000, "{error}"),
});
