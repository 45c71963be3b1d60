//! Blocks of the journal: a damaged file makes nothing but an error.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| cordon_journal::fuzzing::read_block(bytes));
