//! Envelopes out of the fabric or the store: every part of one that opens can be read.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| cordon_mqtt::fuzzing::open(bytes));
